"""What is shown in the terminal of ways to work with files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rich import box
from rich.table import Table

from benchmarks.figures import Verdict
from benchmarks.files.subjects import BASE, Subject
from benchmarks.inside.tables import cpu, us
from benchmarks.pairing import Results
from benchmarks.tables import median, number, spread

HEADINGS = (
    "µs", "CPU µs", "speed /\naiofiles,\nuvloop", "lowest,\nhighest", "by CPU\ntime",
    "speed /\nthread", "CPU /\nraw", "promised",
)  # fmt: skip

NOTE = (
    "µs per read of 4 KiB, or per MiB written: median over the rounds, ± the round farthest off; "
    "CPU time of all threads. Speed is the other's time over this one's, within each round: above "
    "1 is faster."
)


def versions_of(subjects: Sequence[Subject]) -> dict[str, str]:
    """The versions of the libraries that have one of their own and are here."""
    return {subject.name: subject.version for subject in subjects if subject.version}


def _promised(verdicts: Sequence[Verdict]) -> str:
    """What was promised of a workload, and whether it is kept."""
    return ", ".join(
        f"{verdict.bound}: "
        + ("met" if verdict.met else f"missed by {verdict.missed_by}" if verdict.value else "-")
        for verdict in verdicts
    )


def _rows(
    result: Results, subjects: Sequence[Subject], verdicts: Sequence[Verdict]
) -> Iterator[list[str]]:
    """The cells of everybody who has good samples."""
    mine = [verdict for verdict in verdicts if verdict.figure.workload == result.workload.name]
    for subject in subjects:
        name = subject.name
        if not result.good(name):
            continue
        ratio = result.ratio(BASE, name, us)
        yield [
            subject.label,
            spread(result.spread(name, us)),
            median(result.spread(name, cpu)),
            median(ratio),
            "" if ratio is None else f"{number(ratio.low)}, {number(ratio.high)}",
            median(result.ratio(BASE, name, cpu)),
            median(result.ratio("thread", name, us)),
            median(result.ratio(name, "raw-uring", cpu)),
            _promised(mine) if name == "ours" else "",
        ]


def _empty_table(*names: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in names:
        table.add_column(name, no_wrap=True)
    for heading in HEADINGS:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def workload_table(
    result: Results, subjects: Sequence[Subject], verdicts: Sequence[Verdict]
) -> Table:
    """One workload: a row for each subject."""
    table = _empty_table("library, loop")
    table.title, table.title_justify = result.workload.title, "left"
    for cells in _rows(result, subjects, verdicts):
        table.add_row(*cells)
    return table


def tables(
    results: Mapping[str, Results], subjects: Sequence[Subject], verdicts: Sequence[Verdict]
) -> dict[str, Table]:
    """A table for each workload."""
    return {name: workload_table(result, subjects, verdicts) for name, result in results.items()}
