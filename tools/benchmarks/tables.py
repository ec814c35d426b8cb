"""What is shown in the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from benchmarks.figures import Verdict, cpu, entries, rate
from benchmarks.pairing import Results, Spread
from benchmarks.peers import Peer, version_of

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


HEADINGS = (
    "req/s", "p50\nµs", "p99\nµs", "CPU µs\n/req", "entries\n/req", "RSS\nMB", "load\nbusy",
    "CPU /\nuvloop", "CPU / raw\nio_uring", "req/s /\nuvloop",
)  # fmt: skip


def workload_table(results: Results, peers: Sequence[Peer]) -> Table:
    """One workload: a row per peer, medians over the rounds."""
    table = Table(
        title=results.workload.title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    table.add_column("server", no_wrap=True)
    for heading in HEADINGS:
        table.add_column(heading, justify="right", no_wrap=True)
    for peer in peers:
        name = peer.name
        if not results.good(name):
            continue
        table.add_row(
            f"{peer.label} {version_of(peer)}".strip(),
            spread(results.spread(name, rate)),
            median(results.spread(name, lambda sample: sample.p50_us)),
            median(results.spread(name, lambda sample: sample.p99_us)),
            spread(results.spread(name, cpu)),
            median(results.spread(name, entries)),
            median(results.spread(name, lambda sample: sample.resident_bytes), 1 / (1 << 20)),
            busy(results.spread(name, lambda sample: sample.load_busy)),
            median(results.ratio(name, "uvloop", cpu)),
            median(results.ratio(name, "raw-uring", cpu)),
            median(results.ratio(name, "uvloop", rate)),
        )
    return table


def _verdict_line(verdict: Verdict) -> str:
    figure = verdict.figure
    bound = f"{'≤' if figure.at_most else '≥'} {figure.limit:g}"
    if verdict.value is None:
        return f"[yellow]SKIPPED[/yellow] {figure.text}: not measured (must be {bound})"
    word = "[green]PASS[/green]   " if verdict.met else "[red]MISSED[/red] "
    value = verdict.value
    measured = f"{value.median:.3f} ({value.low:.3f} to {value.high:.3f})"
    return f"{word} {figure.text}: {measured}, must be {bound}"


def _notes(results: Mapping[str, Results]) -> list[str]:
    """What a reader should know before believing the numbers."""
    samples = [
        sample
        for result in results.values()
        for name in result.samples
        for sample in result.good(name)
    ]
    notes = ["Medians over the rounds, ± the round farthest off; ratios taken within each round."]
    if samples and max(sample.stolen for sample in samples) > 0.02:
        worst = max(sample.stolen for sample in samples)
        notes.append(f"The machine's host took up to {worst:.0%} of a window: read ratios only.")
    return notes


def show(
    console: Console,
    results: Mapping[str, Results],
    peers: Sequence[Peer],
    verdicts: Sequence[Verdict],
) -> None:
    """The tables, what was skipped or failed, and the verdicts."""
    for result in results.values():
        console.print(workload_table(result, peers))
    show_outcome(console, results, verdicts, _notes(results))


def show_outcome(
    console: Console,
    results: Mapping[str, Results],
    verdicts: Sequence[Verdict],
    notes: Sequence[str],
) -> None:
    """What stands below the tables: notes, what was skipped or failed, and the verdicts."""
    skipped: dict[str, str] = {}
    for result in results.values():
        skipped.update(result.skipped)
    for note in notes:
        console.print(f"[dim]{note}[/dim]", highlight=False, soft_wrap=True)
    for name, reason in skipped.items():
        console.print(f"[yellow]skipped[/yellow] {name}: {escape(reason)}", highlight=False)
    for result in results.values():
        for failure in result.failures:
            console.print(f"[red]failed[/red] {escape(failure)}", highlight=False)
    for verdict in verdicts:
        console.print(_verdict_line(verdict), highlight=False, soft_wrap=True)
