"""The transport of a connected stream socket.

It is the endpoint of its descriptor's records and the asyncio.Transport that the protocol sees.

What happens        what the protocol sees
------------------  ------------------------------------------------------------------
created             connection_made(); then receiving starts; then the waiter is woken
RECV, bytes         data_received(bytes), or get_buffer() and buffer_updated(), or
                    lease_received(Lease)
RECV, 0             eof_received(); close() unless it answers true
RECV, negative      connection_lost(OSError)
SENT, low water     resume_writing()
SEND_FAILED         connection_lost(OSError)
close()             nothing more is received; what is queued is sent; connection_lost(None)
abort()             what is queued is dropped; connection_lost(None)
CLOSED              connection_lost(), then the socket is closed
"""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any, Callable

from uringcore_cffi._ffi.errors import check_answer, result_error
from uringcore_cffi._handles.events import (
    CLOSED,
    LOW_WATER,
    POLL,
    RECV,
    SEND_FAILED,
    SENT,
    SHUTDOWN,
)
from uringcore_cffi._handles.fd import CLOSE_ABORT, CLOSE_KEEP, NO_HANDLE
from uringcore_cffi._handles.lease import Lease
from uringcore_cffi._loop.compat import (
    SENDFILE_TRY_NATIVE,
    SSLProtocol,
    attach_to_server,
    hold_socket,
    set_nodelay,
)
from uringcore_cffi.transports.base import SocketOwner
from uringcore_cffi.transports.lease_protocol import LeaseProtocol
from uringcore_cffi.transports.reading import ReadSide
from uringcore_cffi.transports.tls import TLSProtocol
from uringcore_cffi.transports.writing import REFERENCE_BYTES, WriteSide

if TYPE_CHECKING:
    from uringcore_cffi._loop.loop import UringEventLoop


# What the kernel may still read although its loop is closed: it did not let go in time.
_kept_for_ever: list[Any] = []


class SocketTransport(ReadSide, WriteSide, SocketOwner, asyncio.Transport):
    """A stream socket on the loop."""

    _start_tls_compatible = True
    _sendfile_compatible = SENDFILE_TRY_NATIVE

    def __init__(
        self,
        loop: UringEventLoop,
        sock: socket.socket,
        protocol: asyncio.BaseProtocol,
        waiter: asyncio.Future[None] | None = None,
        extra: dict[str, Any] | None = None,
        server: Any = None,
        is_tcp: bool | None = None,
    ) -> None:
        """Take over ``sock``: connected, non-blocking. Calls into the protocol come later.

        ``is_tcp``: None is for who does not know.
        """
        super().__init__(extra, loop)  # type: ignore[call-arg]
        self.receive: Callable[[bytes], Any] | None = None
        self.receive_lease: Callable[[Lease], Any] | None = None
        self._buffered = False
        self._leased = False
        self._eof = False  # write_eof() was called
        self._eof_delivered = False
        self._close_after_eof = False
        self._close_once_resumed = False
        self._paused = False
        # Received but not delivered, because the protocol pauses: bytes; b"" is the end. Both are
        # short and mostly empty: an empty list takes 56 bytes, an empty deque 760.
        self._stash: list[Any] = []
        # Objects whose memory the kernel still reads, in the order of sending.
        self._references: list[Any] = []
        self._hold_references = False
        self._sendfile_waiter = None
        self._begin_life(loop, sock, protocol)
        if is_tcp is None:
            set_nodelay(sock)
        elif is_tcp:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if server is not None:
            # First of all: it refuses when it was closed in the meantime.
            attach_to_server(server, self)
            self._server = server
        try:
            fd, stash = loop._attach_socket(sock, self)
        except BaseException:
            self._leave_server()
            raise
        self._fd = fd
        if self._leased:
            check_answer(fd.set_gather(False), "uc_fd_set_gather")
        self._stash.extend(stash)
        self._handle = fd.handle
        self._tell_water_marks = fd.set_water_marks
        self._copy_below = REFERENCE_BYTES
        hold_socket(sock)
        self._sock = sock
        self._announce(self._start_reading, waiter)

    # The protocol

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Switch to another protocol; it gets what is received from now on.

        If the protocol before was paused, the new one is resumed, as in asyncio.
        """
        if self._protocol_paused and isinstance(protocol, SSLProtocol):
            self._hand_over_pause(protocol)
        self._protocol: Any = protocol
        self._protocol_connected = True
        self._buffered = isinstance(protocol, asyncio.BufferedProtocol) and not isinstance(
            protocol, TLSProtocol
        )
        self._choose_leases(isinstance(protocol, LeaseProtocol))
        if self._made:  # else it is done when receiving starts
            self._choose_receiver()

    # The endpoint

    def on_record(self, following: int, kind: int, result: int, flags: int, offset: int) -> None:
        """Handle a record that is not plain data for data_received()."""
        if kind == SENT:
            if flags & LOW_WATER:
                self._on_low_water()
            self._loop._cursor = following
            # After the commit: letting go twice would let go of what the kernel still reads.
            if not self._hold_references:
                del self._references[:result]
        elif kind == RECV:
            self._on_recv(following, result, flags, offset)
        elif kind == CLOSED:
            self._on_closed(following, result)
        elif kind == SEND_FAILED:
            self._fatal_error(result_error(result), "Fatal write error on socket transport")
        elif kind == POLL:
            self._wake_sendfile()
        elif kind != SHUTDOWN:
            raise RuntimeError(f"unexpected record of kind {kind} for {self!r}")

    def close(self) -> None:
        """Receive nothing more, send what is queued, then lose the connection.

        A protocol that was told to pause may hold back what it still has to send until
        resume_writing(), as asyncio's TLS does: this is waited for.
        """
        if self._closing:
            return
        if self._protocol_paused:
            self._loop._check_closed()
            self._stop_receiving()
            self._closing = self._close_once_resumed = True
            self.receive = self.receive_lease = None
            self._loop._forget_transport(self)
        else:
            self._begin_close(CLOSE_KEEP)

    def _begin_close(self, flags: int) -> None:
        if self._loop._ring.zero_copy_bytes and self._fd is not None and not flags & CLOSE_ABORT:
            # The kernel lets go when the peer has acknowledged all: it is told of the end before.
            # Refusals do not matter: what closing answers counts.
            self._fd.shutdown()
        super()._begin_close(flags)

    def _resume_protocol(self) -> None:
        super()._resume_protocol()
        if self._close_once_resumed and not self._protocol_paused and not self._aborting:
            self._begin_close(CLOSE_KEEP)
            self._close_once_resumed = False

    def _refuse_more(self) -> None:
        self._copy_below = 0
        self._handle = NO_HANDLE
        self.receive = self.receive_lease = None
        self._wake_sendfile()

    def _drop_kept(self) -> None:
        if self._loop.is_closed() and not self._loop._settled:
            _kept_for_ever.extend(self._references)
        self._references.clear()
        self._stash.clear()
