"""The load generator in C, run from Python."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import ROOT, pinned

BUILD = Path(os.environ.get("UC_BUILD_DIR", ROOT / "build"))
NATIVE = BUILD / "tools" / "benchmarks" / "native"


class LoadError(Exception):
    """The load generator saw something wrong; the text says what."""


@dataclass(frozen=True)
class Progress:
    """How far the load is: printed five times a second and at each change of phase."""

    phase: str
    seconds: float
    requests: int
    bytes: int


@dataclass(frozen=True)
class LoadResult:
    """What the load generator saw in its measured window."""

    requests: int
    seconds: float
    bytes: int
    verified_bytes: int
    p50_us: float
    p90_us: float
    p99_us: float
    p99_9_us: float
    max_us: float
    load_cpu_us: float
    server_cpu_us: float

    @property
    def rate(self) -> float:
        """Answers per second."""
        return self.requests / self.seconds

    @property
    def server_cpu_per_request(self) -> float:
        """CPU time of the server's process per answer, in µs."""
        return self.server_cpu_us / self.requests


def native_program(name: str) -> Path | None:
    """A built C program of this suite, or None where it is not built."""
    path = NATIVE / name
    return path if path.exists() else None


def run_load(
    mode: str,
    port: int,
    server_pid: int,
    options: Sequence[str],
    *,
    cpu: int | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> LoadResult:
    """Runs the load generator to its end; raises LoadError for anything wrong."""
    program = native_program("bench-load")
    if program is None:
        raise LoadError(f"bench-load is not built in {NATIVE}")
    command = [str(program), mode, "--port", str(port), "--server-pid", str(server_pid)]
    command += ["--progress", *options]
    process = subprocess.Popen(
        pinned(command, cpu), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    complaints = []
    try:
        assert process.stderr is not None
        for line in process.stderr:
            if not line.startswith("{"):
                complaints.append(line.strip())
            elif on_progress is not None:
                on_progress(Progress(**json.loads(line)))
        output, _ = process.communicate()
    except BaseException:
        process.kill()
        process.communicate()
        raise
    return _result(output, complaints)


def _result(output: str, complaints: list[str]) -> LoadResult:
    if not output.startswith("{"):
        raise LoadError("; ".join(complaints) or "bench-load died without a word")
    report = json.loads(output)
    if report["errors"]:
        raise LoadError(report["error"])
    if not report["requests"]:
        raise LoadError("no request was answered in the measured window")
    latency = report["latency_us"]
    return LoadResult(
        requests=report["requests"],
        seconds=report["seconds"],
        bytes=report["bytes"],
        verified_bytes=report["verified_bytes"],
        p50_us=latency["p50"],
        p90_us=latency["p90"],
        p99_us=latency["p99"],
        p99_9_us=latency["p99_9"],
        max_us=latency["max"],
        load_cpu_us=report["load_cpu_us"],
        server_cpu_us=report["server_cpu_us"],
    )
