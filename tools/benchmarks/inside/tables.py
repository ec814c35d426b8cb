"""What is shown in the terminal of loops measured from inside."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rich import box
from rich.table import Table

from benchmarks.inside.subjects import Subject
from benchmarks.inside.timing import Timing
from benchmarks.pairing import Results
from benchmarks.tables import median, number, spread

HEADINGS = (
    "µs", "best", "CPU µs", "speed /\nuvloop", "lowest,\nhighest", "by CPU\ntime",
    "speed /\nasyncio",
)  # fmt: skip

NOTE = (
    "µs per operation: median over the rounds, ± the round farthest off. Speed is the other's time "
    "over this one's, within each round: above 1 is faster."
)


def versions_of(subjects: Sequence[Subject]) -> dict[str, str]:
    """The versions of the loops that have one of their own and are here."""
    return {subject.name: subject.version for subject in subjects if subject.version}


def notes(subjects: Sequence[Subject]) -> list[str]:
    """What a reader should know beside the table."""
    labels = {subject.name: subject.label for subject in subjects}
    known = versions_of(subjects).items()
    return [NOTE, ", ".join(f"{labels[name]} {version}" for name, version in known)]


def us(timing: Timing) -> float:
    """Time of an operation."""
    return timing.us


def cpu(timing: Timing) -> float:
    """CPU time of an operation."""
    return timing.cpu_us


def _range(results: Results, name: str) -> str:
    ratio = results.ratio("uvloop", name, us)
    return "" if ratio is None else f"{number(ratio.low)}, {number(ratio.high)}"


def _empty_table(*names: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in names:
        table.add_column(name, no_wrap=True)
    for heading in HEADINGS:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def _rows(result: Results, subjects: Sequence[Subject]) -> Iterator[list[str]]:
    """The cells of every loop that has good samples."""
    for subject in subjects:
        name = subject.name
        if not result.good(name):
            continue
        value = result.spread(name, us)
        yield [
            subject.label,
            spread(value),
            "" if value is None else number(value.low),
            median(result.spread(name, cpu)),
            median(result.ratio("uvloop", name, us)),
            _range(result, name),
            median(result.ratio("uvloop", name, cpu)),
            median(result.ratio("asyncio", name, us)),
        ]


def suite_table(results: Mapping[str, Results], subjects: Sequence[Subject]) -> Table:
    """A section per workload, a row per loop."""
    table = _empty_table("workload", "loop")
    for result in results.values():
        for number_of_row, cells in enumerate(_rows(result, subjects)):
            table.add_row("" if number_of_row else result.workload.title, *cells)
        table.add_section()
    return table


def workload_table(result: Results, subjects: Sequence[Subject]) -> Table:
    """One workload alone."""
    table = _empty_table("loop")
    for cells in _rows(result, subjects):
        table.add_row(*cells)
    return table
