"""Leases as several tests get them."""

from __future__ import annotations

import asyncio
import gc
import sys

from steps import until

import uringcore_cffi

# Deaths are noticed at once where references are counted.
PYPY = sys.implementation.name == "pypy"


class Taking(uringcore_cffi.LeaseProtocol):
    """Takes leases and copies them out; what it is told is noted."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.lost = self.loop.create_future()
        self.data = bytearray()
        self.calls: list[str] = []
        self.from_pool = 0  # how many leases had a buffer

    def connection_made(self, transport):
        self.transport = transport
        self.calls.append("made")

    def lease_received(self, lease):
        with lease:
            self.from_pool += lease._owner is not None
            self.data += lease.view

    def eof_received(self):
        self.calls.append("eof")

    def connection_lost(self, exc):
        self.calls.append("lost")
        self.lost.set_result(exc)


class Holding(Taking):
    """Keeps every lease."""

    def __init__(self) -> None:
        super().__init__()
        self.leases: list[uringcore_cffi.Lease] = []

    def lease_received(self, lease):
        self.leases.append(lease)


def collect() -> None:
    """Have what died be noticed."""
    if PYPY:
        for _ in range(3):
            gc.collect()


def leased(loop) -> int:
    """Tell how many buffers are out."""
    return loop.pool_stats().leased


async def until_leased(loop, count: int) -> None:
    """Wait until so many buffers are out."""

    def are_out():
        collect()
        return leased(loop) == count

    await until(are_out, 0.001)


async def lease_of(loop, ours, peer, data: bytes) -> uringcore_cffi.Lease:
    """Send something and receive it as a lease of a buffer."""
    peer.sendall(data)
    lease = await loop.sock_recv_lease(ours)
    assert lease._owner is not None
    assert len(lease) == len(data)
    return lease
