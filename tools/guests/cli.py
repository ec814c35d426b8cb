"""The command line of tools/kernels."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from rich.markup import escape

from guests.jobs import (
    CONFORMANCE,
    PACKAGE,
    PROBE,
    SUITES,
    Job,
    Plan,
    jobs,
    prepare_conformance,
    prepare_package,
)
from guests.kernel_log import complaints
from guests.kernels import HOST, Kernel, UnavailableError, choose, newest, offered, output_log
from guests.machine import GuestError, run_in_guest, run_on_host
from guests.results import KernelResult, not_run, take
from guests.tables import show
from interpreters.suites import Outcome
from terminal.showing import Bar, make_console

MEMORY_MIB = 3072
SLOWNESS = 10.0


def _suites(text: str) -> list[str]:
    names = text.split(",")
    unknown = set(names).difference(SUITES)
    if unknown:
        raise argparse.ArgumentTypeError(f"{', '.join(sorted(unknown))}: no such suite")
    return names


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tools/kernels",
        description="Runs the tests on Debian's cloud kernels in emulated machines, and here for "
        "comparison. The last line is 'N passed, N failed, N skipped', where a kernel that "
        "complains counts as a failure.",
        epilog="What stands behind -- is for pytest: tools/kernels --suite package -- -k echo",
    )
    parser.add_argument("--list", action="store_true", help="print the kernels there are, run none")
    parser.add_argument(
        "--kernel",
        action="append",
        default=[],
        metavar="NAME",
        help="6.1, or more of a release's name; 'host' is the one here; may be repeated "
        "(host, and the newest of each series)",
    )
    parser.add_argument(
        "--suite", type=_suites, default=list(SUITES), help=f"some of {','.join(SUITES)} (all)"
    )
    parser.add_argument(
        "--job",
        action="append",
        default=[],
        metavar="TEXT",
        help="only jobs with this in their name; may be repeated",
    )
    parser.add_argument(
        "--all", action="store_true", help="also what does not depend on the kernel; takes hours"
    )
    parser.add_argument(
        "--backend", default="", metavar="NAME", help="UC_BACKEND, such as epoll (io_uring)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all of it there")
    parser.add_argument(
        "--memory", type=int, default=MEMORY_MIB, metavar="MIB", help="of a guest (%(default)d)"
    )
    parser.add_argument(
        "--slowness",
        type=float,
        default=SLOWNESS,
        metavar="FACTOR",
        help="how much longer things may take in a guest (%(default)g)",
    )
    return parser


class _Bar(Bar):
    """A bar over jobs, with what the running one says."""

    _name = ""

    def kernel_begins(self, name: str, total: int) -> None:
        """A kernel boots."""
        self._name = name
        self.begin_again(f"{name} boots", total)

    def hear(self, message: dict[str, Any]) -> None:
        """A job begins, or says something."""
        if "begin" in message:
            self.part_begins(f"{self._name} {message['begin']}")
        elif "says" in message:
            last = (message["says"].strip().splitlines() or [""])[-1]
            self.say(escape(last[-50:]))

    def job_ends(self, name: str, outcome: Outcome, seconds: float) -> None:
        """A job has ended."""
        self.part_ends(outcome.failed, f"{self._name} {name}: {outcome}, {seconds:.1f} s")


class _Run:
    """Everything on every kernel, kept as it comes."""

    def __init__(self, options: argparse.Namespace, plan: Plan, bar: _Bar) -> None:
        self.results: list[KernelResult] = []
        self._options = options
        self._plan = plan
        self._bar = bar

    def save(self) -> None:
        """Write all there is; after every job, so that a run that is ended leaves what it has."""
        if self._options.json:
            self._options.json.write_text(_as_json(self.results))

    def _hear(self, message: dict[str, Any], by_name: dict[str, Job], log: IO[str]) -> None:
        result = self.results[-1]
        self._bar.hear(message)
        log.write(message.get("says", ""))
        log.flush()
        result.hear(message)
        if "end" in message:
            one = take(by_name[message["end"]], message)
            if one.job.suite == PROBE and not one.failures:
                result.probe = json.loads(one.output)
            result.jobs.append(one)
            self._bar.job_ends(one.job.name, one.outcome, one.seconds)
            self.save()

    def on(self, kernel: Kernel | None) -> None:
        """Everything on one kernel; None is the host's."""
        result = KernelResult(HOST if kernel is None else kernel.series)
        self.results.append(result)
        todo = jobs(self._plan, 1.0 if kernel is None else self._options.slowness)
        by_name = {job.name: job for job in todo}
        started = time.monotonic()
        self._bar.kernel_begins(result.name, len(todo))

        def hear_log(text: str) -> None:
            result.complaints = complaints(text)

        try:
            with output_log(kernel).open("w", encoding="utf-8") as log:

                def hear(message: dict[str, Any]) -> None:
                    self._hear(message, by_name, log)

                if kernel is None:
                    run_on_host(todo, hear)
                else:
                    run_in_guest(kernel, todo, self._options.memory, hear, hear_log)
        except UnavailableError as reason:
            result.unavailable = str(reason)
            return
        except GuestError as error:
            result.broken = str(error)
        finally:
            result.seconds = time.monotonic() - started
        not_run(todo, result)


def _choose(names: list[str]) -> list[Kernel | None]:
    """The host if it is named, and kernels; all of them if nothing is named."""
    if not names:
        return [None, *newest(offered())]
    others = [name for name in names if name != HOST]
    host: list[Kernel | None] = [None] if HOST in names else []
    return [*host, *choose(others, offered())] if others else host


def _list() -> int:
    kernels = offered()
    default = newest(kernels)
    for kernel in kernels:
        print(f"{kernel.series:6} {kernel.release}{'  (default)' if kernel in default else ''}")
    return 0


def _as_json(results: Sequence[KernelResult]) -> str:
    return json.dumps([dataclasses.asdict(result) for result in results], indent=1, default=str)


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 when nothing failed, 1 when something did, 2 when nothing can be run."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    border = words.index("--") if "--" in words else len(words)
    options, pytest_arguments = _parser().parse_args(words[:border]), words[border + 1 :]
    plan = Plan(options.suite, options.job, options.all, pytest_arguments, options.backend)
    console = make_console()
    bar = _Bar(console)
    interrupted = False
    try:
        if options.list:
            return _list()
        chosen = _choose(options.kernel)
        if CONFORMANCE in options.suite:
            prepare_conformance()
        if PACKAGE in options.suite and chosen != [None]:
            prepare_package()
        with bar:
            run = _Run(options, plan, bar)
            try:
                for kernel in chosen:
                    run.on(kernel)
            except KeyboardInterrupt:
                interrupted = True
    except UnavailableError as error:
        print(f"tools/kernels: {error}", file=sys.stderr)
        return 2
    results = run.results
    show(console, results)
    run.save()
    total = sum((result.total() for result in results), Outcome())
    print(total)
    if interrupted:
        return 130
    unavailable = any(result.unavailable for result in results)
    return 1 if total.failed or unavailable or not total.passed else 0
