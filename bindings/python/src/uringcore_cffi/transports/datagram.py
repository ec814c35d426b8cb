"""The transport of a UDP socket.

Datagrams are received by the ring, many with one operation. They are sent by a system call at
once, because the socket nearly always has room: then the kernel's answer to each is known before
sendto() returns, as asyncio has it. What finds no room waits here until the socket is writable.

A datagram must fit into a pool buffer, behind its head and its sender's address; what is cut is
lost. Where datagrams may be larger (Unix sockets) or have addresses of another kind, the socket
gets asyncio's own transport over add_reader() instead: see ``make_datagram_transport``.
"""

from __future__ import annotations

import asyncio
import errno
import select
import socket
from collections import deque
from typing import TYPE_CHECKING, Any, Callable

from uringcore_cffi._ffi.errors import answer_error, check_answer, result_error
from uringcore_cffi._handles.events import CLOSED, DATAGRAM, DATAGRAM_ADDRESS_BYTES, ENDED, POLL
from uringcore_cffi._handles.fd import CLOSE_KEEP
from uringcore_cffi._loop.compat import (
    FlowControlMixin,
    SelectorDatagramTransport,
    hold_socket,
)
from uringcore_cffi._loop.endpoint import RecordsOnly
from uringcore_cffi.transports.addresses import ADDRESSES, FAMILIES
from uringcore_cffi.transports.base import SocketOwner

if TYPE_CHECKING:
    from uringcore_cffi._loop.loop import UringEventLoop

# What stands in a buffer in front of the payload: struct uci_datagram_head and the address.
_HEAD_BYTES = 16 + DATAGRAM_ADDRESS_BYTES
# The longest payload that UDP has, over IPv6.
_PAYLOAD_MAX = 65_527
# What asyncio adds to the size of each datagram that waits.
_HEADER_BYTES = 8


class DatagramTransport(RecordsOnly, SocketOwner, FlowControlMixin, asyncio.DatagramTransport):  # type: ignore[misc]
    """A UDP socket on the loop."""

    def __init__(
        self,
        loop: UringEventLoop,
        sock: socket.socket,
        protocol: asyncio.BaseProtocol,
        address: Any = None,
        waiter: asyncio.Future[None] | None = None,
        extra: dict[str, Any] | None = None,
    ) -> None:
        """Take over ``sock``; ``address`` is where everything is sent to, if not None."""
        super().__init__(extra, loop)  # type: ignore[call-arg]
        self._address = address
        # What arrived while something else was ready: whom to call, with what.
        self._arrived: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()
        # Datagrams that found no room, with where they are to go.
        self._queue: deque[tuple[bytes, Any]] = deque()
        self._queue_bytes = 0
        self._begin_life(loop, sock, protocol)
        self._connected = bool(self._extra["peername"])
        self._fd = loop._attach_datagrams(sock, self)
        hold_socket(sock)
        self._sock = sock
        self._run = self._context.run
        self._send_now: Callable[..., Any] = sock.send if self._connected else sock.sendto
        self._announce(self._start_reading, waiter)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Switch to another protocol; it gets what is received from now on."""
        self._protocol = protocol
        self._protocol_connected = True

    # Receiving

    def is_reading(self) -> bool:
        """Tell whether datagrams may arrive at the protocol."""
        return not self._closing

    def _start_reading(self) -> None:
        if self._closing or self._fd is None:
            return
        self._loop._own_thread()
        answer = self._fd.recv_start()
        if answer not in (0, -errno.EALREADY):
            self._fatal_error(answer_error(answer, "uc_fd_recv_start"), "Fatal read error")

    def on_record(self, following: int, kind: int, result: int, flags: int, offset: int) -> None:
        """Handle a datagram, room to send, or the end."""
        loop = self._loop
        if kind == DATAGRAM:
            if flags & ENDED:
                self._start_reading()
            if result < 0:
                self._deliver(following, self._protocol.error_received, result_error(result))
                return
            memory = loop._memory
            start = offset - DATAGRAM_ADDRESS_BYTES
            address = ADDRESSES[memory[start : start + (flags >> 16)]]
            data = memory[offset : offset + result]
            deliver = self._protocol.datagram_received
            if loop._direct:
                # As _deliver(), without the call: every datagram would pay for it.
                loop._cursor = following
                if not self._closing:
                    self._run(deliver, data, address)
            else:
                self._deliver(following, deliver, data, address)
        elif kind == POLL:
            self._send_queue(following)
        elif kind == CLOSED:
            self._on_closed(following, result)
        else:
            raise RuntimeError(f"unexpected record of kind {kind} for {self!r}")

    def _deliver(self, following: int, deliver: Callable[..., None], *args: Any) -> None:
        """Call the protocol, now or behind what was ready before."""
        loop = self._loop
        if loop._direct:
            loop._cursor = following
            if not self._closing:
                self._run(deliver, *args)
        else:
            handle = loop._internal_handle(self._deliver_first, (), self._context)
            loop._ready += (handle,)
            self._arrived += ((deliver, args),)
            loop._cursor = following

    def _deliver_first(self) -> None:
        """Deliver what arrived first; may be called once too often after an interrupt."""
        if self._arrived and not self._closing:
            deliver, args = self._arrived[0]
            del self._arrived[0]
            deliver(*args)

    # Sending

    def sendto(self, data: bytes | bytearray | memoryview, addr: Any = None) -> None:
        """Send one datagram, which may be empty, to ``addr`` or to the connected peer."""
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise TypeError(
                f"data argument must be a bytes-like object, not {type(data).__name__!r}"
            )
        if self._address:
            if addr not in (None, self._address):
                raise ValueError(f"Invalid address: must be None or {self._address}")
            addr = self._address
        if self._conn_lost and (self._address or self._sock is None):
            self._write_in_vain()
            return
        if not self._queue:
            try:
                if self._connected:
                    self._send_now(data)
                else:
                    self._send_now(data, addr)
                return
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException as exc:
                # Once it is closing, nobody will wait for room.
                if self._send_failed(exc) or self._conn_lost:
                    return
        self._queue.append((bytes(data), addr))
        self._queue_bytes += len(data) + _HEADER_BYTES
        self._wait_for_room()
        self._maybe_pause_protocol()

    def _send_failed(self, exc: BaseException) -> bool:
        """Report why a datagram could not be sent; False: there is no room."""
        if isinstance(exc, (BlockingIOError, InterruptedError)):
            return False
        if isinstance(exc, OSError):
            self._protocol.error_received(exc)
        else:
            self._fatal_error(exc, "Fatal write error on datagram transport")
        return True

    def _send_waiting(self, data: bytes, addr: Any) -> bool:
        """Send what waited, or report; False: there is no room.

        error_received() that raises must not stop those that wait behind.
        """
        try:
            try:
                if self._connected:
                    self._send_now(data)
                else:
                    self._send_now(data, addr)
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException as exc:
                return self._send_failed(exc)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as exc:
            self._report(exc, "protocol.error_received() failed")
        return True

    def _wait_for_room(self) -> None:
        assert self._fd is not None
        self._loop._own_thread()
        check_answer(self._fd.poll(select.POLLOUT), "uc_fd_poll")
        self._loop._submit_outside_turn()

    def _send_queue(self, following: int) -> None:
        """Send what waits; each datagram leaves the queue just before it is sent."""
        queue = self._queue
        while queue:
            data, addr = queue[0]
            size = len(data) + _HEADER_BYTES
            self._queue_bytes -= size
            del queue[0]
            if not self._context.run(self._send_waiting, data, addr):
                queue.appendleft((data, addr))
                self._queue_bytes += size
                self._wait_for_room()
                break
        self._context.run(self._maybe_resume_protocol)  # which may send more
        if not queue and self._closing and not self._aborting:
            self._begin_close(CLOSE_KEEP)
        self._loop._cursor = following

    def get_write_buffer_size(self) -> int:
        """Return the bytes that wait for room, with eight for each datagram."""
        return self._queue_bytes

    # The end

    def close(self) -> None:
        """Receive nothing more, send what waits, then lose the connection."""
        if self._closing:
            return
        self._loop._check_closed()
        if not self._queue:
            self._begin_close(CLOSE_KEEP)
            return
        self._closing = True
        self._stop_receiving()

    def _refuse_more(self) -> None:
        self._queue.clear()
        self._queue_bytes = 0

    def _drop_kept(self) -> None:
        self._arrived.clear()

    def forked(self) -> None:
        """Die quietly in a child: nothing more is sent there in the parent's name."""
        super().forked()
        self._send_now = _send_nothing


def _send_nothing(*_: Any) -> None:
    """Stand in for sending, in a forked child."""


class _Empty(bytes):
    """An empty datagram, which asyncio before 3.13 would take for nothing to send."""

    def __bool__(self) -> bool:
        return True


class ReadinessDatagramTransport(
    SelectorDatagramTransport,  # type: ignore[misc]
    asyncio.DatagramTransport,
):
    """asyncio's own transport, over the loop's add_reader().

    asyncio's is no DatagramTransport in every version of Python.
    """

    __repr__ = SocketOwner.__repr__

    _inherited = False  # this is a forked child, and the transport its parent's

    def sendto(self, data: Any, addr: Any = None) -> None:
        """Send one datagram, which may be empty, to ``addr`` or to the connected peer."""
        if self._inherited:
            return
        if isinstance(data, (bytes, bytearray, memoryview)) and not len(data):
            data = _Empty()
        super().sendto(data, addr)

    def get_write_buffer_size(self) -> int:
        """Return the bytes that wait for room, with eight for each datagram.

        Counted anew: asyncio's own count never comes back to zero in the first 3.13.
        """
        return sum(len(data) + _HEADER_BYTES for data, _ in self._buffer)

    def is_reading(self) -> bool:
        """Tell whether datagrams may arrive at the protocol."""
        return not self._closing

    def _call_connection_lost(self, exc: BaseException | None) -> None:
        loop = self._loop
        try:
            super()._call_connection_lost(exc)
        finally:
            loop._forget_transport(self)


def make_datagram_transport(
    loop: UringEventLoop,
    sock: socket.socket,
    protocol: asyncio.BaseProtocol,
    address: Any,
    waiter: asyncio.Future[None] | None,
    extra: dict[str, Any] | None,
) -> asyncio.DatagramTransport:
    """Make the transport that can carry every datagram of the socket whole."""
    fits = loop._ring.pool.buffer_bytes >= _PAYLOAD_MAX + _HEAD_BYTES
    if fits and sock.family in FAMILIES and sock.type == socket.SOCK_DGRAM:
        return DatagramTransport(loop, sock, protocol, address, waiter, extra)
    kind: Any = ReadinessDatagramTransport
    transport: asyncio.DatagramTransport = kind(loop, sock, protocol, address, waiter, extra)
    loop._direct_writers.add(transport)
    return transport
