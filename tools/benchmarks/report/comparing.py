"""Ratios, and which workloads differ in one thing only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.figures import throughput
from benchmarks.pairing import Spread
from benchmarks.report.reading import BASE, RAW, Measured

SAME = 0.02
"""Within so much of 1, two are called the same."""


def speed(measured: Measured, peer: str, base: str) -> Spread | None:
    """How many times the work of ``base`` a peer does in the same time; None where unknown.

    Of connections that idle: how many it holds in the memory of one of ``base``.
    """
    if measured.idle:
        return measured.results.ratio(base, peer, lambda sample: sample.connection_bytes or 0.0)
    if measured.has("us"):
        return measured.results.ratio(base, peer, lambda timing: timing.us)  # type: ignore[attr-defined]
    return throughput(measured.results, peer, base)


def thrift(measured: Measured, peer: str, base: str) -> Spread | None:
    """How many times the work of ``base`` a peer does with the same CPU time."""
    if measured.idle or not measured.has("cpu_us"):
        return None
    return measured.results.ratio(base, peer, lambda sample: sample.cpu_us)


def verdict(ratio: Spread | None) -> str:
    """ "better", "worse", "same" or, without a ratio, "unknown"."""
    if ratio is None:
        return "unknown"
    if abs(ratio.median - 1) <= SAME:
        return "same"
    return "better" if ratio.median > 1 else "worse"


def comparisons(measured: Measured) -> list[tuple[str, dict[str, Spread]]]:
    """(Title, ratio by peer) of everything that can be compared under a workload."""
    found = []
    first = "connections per memory / uvloop" if measured.idle else "speed / uvloop"
    for title, of, base in (
        (first, speed, BASE),
        ("work per CPU time / uvloop", thrift, BASE),
        ("work per CPU time / raw io_uring in C", thrift, RAW),
    ):
        ratios = {}
        for peer in measured.peers:
            ratio = of(measured, peer, base)
            if ratio is not None and peer != base:
                ratios[peer] = ratio
        if ratios:
            found.append((title, ratios))
    return found


@dataclass(frozen=True)
class Family:
    """Workloads that differ in one field only, in the order of that field."""

    field: str
    members: tuple[Measured, ...]

    @property
    def values(self) -> list[int]:
        """What the field is in each."""
        return [int(member.fields[self.field]) for member in self.members]


def families(workloads: Sequence[Measured], field: str) -> list[Family]:
    """Groups of at least three workloads that differ in ``field``, and else in words only."""
    groups: dict[tuple[Any, ...], list[Measured]] = {}
    words = ("name", "title", field)
    for measured in workloads:
        if field in measured.fields:
            rest = sorted((k, repr(v)) for k, v in measured.fields.items() if k not in words)
            groups.setdefault(tuple(rest), []).append(measured)
    found = []
    for members in groups.values():
        if len({member.fields[field] for member in members}) >= 3:
            ordered = sorted(members, key=lambda member: int(member.fields[field]))
            found.append(Family(field, tuple(ordered)))
    return found
