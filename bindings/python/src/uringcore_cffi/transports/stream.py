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
from functools import partial
from typing import TYPE_CHECKING, Any, Callable

from uringcore_cffi._ffi.errors import answer_error, result_error
from uringcore_cffi._handles.events import CLOSED, LOW_WATER, RECV, SEND_FAILED, SENT, SHUTDOWN
from uringcore_cffi._handles.fd import CLOSE_ABORT, CLOSE_KEEP, SEND_REFERENCE, Fd, keep_alive
from uringcore_cffi._loop.compat import (
    LOG_THRESHOLD_FOR_CONNLOST_WRITES,
    SERVER_KNOWS_CLIENTS,
    TransportSocket,
    attach_to_server,
    close_held_socket,
    hold_socket,
    set_nodelay,
    set_result_unless_cancelled,
)
from uringcore_cffi.transports.flow_control import FlowControl

if TYPE_CHECKING:
    from collections.abc import Iterable

    from uringcore_cffi._loop.loop import UringEventLoop

# From this size on, bytes are passed to the kernel where they are instead of being copied.
REFERENCE_BYTES = 16 * 1024

# Context.run, or _run_here when the connection's context has been entered already.
_Runner = Callable[..., Any]


def _run_here(function: Callable[..., Any], *args: Any) -> Any:
    return function(*args)


class SocketTransport(FlowControl, asyncio.Transport):
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
        self._stash: deque[bytes] = deque()
        # Objects whose memory the kernel still reads, in the order of sending.
        self._references: deque[Any] = deque()
        self._hold_references = False
        self._server: Any = None
        self.set_protocol(protocol)
        set_nodelay(sock)
        self._sock_fd = sock.fileno()
        fd, stash = loop._attach_socket(sock, self)
        self._fd = fd
        self._stash.extend(stash)
        self._send = fd.send
        self._tell_water_marks = fd.set_water_marks
        self._writable = True  # the short way of write() may be taken
        hold_socket(sock)
        self._sock = sock
        if server is not None:
            attach_to_server(server, self)
            self._server = server
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

    def _choose_receiver(self) -> None:
        """Decide whether data may take the short way to data_received()."""
        if self._buffered or self._paused or self._closing or self._stash:
            self.receive = None
        else:
            self.receive = partial(self._context.run, self._protocol.data_received)

    def _call_connection_made(self) -> None:
        if not self._made:
            self._made = True
            self._protocol.connection_made(self)

    def _start_reading(self) -> None:
        """Begin or go on to receive; what is in the stash comes first."""
        if self._stash:
            self._deliver_stash()
        if self._paused or self._closing or self._fd is None:
            return
        self._choose_receiver()
        answer = self._fd.recv_start()
        if answer not in (0, -errno.EALREADY, -errno.ENOTCONN):
            self._fatal_error(answer_error(answer, "uc_fd_recv_start"), "Fatal read error")
        if not self._loop._in_turn:
            self._loop._ring.flush()

    # Reading

    def is_reading(self) -> bool:
        """Tell whether data may arrive at the protocol."""
        return not self._paused and not self._closing

    def pause_reading(self) -> None:
        """Deliver nothing until resume_reading(); the peer feels it when its window is full."""
        if self._closing or self._paused:
            return
        self._paused = True
        self.receive = None
        if self._fd is not None:
            self._fd.recv_stop()
        if self._loop.get_debug():
            logger.debug("%r pauses reading", self)

    def resume_reading(self) -> None:
        """Deliver again, beginning with what had arrived when reading was paused."""
        if self._closing or not self._paused:
            return
        self._paused = False
        if self._stash:
            self._loop._call_internal(self._start_reading, context=self._context)
        elif self._made:
            self._start_reading()
        if self._loop.get_debug():
            logger.debug("%r resumes reading", self)

    def receive_failed(self, exc: BaseException) -> None:
        """End the connection: data_received() raised."""
        self._fatal_error(exc, "Fatal error: protocol.data_received() call failed.")

    def _on_recv(self, following: int, result: int, offset: int) -> None:
        if self._closing:
            return
        loop = self._loop
        if result < 0:
            self._fatal_error(result_error(result), "Fatal read error on socket transport")
        elif result > 0 and self._buffered and not self._paused and not self._stash:
            self._fill_buffers(following, memoryview(loop._memory)[offset : offset + result])
        elif result > 0 or self._paused:
            data = loop._memory[offset : offset + result] if result else b""
            self._stash += (data,)
            loop._cursor = following
        else:
            # The end is delivered in turn, by a step that can be taken up again.
            handle = loop._internal_handle(self._start_reading, (), self._context)
            loop._ready += (handle,)
            self._stash += (b"",)
            loop._cursor = following

    def _fill_buffers(self, following: int, data: memoryview) -> None:
        """Give one record's data to a BufferedProtocol, in as many pieces as its buffers need."""
        loop = self._loop
        run = self._context.run
        count = self._fill_buffer(data, run)
        if count == 0:
            return
        if count < len(data):
            handle = loop._internal_handle(self._start_reading, (), self._context)
            loop._ready += (handle,)
            self._stash += (bytes(data[count:]),)
        loop._cursor = following
        self._buffer_updated(count, run)

    def _fill_buffer(self, data: memoryview | bytes, run: _Runner) -> int:
        """Copy as much as fits into one get_buffer(); 0: the connection has failed."""
        try:
            buffer = memoryview(run(self._protocol.get_buffer, -1))
            if not buffer.nbytes:
                raise RuntimeError("get_buffer() returned an empty buffer")
            count = min(buffer.nbytes, len(data))
            buffer.cast("B")[:count] = data[:count]
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as exc:
            self._fatal_error(exc, "Fatal error: protocol.get_buffer() call failed.")
            return 0
        return count

    def _buffer_updated(self, count: int, run: _Runner) -> None:
        try:
            run(self._protocol.buffer_updated, count)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as exc:
            self._fatal_error(exc, "Fatal error: protocol.buffer_updated() call failed.")

    def _deliver_stash(self) -> None:
        """Deliver what was received while the protocol paused. May be called again at any time."""
        stash = self._stash
        while stash and not self._paused and not self._closing:
            data = stash[0]
            if not data:
                self._deliver_eof()
                stash.clear()
            elif self._buffered:
                count = self._fill_buffer(data, _run_here)
                if count == len(data):
                    del stash[0]
                else:
                    stash[0] = data[count:]
                if count:
                    self._buffer_updated(count, _run_here)
            else:
                receive = self._protocol.data_received
                del stash[0]
                try:
                    receive(data)
                except (SystemExit, KeyboardInterrupt):
                    raise
                except BaseException as exc:
                    self.receive_failed(exc)

    def _deliver_eof(self) -> None:
        """Call eof_received() once, and close unless it wants to go on writing."""
        if not self._eof_delivered:
            if self._loop.get_debug():
                logger.debug("%r received EOF", self)
            self._eof_delivered = self._close_after_eof = True
            try:
                keep_open = self._protocol.eof_received()
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException as exc:
                self._fatal_error(exc, "Fatal error: protocol.eof_received() call failed.")
                return
            if keep_open:
                self._close_after_eof = False
        if self._close_after_eof:
            self.close()

    # Writing

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Queue data; it leaves at the end of the turn together with all else."""
        if self._writable and data.__class__ is bytes and 0 < len(data) < REFERENCE_BYTES:
            size = self._send(data, len(data), 0)
        else:
            size = self._write_otherwise(data)
            if size == 0:
                return
        if not 0 <= size <= self._high_water:
            if size < 0:
                self._send_refused(size)
                return
            self._pause_protocol_above_high(size)
        if not self._loop._in_turn:
            self._loop._ring.flush()

    def _write_otherwise(self, data: Any) -> int:
        """Write what is not a small bytes object, or complain; return as send() does, or 0."""
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise TypeError(
                f"data argument must be a bytes-like object, not {type(data).__name__!r}"
            )
        if self._eof:
            raise RuntimeError("Cannot call write() after write_eof()")
        if not data:
            return 0
        if self._conn_lost:
            if self._conn_lost >= LOG_THRESHOLD_FOR_CONNLOST_WRITES:
                logger.warning("socket.send() raised exception.")
            self._conn_lost += 1
            return 0
        if isinstance(data, bytes) and len(data) >= REFERENCE_BYTES:
            return self._send_reference(data)
        if not isinstance(data, bytes):
            # The kernel may read later than the caller changes it.
            data = bytes(data)
            if len(data) >= REFERENCE_BYTES:
                return self._send_reference(data)
        return self._send(data, len(data), 0)

    def _send_reference(self, data: bytes) -> int:
        """Send without copying: the object is kept until the kernel has let go of its memory."""
        pointer = keep_alive(data)
        references = self._references
        references += (pointer,)
        try:
            size = self._send(pointer, len(data), SEND_REFERENCE)
        except BaseException:
            # Sent or not: nobody knows, so nothing is let go before the connection is closed.
            self._hold_references = True
            raise
        if size < 0:
            del references[-1]
        return size

    def _send_refused(self, answer: int) -> None:
        """Deal with a send that was not queued; a failed connection is reported by its record."""
        code = -answer
        if code in (errno.EPIPE, errno.ESHUTDOWN, errno.ECHILD, errno.ESTALE):
            self._conn_lost += 1
            return
        raise answer_error(answer, "uc_fd_send")

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        """Write several pieces as one."""
        if self._eof:
            raise RuntimeError("Cannot call writelines() after write_eof()")
        self.write(b"".join(list_of_data))

    def _on_sent(self, following: int, result: int, flags: int) -> None:
        loop = self._loop
        if flags & LOW_WATER and self._protocol_paused:
            handle = loop._internal_handle(self._resume_protocol, (), self._context)
            loop._ready += (handle,)
        loop._cursor = following
        # After the commit: letting go twice would let go of what the kernel still reads.
        if not self._hold_references:
            for _ in range(result):
                self._references.popleft()

    def get_write_buffer_size(self) -> int:
        """Return the bytes that the kernel has not taken yet."""
        return max(0, self._fd.queued_bytes()) if self._fd is not None else 0

    def can_write_eof(self) -> bool:
        """Sockets can."""
        return True

    def write_eof(self) -> None:
        """End our side once everything written has been sent."""
        if self._closing or self._eof:
            return
        self._eof = True
        self._writable = False
        assert self._fd is not None
        answer = self._fd.shutdown()
        if answer not in (0, -errno.EALREADY, -errno.EPIPE, -errno.ESHUTDOWN):
            raise answer_error(answer, "uc_fd_shutdown")
        if not self._loop._in_turn:
            self._loop._ring.flush()

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
        self._fd.close(flags)
        self._closing = True
        self._writable = False
        self.receive = None
        self._conn_lost += 1
        self._loop._forget_transport(self)
        if not self._loop._in_turn:
            self._loop._ring.flush()

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
        server = self._server
        if server is not None:
            # Next to each other, and straight into the server: leaving must happen just once.
            self._server = None
            if SERVER_KNOWS_CLIENTS:
                server._detach(self)
            else:
                server._detach()
        self._sock = None

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
        self._writable = False
        self.receive = None
        self._conn_lost += 1
        self._references.clear()
        if self._closing:
            self._close_socket()
        elif self._sock is not None:
            close_held_socket(self._sock)

    def forked(self) -> None:
        """Die quietly in a child: the connection is the parent's."""
        self._fd = None
        self._writable = False
        self._closing = True
        self.receive = None
        self._conn_lost += 1
        self._protocol_connected = False
        self._server = None
        self._close_socket()
