"""Pictures of results, as SVG."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import (
    FixedLocator,
    FuncFormatter,
    LogLocator,
    MaxNLocator,
    NullFormatter,
    NullLocator,
)

from benchmarks.pairing import Spread
from benchmarks.report.comparing import Family, comparisons, speed, verdict
from benchmarks.report.reading import BASE, OURS, Measured, Run

COLOURS = {"better": "#2878b5", "worse": "#c8363c", "same": "#8a8f98", "unknown": "#c9ccd1"}
LINES = {
    "ours": "#2878b5", "ours-epoll": "#7fb2d9", "uvloop": "#e08214", "asyncio": "#8a8f98",
    "libuc": "#2f9e6e", "libuc-epoll": "#8fd0b3", "raw-uring": "#30343b", "raw-epoll": "#9a6fb0",
}  # fmt: skip
OTHER_LINES = ("#b5489a", "#6b8e23", "#8c564b", "#17a2b8")

PERCENTILES = (("p50", "p50_us"), ("p99", "p99_us"), ("p99.9", "p99_9_us"))

MARKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 5, 10, 20, 50, 100)

STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": "#e6e8eb",
    "svg.hashsalt": "benchmarks",  # the same results give the same file
}


@contextmanager
def _figure(width: float, height: float, columns: int) -> Iterator[tuple[Figure, list[Axes]]]:
    """A figure with axes side by side."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        axes = figure.subplots(1, columns, squeeze=False)
        yield figure, list(axes[0])


def _svg(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    with mpl.rc_context(STYLE):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def _colour_of(peer: str) -> str:
    return LINES.get(peer) or OTHER_LINES[sum(peer.encode()) % len(OTHER_LINES)]


def _bars(
    axes: Axes, labels: Sequence[str], ratios: Sequence[Spread], colours: Sequence[str]
) -> None:
    """Bars from 1, the first on top, whiskers over the rounds, the number behind each.

    On a logarithmic scale, where half as fast is as long a bar as twice as fast.
    """
    places = range(len(labels))
    medians = [ratio.median for ratio in ratios]
    axes.barh(places, [value - 1 for value in medians], left=1, color=colours, height=0.62)
    below = [ratio.median - ratio.low for ratio in ratios]
    above = [ratio.high - ratio.median for ratio in ratios]
    axes.errorbar(
        medians, places, xerr=[below, above], fmt="none", ecolor="#30343b", elinewidth=1, capsize=2
    )
    axes.axvline(1, color="#30343b", linewidth=1)
    left, right = _limits(ratios)
    axes.set_xscale("log")
    axes.set_xlim(left, right * (right / left) ** 0.16)
    axes.xaxis.set_major_locator(FixedLocator(_marks(*axes.get_xlim())))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    for place, ratio in zip(places, ratios):
        axes.annotate(
            f"{ratio.median:.2f}",
            (min(max(ratio.high, 1), right), place),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
        )
    axes.set_yticks(list(places), labels)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.grid(axis="y", visible=False)


def _limits(ratios: Sequence[Spread]) -> tuple[float, float]:
    """What to show: all medians, and the rounds as long as a wild one does not hide the rest."""
    largest = max(ratio.median for ratio in ratios)
    smallest = min(ratio.median for ratio in ratios)
    right = min(max(ratio.high for ratio in ratios), 1.6 * largest)
    left = max(min(ratio.low for ratio in ratios), smallest / 1.6)
    left, right = max(min(left, 0.9), MARKS[0]), max(right, 1.1)
    margin = (right / left) ** 0.04
    return left / margin, right * margin


def _marks(left: float, right: float) -> list[float]:
    """Round ratios, about half a dozen of them."""
    if right / left < 4:
        steps = MaxNLocator(6, steps=[1, 2, 5, 10])
        return [mark for mark in steps.tick_values(left, right) if left <= mark <= right]
    return [mark for mark in MARKS if left <= mark <= right]


def overview(run: Run) -> bytes | None:
    """Ours to uvloop under every workload."""
    rows = []
    for measured in run.workloads:
        ratio = speed(measured, OURS, BASE)
        if ratio is not None:
            rows.append((measured.title, ratio))
    if not rows:
        return None
    ratios = [ratio for _, ratio in rows]
    with _figure(9.5, 0.9 + 0.27 * len(rows), 1) as (figure, [axes]):
        colours = [COLOURS[verdict(ratio)] for ratio in ratios]
        _bars(axes, [title for title, _ in rows], ratios, colours)
        axes.set_xlabel("ours / uvloop: above 1 is better")
    return _svg(figure)


def ratios(run: Run, measured: Measured) -> bytes | None:
    """Every peer to uvloop and to raw io_uring; the colour always tells of uvloop."""
    found = comparisons(measured)
    if not found:
        return None
    tallest = max(len(by_peer) for _, by_peer in found)
    with _figure(0.8 + 3.9 * len(found), 0.95 + 0.3 * tallest, len(found)) as (figure, all_axes):
        for axes, (title, by_peer) in zip(all_axes, found):
            against = {peer: speed(measured, peer, BASE) for peer in by_peer}
            if title.startswith("work"):
                against = dict(by_peer) if title.endswith("uvloop") else _thrift_to_base(measured)
            colours = [
                COLOURS["unknown" if peer == BASE else verdict(against.get(peer))]
                for peer in by_peer
            ]
            labels = [run.label(peer) for peer in by_peer]
            _bars(axes, labels, list(by_peer.values()), colours)
            axes.set_title(title, fontsize=9, loc="left")
    return _svg(figure)


def _thrift_to_base(measured: Measured) -> dict[str, Spread | None]:
    by_title = dict(comparisons(measured))
    return dict(by_title.get("work per CPU time / uvloop", {}))


def latency(run: Run, measured: Measured) -> bytes | None:
    """p50, p99 and p99.9 of each peer; the shade reaches over the rounds."""
    known = [(name, field) for name, field in PERCENTILES if measured.has(field)]
    if measured.idle or len(known) < 2:
        return None
    with _figure(6.5, 3.2, 1) as (figure, [axes]):
        for peer in measured.peers:
            spreads = [measured.results.spread(peer, _getter(field)) for _, field in known]
            _line(axes, range(len(known)), spreads, peer, run.label(peer))
        axes.set_xticks(range(len(known)), [name for name, _ in known])
        _log_scale(axes)
        axes.set_ylabel("latency, µs")
        _legend(figure)
    return _svg(figure)


def scaling(run: Run, family: Family) -> bytes:
    """Speed, and CPU time of a request, over what the workloads differ in."""
    panels: list[tuple[str, str]] = [
        (field, title)
        for field, title in (("rate", "requests/s"), ("cpu_us", "CPU µs per request"))
        if any(member.has(field) for member in family.members)
    ]
    peers = list(dict.fromkeys(peer for member in family.members for peer in member.peers))
    with _figure(0.5 + 4.6 * len(panels), 3.4, len(panels)) as (figure, all_axes):
        for axes, (field, title) in zip(all_axes, panels):
            for peer in peers:
                spreads = [member.results.spread(peer, _getter(field)) for member in family.members]
                _line(axes, family.values, spreads, peer, run.label(peer))
            axes.set_xscale("log")
            axes.set_xticks(family.values, [f"{value:,}" for value in family.values])
            axes.minorticks_off()
            _log_scale(axes)
            axes.set_xlabel({"size": "bytes per message"}.get(family.field, family.field))
            axes.set_title(title, fontsize=9, loc="left")
        _legend(figure)
    return _svg(figure)


def _log_scale(axes: Axes) -> None:
    """Upwards in steps of 1, 2, 5, written out."""
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _getter(field: str) -> Callable[[Any], float | None]:
    return lambda sample: getattr(sample, field, None)


def _line(
    axes: Axes, places: Sequence[float], spreads: Sequence[Spread | None], peer: str, label: str
) -> None:
    """A line through medians, with what the rounds covered behind it."""
    known = [(place, spread) for place, spread in zip(places, spreads) if spread is not None]
    if not known:
        return
    at = [place for place, _ in known]
    colour = _colour_of(peer)
    axes.plot(at, [s.median for _, s in known], color=colour, marker="o", ms=4, label=label)
    low, high = [s.low for _, s in known], [s.high for _, s in known]
    axes.fill_between(at, low, high, color=colour, alpha=0.12, linewidth=0)


def _legend(figure: Figure) -> None:
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper", frameon=False)
