"""What is shown in the terminal."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from benchmarks.figures import Verdict, cpu, rate
from benchmarks.measurement import Sample
from benchmarks.pairing import Results, Spread
from benchmarks.peers import Peer, version_of
from terminal.showing import make_table

UNKNOWN = "-"


def number(value: float) -> str:
    """A number with as many digits as it deserves."""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:.{digits}f}"


def spread(value: Spread | None) -> str:
    """A median, and how far the rounds lay from it, in per cent."""
    if value is None:
        return UNKNOWN
    reach = max(value.high - value.median, value.median - value.low)
    share = reach / value.median if value.median else 0.0
    return f"{number(value.median)} [dim]±{100 * share:.0f}%[/dim]"


def median(value: Spread | None, scale: float = 1.0) -> str:
    """A median alone."""
    return UNKNOWN if value is None else number(value.median * scale)


def busy(value: Spread | None) -> str:
    """How much of its CPU the load generator used: near 100 %, it is what limits the rate."""
    return UNKNOWN if value is None else f"{value.median:.0%}"


@dataclass(frozen=True)
class Column:
    """A heading and what stands under it for one peer."""

    heading: str
    text: Callable[[Results, str], str]


def _spread_of(value: Callable[[Sample], float | None]) -> Callable[[Results, str], str]:
    return lambda results, peer: spread(results.spread(peer, value))


def _median_of(
    value: Callable[[Sample], float | None], scale: float = 1.0
) -> Callable[[Results, str], str]:
    return lambda results, peer: median(results.spread(peer, value), scale)


def _ratio(base: str, value: Callable[[Sample], float]) -> Callable[[Results, str], str]:
    return lambda results, peer: median(results.ratio(peer, base, value))


MB = 1 / (1 << 20)
KB = 1 / (1 << 10)

_BEGIN = (
    Column("req/s", _spread_of(rate)),
    Column("p50\nµs", _median_of(lambda sample: sample.p50_us)),
    Column("p99\nµs", _median_of(lambda sample: sample.p99_us)),
    Column("p99.9\nµs", _median_of(lambda sample: sample.p99_9_us)),
    Column("CPU µs\n/req", _spread_of(cpu)),
    Column("calls\n/req", _median_of(lambda sample: sample.syscalls)),
    Column("RSS\nMB", _median_of(lambda sample: sample.resident_bytes, MB)),
    Column("load\nbusy", lambda results, peer: busy(results.spread(peer, lambda s: s.load_busy))),
)
_CPU_TO_UVLOOP = Column("CPU /\nuvloop", _ratio("uvloop", cpu))
_CPU_TO_RAW = Column("CPU /\nraw", _ratio("raw-uring", cpu))
_RATE_TO_UVLOOP = Column("req/s /\nuvloop", _ratio("uvloop", rate))

_IDLE = (
    Column("RSS\nMB", _spread_of(lambda sample: sample.resident_bytes * MB)),
    Column(
        "KB per\nconnection",
        _spread_of(lambda s: None if s.connection_bytes is None else s.connection_bytes * KB),
    ),
    Column("CPU ms\nper second", _median_of(lambda sample: sample.cpu_share, 1000)),
    Column("calls\nper second", _median_of(lambda sample: sample.syscalls)),
)


def columns_of(results: Results) -> tuple[Column, ...]:
    """What is told of a workload: of idle connections what they cost, else what was served."""
    if results.workload.idle:
        return _IDLE
    raw = (_CPU_TO_RAW,) if results.good("raw-uring") else ()
    return (*_BEGIN, _CPU_TO_UVLOOP, *raw, _RATE_TO_UVLOOP)


def workload_table(results: Results, peers: Sequence[Peer]) -> Table:
    """One workload: a row per peer, medians over the rounds."""
    columns = columns_of(results)
    table = make_table(results.workload.title, "server", [column.heading for column in columns])
    for peer in peers:
        if results.good(peer.name):
            name = f"{peer.label} {version_of(peer)}".strip()
            table.add_row(name, *(column.text(results, peer.name) for column in columns))
    return table


def _verdict_line(verdict: Verdict) -> str:
    figure = verdict.figure
    bound = verdict.bound
    if verdict.value is None:
        return f"[yellow]SKIPPED[/yellow] {figure.text}: not measured (must be {bound})"
    word = "[green]PASS[/green]   " if verdict.met else "[red]MISSED[/red] "
    value = verdict.value
    measured = f"{value.median:.3f} ({value.low:.3f} to {value.high:.3f})"
    by = f", missed by {verdict.missed_by}" if verdict.missed_by else ""
    return f"{word} {figure.text}: {measured}, must be {bound}{by}"


def _notes(results: Mapping[str, Results]) -> list[str]:
    """What a reader should know before believing the numbers."""
    samples = [
        sample
        for result in results.values()
        for name in result.samples
        for sample in result.good(name)
    ]
    notes = ["Medians over the rounds, ± the round farthest off; ratios taken within each round."]
    lost = sum(sample.lost for sample in samples)
    if lost:
        notes.append(f"{lost} datagrams were lost, of {sum(s.requests for s in samples):,}.")
    notes += sorted(
        {f"System calls: {sample.no_syscalls}." for sample in samples if sample.no_syscalls}
    )
    if samples and max(sample.stolen for sample in samples) > 0.02:
        worst = max(sample.stolen for sample in samples)
        notes.append(f"The machine's host took up to {worst:.0%} of a window: read ratios only.")
    return notes


def _skipped_lines(results: Mapping[str, Results]) -> list[str]:
    """Who was skipped or failed, with all that share a reason in one line."""
    workloads: dict[tuple[str, str], list[str]] = {}  # of a peer and a reason
    for name, result in results.items():
        for peer, reason in result.skipped.items():
            workloads.setdefault((peer, reason), []).append(name)
    peers: dict[tuple[str, str], list[str]] = {}  # of a reason and the workloads
    for (peer, reason), names in workloads.items():
        where = "" if len(names) == len(results) else f" ({', '.join(names)})"
        peers.setdefault((reason, where), []).append(peer)
    return [
        f"[yellow]skipped[/yellow] {', '.join(names)}{where}: {escape(reason)}"
        for (reason, where), names in peers.items()
    ]


def show(
    console: Console,
    results: Mapping[str, Results],
    peers: Sequence[Peer],
    verdicts: Sequence[Verdict],
) -> None:
    """The tables, what was skipped or failed, and the verdicts."""
    for result in results.values():
        table = workload_table(result, peers)
        if table.row_count:
            console.print(table)
    show_outcome(console, results, verdicts, _notes(results))


def show_outcome(
    console: Console,
    results: Mapping[str, Results],
    verdicts: Sequence[Verdict],
    notes: Sequence[str],
) -> None:
    """What stands below the tables: notes, what was skipped or failed, and the verdicts."""
    for note in notes:
        console.print(f"[dim]{note}[/dim]", highlight=False, soft_wrap=True)
    for line in _skipped_lines(results):
        console.print(line, highlight=False, soft_wrap=True)
    for result in results.values():
        for failure in result.failures:
            console.print(f"[red]failed[/red] {escape(failure)}", highlight=False)
    for verdict in verdicts:
        console.print(_verdict_line(verdict), highlight=False, soft_wrap=True)
