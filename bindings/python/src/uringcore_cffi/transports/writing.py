"""The write side of a stream transport: from write() to the send queue in C.

Small bytes are copied by C; from REFERENCE_BYTES on the kernel reads them where they are, and the
object is kept until a record says that it is not needed any more. What the caller could change
is copied first, because the kernel reads later than write() returns.
"""

from __future__ import annotations

import asyncio
import errno
import select
from collections.abc import Iterable
from contextvars import Context
from typing import Any, Callable

from uringcore_cffi._ffi.errors import GONE, answer_error, check_answer
from uringcore_cffi._handles.fd import SEND_REFERENCE, Fd, pin, send
from uringcore_cffi.transports.flow_control import FlowControl

# From this size on, bytes are passed to the kernel where they are instead of being copied.
REFERENCE_BYTES = 16 * 1024


class WriteSide(FlowControl):
    """What SocketTransport does with what is written."""

    _context: Context
    _fd: Fd | None
    # The descriptor's, for send(). A copy: _refuse_more() takes it away before that is freed.
    _handle: Any
    # Bytes objects shorter than this are copied by C; 0: the short way of write() is closed.
    _copy_below: int
    _eof: bool
    _closing: bool
    _conn_lost: int
    _write_in_vain: Callable[[], None]
    # Set while a file is being sent: what the sender waits for, if it waits.
    _sendfile_waiter: asyncio.Future[None] | None
    _references: list[Any]
    _hold_references: bool

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Queue data; it leaves at the end of the turn together with all else."""
        if data.__class__ is bytes and 0 < (count := len(data)) < self._copy_below:
            size = send(self._handle, data, count, 0)
        else:
            size = self._write_otherwise(data)
            if size == 0:
                return
        if not 0 <= size <= self._high_water:
            if size < 0:
                self._send_refused(size, data)
                return
            self._pause_protocol_above_high(size)
        if not self._loop._in_turn:
            self._loop._submit_outside_turn()

    def _write_otherwise(self, data: Any) -> int:
        """Write what is not a small bytes object, or complain; return as send() does, or 0."""
        # The way is as open as in write(), only that there is too much to be copied.
        if data.__class__ is bytes and len(data) >= self._copy_below > 0:
            return self._send_reference(data)
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise TypeError(
                f"data argument must be a bytes-like object, not {type(data).__name__!r}"
            )
        if self._eof:
            raise RuntimeError("Cannot call write() after write_eof()")
        if self._sendfile_waiter is not None:
            raise RuntimeError("unable to write; sendfile is in progress")
        if not data:
            return 0
        if self._conn_lost:
            self._write_in_vain()
            return 0
        if not isinstance(data, bytes):
            # The kernel may read later than the caller changes it.
            data = bytes(data)
        if len(data) >= REFERENCE_BYTES:
            return self._send_reference(data)
        return send(self._handle, data, len(data), 0)

    def _send_reference(self, data: bytes) -> int:
        """Send without copying: the object is kept until the kernel has let go of its memory."""
        pointer = pin(data)
        references = self._references
        references += (pointer,)
        try:
            size = send(self._handle, pointer, len(data), SEND_REFERENCE)
        except BaseException:
            # Sent or not: nobody knows, so nothing is let go before the connection is closed.
            self._hold_references = True
            raise
        if size < 0:
            del references[-1]
        return size

    def _send_refused(self, answer: int, data: Any) -> None:
        """Deal with a send that was not queued; a failed connection is reported by its record."""
        code = -answer
        if code == errno.EPERM and not self._loop._in_turn:
            self._loop._own_thread()
            self.write(data)
            return
        if code in (errno.EPIPE, errno.ESHUTDOWN, errno.ECHILD, errno.ESTALE):
            self._conn_lost += 1
            return
        raise answer_error(answer, "uc_fd_send")

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        """Write several pieces as one."""
        if self._eof:
            raise RuntimeError("Cannot call writelines() after write_eof()")
        self.write(b"".join(list_of_data))

    def _on_low_water(self) -> None:
        """Let who was stopped at the high water mark go on. May be done again."""
        if self._protocol_paused:
            loop = self._loop
            handle = loop._internal_handle(self._resume_protocol, (), self._context)
            loop._ready += (handle,)
        self._wake_sendfile()

    # While the loop sends a file (see _loop/sendfile.py) nothing can be written.

    def _claim_sendfile(self) -> None:
        """Refuse writing from now on, and a second file."""
        if self._sendfile_waiter is not None:
            raise RuntimeError("sendfile is in progress already")
        self._sendfile_waiter = self._loop.create_future()

    async def _begin_sendfile(self) -> None:
        """Wait until everything written has left."""
        self._copy_below = 0
        # Asked again: what wakes it may be the poll of a file that was given up.
        while self.get_write_buffer_size() > 0:
            check_answer(self._tell_water_marks(0, 0), "uc_fd_set_water_marks", *GONE)
            await self._wait_for_sendfile()

    async def _wait_writable(self) -> None:
        """Wait until the socket has room; raise if the connection is lost before."""
        self._check_sendfile()
        assert self._fd is not None
        check_answer(self._fd.poll(select.POLLOUT), "uc_fd_poll", errno.ESHUTDOWN, *GONE)
        await self._wait_for_sendfile()

    async def _wait_for_sendfile(self) -> None:
        self._check_sendfile()
        self._sendfile_waiter = self._loop.create_future()
        await self._sendfile_waiter
        self._check_sendfile()

    def _check_sendfile(self) -> None:
        """Raise if the connection is lost, or will be."""
        if self._closing or self._fd is None:
            raise ConnectionError("Connection is closed by peer")

    def _wake_sendfile(self) -> None:
        waiter = self._sendfile_waiter
        if waiter is not None and not waiter.done() and not self._loop.is_closed():
            waiter.set_result(None)

    def _end_sendfile(self) -> None:
        """Let the program write again."""
        self._sendfile_waiter = None
        if self._fd is None or self._closing:
            return
        self._tell_water_marks(self._high_water, self._low_water)
        self._copy_below = 0 if self._eof else REFERENCE_BYTES

    def get_write_buffer_size(self) -> int:
        """Return the bytes that the kernel has not taken yet."""
        if self._fd is None:
            return 0
        self._loop._own_thread()
        return max(0, self._fd.queued_bytes())

    def can_write_eof(self) -> bool:
        """Sockets can."""
        return True

    def write_eof(self) -> None:
        """End our side once everything written has been sent."""
        if self._closing or self._eof:
            return
        self._eof = True
        self._copy_below = 0
        assert self._fd is not None
        self._loop._own_thread()
        answer = self._fd.shutdown()
        check_answer(answer, "uc_fd_shutdown", errno.EPIPE, errno.ESHUTDOWN, *GONE)
        if answer == 0:
            self._loop._submit_outside_turn()
