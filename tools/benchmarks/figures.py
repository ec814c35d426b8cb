"""The numbers that are promised, and whether they are met."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from benchmarks.measurement import Sample
from benchmarks.pairing import Results, Spread


def cpu(sample: Sample) -> float:
    """Server CPU time per request."""
    return sample.cpu_us


def rate(sample: Sample) -> float:
    """Requests per second."""
    return sample.rate


def entries(sample: Sample) -> float | None:
    """Kernel entries per request."""
    return sample.entries


SATURATED = 0.9
"""A load generator that is busy for so much of the time is the bottleneck."""


def throughput(results: Results, peer: str, base: str) -> Spread | None:
    """How many times the work of ``base`` a peer does.

    The ratio of rates; of work per CPU time where one of the two kept the load generator so busy
    that its rate is not the server's.
    """
    busy = [results.spread(name, lambda sample: sample.load_busy) for name in (peer, base)]
    if any(share is not None and share.median >= SATURATED for share in busy):
        return results.ratio(base, peer, cpu)
    return results.ratio(peer, base, rate)


@dataclass(frozen=True)
class Figure:
    """One promise: a value of one workload that must not pass a limit."""

    text: str
    workload: str
    limit: float
    at_most: bool
    value: Callable[[Results], Spread | None]


@dataclass(frozen=True)
class Verdict:
    """What became of a figure: ``met`` is None where it could not be measured."""

    figure: Figure
    value: Spread | None
    met: bool | None


def _ratio(
    peer: str, base: str, value: Callable[[Sample], float]
) -> Callable[[Results], Spread | None]:
    return lambda results: results.ratio(peer, base, value)


ECHO = (
    Figure(
        "1 KiB, 50 connections: our server CPU per request / uvloop's",
        "1k-50", 1.0, True, _ratio("ours", "uvloop", cpu),
    ),
    Figure(
        "1 KiB, 50 connections: our server CPU per request over epoll / uvloop's",
        "1k-50", 1.05, True, _ratio("ours-epoll", "uvloop", cpu),
    ),
    Figure(
        "1 KiB, 50 connections: our server CPU per request / raw io_uring in C",
        "1k-50", 1.15, True, _ratio("ours", "raw-uring", cpu),
    ),
    Figure(
        "1 KiB, 50 connections: libuc's C example, CPU per request / raw io_uring in C",
        "1k-50", 1.05, True, _ratio("libuc", "raw-uring", cpu),
    ),
    Figure(
        "1 KiB, 100 connections: our kernel entries per request",
        "1k-100", 0.15, True, lambda results: results.spread("ours", entries),
    ),
    Figure(
        "1 MB, 4 connections: our rate / uvloop's",
        "1m-4", 0.9, False, _ratio("ours", "uvloop", rate),
    ),
)  # fmt: skip

FIGURES = {"echo": ECHO}


def judge(suite: str, results: Mapping[str, Results]) -> list[Verdict]:
    """A verdict for each figure of a suite."""
    verdicts = []
    for figure in FIGURES.get(suite, ()):
        of_workload = results.get(figure.workload)
        value = figure.value(of_workload) if of_workload is not None else None
        met = None
        if value is not None:
            met = value.median <= figure.limit if figure.at_most else value.median >= figure.limit
        verdicts.append(Verdict(figure, value, met))
    return verdicts
