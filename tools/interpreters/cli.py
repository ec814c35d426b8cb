"""The command line of tools/pythons."""

from __future__ import annotations

import argparse
import os
import sys

from rich.console import Console
from rich.table import Table

from interpreters.environments import TEST_REQUIREMENTS, NoEnvironmentError, make_environment
from interpreters.finding import Interpreter, find_interpreters
from interpreters.suites import Outcome, run_tests
from interpreters.wheels import build_wheel


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tools/pythons",
        description="Runs the Python package's tests on every interpreter that is found on PATH "
        "and in pyenv's folder, with one wheel for all. The last line is the sum; the exit status "
        "is 0 when some test ran and none failed.",
        epilog='What stands behind -- is for pytest: tools/pythons pypy3.9 -- -k "echo" -x',
    )
    parser.add_argument("--list", action="store_true", help="only tell what is found")
    parser.add_argument("only", nargs="*", metavar="NAME", help="such as cpython3.13; default: all")
    return parser


def _choose(interpreters: list[Interpreter], names: list[str]) -> list[Interpreter]:
    unknown = set(names).difference(one.name for one in interpreters)
    if unknown:
        raise SystemExit(f"tools/pythons: not found: {', '.join(sorted(unknown))}")
    return [one for one in interpreters if not names or one.name in names]


def _show(console: Console, outcomes: dict[str, tuple[Interpreter, Outcome | None]]) -> None:
    table = Table("name", "interpreter", "passed", "failed", "skipped")
    for column in table.columns[2:]:
        column.justify = "right"
    for name, (interpreter, outcome) in outcomes.items():
        cells = (outcome.passed, outcome.failed, outcome.skipped) if outcome else ("-", "-", "-")
        table.add_row(name, str(interpreter), *map(str, cells))
    console.print(table)


def _run_all(console: Console, chosen: list[Interpreter], pytest_arguments: list[str]) -> Outcome:
    """Run the tests on each, show a table, and return the sum."""
    wheel = build_wheel()
    console.print(f"wheel: {wheel.name}", highlight=False)
    outcomes: dict[str, tuple[Interpreter, Outcome | None]] = {}
    skipped = []
    for interpreter in chosen:
        console.rule(f"{interpreter.name}: {interpreter.executable}")
        outcome = None
        try:
            environment = make_environment(interpreter, TEST_REQUIREMENTS, wheel)
        except NoEnvironmentError as error:
            skipped.append(f"skipped: {interpreter.name}: no environment: {error}")
        else:
            outcome = run_tests(environment, pytest_arguments)
        outcomes[interpreter.name] = (interpreter, outcome)
    _show(console, outcomes)
    for line in skipped:
        console.print(line, highlight=False, markup=False)
    return sum((outcome for _, outcome in outcomes.values() if outcome), Outcome())


def main() -> int:
    """Do what the command line asks for."""
    words = sys.argv[1:]
    border = words.index("--") if "--" in words else len(words)
    arguments, pytest_arguments = _parser().parse_args(words[:border]), words[border + 1 :]
    console = Console()
    interpreters, unusable = find_interpreters()
    chosen = _choose(interpreters, arguments.only)
    for one in unusable:
        console.print(f"skipped: {one.path}: {one.reason}", highlight=False, markup=False)
    if arguments.list:
        for one in chosen:
            console.print(f"{one.name:12} {one.executable}", highlight=False)
        return 0
    if os.environ.get("CI") == "true":
        os.environ["UC_REQUIRE_IO_URING"] = "1"
    total = _run_all(console, chosen, pytest_arguments)
    print(total)
    return 0 if total.failed == 0 and total.passed > 0 else 1
