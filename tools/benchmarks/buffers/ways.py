"""The ways of receiving messages that are measured.

A message is its length and so many bytes, and what is done with each of them is a checksum: whoever
reads it goes over all of it once. All ways share the parser; they differ in whose memory it reads.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

LENGTH = struct.Struct("!I")


class Parser:
    """Takes the stream in any pieces; counts whole messages, and whether their sums are right."""

    def __init__(self, checksum: int) -> None:
        """``checksum`` is that of every message."""
        self.messages = 0
        self.wrong = 0
        self._checksum = checksum
        self._head = b""
        self._missing = 0
        self._sum = 0

    def feed(self, view: Any) -> None:
        """Take a piece of the stream."""
        place, end = 0, len(view)
        while place < end:
            if not self._missing:
                place = self._begin(view, place)
                continue
            part = view[place : place + self._missing]
            self._sum = zlib.crc32(part, self._sum)
            place += len(part)
            self._missing -= len(part)
            if not self._missing:
                self.note(self._sum)

    def _begin(self, view: Any, place: int) -> int:
        """Take of a length what is there; return what comes behind."""
        wanted = LENGTH.size - len(self._head)
        self._head += view[place : place + wanted]
        if len(self._head) == LENGTH.size:
            (self._missing,) = LENGTH.unpack(self._head)
            self._head = b""
            self._sum = 0
        return place + wanted

    def note(self, checksum: int) -> None:
        """Count a message."""
        self.messages += 1
        self.wrong += checksum != self._checksum


class _Bytes(asyncio.Protocol):
    def __init__(self, parser: Parser) -> None:
        self._feed = parser.feed

    def data_received(self, data: bytes) -> None:
        self._feed(memoryview(data))


class _Buffered(asyncio.BufferedProtocol):
    def __init__(self, parser: Parser) -> None:
        self._feed = parser.feed
        self._view = memoryview(bytearray(1 << 16))

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._view

    def buffer_updated(self, nbytes: int) -> None:
        self._feed(self._view[:nbytes])


def _leased(parser: Parser) -> asyncio.BaseProtocol:
    import uringcore_cffi

    class Leased(uringcore_cffi.LeaseProtocol):
        def lease_received(self, lease: uringcore_cffi.Lease) -> None:
            with lease:
                parser.feed(lease.view)

    return Leased()


async def _protocol(factory: Callable[[Parser], Any], sock: socket.socket, parser: Parser) -> None:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_connection(lambda: factory(parser), sock=sock)
    try:
        await loop.create_future()
    finally:
        transport.abort()


async def bytes_protocol(sock: socket.socket, parser: Parser) -> None:
    """Be given bytes by data_received()."""
    await _protocol(_Bytes, sock, parser)


async def buffered_protocol(sock: socket.socket, parser: Parser) -> None:
    """Be given bytes in a buffer of one's own."""
    await _protocol(_Buffered, sock, parser)


async def lease_protocol(sock: socket.socket, parser: Parser) -> None:
    """Be given leases."""
    await _protocol(_leased, sock, parser)


async def bytes_stream(sock: socket.socket, parser: Parser) -> None:
    """Read each message by readexactly() of asyncio's reader."""
    reader, writer = await asyncio.open_connection(sock=sock)
    try:
        while True:
            (length,) = LENGTH.unpack(await reader.readexactly(LENGTH.size))
            parser.note(zlib.crc32(await reader.readexactly(length)))
    finally:
        writer.transport.abort()


async def lease_stream(sock: socket.socket, parser: Parser) -> None:
    """Read the length by readexactly(), and the message by read_lease()."""
    import uringcore_cffi

    reader, writer = await uringcore_cffi.open_connection(sock=sock)
    try:
        while True:
            (missing,) = LENGTH.unpack(await reader.readexactly(LENGTH.size))
            checksum = 0
            while missing:
                with await reader.read_lease(missing) as lease:
                    checksum = zlib.crc32(lease.view, checksum)
                    missing -= len(lease)
            parser.note(checksum)
    finally:
        writer.transport.abort()


@dataclass(frozen=True)
class Way:
    """A way of receiving; ``base`` is what it is compared with, ``options`` are the loop's."""

    name: str
    label: str
    base: str
    receive: Callable[[socket.socket, Parser], Any]
    options: Mapping[str, Any] = field(default_factory=dict)


NO_REST = {"quarantine_ms": 0}

WAYS = (
    Way("bytes", "data_received", "bytes", bytes_protocol),
    Way("buffered", "buffer_updated", "bytes", buffered_protocol),
    Way("lease", "lease_received", "bytes", lease_protocol),
    Way("lease-0", "the same, quarantine_ms=0", "bytes", lease_protocol, NO_REST),
    Way("stream-bytes", "readexactly", "stream-bytes", bytes_stream),
    Way("stream-lease", "read_lease", "stream-bytes", lease_stream),
    Way("stream-lease-0", "the same, quarantine_ms=0", "stream-bytes", lease_stream, NO_REST),
)
