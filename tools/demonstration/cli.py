"""The command line of tools/demo."""

from __future__ import annotations

import argparse
import functools
import importlib.util
import sys
from collections.abc import Sequence

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from benchmarks import load
from benchmarks.processes import Cpus, ServerError
from benchmarks.servers import LOOPS
from demonstration.jobs import JOBS, WARM_UP, Job, LoopResult, drive
from demonstration.report import LABELS, show
from terminal.showing import make_console


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tools/demo",
        description="Serves TCP echo and HTTP on the event loop, drives both from another process, "
        "checks every byte, and compares with stock asyncio and uvloop.",
    )
    parser.add_argument("--seconds", type=float, default=2.5, help="per job (2.5)")
    return parser


def _loops() -> tuple[list[str], list[str]]:
    """(loops to demonstrate, loops that are not installed)."""
    there = [loop for loop, module in LOOPS.items() if importlib.util.find_spec(module)]
    return there, [loop for loop in LOOPS if loop not in there]


def _drive_all(console: Console, loops: Sequence[str], seconds: float) -> list[LoopResult]:
    """Every job on every loop, under one bar; raises at the first thing that is wrong."""
    cpus = Cpus.choose()
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[seen]}"),
        TimeElapsedColumn(),
        console=console,
        auto_refresh=False,  # drawn when the load reports: no thread beside what is measured
        transient=True,
    )
    with bar:
        per_job = seconds + WARM_UP
        task = bar.add_task("starting", total=per_job * len(JOBS) * len(loops), seen="")
        finished = 0.0

        def hear(label: str, job: Job, progress: load.Progress) -> None:
            nonlocal finished
            gone = {"warm-up": 0.0, "measure": WARM_UP}.get(progress.phase, seconds + WARM_UP)
            if progress.phase in ("warm-up", "measure"):
                gone += progress.seconds
            bar.update(
                task,
                completed=finished + min(gone, per_job),
                description=f"{label}: {job.title}",
                seen=f"{progress.requests:,} answers",
                refresh=True,
            )
            if progress.phase == "done":
                finished += per_job

        return [drive(loop, seconds, cpus, functools.partial(hear, LABELS[loop])) for loop in loops]


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0, or 1 after saying what was wrong."""
    seconds: float = _parser().parse_args(arguments).seconds
    if not 0.1 <= seconds <= 60:
        print("tools/demo: --seconds is 0.1 to 60", file=sys.stderr)
        return 2
    console = make_console()
    loops, missing = _loops()
    if "uringcore" in missing:
        print("tools/demo: the package uringcore_cffi is not installed", file=sys.stderr)
        return 1
    try:
        results = _drive_all(console, loops, seconds)
    except (ServerError, load.LoadError) as error:
        print(f"tools/demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    show(console, results)
    for loop in missing:
        console.print(f"[yellow]skipped[/yellow] {LABELS[loop]}: not installed", highlight=False)
    samples = [sample for result in results for sample in result.samples.values()]
    answers = sum(sample.requests for sample in samples)
    checked = sum(sample.verified_bytes for sample in samples)
    console.print(
        f"All is well: {answers:,} answers measured, {checked:,} bytes compared, none wrong.",
        highlight=False,
    )
    return 0
