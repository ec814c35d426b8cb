"""What is driven, and driving it: every answer is compared byte by byte."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from benchmarks.load import Progress
from benchmarks.measurement import Sample, check_backend, observe
from benchmarks.processes import Cpus, ServerError, ServerProcess, python_command

WARM_UP = 0.3


@dataclass(frozen=True)
class Job:
    """One load on one of the two services."""

    title: str
    service: str
    connections: int
    size: int
    path: str = ""

    def options(self, seconds: float) -> list[str]:
        """The command line of the load generator."""
        options = ["--connections", str(self.connections), "--size", str(self.size), "--verify"]
        options += ["--seconds", str(seconds), "--warm-up", str(WARM_UP)]
        return [*options, "--path", self.path] if self.path else options


JOBS = (
    Job("echo, 1 KiB, 50 connections", "echo", 50, 1024),
    Job("echo, 1 MB, 4 connections", "echo", 4, 1 << 20),
    Job("HTTP GET, 512 B, 50 connections", "http", 50, 512, "/pattern/{key}/512"),
)


@dataclass
class LoopResult:
    """What one loop did: a sample per job, and what it says of itself."""

    loop: str
    info: Any = None
    samples: dict[str, Sample] = field(default_factory=dict)


def _check_statistics(stats: Any) -> None:
    """Completions that belonged to nobody are an error even if every byte was right."""
    if isinstance(stats, dict) and stats.get("stale"):
        raise ServerError(f"the loop saw {stats['stale']} stale completions")


def drive(
    loop: str, seconds: float, cpus: Cpus, on_progress: Callable[[Job, Progress], None]
) -> LoopResult:
    """All jobs on one loop's server process; raises ServerError or LoadError."""
    result = LoopResult(loop)
    ours = loop == "uringcore"
    with ServerProcess(python_command("demonstration.server", loop), cpus.server) as server:
        ports = json.loads(server.first_line)
        if ours:
            result.info = check_backend(server, "uring")
        for job in JOBS:
            result.samples[job.title] = observe(
                server,
                job.service,
                ports[job.service],
                job.options(seconds),
                cpu=cpus.load,
                asks=ours,
                on_progress=lambda progress, job=job: on_progress(job, progress),  # type: ignore[misc]
            )
        if ours:
            _check_statistics(server.ask("stats"))
    return result
