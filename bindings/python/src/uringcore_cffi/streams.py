"""Streams whose reader also gives leases: asyncio's own, with read_lease().

A reader begins as asyncio's does: the transport gives it bytes. With the first read_lease() the
transport turns to leases, and what arrives is queued as such (``_leases``), behind what lies in
``_buffer``. The other methods go on to read from ``_buffer``: what they need is copied there first.
If they alone are called for a while, the transport turns back to bytes. Meanwhile the reader is of
another class: one that has never seen a lease is as quick as asyncio's, because nothing of it is
overridden.

On other event loops, over TLS, and of what came as bytes, read_lease() copies.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, Callable

from uringcore_cffi._handles.lease import Lease

_LIMIT = 2**16
# So many waits for bytes in a row turn the transport back.
_BYTES_AGAIN_AFTER = 16


_read = asyncio.StreamReader.read
_readexactly = asyncio.StreamReader.readexactly
_readuntil = asyncio.StreamReader.readuntil
_wait_for_data: Any = asyncio.StreamReader._wait_for_data  # type: ignore[attr-defined]


class StreamReader(asyncio.StreamReader):
    """asyncio.StreamReader with read_lease(); all methods can be mixed."""

    # Members of asyncio.StreamReader that a type checker is not told of.
    _buffer: bytearray
    _eof: bool
    _exception: BaseException | None
    _limit: int
    _loop: Any
    _paused: bool
    _transport: Any
    _waiter: Any
    _wakeup_waiter: Callable[[], None]

    if TYPE_CHECKING:

        def _maybe_resume_transport(self) -> None: ...

    def __init__(self, limit: int = _LIMIT, loop: Any = None) -> None:
        """As asyncio.StreamReader()."""
        super().__init__(limit, loop)
        self._leases: deque[Lease] = deque()
        self._lease_bytes = 0
        self._ends_behind = False  # the end has come, and stands behind the leases
        self._lease_protocol: Any = None  # of the connection
        self._leasing = False  # the transport was told to give leases
        self._byte_waits = 0
        self._wanted: Any = 0  # by the method that reads: a number of bytes, or a separator

    async def read_lease(self, n: int = -1) -> Lease:
        """Read what has come, where the kernel has put it; an empty lease is the end.

        With ``n``, 1 or more, at most so many bytes. Release it soon, best in a ``with`` block:
        receiving rests when too many are out.
        """
        if n == 0:
            return Lease(b"")
        if self._exception is not None:
            raise self._exception
        self._byte_waits = 0
        while not self._buffer and not self._leases and not self._eof:
            if self._waiter is None:  # else another reads, and this is refused
                self._turn_to_leases(True)
            await _wait_for_data(self, "read_lease")
        if self._leases and not self._buffer:
            lease = self._leases[0]
            if 0 < n < len(lease):
                lease = lease._split(n)
            else:
                del self._leases[0]
                self._uncover_end()
            self._lease_bytes -= len(lease)
        else:
            count = n if n > 0 else len(self._buffer)
            lease = Lease(bytes(self._buffer[:count]))  # empty at the end
            del self._buffer[:count]
        self._maybe_resume_transport()
        return lease

    def _turn_to_leases(self, leasing: bool) -> None:
        if self._leasing is leasing:
            return
        choose = getattr(self._transport, "_lease_to", None)
        if choose is not None and choose(self._lease_protocol, leasing):
            self._leasing = leasing
            self.__class__ = _LeasingReader if leasing else StreamReader

    def _uncover_end(self) -> None:
        if self._ends_behind and not self._leases:
            self._ends_behind = False
            self._eof = True


class _LeasingReader(StreamReader):
    """A reader while its transport gives leases, or some are queued."""

    def feed_lease(self, lease: Lease) -> None:
        """Take what has arrived; the protocol calls this."""
        self._leases.append(lease)
        self._lease_bytes += len(lease)
        self._wakeup_waiter()
        if not self._paused and len(self._buffer) + self._lease_bytes > 2 * self._limit:
            self._transport.pause_reading()
            self._paused = True

    def feed_data(self, data: Any) -> None:
        """Take bytes that have arrived; behind leases they stay behind."""
        if self._leases and data:
            self.feed_lease(Lease(bytes(data)))
        else:
            super().feed_data(data)

    def feed_eof(self) -> None:
        """Take the end."""
        if self._leases:
            self._ends_behind = True
        else:
            super().feed_eof()

    def _maybe_resume_transport(self) -> None:
        if self._paused and len(self._buffer) + self._lease_bytes <= self._limit:
            self._paused = False
            self._transport.resume_reading()

    # asyncio's methods, which read from the buffer

    def read(self, n: int = -1) -> Any:
        """As asyncio.StreamReader.read()."""
        self._wanted = n
        return _read(self, n)

    def readexactly(self, n: int) -> Any:
        """As asyncio.StreamReader.readexactly()."""
        self._wanted = n
        return _readexactly(self, n)

    def readuntil(self, separator: Any = b"\n") -> Any:
        """As asyncio.StreamReader.readuntil()."""
        self._wanted = separator
        return _readuntil(self, separator)

    async def _wait_for_data(self, func_name: str) -> None:
        """Wait until there is more in the buffer, or the end."""
        if not self._leases:
            self._byte_waits += 1
            if self._byte_waits > _BYTES_AGAIN_AFTER:
                self._turn_to_leases(False)
            await _wait_for_data(self, func_name)
        if self._leases:
            self._copy()

    def _copy(self) -> None:
        """Move what is wanted of the first lease, or all of it, to the end of the buffer."""
        first = self._leases[0]
        wanted, count = self._wanted, 0
        if isinstance(wanted, int):
            count = wanted - len(self._buffer)
        elif isinstance(wanted, bytes):
            # Found across two leases or not, what is copied is the front.
            count = first._find_end(wanted)
        if count <= 0:
            count = len(first)
        taken = first._take(count)
        self._buffer += taken
        self._lease_bytes -= len(taken)
        if not first:
            self._leases.popleft().release()
            self._uncover_end()


class _Protocol(asyncio.StreamReaderProtocol):
    """asyncio's, which hands on leases too."""

    # Members that a type checker is not told of.
    _stream_reader: StreamReader | None

    def __init__(self, reader: StreamReader, connected: Any, loop: Any) -> None:
        super().__init__(reader, connected, loop)
        reader._lease_protocol = self

    def lease_received(self, lease: Lease) -> None:
        """Take what has arrived."""
        reader = self._stream_reader
        if reader is None:
            lease.release()
        else:
            reader.feed_lease(lease)  # type: ignore[attr-defined]  # then it is of that class


def _protocol_factory(limit: int, connected: Any) -> Callable[[], _Protocol]:
    loop = asyncio.get_running_loop()

    def make() -> _Protocol:
        return _Protocol(StreamReader(limit, loop), connected, loop)

    return make


async def _open(connect: Any, limit: int, *args: Any, **options: Any) -> Any:
    loop = asyncio.get_running_loop()
    reader = StreamReader(limit, loop)
    protocol = _Protocol(reader, None, loop)
    transport, _ = await connect(lambda: protocol, *args, **options)
    return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


async def open_connection(
    host: Any = None, port: Any = None, *, limit: int = _LIMIT, **options: Any
) -> tuple[StreamReader, asyncio.StreamWriter]:
    """Connect as asyncio.open_connection() does; the reader has read_lease()."""
    loop = asyncio.get_running_loop()
    streams: tuple[StreamReader, asyncio.StreamWriter] = await _open(
        loop.create_connection, limit, host, port, **options
    )
    return streams


async def open_unix_connection(
    path: Any = None, *, limit: int = _LIMIT, **options: Any
) -> tuple[StreamReader, asyncio.StreamWriter]:
    """Connect as asyncio.open_unix_connection() does; the reader has read_lease()."""
    loop = asyncio.get_running_loop()
    streams: tuple[StreamReader, asyncio.StreamWriter] = await _open(
        loop.create_unix_connection, limit, path, **options
    )
    return streams


async def start_server(
    client_connected_cb: Any,
    host: Any = None,
    port: Any = None,
    *,
    limit: int = _LIMIT,
    **options: Any,
) -> asyncio.Server:
    """Serve as asyncio.start_server() does; the readers have read_lease()."""
    factory = _protocol_factory(limit, client_connected_cb)
    return await asyncio.get_running_loop().create_server(factory, host, port, **options)


async def start_unix_server(
    client_connected_cb: Any, path: Any = None, *, limit: int = _LIMIT, **options: Any
) -> asyncio.Server:
    """Serve as asyncio.start_unix_server() does; the readers have read_lease()."""
    factory = _protocol_factory(limit, client_connected_cb)
    return await asyncio.get_running_loop().create_unix_server(factory, path, **options)
