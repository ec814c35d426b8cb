"""The load generator in C, run from Python."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.processes import ROOT, pinned

BUILD = Path(os.environ.get("UC_BUILD_DIR", ROOT / "build"))
NATIVE = BUILD / "tools" / "benchmarks" / "native"


UNABLE_STATUS = 77


class LoadError(Exception):
    """The load generator saw something wrong; the text says what."""


class UnableError(LoadError):
    """The load generator was built without what the load takes; the text says what."""


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
    lost: int = 0
    """Datagrams that nobody answered."""
    server_syscalls: int | None = None
    no_syscalls: str = ""
    """Why the server's system calls were not counted, where they should have been."""

    @property
    def rate(self) -> float:
        """Answers per second."""
        return self.requests / self.seconds

    @property
    def server_cpu_per_request(self) -> float:
        """CPU time of the server's process per answer, in µs; 0 where nothing was asked."""
        return self.server_cpu_us / self.requests if self.requests else 0.0


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
    """Runs the load generator to its end; raises LoadError for anything wrong.

    Port 0 stands for none: the options name a Unix socket then.
    """
    program = native_program("bench-load")
    if program is None:
        raise LoadError(f"bench-load is not built in {NATIVE}")
    command = [str(program), mode, *(["--port", str(port)] if port else [])]
    command += ["--server-pid", str(server_pid), "--progress", *options]
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
    if not output.startswith("{"):
        raise LoadError("; ".join(complaints) or "bench-load died without a word")
    report = json.loads(output)
    if process.returncode == UNABLE_STATUS:
        raise UnableError(report["error"])
    return _result(report)


def _result(report: dict[str, Any]) -> LoadResult:
    if report["errors"]:
        raise LoadError(report["error"])
    if not report["requests"] and report["mode"] != "idle":
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
        lost=report["lost"],
        server_syscalls=report["server_syscalls"],
        no_syscalls=report["no_syscalls"],
    )
