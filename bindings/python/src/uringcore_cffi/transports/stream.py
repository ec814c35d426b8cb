"""The transport of a connected stream socket.

It is the endpoint of its descriptor's records and the asyncio.Transport that the protocol sees.
The socket object stays the owner of the descriptor: libuc is asked to give it back, not to close
it, and it is closed after connection_lost(), when UC_EVENT_CLOSED has said that nothing of it is
in flight.

What happens        what the protocol sees
------------------  ------------------------------------------------------------------
created             connection_made(); then receiving starts; then the waiter is woken
RECV, bytes         data_received(bytes), or get_buffer() and buffer_updated()
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
import errno
import socket
import warnings
from asyncio.log import logger
from collections import deque
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, Callable

from uringcore_cffi._ffi.errors import GONE, check_answer, result_error
from uringcore_cffi._handles.events import CLOSED, RECV, SEND_FAILED, SENT, SHUTDOWN
from uringcore_cffi._handles.fd import CLOSE_ABORT, CLOSE_KEEP, Fd
from uringcore_cffi._loop.compat import (
    SERVER_KNOWS_CLIENTS,
    TransportSocket,
    attach_to_server,
    close_held_socket,
    hold_socket,
    set_nodelay,
    set_result_unless_cancelled,
)
from uringcore_cffi.transports.reading import ReadSide
from uringcore_cffi.transports.writing import REFERENCE_BYTES, WriteSide

if TYPE_CHECKING:
    from uringcore_cffi._loop.loop import UringEventLoop


# What the kernel may still read although its loop is closed: it did not let go in time.
_kept_for_ever: list[Any] = []


class SocketTransport(ReadSide, WriteSide, asyncio.Transport):
    """A stream socket on the loop."""

    _start_tls_compatible = True

    # In case the constructor fails before they are set: __del__ looks at them.
    _sock: socket.socket | None = None
    _fd: Fd | None = None

    def __init__(
        self,
        loop: UringEventLoop,
        sock: socket.socket,
        protocol: asyncio.BaseProtocol,
        waiter: asyncio.Future[None] | None = None,
        extra: dict[str, Any] | None = None,
        server: Any = None,
    ) -> None:
        """Take over ``sock``: connected, non-blocking. Calls into the protocol come later."""
        super().__init__(extra, loop)  # type: ignore[call-arg]
        self._extra: dict[str, Any]
        self._describe(sock)
        self._context = copy_context()
        self.receive: Callable[[bytes], Any] | None = None
        self._buffered = False
        self._made = False  # connection_made() was called
        self._protocol_connected = False
        self._eof = False  # write_eof() was called
        self._eof_delivered = False
        self._close_after_eof = False
        self._paused = False
        self._closing = False
        self._aborting = False
        self._conn_lost = 0  # writes in vain, for the warning; not 0 once closing
        self._exception: BaseException | None = None
        # Received but not delivered, because the protocol pauses: bytes; b"" is the end.
        self._stash: deque[Any] = deque()
        # Objects whose memory the kernel still reads, in the order of sending.
        self._references: deque[Any] = deque()
        self._hold_references = False
        self._server: Any = None
        self.set_protocol(protocol)
        set_nodelay(sock)
        self._sock_fd = sock.fileno()
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
        self._stash.extend(stash)
        self._send = fd.send
        self._tell_water_marks = fd.set_water_marks
        self._copy_below = REFERENCE_BYTES
        hold_socket(sock)
        self._sock = sock
        call_internal = loop._call_internal
        call_internal(self._call_connection_made, context=self._context)
        call_internal(self._start_reading, context=self._context)
        if waiter is not None:
            call_internal(set_result_unless_cancelled, waiter, None, context=self._context)

    def _describe(self, sock: socket.socket) -> None:
        extra = self._extra
        extra["socket"] = TransportSocket(sock)
        try:
            extra["sockname"] = sock.getsockname()
        except OSError:
            extra["sockname"] = None
        if "peername" not in extra:
            try:
                extra["peername"] = sock.getpeername()
            except OSError:
                extra["peername"] = None

    def __repr__(self) -> str:
        info = [type(self).__name__]
        if self._sock is None:
            info.append("closed")
        elif self._closing:
            info.append("closing")
        info.append(f"fd={self._sock_fd}")
        if self._sock is not None and not self._loop.is_closed():
            info.append("read=polling" if self.is_reading() else "read=idle")
            size = self.get_write_buffer_size()
            info.append(f"write=<{'polling' if size else 'idle'}, bufsize={size}>")
        return f"<{' '.join(info)}>"

    def __del__(self, _warn: Callable[..., None] = warnings.warn) -> None:
        if self._sock is not None:
            _warn(f"unclosed transport {self!r}", ResourceWarning, source=self)
            self._close_socket()

    # The protocol

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Switch to another protocol; it gets what is received from now on."""
        self._protocol: Any = protocol
        self._protocol_connected = True
        self._buffered = isinstance(protocol, asyncio.BufferedProtocol)
        self._choose_receiver()

    def get_protocol(self) -> Any:
        """Return the protocol; None when the connection is lost."""
        return self._protocol

    def _call_connection_made(self) -> None:
        if not self._made:
            self._made = True
            self._protocol.connection_made(self)

    # The end

    def is_closing(self) -> bool:
        """Tell whether close() or abort() was called, or the connection has failed."""
        return self._closing

    def close(self) -> None:
        """Receive nothing more, send what is queued, then lose the connection."""
        if not self._closing:
            self._begin_close(CLOSE_KEEP)

    def abort(self) -> None:
        """Lose the connection without sending what is queued."""
        self._force_close(None)

    def _begin_close(self, flags: int) -> None:
        self._loop._check_closed()
        assert self._fd is not None
        self._loop._own_thread()
        answer = self._fd.close(flags)
        check_answer(answer, "uc_fd_close", errno.EALREADY, *GONE)
        self._closing = True
        self._copy_below = 0
        self.receive = None
        self._conn_lost += 1
        self._loop._forget_transport(self)
        if answer == 0:
            self._loop._submit_outside_turn()

    def _force_close(self, exc: BaseException | None) -> None:
        if self._aborting or self._sock is None or self._fd is None:
            return
        if self._exception is None:
            self._exception = exc
        self._begin_close(CLOSE_KEEP | CLOSE_ABORT)
        self._aborting = True

    def _fatal_error(self, exc: BaseException, message: str = "Fatal error on transport") -> None:
        if isinstance(exc, OSError):
            if self._loop.get_debug():
                logger.debug("%r: %s", self, message, exc_info=exc)
        else:
            self._loop.call_exception_handler(
                {
                    "message": message,
                    "exception": exc,
                    "transport": self,
                    "protocol": self._protocol,
                }
            )
        self._force_close(exc)

    def _on_closed(self, following: int, result: int) -> None:
        loop, fd = self._loop, self._fd
        assert fd is not None
        if result < 0 and self._exception is None and not self._aborting:
            self._exception = result_error(result)
        loop._forget_transport(self)
        handle = loop._internal_handle(self._call_connection_lost, (), self._context)
        fd.free()
        loop._ready += (handle,)
        del loop._endpoints[fd.cookie]
        loop._cursor = following

    def _call_connection_lost(self) -> None:
        """Tell the protocol once, then close the socket; may be called again."""
        if self._sock is None:
            return
        try:
            if self._protocol_connected:
                self._protocol_connected = False
                self._protocol.connection_lost(self._exception)
        finally:
            self._fd = None
            self._references.clear()
            self._stash.clear()
            self._close_socket()
            self._protocol = None
            self._loop = None

    def _close_socket(self) -> None:
        """Close the socket and leave the server; may be called again after an interrupt."""
        if self._sock is not None:
            close_held_socket(self._sock)
        self._leave_server()
        self._sock = None

    def _leave_server(self) -> None:
        server = self._server
        if server is not None:
            # Next to each other, and straight into the server: leaving must happen just once.
            self._server = None
            if SERVER_KNOWS_CLIENTS:
                server._detach(self)
            else:
                server._detach()

    # The endpoint

    def on_record(self, following: int, kind: int, result: int, flags: int, offset: int) -> None:
        """Handle a record that is not plain data for data_received()."""
        if kind == RECV:
            self._on_recv(following, result, offset)
        elif kind == SENT:
            self._on_sent(following, result, flags)
        elif kind == CLOSED:
            self._on_closed(following, result)
        elif kind == SEND_FAILED:
            self._fatal_error(result_error(result), "Fatal write error on socket transport")
        elif kind != SHUTDOWN:
            raise RuntimeError(f"unexpected record of kind {kind} for {self!r}")

    def loop_closed(self) -> None:
        """Close the socket; __del__ still warns that the transport was not closed."""
        self._fd = None
        self._copy_below = 0
        self.receive = None
        self._conn_lost += 1
        if not self._loop._settled:
            _kept_for_ever.extend(self._references)
        self._references.clear()
        if self._closing:
            self._close_socket()
        elif self._sock is not None:
            close_held_socket(self._sock)

    def forked(self) -> None:
        """Die quietly in a child: the connection is the parent's."""
        self._fd = None
        self._copy_below = 0
        self._closing = True
        self.receive = None
        self._conn_lost += 1
        self._protocol_connected = False
        self._server = None
        self._close_socket()
