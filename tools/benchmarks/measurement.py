"""One peer under one workload for one window."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import http_workloads
from benchmarks.load import LoadError, LoadResult, Progress, UnableError, run_load
from benchmarks.peers import Peer
from benchmarks.processes import Cpus, ServerError, ServerProcess
from benchmarks.workloads import Workload

PROOF_SECONDS = 0.3
SETTLING_SECONDS = 0.1
TURNS_PER_SECOND = 10_000
STALL_SECONDS = 5.0


@dataclass(frozen=True)
class Sample:
    """What one window showed. Times in µs."""

    requests: int
    rate: float
    p50_us: float
    p99_us: float
    p99_9_us: float
    cpu_us: float
    """CPU time of the server's process per request."""
    load_busy: float
    """Share of the window that the load generator computed: near 1, it is the bottleneck."""
    verified_bytes: int
    resident_bytes: int
    entries: float | None
    """Kernel entries per request, where the server counts them."""
    stolen: float
    """Share of the window that the machine's host took away."""
    cpu_share: float = 0.0
    """CPU time of the server's process per second of the window, in seconds."""
    lost: int = 0
    """Datagrams that nobody answered."""
    syscalls: float | None = None
    """System calls per request (per second where nothing is asked), counted by the kernel."""
    no_syscalls: str = ""
    """Why they could not be counted."""
    connection_bytes: float | None = None
    """Memory per connection, where connections idle."""


@dataclass(frozen=True)
class Window:
    """How long to load, and where."""

    seconds: float
    warm_up: float
    cpus: Cpus


def kernel_entries(stats: Any) -> int | None:
    """The count of kernel entries in a loop's statistics, or None for a loop that has none."""
    if not isinstance(stats, dict) or not isinstance(stats.get("kernel_entries"), int):
        return None
    return int(stats["kernel_entries"])


def backend_of(info: Any) -> str:
    """The name of the backend in a loop's ``info()``, in small letters; empty when not said."""
    return str(info.get("backend", "")).lower() if isinstance(info, dict) else ""


def check_backend(server: ServerProcess, backend: str) -> Any:
    """The loop's ``info()``; raises ServerError when it runs on another backend."""
    info = server.ask("info")
    if backend_of(info) != backend:
        raise ServerError(f"the loop does not run on {backend}: {info}")
    return info


def _cpu_ticks() -> tuple[int, int]:
    """(all, stolen) of the whole machine since it started."""
    fields = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return sum(fields), fields[7]


class _Watcher:
    """Samples a server at the two ends of the measured window."""

    def __init__(self, server: ServerProcess, asks: bool) -> None:
        self._server = server
        self._asks = asks
        self._entries: list[int | None] = []
        self._ticks: list[tuple[int, int]] = []
        self._phase = ""
        self.resident_bytes = 0

    def __call__(self, progress: Progress) -> None:
        if progress.phase == self._phase:
            return
        self._phase = progress.phase
        if progress.phase in ("measure", "drain"):
            self._ticks.append(_cpu_ticks())
            if self._asks:
                self._entries.append(kernel_entries(self._server.ask("stats")))
            self.resident_bytes = self._server.resident_bytes()

    @property
    def entries(self) -> int | None:
        """Kernel entries within the window."""
        if len(self._entries) < 2 or self._entries[0] is None or self._entries[1] is None:
            return None
        return self._entries[1] - self._entries[0]

    @property
    def stolen(self) -> float:
        """Share of all CPU time within the window that was stolen."""
        if len(self._ticks) < 2:
            return 0.0
        return (self._ticks[1][1] - self._ticks[0][1]) / max(
            1, self._ticks[1][0] - self._ticks[0][0]
        )


def _mode(workload: Workload) -> str:
    return "http" if workload.service in http_workloads.SERVICES else workload.mode


def _shape(workload: Workload, server: ServerProcess) -> list[str]:
    """What the load looks like and where it goes, for the load generator."""
    options = ["--connections", str(workload.connections), "--size", str(workload.size)]
    options += ["--depth", str(workload.depth), "--stall", str(STALL_SECONDS)]
    if workload.service == "tls":
        options.append("--tls")
    return options if server.unix_path is None else [*options, "--unix", server.unix_path]


def _during(workload: Workload, seconds: float, warm_up: float) -> list[str]:
    """When to measure. Many connections take their time until all of them have had a turn."""
    a_turn_of_all = workload.connections / TURNS_PER_SECOND
    return ["--seconds", str(seconds + a_turn_of_all), "--warm-up", str(warm_up + a_turn_of_all)]


def _load_options(workload: Workload, window: Window, server: ServerProcess) -> list[str]:
    options = [*_shape(workload, server), *_during(workload, window.seconds, window.warm_up)]
    if workload.idle:  # nothing that could be disturbed
        return [*options, "--verify", "--count-syscalls"]
    return [*options, "--discard"] if workload.discard else options


def _port(server: ServerProcess) -> int:
    return 0 if server.unix_path is not None else server.port


def _entries_of_c(words: dict[str, Any] | None, size: int) -> float | None:
    """Entries per message over a C server's whole life, from what it printed at its end."""
    entries = kernel_entries(words)
    if words is None or entries is None or not words.get("bytes"):
        return None
    return float(entries * size / words["bytes"])


def observe(
    server: ServerProcess,
    mode: str,
    port: int,
    options: Sequence[str],
    *,
    cpu: int | None,
    asks: bool,
    on_progress: Callable[[Progress], None] | None = None,
) -> Sample:
    """Loads a running server once; ``asks`` tells that its control thread can be asked."""
    watcher = _Watcher(server, asks)

    def hear(progress: Progress) -> None:
        watcher(progress)
        if on_progress is not None:
            on_progress(progress)

    try:
        result = run_load(mode, port, server.pid, options, cpu=cpu, on_progress=hear)
    except UnableError:
        raise
    except LoadError as error:
        server.require_alive(grace=1.0)  # a dead server is the cause, a reset connection the sign
        raise LoadError(f"{server.name}: {error}") from None
    server.require_alive()
    return Sample(
        requests=result.requests,
        rate=result.rate,
        p50_us=result.p50_us,
        p99_us=result.p99_us,
        p99_9_us=result.p99_9_us,
        cpu_us=result.server_cpu_per_request,
        load_busy=result.load_cpu_us / (result.seconds * 1e6),
        verified_bytes=result.verified_bytes,
        resident_bytes=watcher.resident_bytes,
        entries=_share(watcher.entries, result.requests),
        stolen=watcher.stolen,
        cpu_share=result.server_cpu_us / (result.seconds * 1e6),
        lost=result.lost,
        syscalls=_share(result.server_syscalls, result.requests or result.seconds),
        no_syscalls=result.no_syscalls,
    )


def _share(count: int | None, whole: float) -> float | None:
    return None if count is None or not whole else count / whole


def prove(server: ServerProcess, workload: Workload, cpu: int | None) -> LoadResult:
    """Loads a server again, compares every byte and has the kernel count its system calls.

    Both would disturb the measured window, so they have a short one of their own.
    """
    options = ["--count-syscalls"]
    if _mode(workload) != "http":  # whose servers answer what they like
        options.append("--verify")
    return load_shortly(server, workload, cpu, PROOF_SECONDS, options)


def settle(server: ServerProcess, workload: Workload, cpu: int | None) -> None:
    """Has connections come and go before the window, as in any server that has run for a while.

    glibc maps each large block anew until one has been freed. With connections that all come at the
    start and stay, none ever is: TLS over uvloop then takes 2.5 times the CPU time.
    """
    load_shortly(server, workload, cpu, SETTLING_SECONDS)


def load_shortly(
    server: ServerProcess,
    workload: Workload,
    cpu: int | None,
    seconds: float,
    more: Sequence[str] = (),
) -> LoadResult:
    """Loads a running server for a window of its own; raises ServerError or LoadError."""
    options = [*_shape(workload, server), *_during(workload, seconds, seconds / 3), *more]
    try:
        return run_load(_mode(workload), _port(server), server.pid, options, cpu=cpu)
    except LoadError as error:
        server.require_alive(grace=1.0)
        raise LoadError(f"{server.name}: {error}") from None


def measure(peer: Peer, workload: Workload, window: Window, *, proven: bool = True) -> Sample:
    """Starts the peer, loads it, stops it; raises ServerError or LoadError.

    Not ``proven`` yet, it is loaded once more in the end, see ``prove``.
    """
    proof = None
    with ServerProcess(peer.command(workload), window.cpus.server) as server:
        if peer.backend:
            check_backend(server, peer.backend)
        if not workload.idle:
            settle(server, workload, window.cpus.load)
        before = server.resident_bytes()
        sample = observe(
            server,
            _mode(workload),
            _port(server),
            _load_options(workload, window, server),
            cpu=window.cpus.load,
            asks=bool(peer.backend) and not workload.idle,  # ours counts; a question would wake it
        )
        if not proven and not workload.idle:
            proof = prove(server, workload, window.cpus.load)
    if workload.idle:
        share = (sample.resident_bytes - before) / workload.connections
        return dataclasses.replace(sample, connection_bytes=share)
    if proof is not None:
        counted = _share(proof.server_syscalls, proof.requests)
        sample = dataclasses.replace(sample, syscalls=counted, no_syscalls=proof.no_syscalls)
    if sample.entries is None:
        entries = _entries_of_c(server.last_words, workload.size)
        sample = dataclasses.replace(sample, entries=entries)
    return sample
