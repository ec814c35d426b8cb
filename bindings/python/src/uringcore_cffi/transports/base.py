"""What every socket's transport does alike: who owns the socket, and how it ends.

The socket object stays the owner of the descriptor: libuc is asked to give it back, not to close
it, and it is closed after connection_lost(), when UC_EVENT_CLOSED has said that nothing of it is
in flight. Until then it is held open, so that a close() by somebody else is put off.
"""

from __future__ import annotations

import errno
import socket
import warnings
from asyncio.log import logger
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any, Callable

from uringcore_cffi._ffi.errors import GONE, check_answer, result_error
from uringcore_cffi._handles.fd import CLOSE_ABORT, CLOSE_KEEP, Fd
from uringcore_cffi._loop.compat import (
    LOG_THRESHOLD_FOR_CONNLOST_WRITES,
    SERVER_KNOWS_CLIENTS,
    TransportSocket,
    close_held_socket,
    set_result_unless_cancelled,
)

if TYPE_CHECKING:
    import asyncio

    from uringcore_cffi._loop.loop import UringEventLoop


class SocketOwner:
    """The life of a transport, from connection_made() to connection_lost().

    Class invariant: while ``_sock`` is set it is open, and this object's to close.
    """

    # In case the constructor fails before they are set: __del__ looks at them.
    _sock: socket.socket | None = None
    _fd: Fd | None = None

    _loop: Any
    _protocol: Any
    _extra: dict[str, Any]
    is_reading: Callable[[], bool]
    get_write_buffer_size: Callable[[], int]
    set_protocol: Callable[[Any], None]

    def _begin_life(
        self, loop: UringEventLoop, sock: socket.socket, protocol: asyncio.BaseProtocol
    ) -> None:
        self._describe(sock)
        self._context: Context = copy_context()
        self._made = False  # connection_made() was called
        self._protocol_connected = False
        self._closing = False
        self._aborting = False
        self._conn_lost = 0  # writes in vain, for the warning; not 0 once closing
        self._quiet = False  # nothing of it is in flight any more
        self._place_held = False  # connection_lost() has its place in the ready queue
        self._exception: BaseException | None = None
        self._server: Any = None
        self._sock_fd = sock.fileno()
        self.set_protocol(protocol)

    def _announce(
        self, start_reading: Callable[[], None], waiter: asyncio.Future[None] | None
    ) -> None:
        """Have connection_made() called, then reading started, then the waiter woken."""
        call_internal = self._loop._call_internal
        call_internal(self._call_connection_made, context=self._context)
        call_internal(start_reading, context=self._context)
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

    def get_protocol(self) -> Any:
        """Return the protocol; None when the connection is lost."""
        return self._protocol

    def _call_connection_made(self) -> None:
        if not self._made:
            self._made = True
            self._protocol.connection_made(self)

    # What a kind of transport adds

    def _refuse_more(self) -> None:
        """Take nothing more, from the kernel or from the program: it is closing."""

    def _drop_kept(self) -> None:
        """Forget what was kept for the kernel or the protocol: the connection is lost."""

    # The end

    def is_closing(self) -> bool:
        """Tell whether close() or abort() was called, or the connection has failed."""
        return self._closing

    def _stop_receiving(self) -> None:
        if self._fd is not None:
            self._loop._own_thread()
            check_answer(self._fd.recv_stop(), "uc_fd_recv_stop", errno.EALREADY, *GONE)

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
        self._conn_lost += 1
        self._refuse_more()
        self._loop._forget_transport(self)
        if answer == 0:
            self._loop._submit_outside_turn()
        # asyncio calls connection_lost() in the next turn, in front of what is called soon after
        # this. The kernel lets go by then, unless there is something to be sent.
        loop = self._loop
        place = loop._internal_handle(self._take_place, (), self._context)
        # Without a call in between: a place that is held and not taken would be waited for.
        loop._ready += (place,)
        self._place_held = True

    def _take_place(self) -> None:
        self._place_held = False
        if self._quiet:
            self._call_connection_lost()

    def _force_close(self, exc: BaseException | None) -> None:
        if self._aborting or self._sock is None or self._fd is None:
            return
        pending = self.get_write_buffer_size()
        if self._exception is None and (pending or not self._closing):
            self._exception = exc  # as asyncio, which is done with a closed one that sent all
        if pending:
            # As asyncio, which sends at once: what the socket has room for still leaves.
            self._loop._ring.flush()
        self._begin_close(CLOSE_KEEP | CLOSE_ABORT)
        self._aborting = True

    def _fatal_error(self, exc: BaseException, message: str = "Fatal error on transport") -> None:
        if isinstance(exc, OSError):
            if self._loop.get_debug():
                logger.debug("%r: %s", self, message, exc_info=exc)
        else:
            self._report(exc, message)
        self._force_close(exc)

    def _report(self, exc: BaseException, message: str) -> None:
        """Tell the loop's exception handler."""
        self._loop.call_exception_handler(
            {"message": message, "exception": exc, "transport": self, "protocol": self._protocol}
        )

    def _write_in_vain(self) -> None:
        """Count what is written to a lost connection, and warn of those who go on."""
        if self._conn_lost >= LOG_THRESHOLD_FOR_CONNLOST_WRITES:
            logger.warning("socket.send() raised exception.")
        self._conn_lost += 1

    def _on_closed(self, following: int, result: int) -> None:
        loop, fd = self._loop, self._fd
        assert fd is not None
        if result < 0 and self._exception is None and not self._aborting:
            self._exception = result_error(result)
        self._closing = self._aborting = True  # there is nothing left to close or abort
        # An interrupt may have come between the close in C and what belongs to it.
        self._conn_lost = self._conn_lost or 1
        self._refuse_more()
        loop._forget_transport(self)
        fd.free()
        self._quiet = True
        if not self._place_held:
            loop._ready += (loop._internal_handle(self._call_connection_lost, (), self._context),)
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
            self._drop_kept()
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

    def loop_closed(self) -> None:
        """Close the socket; __del__ still warns that the transport was not closed."""
        self._fd = None
        self._conn_lost += 1
        self._refuse_more()
        self._drop_kept()
        if self._closing:
            self._close_socket()
        elif self._sock is not None:
            close_held_socket(self._sock)

    def forked(self) -> None:
        """Die quietly in a child: the connection is the parent's.

        The socket stays open for who was told of it.
        """
        self._fd = None
        self._closing = self._aborting = True  # there is nothing to be closed or aborted
        self._conn_lost += 1
        self._refuse_more()
        self._drop_kept()
        self._protocol_connected = False
        self._server = None
        if not self._made:
            self._close_socket()
