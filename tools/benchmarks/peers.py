"""Who is measured: our loop, other loops, and C servers that show what the machine can do."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks import http_workloads
from benchmarks.load import BUILD, native_program
from benchmarks.processes import python_command
from benchmarks.servers import LOOPS
from benchmarks.workloads import Workload


class UnavailableError(Exception):
    """A peer that cannot run here; the text says why."""


@dataclass(frozen=True)
class Peer:
    """One server that can be measured."""

    name: str
    label: str
    services: frozenset[str]
    command: Callable[[Workload], list[str]]
    """How to start it; raises UnavailableError where it cannot run."""
    answers_questions: bool = False
    """Whether its standard input is a control channel (the Python servers')."""
    backend: str = ""
    """Which backend it must run on: with another one its figures are void."""


def _on_epoll(command: list[str]) -> list[str]:
    return ["env", "UC_BACKEND=epoll", *command]


def _http_command(loop: str, service: str) -> list[str]:
    python = http_workloads.python_with_libraries()
    if python is None:
        raise UnavailableError("the HTTP servers are not installed: tools/setup --integration")
    return [python, "-m", "benchmarks.http_services", loop, service]


def _python_peer(loop: str, label: str, backend: str = "") -> Peer:
    module = LOOPS[loop]

    def command(workload: Workload) -> list[str]:
        if importlib.util.find_spec(module) is None:
            raise UnavailableError(f"{module} is not installed")
        if workload.service in http_workloads.SERVICES:
            server = _http_command(loop, workload.service)
        else:
            server = python_command("benchmarks.servers", loop, workload.service)
        return _on_epoll(server) if backend == "epoll" else server

    return Peer(
        name={"uring": "ours", "epoll": "ours-epoll"}.get(backend, loop),
        label=label,
        services=frozenset({"protocol", "streams"}) | http_workloads.SERVICES,
        command=command,
        answers_questions=True,
        backend=backend,
    )


def _raw_uring(workload: Workload) -> list[str]:
    """Few large buffers for bulk, small ones else: what stays in cache wins."""
    program = native_program("raw_uring_echo")
    if program is None:
        raise UnavailableError("raw_uring_echo is not built")
    bulk = workload.size >= 1 << 16
    count, size = (32, 1 << 16) if bulk else (1024, 4096)
    return [str(program), "0", "--buffers", str(count), "--buffer-size", str(size)]


def _raw_epoll(_workload: Workload) -> list[str]:
    program = native_program("raw_epoll_echo")
    if program is None:
        raise UnavailableError("raw_epoll_echo is not built")
    return [str(program), "0"]


def _libuc(_workload: Workload) -> list[str]:
    program = BUILD / "examples" / "echo_server"
    if not program.exists():
        raise UnavailableError("examples/echo_server is not built")
    return [str(program), "0"]


def _libuc_epoll(workload: Workload) -> list[str]:
    return _on_epoll(_libuc(workload))


_ECHO_IN_C = frozenset({"protocol", "streams"})

PEERS = (
    _python_peer("uringcore", "uringcore-cffi", "uring"),
    _python_peer("uringcore", "uringcore-cffi, epoll", "epoll"),
    _python_peer("uvloop", "uvloop"),
    _python_peer("asyncio", "asyncio"),
    Peer("libuc", "libuc (C example)", _ECHO_IN_C, _libuc),
    Peer("libuc-epoll", "libuc (C example), epoll", _ECHO_IN_C, _libuc_epoll),
    Peer("raw-uring", "raw io_uring (C)", _ECHO_IN_C, _raw_uring),
    Peer("raw-epoll", "raw epoll (C)", _ECHO_IN_C, _raw_epoll),
)


def version_of(peer: Peer) -> str:
    """The version of an installed Python peer, or an empty text."""
    distribution = {"ours": "uringcore-cffi", "uvloop": "uvloop"}.get(peer.name)
    try:
        return importlib.metadata.version(distribution) if distribution else ""
    except importlib.metadata.PackageNotFoundError:
        return ""
