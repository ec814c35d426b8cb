"""What is asked of a server: how many connections, which messages, which API serves them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Workload:
    """One shape of load; every peer that can serve it is measured under it."""

    name: str
    title: str
    service: str
    """Which service of ``services.py`` a Python peer runs (the C servers know only echo)."""
    connections: int
    size: int
    depth: int = 1
    discard: bool = False
    """The load generator drops what it receives inside the kernel.

    For bulk data a reader that copies costs as much as the server and would hide its speed.
    """
    mode: str = "echo"
    """How the load generator talks: ``bench-load --help`` lists them."""

    @property
    def idle(self) -> bool:
        """Whether nothing is said in the measured window."""
        return self.mode == "idle"


APIS = {
    "protocol": "Protocol",
    "buffered": "BufferedProtocol",
    "streams": "streams",
    "sock": "sock_recv and sock_sendall",
    "tls": "Protocol and TLS",
    "unix": "Protocol and a Unix socket",
    "udp": "DatagramProtocol",
}
SIZES = {64: "64", 1 << 10: "1k", 10 << 10: "10k", 100 << 10: "100k", 1 << 20: "1m"}
_SIZE_TEXTS = {
    64: "64 B",
    1 << 10: "1 KiB",
    10 << 10: "10 KiB",
    100 << 10: "100 KiB",
    1 << 20: "1 MB",
}


def _connections(number: int) -> str:
    return "1 connection" if number == 1 else f"{number:,} connections"


def _echo(service: str, size: int, connections: int, *, depth: int = 1) -> Workload:
    """Messages to and fro on connections that stay."""
    prefix = "" if service == "protocol" else f"{service}-"
    name = f"{prefix}{SIZES[size]}-{connections}"
    title = f"{_SIZE_TEXTS[size]} echo over {APIS[service]}, {_connections(connections)}"
    if depth > 1:
        name, title = f"pipelined-{name}", f"{title}, {depth} at once on each"
    mode = "udp" if service == "udp" else "echo"
    # TLS is decrypted in this process, and a datagram is compared: both are read whole
    discard = size >= 1 << 20 and service not in ("tls", "udp")
    return Workload(name, title, service, connections, size, depth, discard, mode)


def _churn(connections: int) -> Workload:
    title = f"connect, 1 KiB to and fro over Protocol, close: {connections:,} at once"
    return Workload(f"churn-{connections}", title, "protocol", connections, 1 << 10, mode="churn")


def _idle(connections: int) -> Workload:
    title = f"{_connections(connections)} over Protocol that idle"
    return Workload(f"idle-{connections}", title, "protocol", connections, 1 << 10, mode="idle")


ECHO = (
    _echo("protocol", 1 << 10, 50),
    _echo("protocol", 1 << 10, 100),
    _echo("protocol", 1 << 20, 4),
)
"""What the promised figures are about."""

SERVED = {
    "echo": ECHO,
    "sizes": (
        _echo("protocol", 64, 50),
        _echo("protocol", 1 << 10, 50),
        _echo("protocol", 10 << 10, 50),
        _echo("protocol", 100 << 10, 10),
        _echo("protocol", 1 << 20, 4),
    ),
    "connections": (
        _echo("protocol", 1 << 10, 1),
        _echo("protocol", 1 << 10, 10),
        _echo("protocol", 1 << 10, 100),
        _echo("protocol", 1 << 10, 1000),
        _echo("protocol", 1 << 10, 10000),
    ),
    "pipelined": (
        _echo("protocol", 64, 1, depth=16),
        _echo("protocol", 64, 50, depth=16),
        _echo("streams", 64, 50, depth=16),
    ),
    "apis": tuple(
        _echo(service, size, connections)
        for service in ("buffered", "streams", "sock")
        for size, connections in ((1 << 10, 50), (100 << 10, 10))
    ),
    "tls": (
        _echo("tls", 64, 1),
        _echo("tls", 1 << 10, 50),
        _echo("tls", 100 << 10, 10),
    ),
    "unix": (
        _echo("unix", 1 << 10, 1),
        _echo("unix", 1 << 10, 50),
        _echo("unix", 100 << 10, 10),
    ),
    "udp": (
        _echo("udp", 64, 1),
        _echo("udp", 1 << 10, 50),
        _echo("udp", 10 << 10, 10),
    ),
    "churn": (_churn(1), _churn(50)),
    "idle": (_idle(1000), _idle(10000)),
}


def _each_once() -> tuple[Workload, ...]:
    workloads = [workload for suite in SERVED.values() for workload in suite]
    return tuple(dict.fromkeys(workloads))


QUICK = (
    _echo("protocol", 1 << 10, 50),
    _echo("protocol", 1 << 10, 1),
    _echo("protocol", 64, 50, depth=16),
    _echo("protocol", 1 << 20, 4),
    _echo("streams", 1 << 10, 50),
    _echo("sock", 1 << 10, 50),
    _echo("tls", 1 << 10, 50),
    _echo("udp", 1 << 10, 50),
    _churn(50),
    _idle(1000),
)
"""What ``tools/bench --quick`` runs: one workload of each kind."""

SUITES: dict[str, tuple[Workload, ...]] = {**SERVED, "quick": QUICK, "all": _each_once()}
"""What ``tools/bench SUITE`` can run."""
