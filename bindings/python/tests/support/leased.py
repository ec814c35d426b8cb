"""Leases as several tests get them."""

from __future__ import annotations

import asyncio
import sys

import pytest
from steps import until

import uringcore_cffi

# There, nobody counts references, and leases are of bytes.
PYPY = sys.implementation.name == "pypy"
# How many buffers a lease has.
A_BUFFER = 0 if PYPY else 1
needs_buffers = pytest.mark.skipif(PYPY, reason="PyPy: leases are of bytes")


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
            self.from_pool += is_of_a_buffer(lease)
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


def is_of_a_buffer(lease: uringcore_cffi.Lease) -> bool:
    """Tell whether a lease has a buffer of the pool."""
    return lease._owner is not None


def leased(loop) -> int:
    """Tell how many buffers are out."""
    return loop.pool_stats().leased


async def until_leased(loop, count: int) -> None:
    """Wait until so many buffers are out."""

    await until(lambda: leased(loop) == count, 0.001)


async def lease_of(loop, ours, peer, data: bytes) -> uringcore_cffi.Lease:
    """Send something and receive it as a lease, where possible of a buffer."""
    peer.sendall(data)
    lease = await loop.sock_recv_lease(ours)
    assert is_of_a_buffer(lease) or PYPY
    assert len(lease) == len(data)
    return lease
