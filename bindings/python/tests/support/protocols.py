"""Protocols that several test files use."""

from __future__ import annotations

import asyncio


class Sink(asyncio.Protocol):
    """Collects what comes."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.lost = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.data += data

    def connection_lost(self, exc):
        self.lost.set_result(exc)
