"""What SQPOLL saves and costs: ``python -m benchmarks.sqpoll [--rounds N] [--seconds S]``.

An echo of 1 KiB over Protocol, with the kernel thread and without, in turn about. The thread's CPU
time is told apart from that of the process's other threads, because it is a thread of the process
like any other (``iou-sqp-...``). The least of many rounds is told as well as ratios within a round:
on a machine that others use too, the least is what the work costs.
"""

from __future__ import annotations

import argparse
import json
import statistics
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.load import Progress, run_load
from benchmarks.processes import Cpus, ServerProcess, python_command

CONNECTIONS = (1, 10, 50)
MESSAGE_BYTES = 1024
KERNEL_THREAD = "iou-sqp"

MODES: dict[str, dict[str, object]] = {
    "off": {},
    "sqpoll": {"sqpoll": "require"},
    "sqpoll, idle 1 ms": {"sqpoll": "require", "sqpoll_idle_ms": 1},
}


@dataclass(frozen=True)
class Cost:
    """What a window showed; CPU times in µs per request."""

    rate: float
    p50_us: float
    process_us: float
    thread_us: float

    @property
    def whole_us(self) -> float:
        """Of the process with its kernel thread."""
        return self.process_us + self.thread_us


def _cpu_ns(pid: int) -> tuple[int, int]:
    """CPU time of a process's own threads, and of its kernel thread for SQPOLL."""
    own = kernel = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        spent = int((task / "schedstat").read_text().split()[0])
        if (task / "comm").read_text().startswith(KERNEL_THREAD):
            kernel += spent
        else:
            own += spent
    return own, kernel


class _Meter:
    """Reads CPU times at the two ends of the measured window."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self.readings: dict[str, tuple[int, int]] = {}

    def __call__(self, progress: Progress) -> None:
        if progress.phase in ("measure", "drain"):
            self.readings.setdefault(progress.phase, _cpu_ns(self._pid))


def measure(options: dict[str, object], connections: int, seconds: float, cpus: Cpus) -> Cost:
    """Start a server, load it once, stop it."""
    command = python_command(
        "benchmarks.servers", "uringcore", "protocol", "--options", json.dumps(options)
    )
    load = ["--connections", str(connections), "--size", str(MESSAGE_BYTES)]
    load += ["--seconds", str(seconds), "--warm-up", "0.2"]
    with ServerProcess(command, cpus.server) as server:
        meter = _Meter(server.pid)
        result = run_load("echo", server.port, server.pid, load, cpu=cpus.load, on_progress=meter)
    begin, end = meter.readings["measure"], meter.readings["drain"]
    own, kernel = ((after - before) / 1000 for before, after in zip(begin, end))
    return Cost(result.rate, result.p50_us, own / result.requests, kernel / result.requests)


def _row(mode: str, costs: list[Cost], base: list[Cost]) -> list[str]:
    ratios = [cost.whole_us / other.whole_us for cost, other in zip(costs, base)]
    rates = [cost.rate / other.rate for cost, other in zip(costs, base)]
    return [
        mode,
        f"{max(cost.rate for cost in costs):,.0f}",
        f"{min(cost.p50_us for cost in costs):.0f}",
        f"{min(cost.process_us for cost in costs):.1f}",
        f"{min(cost.thread_us for cost in costs):.1f}",
        f"{min(cost.whole_us for cost in costs):.1f}",
        f"{statistics.median(ratios):.2f}",
        f"{statistics.median(rates):.2f}",
    ]


def main() -> None:
    """Measure every mode with every number of connections."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sqpoll", description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=0.5)
    arguments = parser.parse_args()
    cpus = Cpus.choose()
    table = Table(
        *("connections", "mode", "requests/s, best", "p50 µs, least", "process µs"),
        *("kernel thread µs", "both µs", "both, to off", "rate, to off"),
    )
    costs: dict[tuple[int, str], list[Cost]] = {}
    for number in track(range(arguments.rounds), console=Console(stderr=True)):
        for connections in CONNECTIONS:
            for mode in sorted(MODES, reverse=bool(number % 2)):
                cost = measure(MODES[mode], connections, arguments.seconds, cpus)
                costs.setdefault((connections, mode), []).append(cost)
    for connections in CONNECTIONS:
        for mode in MODES:
            base = costs[connections, "off"]
            table.add_row(str(connections), *_row(mode, costs[connections, mode], base))
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
