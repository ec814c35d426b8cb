"""Interleaved rounds: every peer once per round, ratios taken within a round, medians over rounds.

A machine's speed drifts; two peers measured in the same round drift together. So a ratio is the
median of the rounds' ratios, never the ratio of two medians. The order rotates from round to
round, so that no peer always follows the same other.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from benchmarks import limits
from benchmarks.load import LoadError, UnableError
from benchmarks.measurement import Sample, Window, measure
from benchmarks.peers import Peer, UnavailableError
from benchmarks.processes import ServerError
from benchmarks.workloads import Workload

FILES_BESIDES = 100
"""What a server or the load generator has open besides its connections, at most."""


@dataclass(frozen=True)
class Spread:
    """A median with the smallest and the largest value beside it."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread | None:
        """None where there is no value."""
        known = list(values)
        return cls(statistics.median(known), min(known), max(known)) if known else None


@dataclass
class Results:
    """All samples of one workload: per peer, one per round (None where that round failed)."""

    workload: Workload
    samples: dict[str, list[Sample | None]] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    """Who could not be measured, and why; what comes from elsewhere may also have failed."""
    failures: list[str] = field(default_factory=list)

    def good(self, peer: str) -> list[Sample]:
        """The samples of the rounds that went well."""
        return [sample for sample in self.samples.get(peer, []) if sample is not None]

    def spread(self, peer: str, value: Callable[[Sample], float | None]) -> Spread | None:
        """One value of a peer over the rounds."""
        values = (value(sample) for sample in self.good(peer))
        return Spread.of(number for number in values if number is not None)

    def ratio(self, peer: str, base: str, value: Callable[[Sample], float]) -> Spread | None:
        """A value of ``peer`` over that of ``base``, within each round."""
        pairs = zip(self.samples.get(peer, []), self.samples.get(base, []))
        values = [(value(a), value(b)) for a, b in pairs if a is not None and b is not None]
        return Spread.of(a / b for a, b in values if b)


def _why_not(workload: Workload) -> str | None:
    """What stands in the way of a workload whoever serves it, or None."""
    return limits.allow_files(workload.connections + FILES_BESIDES)


def runnable(peers: Sequence[Peer], workload: Workload, results: Results) -> list[Peer]:
    """The peers that can run here; the others are noted with the reason."""
    able = []
    obstacle = _why_not(workload)
    for peer in peers:
        if workload.service not in peer.services:
            continue
        try:
            if obstacle is not None:
                raise UnavailableError(obstacle)
            peer.command(workload)
        except UnavailableError as reason:
            results.skipped[peer.name] = str(reason)
        else:
            able.append(peer)
            results.samples[peer.name] = []
    return able


def _measure(peer: Peer, results: Results, window: Window) -> Sample | None:
    """One sample, or None with the reason noted.

    Whoever has failed without any good round before is not tried again: another peer's crash or
    stall must not take the time of the others.
    """
    name, workload = peer.name, results.workload
    good = bool(results.good(name))
    if name in results.skipped or (results.samples[name] and not good):
        return None
    try:
        return measure(peer, workload, window, proven=good)
    except UnableError as reason:
        results.skipped[name] = str(reason)
    except (ServerError, LoadError) as error:
        if peer.foreign:
            results.skipped[name] = f"failed: {_last_line(error)}"
        else:
            results.failures.append(f"{workload.name}, {peer.label}: {error}")
    return None


def _last_line(error: Exception) -> str:
    """Of a traceback, the line that names the exception."""
    return str(error).strip().splitlines()[-1][:200]


def run_rounds(
    workload: Workload,
    peers: Sequence[Peer],
    rounds: int,
    window: Window,
    on_step: Callable[[str], None],
) -> Results:
    """Measures the peers in turn, ``rounds`` times; ``on_step`` hears what comes next."""
    results = Results(workload)
    able = runnable(peers, workload, results)
    for number in range(rounds):
        start = number % len(able) if able else 0
        for peer in able[start:] + able[:start]:
            on_step(f"{workload.title}: round {number + 1} of {rounds}, {peer.label}")
            results.samples[peer.name].append(_measure(peer, results, window))
    return results
