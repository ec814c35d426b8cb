"""The table that the demonstration ends with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from benchmarks.measurement import Sample
from benchmarks.tables import UNKNOWN, number
from demonstration.jobs import JOBS, LoopResult

LABELS = {"uringcore": "uringcore-cffi", "uvloop": "uvloop", "asyncio": "asyncio"}


def _cells(sample: Sample) -> list[str]:
    return [
        number(sample.rate),
        number(sample.p50_us),
        number(sample.p99_us),
        number(sample.cpu_us),
        UNKNOWN if sample.entries is None else f"{sample.entries:.3f}",
        f"{sample.verified_bytes / 1e6:,.0f}",
    ]


def _sentences(info: Any, prefix: str = "") -> Iterator[str]:
    """What a loop says of itself, a line for each thing that is not empty or 0."""
    for name, value in info.items():
        label = f"{prefix}{name}".replace("_", " ")
        if isinstance(value, dict):
            yield from _sentences(value, f"{label}: ")
        elif isinstance(value, list) and value:
            yield f"{label}: {', '.join(map(str, value))}"
        elif value:
            yield f"{label}: {value}"


def show(console: Console, results: Sequence[LoopResult]) -> None:
    """Prints the table, then which backend and kernel features our loop runs on."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("job", no_wrap=True)
    table.add_column("loop", no_wrap=True)
    for heading in (
        "req/s",
        "p50\nµs",
        "p99\nµs",
        "CPU µs\n/req",
        "kernel entries\n/req",
        "checked\nMB",
    ):
        table.add_column(heading, justify="right", no_wrap=True)
    for job in JOBS:
        for index, result in enumerate(results):
            row = [job.title if index == 0 else "", LABELS[result.loop]]
            table.add_row(*row, *_cells(result.samples[job.title]))
        table.add_section()
    console.print(table)
    for result in results:
        if isinstance(result.info, dict):
            for sentence in _sentences(result.info):
                console.print(f"[dim]{escape(sentence)}[/dim]", highlight=False, soft_wrap=True)
