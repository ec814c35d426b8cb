"""Who is measured: our loop, other loops, and C servers that show what the machine can do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks import http_workloads
from benchmarks.load import BUILD, native_program
from benchmarks.loops import KNOWN, OTHERS, OURS
from benchmarks.outcomes import obstacle
from benchmarks.processes import python_command
from benchmarks.services import SERVICES
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
    backend: str = ""
    """Which backend it must run on: with another one its figures are void."""
    foreign: bool = False
    """Whether it comes from elsewhere, so that its failures are no failure of this project."""


def _on(backend: str, command: list[str]) -> list[str]:
    return ["env", f"UC_BACKEND={backend}", *command]


def _http_command(loop: str, service: str) -> list[str]:
    python = http_workloads.python_with_libraries()
    if python is None:
        raise UnavailableError("the HTTP servers are not installed: tools/setup --integration")
    return [python, "-m", "benchmarks.http_services", loop, service]


def _python_peer(
    loop: str, label: str, *, name: str = "", backend: str = "", services: frozenset[str]
) -> Peer:
    def command(workload: Workload) -> list[str]:
        reason = obstacle(loop)
        if reason is not None:
            raise UnavailableError(reason)
        if workload.service in http_workloads.SERVICES:
            server = _http_command(loop, workload.service)
        else:
            server = python_command("benchmarks.servers", loop, workload.service)
        return _on(backend, server) if backend else server

    return Peer(
        name=name or loop,
        label=label,
        services=services,
        command=command,
        backend=backend,
        foreign=loop in OTHERS,
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
    return _on("epoll", _libuc(workload))


_ECHO = frozenset(SERVICES)
_EVERYTHING = _ECHO | http_workloads.SERVICES
_ECHO_IN_C = frozenset({"protocol"})

PEERS = (
    _python_peer(OURS, "uringcore-cffi", name="ours", backend="uring", services=_EVERYTHING),
    _python_peer(
        OURS, "uringcore-cffi, epoll", name="ours-epoll", backend="epoll", services=_EVERYTHING
    ),
    _python_peer("uvloop", "uvloop", services=_EVERYTHING),
    _python_peer("asyncio", "asyncio", services=_EVERYTHING),
    *(_python_peer(loop, KNOWN[loop].distribution, services=_ECHO) for loop in OTHERS),
    Peer("libuc", "libuc (C example)", _ECHO_IN_C, _libuc),
    Peer("libuc-epoll", "libuc (C example), epoll", _ECHO_IN_C, _libuc_epoll),
    Peer("raw-uring", "raw io_uring (C)", _ECHO_IN_C, _raw_uring),
    Peer("raw-epoll", "raw epoll (C)", _ECHO_IN_C, _raw_epoll),
)

QUICK_PEERS = tuple(
    peer for peer in PEERS if peer.name in ("ours", "uvloop", "asyncio", "raw-uring")
)
"""Whom ``tools/bench --quick`` measures."""


def version_of(peer: Peer) -> str:
    """The version of an installed Python peer, or an empty text."""
    loop = KNOWN.get(OURS if peer.name == "ours" else peer.name)
    return loop.version if loop is not None else ""
