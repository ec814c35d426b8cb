"""sendfile() and sock_sendfile(): from a file to a socket through a pipe, by the kernel alone.

Each chunk is spliced twice, file to pipe and pipe to socket. The kernel does it on a thread of its
own, so a slow disk stalls nobody: sendfile(2) would stall the loop. A socket without room answers
EAGAIN and is polled, so no such thread ever waits for a slow peer.

A splice looks its descriptors up late. So it gets duplicates of its own, which are closed when
the last operation has ended, whatever has become of the coroutine meanwhile.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import io
import os
import select
import socket
import stat
from typing import TYPE_CHECKING, Any, Callable

from uringcore_cffi._ffi.errors import answer_error, result_error
from uringcore_cffi._loop.compat import SendfileNotAvailableError

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from uringcore_cffi._loop.loop import UringEventLoop

# What is in the pipe at most; without privileges a pipe may be 1 MiB.
_CHUNK_BYTES = 1 << 20
_HERE = 2**64 - 1  # UC_OFFSET_CURRENT
_F_SETPIPE_SZ = 1031  # fcntl.F_SETPIPE_SZ from Python 3.10 on


class Operation:
    """The endpoint of one operation that a coroutine waits for."""

    receive = None

    def __init__(self, loop: UringEventLoop) -> None:
        self.result: int | None = None
        self._loop = loop
        self._cookie = loop._next_cookie()
        self._name = 0
        self._waiter: asyncio.Future[None] | None = None
        self._at_end: Callable[[], None] | None = None

    def submit(self, submit: Callable[..., int], *args: int) -> None:
        """Call ``submit(*args, cookie)``; raise when libuc refuses."""
        self._loop._endpoints[self._cookie] = self
        self._name = submit(*args, self._cookie)
        if self._name < 0:
            del self._loop._endpoints[self._cookie]
            raise answer_error(self._name, submit.__name__)

    async def ended(self) -> None:
        """Wait for the result. A cancellation is raised when the kernel has let go, not before."""
        cancelled = None
        while self.result is None:
            self._waiter = self._loop.create_future()
            try:
                await self._waiter
            except asyncio.CancelledError as exc:
                cancelled = exc
                self._loop._ring.cancel(self._name)
        if cancelled is not None:
            raise cancelled

    def at_end(self, call: Callable[[], None]) -> None:
        """Have ``call()`` made when the operation has ended, now if it has."""
        if self.result is None and self._name > 0:
            self._at_end = call
            self._loop._ring.cancel(self._name)
        else:
            call()

    def receive_failed(self, exc: BaseException) -> None:
        """Cannot happen: there is no receive()."""
        raise exc

    def on_record(self, following: int, kind: int, result: int, flags: int, offset: int) -> None:
        """Keep the result and wake who waits for it; may be done again."""
        self.result = result
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
        self._finish()
        self._loop._endpoints.pop(self._cookie, None)
        self._loop._cursor = following

    def _finish(self) -> None:
        if self._at_end is not None:
            self._at_end()
            self._at_end = None

    def loop_closed(self) -> None:
        """The ring was freed: the kernel has let go of everything."""
        self.result = -errno.ECANCELED
        self._finish()

    forked = loop_closed


class FileSender:
    """One file on its way to one socket, from ``offset`` on."""

    def __init__(self, loop: UringEventLoop, sock: Any, fileno: int, offset: int) -> None:
        self._loop = loop
        self._offset = offset
        self._operation = Operation(loop)
        self.sent = 0
        self._numbers: list[int] = []
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
                    moved = await self._splice(reader, _HERE, sock, held)
                except BlockingIOError:
                    await writable()
                    continue
                held -= moved

    async def _splice(self, source: int, offset: int, target: int, count: int) -> int:
        operation = self._operation = Operation(self._loop)
        operation.submit(self._loop._ring.splice, source, offset, target, _HERE, count)
        try:
            await operation.ended()
        finally:
            result = operation.result or 0
            if target == self._numbers[3] and result > 0:
                self.sent += result
        if result < 0:
            raise result_error(result)
        return result

    def close(self) -> None:
        """Close the duplicates, when the kernel has let go of them."""
        self._operation.at_end(self._close_numbers)

    def _close_numbers(self) -> None:
        while self._numbers:
            os.close(self._numbers.pop())


class SendfileMethods:
    """What BaseEventLoop asks for to send files."""

    _transports: dict[int, Any]
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
        transport.pause_reading()
        try:
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
            if sender.sent:
                os.lseek(fileno, offset + sender.sent, os.SEEK_SET)
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
