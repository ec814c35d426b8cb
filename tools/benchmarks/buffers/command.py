"""``tools/bench buffers``: rounds of all ways, and what they show."""

from __future__ import annotations

import argparse
import json
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.buffers.ways import WAYS, Way
from benchmarks.documents import as_document
from benchmarks.pairing import Results
from benchmarks.processes import Cpus, environment, pinned, python_command
from benchmarks.tables import median, show_outcome, spread
from terminal.showing import make_still_bar

ROUNDS, QUICK_ROUNDS = 7, 3
SECONDS, QUICK_SECONDS = 0.5, 0.3
PATIENCE = 60.0
"""Over its window, how long a sample may take."""

SUITE = "buffers"
NOTE = (
    "µs of CPU time per message, the kernel's included (median over the rounds, ± the round "
    "farthest off); beside copying: within each round, below 1 is better. RSS and buffers at the "
    "end; those in quarantine were leased."
)


@dataclass(frozen=True)
class Workload:
    """Messages of one size."""

    name: str
    title: str
    size: int


@dataclass(frozen=True)
class Sample:
    """What one window showed."""

    messages: int
    rate: float
    cpu_us: float
    resident_bytes: int
    buffers: int
    quarantine: int


WORKLOADS = (
    Workload("messages-4k", "messages of 4 KiB", 4 << 10),
    Workload("messages-64k", "messages of 64 KiB", 64 << 10),
    Workload("messages-1m", "messages of 1 MiB", 1 << 20),
)


def _cpu(sample: Sample) -> float:
    return sample.cpu_us


def _measure(way: Way, workload: Workload, seconds: float, cpus: Cpus) -> Sample:
    command = python_command(
        "benchmarks.buffers.worker", way.name, str(workload.size), str(seconds)
    )
    if cpus.load is not None:
        command.append(str(cpus.load))
    done = subprocess.run(
        pinned(command, cpus.server),
        env=environment(),
        capture_output=True,
        text=True,
        timeout=seconds + PATIENCE,
        check=True,
    )
    return Sample(**json.loads(done.stdout))


def run_rounds(
    workload: Workload,
    ways: Sequence[Way],
    rounds: int,
    seconds: float,
    on_step: Callable[[str], None],
) -> Results:
    """Measure all ways in turn, each time in a new process; the order rotates."""
    results = Results(workload)  # type: ignore[arg-type]  # whose workloads are of servers
    results.samples = {way.name: [] for way in ways}
    cpus = Cpus.choose()
    for number in range(rounds):
        start = number % len(ways)
        for way in [*ways[start:], *ways[:start]]:
            on_step(f"{workload.title}: round {number + 1} of {rounds}, {way.label}")
            sample = None
            try:
                sample = _measure(way, workload, seconds, cpus)
            except subprocess.SubprocessError as error:
                reason = getattr(error, "stderr", None) or str(error)
                results.failures.append(f"{workload.name}, {way.label}: {reason.strip()[-300:]}")
            results.samples[way.name].append(sample)  # type: ignore[arg-type]
    return results


def _rows(result: Results, ways: Sequence[Way]) -> list[list[str]]:
    cells: Any = result
    return [
        [
            way.label,
            median(cells.spread(way.name, lambda sample: sample.rate)),
            spread(cells.spread(way.name, _cpu)),
            "" if way.name == way.base else spread(cells.ratio(way.name, way.base, _cpu)),
            median(cells.spread(way.name, lambda sample: sample.resident_bytes), 1e-6),
            median(cells.spread(way.name, lambda sample: sample.buffers)),
            median(cells.spread(way.name, lambda sample: sample.quarantine)),
        ]
        for way in ways
        if result.good(way.name)
    ]


def _table(*names: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in names:
        table.add_column(name, no_wrap=True)
    for heading in (
        "messages/s", "CPU µs", "beside\ncopying", "RSS MB", "buffers", "in quar-\nantine",
    ):  # fmt: skip
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def suite_table(results: Mapping[str, Results], ways: Sequence[Way]) -> Table:
    """A section for each size, a row for each way."""
    table = _table("", "received by")
    for result in results.values():
        for number, cells in enumerate(_rows(result, ways)):
            table.add_row("" if number else result.workload.title, *cells)
        table.add_section()
    return table


def _workload_table(result: Results, ways: Sequence[Way]) -> Table:
    table = _table("received by")
    for cells in _rows(result, ways):
        table.add_row(*cells)
    return table


def _select(only: list[str]) -> tuple[list[Workload], list[Way]]:
    """The sizes and ways that ``--only`` leaves; exits on a name that is neither."""
    names = {name for item in only for name in item.split(",") if name}
    known = [each.name for each in (*WORKLOADS, *WAYS)]
    if unknown := names.difference(known):
        raise SystemExit(
            f"tools/bench: --only {','.join(sorted(unknown))}: known are {', '.join(known)}"
        )
    workloads = [workload for workload in WORKLOADS if workload.name in names]
    ways = [way for way in WAYS if way.name in names]
    return workloads or list(WORKLOADS), ways or list(WAYS)


def run(console: Console, options: argparse.Namespace, about: Mapping[str, Any]) -> dict[str, Any]:
    """Measure and show what the command line asks for; return it as a document."""
    rounds = options.rounds or (QUICK_ROUNDS if options.quick else ROUNDS)
    seconds = options.seconds or (QUICK_SECONDS if options.quick else SECONDS)
    workloads, ways = _select(options.only)
    results = {}
    bar = make_still_bar(console)
    with bar:
        task = bar.add_task("", total=len(workloads) * rounds * len(ways))

        def step(text: str) -> None:
            bar.update(task, description=text, refresh=True)
            bar.advance(task)

        for workload in workloads:
            results[workload.name] = run_rounds(workload, ways, rounds, seconds, step)
    console.print(suite_table(results, ways))
    show_outcome(console, results, [], [NOTE])
    tables = {name: _workload_table(result, ways) for name, result in results.items()}
    return as_document(SUITE, about, ways, {}, results, tables, [])
