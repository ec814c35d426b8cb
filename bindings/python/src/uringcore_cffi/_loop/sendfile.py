"""sendfile() and sock_sendfile(): from a file to a socket through a pipe, by the kernel alone.

Each chunk is spliced twice, file to pipe and pipe to socket. The kernel does it on a thread of its
own, so a slow disk stalls nobody: sendfile(2) would stall the loop. A socket without room answers
EAGAIN and is polled, so no such thread ever waits for a slow peer.

A splice looks its descriptors up late. So it gets duplicates of its own, which are closed when
the last operation has ended, whatever has become of the coroutine meanwhile.
"""

from __future__ import annotations

import asyncio
import fcntl
import io
import os
import select
import socket
import stat
from typing import TYPE_CHECKING, Any, Callable

from uringcore_cffi._ffi.errors import answer_error, result_error
from uringcore_cffi._handles.ring import OFFSET_CURRENT
from uringcore_cffi._loop.compat import SendfileNotAvailableError
from uringcore_cffi._loop.endpoint import RecordsOnly

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from uringcore_cffi._handles.ring import Info
    from uringcore_cffi._loop.loop import UringEventLoop

# What is in the pipe at most; without privileges a pipe may be 1 MiB.
_CHUNK_BYTES = 1 << 20
_F_SETPIPE_SZ = 1031  # fcntl.F_SETPIPE_SZ from Python 3.10 on


class FileSender(RecordsOnly):
    """One file on its way to one socket, from ``offset`` on; the endpoint of its splices.

    At most one splice is in flight. The duplicates are open until close(), or until the loop is
    closed, but never closed before that splice has ended.
    """

    def __init__(self, loop: UringEventLoop, sock: Any, fileno: int, offset: int) -> None:
        self.sent = 0
        self._loop = loop
        self._offset = offset
        self._result = 0
        self._in_flight = False
        self._operation = 0  # what cancel() takes
        self._waiter: asyncio.Future[None] | None = None
        self._given_up = False  # close() was called; what is in flight is still to end
        self._is_inherited = False  # this is a forked child: the parent goes on sending
        self._numbers: list[int] = []
        self._cookie = loop._next_cookie()
        try:
            self._numbers += os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
            self._numbers.append(os.dup(fileno))
            self._numbers.append(os.dup(sock.fileno()))
        except OSError:
            self._close_numbers()
            raise
        try:
            fcntl.fcntl(self._numbers[1], _F_SETPIPE_SZ, _CHUNK_BYTES)
        except OSError:
            pass  # smaller chunks then
        loop._endpoints[self._cookie] = self

    async def send(
        self,
        count: int | None,
        writable: Callable[[], Awaitable[None]],
        check: Callable[[], None],
    ) -> None:
        """Send ``count`` bytes, or up to the end of the file.

        ``writable()`` waits for room; ``check()`` raises if nothing more is to be sent.
        """
        reader, writer, file, sock = self._numbers
        while count is None or self.sent < count:
            wanted = _CHUNK_BYTES if count is None else min(_CHUNK_BYTES, count - self.sent)
            held = await self._splice(file, self._offset + self.sent, writer, wanted)
            if held == 0:
                return
            while held:
                check()
                try:
                    held -= await self._splice(reader, OFFSET_CURRENT, sock, held)
                except BlockingIOError:
                    await writable()

    async def _splice(self, source: int, offset: int, target: int, count: int) -> int:
        self._result = 0
        self._in_flight = True  # before it is: an interrupt may keep the answer from us
        answer = self._loop._ring.splice(
            source, offset, target, OFFSET_CURRENT, count, self._cookie
        )
        if answer < 0:
            self._in_flight = False
            raise answer_error(answer, "uc_op_splice")
        self._operation = answer
        try:
            await self._ended()
        finally:
            if offset == OFFSET_CURRENT and self._result > 0:  # out of the pipe, so to the socket
                self.sent += self._result
        if self._result < 0:
            raise result_error(self._result)
        return self._result

    async def _ended(self) -> None:
        """Wait for the result. A cancellation is raised when the kernel has let go, not before."""
        cancelled: tuple[Any, ...] | None = None  # raised anew, as in fs/engine.py
        while self._in_flight:
            self._waiter = self._loop.create_future()
            try:
                await self._waiter
            except asyncio.CancelledError as exc:
                cancelled = exc.args
                self._loop._ring.cancel(self._operation)
        if cancelled is not None:
            raise asyncio.CancelledError(*cancelled)
        if self._is_inherited:
            raise asyncio.CancelledError

    def close(self) -> None:
        """Move the file's position, and close the duplicates when the kernel has let go of them."""
        if self.sent and self._numbers:
            # Both share it; the file's own number may be another's by now.
            os.lseek(self._numbers[2], self._offset + self.sent, os.SEEK_SET)
        if self._in_flight:
            self._given_up = True
            self._loop._ring.cancel(self._operation)
        else:
            self._release()

    def _release(self) -> None:
        self._close_numbers()
        self._loop._endpoints.pop(self._cookie, None)

    def _close_numbers(self) -> None:
        while self._numbers:
            os.close(self._numbers.pop())

    def on_record(self, following: int, kind: int, result: int, flags: int, offset: int) -> None:
        """Keep the result and wake who waits for it; may be done again."""
        self._result = result
        self._in_flight = False
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
        if self._given_up:
            self._release()
        self._loop._cursor = following

    def loop_closed(self) -> None:
        """Close the duplicates: the ring was freed, the kernel has let go of everything."""
        self._in_flight = False
        self._close_numbers()

    def forked(self) -> None:
        """Send no more, and leave the file's position, which is the parent's as well."""
        self._is_inherited = True
        self.loop_closed()


class SendfileMethods:
    """What BaseEventLoop asks for to send files."""

    _info: Info
    _wait_ready: Callable[..., Any]

    async def _sock_sendfile_native(
        self, sock: socket.socket, file: Any, offset: int, count: int | None
    ) -> int:
        return await self._send_file(
            sock, file, offset, count, lambda: self._wait_ready(sock, select.POLLOUT), _go_on
        )

    async def _sendfile_native(
        self, transport: Any, file: Any, offset: int, count: int | None
    ) -> int:
        transport._claim_sendfile()
        was_reading = transport.is_reading()
        try:
            transport.pause_reading()
            await transport._begin_sendfile()
            return await self._send_file(
                transport._sock,
                file,
                offset,
                count,
                transport._wait_writable,
                transport._check_sendfile,
            )
        finally:
            transport._end_sendfile()
            if was_reading:
                transport.resume_reading()

    async def _send_file(
        self,
        sock: Any,
        file: Any,
        offset: int,
        count: int | None,
        writable: Callable[[], Awaitable[None]],
        check: Callable[[], None],
    ) -> int:
        """Send as asyncio does: what was sent moves the file's position, also after a failure."""
        if self._info.restriction is not None:
            raise SendfileNotAvailableError("the loop is restricted: its ring may touch no file")
        fileno, size = _regular_file(file)
        if not (count or size):
            return 0
        sender = FileSender(self, sock, fileno, offset)  # type: ignore[arg-type]
        try:
            await sender.send(count, writable, check)
        except OSError as exc:
            if sender.sent == 0:
                raise SendfileNotAvailableError(f"the kernel cannot splice this: {exc}") from exc
            raise
        finally:
            sender.close()
        return sender.sent


def _go_on() -> None:
    """Nobody ends the user's own socket behind the back of its sender."""


def _regular_file(file: Any) -> tuple[int, int]:
    """Return number and size of a regular file; SendfileNotAvailableError for all else."""
    try:
        fileno = file.fileno()
        status = os.fstat(fileno)
    except (AttributeError, io.UnsupportedOperation, OSError) as exc:
        raise SendfileNotAvailableError("not a regular file") from exc
    if not stat.S_ISREG(status.st_mode):
        raise SendfileNotAvailableError("not a regular file")
    return fileno, status.st_size
