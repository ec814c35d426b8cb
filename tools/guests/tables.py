"""What is shown in the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from guests.jobs import SUITES
from guests.results import KernelResult
from interpreters.suites import Outcome
from terminal.showing import make_table

_LINES_MAX = 30


def _table(title: str, first: str, results: Sequence[KernelResult]) -> Table:
    return make_table(title, first, (result.name for result in results))


def _features(results: Sequence[KernelResult]) -> Table:
    """What each kernel's rings have: in use, there to be asked for, or not."""
    table = _table("what a ring gets", "feature", results)
    names = {one["name"]: one["since"] for result in results for one in result.probe["features"]}
    for name, since in names.items():
        cells = []
        for result in results:
            used = name in result.probe["ring"]["features"]
            works = any(one["name"] == name and one["works"] for one in result.probe["features"])
            cells.append(
                "[green]used[/green]" if used else "there" if works else "[yellow]no[/yellow]"
            )
        table.add_row(f"{name} [dim]({since})[/dim]", *cells)
    return table


def _counts(outcome: Outcome) -> str:
    if outcome == Outcome():
        return "[dim]·[/dim]"
    failed = f"[red]{outcome.failed}[/red]" if outcome.failed else "0"
    return f"{outcome.passed} / {failed} / {outcome.skipped}"


def _suites(results: Sequence[KernelResult]) -> Table:
    table = _table("passed / failed / skipped", "suite", results)
    for suite in SUITES:
        if any(one.job.suite == suite for result in results for one in result.jobs):
            table.add_row(suite, *(_counts(result.of(suite)) for result in results))
    complained = [len(result.complaints) for result in results]
    if any(complained):
        table.add_row("[red]kernel's complaints[/red]", *map(str, complained))
    table.add_section()
    table.add_row("seconds", *(f"{result.seconds:.0f}" for result in results))
    return table


def _tail(text: str) -> str:
    lines = text.strip().splitlines()[-_LINES_MAX:]
    return "\n".join(f"    {line}" for line in lines)


def _details(console: Console, result: KernelResult) -> None:
    def show_one(title: str, name: str, text: str) -> None:
        console.print(
            f"[red]{title}[/red] {result.name} {escape(name)}\n{escape(_tail(text))}",
            highlight=False,
            soft_wrap=True,
        )

    said: set[str] = set()
    for one in result.jobs:
        for failure in one.failures:
            # cases of one program have its output in common
            show_one("failed", failure.name, "" if failure.detail in said else failure.detail)
            said.add(failure.detail)
    for complaint in result.complaints:
        show_one("kernel", complaint.title, complaint.text)
    if result.broken:
        show_one("guest", "ended early", result.broken)


def show(console: Console, results: Sequence[KernelResult]) -> None:
    """Prints what the kernels gave, the counts, then the failures."""
    there = [result for result in results if not result.unavailable]
    for result in there:
        console.print(f"{result.name}: {result.kernel}", highlight=False)
    probed = [result for result in there if result.probe]
    if probed:
        console.print(_features(probed))
    if there:
        console.print(_suites(there))
    for result in there:
        _details(console, result)
    for result in results:
        if result.unavailable:
            console.print(
                f"[red]not run[/red] {result.name}: {escape(result.unavailable)}",
                highlight=False,
                soft_wrap=True,
            )
