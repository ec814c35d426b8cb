"""``tools/bench SUITE`` for the suites that are measured from inside."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeVar

from rich.console import Console

from benchmarks.documents import as_document
from benchmarks.figures import judge
from benchmarks.inside.catalogue import INSIDE_SUITES
from benchmarks.inside.rounds import run_rounds, workers
from benchmarks.inside.subjects import SUBJECTS, Subject
from benchmarks.inside.tables import notes, suite_table, versions_of, workload_table
from benchmarks.inside.timing import Workload
from benchmarks.pairing import Results
from benchmarks.processes import Cpus
from benchmarks.tables import show_outcome
from terminal.showing import make_still_bar

# Many short windows: what a busy machine does to one of them, the median leaves out.
ROUNDS, QUICK_ROUNDS = 15, 5
SECONDS, QUICK_SECONDS = 0.1, 0.05


class Named(Protocol):
    """What ``--only`` can name."""

    @property
    def name(self) -> str:
        """On the command line."""


AnyWorkload = TypeVar("AnyWorkload", bound=Named)
AnySubject = TypeVar("AnySubject", bound=Named)


def select(
    all_workloads: Sequence[AnyWorkload], all_subjects: Sequence[AnySubject], only: list[str]
) -> tuple[list[AnyWorkload], list[AnySubject]]:
    """The workloads and subjects that ``--only`` leaves; exits on a name that is neither."""
    names = {name for item in only for name in item.split(",") if name}
    workloads, subjects = list(all_workloads), list(all_subjects)
    unknown = names - {w.name for w in workloads} - {s.name for s in subjects}
    if unknown:
        known = ", ".join([w.name for w in workloads] + [s.name for s in subjects])
        raise SystemExit(f"tools/bench: --only {','.join(sorted(unknown))}: known are {known}")
    chosen_workloads = [w for w in workloads if w.name in names]
    chosen_subjects = [s for s in subjects if s.name in names]
    return chosen_workloads or workloads, chosen_subjects or subjects


def _run(
    console: Console,
    workloads: list[Workload],
    subjects: list[Subject],
    rounds: int,
    seconds: float,
) -> dict[str, Results]:
    """All rounds, with a bar that is drawn only between windows: it must not disturb them."""
    results = {}
    bar = make_still_bar(console)
    able = sum(subject.obstacle is None for subject in subjects)
    with bar, workers(subjects, Cpus.choose().server) as working:
        task = bar.add_task("", total=len(workloads) * rounds * able)

        def step(text: str) -> None:
            bar.update(task, description=text, refresh=True)
            bar.advance(task)

        for workload in workloads:
            results[workload.name] = run_rounds(workload, subjects, working, rounds, seconds, step)
    return results


def run(console: Console, options: argparse.Namespace, about: Mapping[str, Any]) -> dict[str, Any]:
    """Measure and show what the command line asks for; return it as a document."""
    rounds = options.rounds or (QUICK_ROUNDS if options.quick else ROUNDS)
    seconds = options.seconds or (QUICK_SECONDS if options.quick else SECONDS)
    workloads, subjects = select(INSIDE_SUITES[options.suite], SUBJECTS, options.only)
    results = _run(console, workloads, subjects, rounds, seconds)
    verdicts = judge(results)
    console.print(suite_table(results, subjects))
    show_outcome(console, results, verdicts, notes(subjects))
    versions = versions_of(subjects)
    tables = {name: workload_table(result, subjects) for name, result in results.items()}
    return as_document(options.suite, about, subjects, versions, results, tables, verdicts)
