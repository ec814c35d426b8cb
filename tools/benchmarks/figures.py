"""The numbers that are promised, and whether they are met."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

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


def syscalls(sample: Sample) -> float | None:
    """System calls per request."""
    return sample.syscalls


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

    @property
    def bound(self) -> str:
        """What was promised."""
        return f"{'≤' if self.figure.at_most else '≥'} {self.figure.limit:g}"

    @property
    def missed_by(self) -> str:
        """How far from the limit the value lies, in per cent of it; empty for what is met."""
        if self.value is None or self.met or not self.figure.limit:
            return ""
        return f"{abs(self.value.median / self.figure.limit - 1):.0%}"


Value = Callable[[Results], Spread | None]


@dataclass(frozen=True)
class Promise:
    """A figure for each workload that it ``covers``."""

    text: str
    covers: Callable[[Any], bool]
    limit: float
    at_most: bool
    value: Value

    def figure(self, name: str, title: str) -> Figure:
        """The figure of one workload."""
        return Figure(f"{title}: {self.text}", name, self.limit, self.at_most, self.value)


def _work(peer: str, base: str) -> Value:
    return lambda results: throughput(results, peer, base)


def _cpu(peer: str, base: str) -> Value:
    return lambda results: results.ratio(peer, base, cpu)


def _speed(peer: str, base: str) -> Value:
    """Of what is measured from inside: time of the other over time of this one."""
    return lambda results: results.ratio(base, peer, lambda timing: timing.us)


def _at_least(text: str, covers: Callable[[Any], bool], limit: float, value: Value) -> Promise:
    return Promise(text, covers, limit, False, value)


def _at_most(text: str, covers: Callable[[Any], bool], limit: float, value: Value) -> Promise:
    return Promise(text, covers, limit, True, value)


def _named(*names: str) -> Callable[[Any], bool]:
    return lambda workload: workload.name in names


def _service(
    service: str, sizes: tuple[int, int], connections: tuple[int, int] = (1, 1_000_000)
) -> Callable[[Any], bool]:
    """Requests one at a time on each connection of a service; the bounds belong to them."""

    def covers(workload: Any) -> bool:
        return bool(
            getattr(workload, "service", "") == service
            and workload.mode in ("echo", "udp")  # of connections that stay and talk
            and workload.depth == 1
            and sizes[0] <= workload.size <= sizes[1]
            and connections[0] <= workload.connections <= connections[1]
        )

    return covers


def _mode(mode: str, connections: int = 0) -> Callable[[Any], bool]:
    """Workloads that are not requests on connections that stay."""
    return lambda workload: (
        getattr(workload, "mode", "") == mode and connections in (0, workload.connections)
    )


def _connection_bytes(sample: Sample) -> float:
    """Memory of an idle connection; 0 where it was not measured."""
    return sample.connection_bytes or 0.0


_TO_UVLOOP, _TO_RAW = "our throughput / uvloop's", "our throughput / raw io_uring in C"
_ANY = (1, 1 << 30)
_SMALL = _service("protocol", (64, 1024), (10, 1000))
_BULK = _service("protocol", (100_000, 1 << 20))

NETWORK = (
    _at_least(_TO_UVLOOP, _SMALL, 1.08, _work("ours", "uvloop")),
    _at_least(_TO_RAW, _SMALL, 0.92, _work("ours", "raw-uring")),
    _at_least(_TO_UVLOOP, _BULK, 1.05, _work("ours", "uvloop")),
    _at_least(_TO_RAW, _BULK, 0.90, _work("ours", "raw-uring")),
    _at_least(_TO_UVLOOP, _service("streams", (1024, 1024)), 1.15, _work("ours", "uvloop")),
    _at_least(_TO_UVLOOP, _service("streams", (100_000, 102_400)), 1.2, _work("ours", "uvloop")),
    _at_least(_TO_UVLOOP, _service("sock", _ANY), 2.0, _work("ours", "uvloop")),
    _at_least(_TO_UVLOOP, _service("udp", _ANY), 1.3, _work("ours", "uvloop")),
    _at_least(_TO_UVLOOP, _service("tls", (1024, 102_400)), 1.0, _work("ours", "uvloop")),
    _at_least(
        "libuc's C example, throughput / raw io_uring in C",
        _service("protocol", _ANY), 0.97, _work("libuc", "raw-uring"),
    ),
    _at_most(
        "our kernel entries per request",
        _service("protocol", _ANY, (100, 100)), 0.1, lambda found: found.spread("ours", entries),
    ),
    _at_most(
        "our system calls per request",
        _service("protocol", _ANY, (100, 100)), 0.1, lambda found: found.spread("ours", syscalls),
    ),
    _at_most(
        "our p99 / uvloop's",
        _service("protocol", _ANY, (100, 100)), 1.0,
        lambda found: found.ratio("ours", "uvloop", lambda sample: sample.p99_us),
    ),
    _at_least("our new connections / uvloop's", _mode("churn"), 1.2, _work("ours", "uvloop")),
    _at_most(
        "our memory per connection / uvloop's",
        _mode("idle", 10_000), 0.7,
        lambda found: found.ratio("ours", "uvloop", _connection_bytes),
    ),
    _at_most(
        "our CPU per request over epoll / uvloop's",
        _service("protocol", (1024, 1024), (50, 50)), 1.05, _cpu("ours-epoll", "uvloop"),
    ),
)  # fmt: skip

HTTP = (
    _at_least(_TO_UVLOOP, _service("uvicorn-plain", _ANY), 1.03, _work("ours", "uvloop")),
    _at_least(_TO_UVLOOP, _service("uvicorn-json", _ANY), 1.03, _work("ours", "uvloop")),
    _at_least(_TO_UVLOOP, _service("aiohttp-plain", _ANY), 1.03, _work("ours", "uvloop")),
)

SCHEDULING = (
    _at_least(
        "our speed / uvloop's",
        _named(
            "call-soon-chain", "call-soon-batch", "call-later-cancel", "sleep-0", "gather-100",
            "queue", "future", "threadsafe",
        ),
        1.0,
        _speed("ours", "uvloop"),
    ),
)  # fmt: skip

_TO_AIOFILES = "our speed / aiofiles on uvloop"
_AIOFILES = _speed("ours", "aiofiles-uvloop")

FILES = (
    _at_least(_TO_AIOFILES, _named("file-read-1"), 4.0, _AIOFILES),
    _at_least(_TO_AIOFILES, _named("file-read-32"), 3.0, _AIOFILES),
    _at_least(_TO_AIOFILES, _named("file-read-many"), 10.0, _AIOFILES),
    _at_least(
        "our speed / a plain loop in a thread",
        _named("file-write"),
        1.0,
        _speed("ours", "thread"),
    ),
)

PROMISES = NETWORK + HTTP + SCHEDULING + FILES


def figures_of(workloads: Iterable[Any]) -> list[Figure]:
    """What is promised of these workloads."""
    known = list(workloads)
    return [
        promise.figure(workload.name, workload.title)
        for promise in PROMISES
        for workload in known
        if promise.covers(workload)
    ]


def judge(results: Mapping[str, Results]) -> list[Verdict]:
    """A verdict for everything that is promised of what was measured."""
    verdicts = []
    for figure in figures_of(result.workload for result in results.values()):
        value = figure.value(results[figure.workload])
        met = None
        if value is not None:
            met = value.median <= figure.limit if figure.at_most else value.median >= figure.limit
        verdicts.append(Verdict(figure, value, met))
    return verdicts
