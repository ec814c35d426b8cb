"""``tools/bench files``."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console

from benchmarks.documents import as_document
from benchmarks.figures import judge
from benchmarks.files.catalogue import FILE_SUITES, Workload
from benchmarks.files.place import Place, made
from benchmarks.files.subjects import SUBJECTS, Subject
from benchmarks.files.tables import NOTE, tables, versions_of
from benchmarks.inside.command import QUICK_ROUNDS, QUICK_SECONDS, ROUNDS, SECONDS, select
from benchmarks.inside.rounds import Worker, run_rounds, stopping
from benchmarks.load import BUILD
from benchmarks.pairing import Results
from benchmarks.processes import python_command
from benchmarks.tables import show_outcome
from terminal.showing import make_still_bar

WRITE_MIB, QUICK_WRITE_MIB = 1024, 64


def _taking_part(workload: Workload, subjects: Sequence[Subject]) -> list[Subject]:
    return [subject for subject in subjects if subject.can(workload.method)]


def _worker(subject: Subject, place: Place, write_mib: int) -> Worker:
    command = python_command(
        "benchmarks.files.worker",
        subject.name, str(place.folder), str(place.read_bytes), str(write_mib),
    )  # fmt: skip
    return Worker(command, None)


def _run(
    console: Console,
    workloads: Sequence[Workload],
    subjects: Sequence[Subject],
    working: Mapping[str, Worker],
    rounds: int,
    seconds: float,
) -> dict[str, Results]:
    """All rounds, with a bar that is drawn only between windows."""
    results = {}
    able = [subject for subject in subjects if subject.obstacle is None]
    steps = [w.rounds(rounds) * len(_taking_part(w, able)) for w in workloads]
    bar = make_still_bar(console)
    with bar, stopping(working):
        task = bar.add_task("", total=sum(steps))

        def step(text: str) -> None:
            bar.update(task, description=text, refresh=True)
            bar.advance(task)

        for workload in workloads:
            taking_part = _taking_part(workload, subjects)
            results[workload.name] = run_rounds(
                workload, taking_part, working, workload.rounds(rounds), seconds, step
            )
    return results


def run(console: Console, options: argparse.Namespace, about: Mapping[str, Any]) -> dict[str, Any]:
    """Measure and show what the command line asks for; return it as a document."""
    rounds = options.rounds or (QUICK_ROUNDS if options.quick else ROUNDS)
    seconds = options.seconds or (QUICK_SECONDS if options.quick else SECONDS)
    write_mib = options.write_mib or (QUICK_WRITE_MIB if options.quick else WRITE_MIB)
    workloads, subjects = select(FILE_SUITES[options.suite], SUBJECTS, options.only)
    with made(options.folder or BUILD) as place:
        working = {subject.name: _worker(subject, place, write_mib) for subject in subjects}
        results = _run(console, workloads, subjects, working, rounds, seconds)
    verdicts = judge(results)
    shown = tables(results, subjects, verdicts)
    for table in shown.values():
        if table.row_count:
            console.print(table)
    versions = versions_of(subjects)
    labels = {subject.name: subject.label for subject in subjects}
    known = ", ".join(f"{labels[name]} {version}" for name, version in versions.items())
    show_outcome(console, results, verdicts, [NOTE, f"{write_mib} MiB written. {known}"])
    return as_document(options.suite, about, subjects, versions, results, shown, verdicts)
