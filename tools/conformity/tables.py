"""What is shown in the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from conformity.results import FAILED, OWN, PASSED, SKIPPED, InterpreterResult, ModuleResult
from terminal.showing import make_table

HEADINGS = (
    "tests", "passed", "failed", "skipped", "interpreter's\nown", "left\nout", "on the\nloop", "s",
)  # fmt: skip


def _cells(modules: Sequence[ModuleResult]) -> list[str]:
    def total(outcome: str) -> int:
        return sum(module.count(outcome) for module in modules)

    left_out = sum(len(module.left_out) for module in modules)
    counts = [
        sum(len(module.tests) for module in modules) + left_out,
        *map(total, (PASSED, FAILED, SKIPPED, OWN)),
        left_out,
        sum(module.on_loop for module in modules),
    ]
    texts = [str(count) if count else "[dim]·[/dim]" for count in counts]
    if counts[2]:
        texts[2] = f"[red]{texts[2]}[/red]"
    return [*texts, f"{sum(module.seconds for module in modules):.1f}"]


def _interpreter_table(result: InterpreterResult) -> Table:
    title = f"{result.name} ({result.interpreter.executable})"
    table = make_table(title, "module", HEADINGS)
    for module in result.modules:
        table.add_row(module.label, *_cells([module]))
    table.add_section()
    table.add_row("all", *_cells(result.modules))
    return table


def _details(console: Console, result: InterpreterResult) -> None:
    name = result.name
    for title, outcomes in (
        ("[red]failed[/red]", result.failures()),
        ("[yellow]interpreter's own[/yellow]", result.own()),
    ):
        for one in outcomes:
            console.print(
                f"{title} {name} {escape(one.test)}\n    {escape(one.last_line)}",
                highlight=False,
                soft_wrap=True,
            )
    for module in result.modules:
        for test in module.stale:
            console.print(
                f"[yellow]passes although left out[/yellow] {name} {escape(test)}",
                highlight=False,
                soft_wrap=True,
            )


def show(console: Console, results: Sequence[InterpreterResult]) -> None:
    """Prints a table for each interpreter, one of all if there are several, then the failures."""
    there = [result for result in results if not result.unavailable]
    for result in there:
        console.print(_interpreter_table(result))
    if len(there) > 1:
        table = make_table("all interpreters", "interpreter", HEADINGS)
        for result in there:
            table.add_row(result.name, *_cells(result.modules))
        console.print(table)
    not_selected = sum(module.not_selected for result in there for module in result.modules)
    if not_selected:
        console.print(
            f"[dim]{not_selected} tests of these modules are not run: unit tests of asyncio's own "
            "classes, and classes that repeat others on another selector or child watcher.[/dim]",
            highlight=False,
        )
    for result in there:
        _details(console, result)
    if len(there) < len(results):
        console.print(f"{len(results) - len(there)} of {len(results)} interpreters skipped:")
    for result in results:
        if result.unavailable:
            console.print(
                f"[yellow]skipped[/yellow] {result.name} "
                f"({result.interpreter.executable}): {escape(result.unavailable)}",
                highlight=False,
                soft_wrap=True,
            )
