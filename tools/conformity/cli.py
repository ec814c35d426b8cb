"""The command line of tools/conformance."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from conformity import skips
from conformity.campaign import Plan, run
from conformity.processes import Limits
from conformity.results import FAILED, PASSED, SKIPPED, InterpreterResult, ModuleResult, totals
from conformity.selection import Module, select
from conformity.subjects import DEFAULT, find, full_name
from conformity.tables import show
from conformity.testsuites import UnavailableError
from interpreters import Interpreter
from terminal.showing import Bar, make_console

OURS = "uringcore_cffi:new_event_loop"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tools/conformance",
        description="Runs CPython's own asyncio tests with our loop in the place of asyncio's. "
        "A module with failures runs on stock asyncio too: what fails there as well is the "
        "interpreter's own failure. The last line is 'N passed, N failed, N skipped'.",
    )
    parser.add_argument("--all", action="store_true", help="every CPython from 3.9 on that is here")
    parser.add_argument(
        "--python",
        action="append",
        default=[],
        metavar="PATH",
        help=f"this interpreter ({DEFAULT}); may be repeated",
    )
    parser.add_argument(
        "--module",
        action="append",
        default=[],
        metavar="NAME",
        help="only this test module, with or without test_, wildcards allowed; may be repeated",
    )
    parser.add_argument("-k", default="", metavar="TEXT", help="only tests with this in their name")
    parser.add_argument("--list", action="store_true", help="print the tests, run none")
    parser.add_argument("--stock", action="store_true", help="run all on stock asyncio as well")
    parser.add_argument(
        "--loop", default=OURS, metavar="MODULE:FACTORY", help=f"the loop under test ({OURS})"
    )
    parser.add_argument(
        "--json",
        type=Path,
        metavar="FILE",
        help="write all of it there, output too",
    )
    parser.add_argument(
        "--test-seconds",
        type=float,
        default=Limits.test_seconds,
        help="limit of a test (%(default)g)",
    )
    parser.add_argument(
        "--module-seconds",
        type=float,
        default=Limits.module_seconds,
        help="limit of a test process (%(default)g)",
    )
    return parser


class _Bar(Bar):
    """A bar over modules, with the running test."""

    def module_begins(self, interpreter: Interpreter, module: Module) -> None:
        """A module is next."""
        self.part_begins(f"{full_name(interpreter)} {module.label}")

    def hear(self, message: dict[str, Any]) -> None:
        """A test begins or ends."""
        if "start" in message:
            self.say(message["start"].rpartition(".")[2].split(" ")[0])

    def module_ends(self, interpreter: Interpreter, result: ModuleResult) -> None:
        """All of a module has been run."""
        passed, failed = result.count(PASSED), result.count(FAILED)
        line = (
            f"{full_name(interpreter)} {result.label}: {passed} passed, {failed} failed, "
            f"{result.seconds:.1f} s"
        )
        self.part_ends(failed, "" if result.absent else line)


def _as_json(results: Sequence[InterpreterResult]) -> list[dict[str, Any]]:
    return [
        {
            "interpreter": result.name,
            "executable": result.interpreter.executable,
            "build": result.interpreter.build,
            "unavailable": result.unavailable,
            "modules": [dataclasses.asdict(module) for module in result.modules],
        }
        for result in results
    ]


def _complaints(
    options: argparse.Namespace, plan: Plan, results: Sequence[InterpreterResult]
) -> list[str]:
    """What is wrong with the run as a whole, whatever the tests say."""
    found = [text for text in map(skips.too_many, results) if text]
    if not options.module and not options.k:
        for test in skips.useless(plan.skips, results):
            print(f"tools/conformance: skips.toml: {test} matches no test")
    if not any(result.tests() for result in results):
        found.append("no tests were found")
    return found


def _list(results: Sequence[InterpreterResult]) -> int:
    for result in results:
        for test in result.tests():
            print(result.name, test)
        for test in result.left_out():
            print(result.name, test, "(left out)")
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 when nothing failed, 1 when something did, 2 when nothing can be run."""
    options = _parser().parse_args(arguments)
    modules = select(options.module)
    try:
        interpreters = find(options.python, options.all)
        skip_list = skips.read(skips.LIST.read_text())
        if not modules:
            raise UnavailableError(f"--module {' '.join(options.module)}: no such module")
    except (UnavailableError, skips.SkipListError) as error:
        print(f"tools/conformance: {error}", file=sys.stderr)
        return 2
    plan = Plan(
        modules,
        skip_list,
        options.loop,
        options.k,
        list_only=options.list,
        all_on_stock=options.stock,
        limits=Limits(options.test_seconds, options.module_seconds),
    )
    console = make_console()
    bar = _Bar(console, len(modules) * len(interpreters))
    try:
        with bar:
            results = [run(interpreter, plan, bar) for interpreter in interpreters]
    except KeyboardInterrupt:
        return 130
    if options.list:
        return _list(results)
    show(console, results)
    if options.json:
        options.json.write_text(json.dumps(_as_json(results), indent=1))
    complaints = _complaints(options, plan, results)
    for text in complaints:
        print(f"tools/conformance: {text}", file=sys.stderr)
    counts = totals(results)
    print(f"{counts[PASSED]} passed, {counts[FAILED]} failed, {counts[SKIPPED]} skipped")
    return 1 if counts[FAILED] or complaints else 0
