"""What is asked of a server: how many connections, which messages, which API serves them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Workload:
    """One shape of load; every peer that can serve it is measured under it."""

    name: str
    title: str
    service: str
    """Which service of ``servers.py`` a Python peer runs (the C servers know only echo)."""
    connections: int
    size: int
    depth: int = 1
    discard: bool = False
    """The load generator drops what it receives inside the kernel.

    For bulk data a reader that copies costs as much as the server and would hide its speed.
    """


ECHO = (
    Workload("1k-50", "1 KiB echo over Protocol, 50 connections", "protocol", 50, 1024),
    Workload("1k-100", "1 KiB echo over Protocol, 100 connections", "protocol", 100, 1024),
    Workload(
        "1m-4", "1 MB echo over Protocol, 4 connections", "protocol", 4, 1 << 20, discard=True
    ),
)

SUITES: dict[str, tuple[Workload, ...]] = {"echo": ECHO}
"""What ``tools/bench SUITE`` can run."""
