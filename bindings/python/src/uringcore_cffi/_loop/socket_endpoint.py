"""What the loop knows of a socket that belongs to the user: who waits for what.

No byte is lost by cancelling or put out of order: what has come lies in the endpoint's stash until
the coroutine that is first in the queue has run and taken it; its future only wakes it. What
comes after a cancellation is held by libuc for the next receive.
"""

from __future__ import annotations

import asyncio
import errno
import select
import socket
import weakref
from collections import deque
from typing import TYPE_CHECKING, Any, Callable

from uringcore_cffi._ffi.errors import answer_error, result_error
from uringcore_cffi._handles.events import CLOSED, POLL, RECV
from uringcore_cffi._handles.fd import CLOSE_ABORT, CLOSE_KEEP, CLOSE_NOW, Fd
from uringcore_cffi._handles.lease import Lease
from uringcore_cffi._loop.compat import hold_socket, let_go_of_socket
from uringcore_cffi._loop.endpoint import RecordsOnly

if TYPE_CHECKING:
    from uringcore_cffi._loop.loop import UringEventLoop

WOULD_BLOCK = (BlockingIOError, InterruptedError)
_RECV_MAX = 2**31 - 4096
# What a receiver asks for, instead of a number of bytes, that takes whatever comes, as a lease.
_A_LEASE = 0


def _no_socket() -> None:
    """Stand in for the reference to a socket that is gone."""


class SocketEndpoint(RecordsOnly):
    """What the loop knows of one socket that belongs to the user.

    Attached at first need and kept: attaching costs more than receiving.
    """

    def __init__(self, loop: UringEventLoop, sock: socket.socket) -> None:
        self._loop = loop
        self.socket: Callable[[], socket.socket | None] = weakref.ref(sock)
        self.fileno = sock.fileno()
        # Only of streams libuc may receive ahead: what it keeps of a datagram has no address.
        self.is_stream = sock.type == socket.SOCK_STREAM
        self.fd: Fd = loop._attach_fileno(self.fileno, self)
        # (future, how many bytes are wanted), first come, first served; the coroutine leaves itself
        self._receivers: deque[tuple[asyncio.Future[None], int]] = deque()
        self._pollers: dict[int, deque[asyncio.Future[None]]] = {}
        self.stash: deque[bytes | Lease] = deque()
        self._end: int | None = None  # 0 or an error: comes behind the stash, once
        self.ended = False  # libuc has reported an end, and will report nothing more
        self._armed = False  # libuc is to receive
        self._cancelled = False  # a receive was called off: libuc may hold its data
        self._leaving: list[asyncio.Future[None]] | None = None  # who waits for CLOSED

    def holds_data(self) -> bool:
        """Tell whether data that came earlier must be received before the socket is read."""
        if self.stash or self._receivers or self._end is not None:
            return True
        if self._cancelled:
            status = self.fd.status()
            self._cancelled = bool(status.in_flight or status.undelivered_bytes)
        return self._cancelled

    def kept(self) -> list[bytes | Lease | OSError]:
        """Return what has come and was not taken; not the end, which the kernel tells again."""
        kept: list[bytes | Lease | OSError] = list(self.stash)
        if self._end is not None and self._end < 0:
            kept.append(result_error(self._end))
        return kept

    async def recv_lease(self, sock: socket.socket) -> Lease:
        """Receive what there is through the ring, without a copy if it has not come before."""
        data = await self.recv(sock, _A_LEASE)
        return data if isinstance(data, Lease) else Lease(data)

    async def recv(self, sock: socket.socket, count: int) -> Any:
        """Receive at most ``count`` bytes, 1 or more, or _A_LEASE, through the ring."""
        if not self._receivers and (self.stash or self._end is not None):
            return self._take(count) or b""
        future: asyncio.Future[None] = self._loop.create_future()
        self._receivers.append((future, count))
        hold_socket(sock)
        try:
            try:
                if self._is_first(future):
                    self._serve_first()
                await future
                if not self._is_first(future):
                    raise asyncio.CancelledError  # by cancel_waiters(), after it was woken
                data = self._take(count)
            finally:
                self._leave_queue(future)
            while data is None:
                # libuc has reported an end already, but the socket was connected anew.
                await self._loop._wait_ready(sock, select.POLLIN)
                try:
                    data = sock.recv(count or self._loop._ring.pool.buffer_bytes)
                except WOULD_BLOCK:
                    continue
            return data
        finally:
            let_go_of_socket(sock)

    def _is_first(self, future: asyncio.Future[None]) -> bool:
        return bool(self._receivers) and self._receivers[0][0] is future

    def _take(self, count: int) -> bytes | Lease | None:
        """Take what the first receiver is to get; None: nothing has come."""
        if not self.stash:
            end, self._end = self._end, None
            if end is not None and end < 0:
                raise result_error(end)
            return None if end is None else b""
        data = self.stash[0]
        if isinstance(data, Lease) and count != _A_LEASE:
            lease, data = data, bytes(data)
            self.stash[0] = data
            lease.release()
        if len(data) <= count or count == _A_LEASE:
            del self.stash[0]
            return data
        assert isinstance(data, bytes)
        self.stash[0] = data[count:]
        return data[:count]

    def _serve_first(self) -> None:
        """Wake the first receiver if there is something for it, or let libuc receive for it."""
        if self.stash or self._end is not None:
            self._wake_first()
            return
        future, count = self._receivers[0]
        answer = self.fd.recv_once(min(count or _RECV_MAX, _RECV_MAX))
        if answer in (0, -errno.EALREADY):
            self._armed = True
        elif answer == -errno.ENOTCONN:
            self._wake_first()
        elif not future.done():
            future.set_exception(answer_error(answer, "uc_fd_recv_once"))

    def _wake_first(self) -> None:
        """May be done again. If the first is cancelled, it wakes the next when it leaves."""
        if self._receivers:
            future = self._receivers[0][0]
            if not future.done():
                future.set_result(None)

    def _leave_queue(self, future: asyncio.Future[None]) -> None:
        """Let the next receiver be first."""
        if not self._is_first(future):
            self._receivers = deque(item for item in self._receivers if item[0] is not future)
            return
        del self._receivers[0]
        if self._armed:
            # Called off also if others wait: they may want less at a time.
            self.fd.recv_stop()
            self._loop._ring.hold_files()  # before the owner can close
            self._armed = False
            self._cancelled = True
        if self._receivers:
            self._serve_first()

    def _on_recv(self, following: int, result: int, flags: int, offset: int) -> None:
        loop = self._loop
        data: bytes | Lease = b""
        if result > 0 and self._receivers and self._receivers[0][1] == _A_LEASE:
            data = loop._keep(following, flags, offset, result)
        elif result > 0:
            data = loop._memory[offset : offset + result]
        self._wake_first()
        # From here to the commit without a call.
        self._armed = False
        if result > 0:
            self.stash += (data,)
        else:
            self._end = result
            self.ended = True
        loop._cursor = following

    async def wait_ready(self, sock: socket.socket, event: int) -> None:
        """Wait until ``sock`` is ready for ``event`` (select.POLLIN or select.POLLOUT)."""
        future: asyncio.Future[None] = self._loop.create_future()
        waiting = self._pollers.setdefault(event, deque())
        waiting.append(future)
        hold_socket(sock)
        try:
            self._arm_poll()
            await future
            if self._pollers.get(event) is not waiting:
                raise asyncio.CancelledError  # in a forked child, after it was woken in the parent
        finally:
            if future in waiting:
                waiting.remove(future)
                self._arm_poll()
                self._loop._ring.hold_files()  # before the owner can close
            let_go_of_socket(sock)

    def _arm_poll(self) -> None:
        mask = 0
        for event, waiting in self._pollers.items():
            mask |= event if waiting else 0
        if self.fd.free_already():
            return
        answer = self.fd.poll(mask) if mask else self.fd.poll_stop()
        if answer not in (0, -errno.EALREADY):
            raise answer_error(answer, "uc_fd_poll")

    def _on_poll(self, following: int, result: int) -> None:
        # All of it may be done again until the commit.
        for event, waiting in self._pollers.items():
            if result < 0 or result & (event | select.POLLERR | select.POLLHUP):
                for future in waiting:
                    if not future.done():
                        future.set_result(None)
                waiting.clear()
        if any(self._pollers.values()):
            self._arm_poll()
        self._loop._cursor = following

    def release(self) -> None:
        """Give the descriptor back: its owner has closed it, the number may be another's now.

        May be done again. Should the kernel not let go in time, the endpoint stays known.
        """
        self.cancel_waiters()
        self.socket = _no_socket
        answer = self.fd.close(CLOSE_KEEP | CLOSE_ABORT | CLOSE_NOW)
        if answer not in (-errno.EAGAIN, -errno.EALREADY):
            self._forget()
        elif self._leaving is None:
            self._leaving = []

    async def released(self) -> None:
        """Wait until the kernel has let go of a descriptor that release() could not give back."""
        if self._leaving is not None:
            future: asyncio.Future[None] = self._loop.create_future()
            self._leaving.append(future)
            await future

    def _forget(self) -> None:
        self.fd.free()
        for future in self._leaving or ():
            if not future.done():
                future.set_result(None)
        if self._loop._sockets.get(self.fileno) is self:
            del self._loop._sockets[self.fileno]
        self._loop._endpoints.pop(self.fd.cookie, None)

    def on_record(self, following: int, kind: int, result: int, flags: int, offset: int) -> None:
        """Wake who waits for it."""
        if kind == RECV:
            self._on_recv(following, result, flags, offset)
        elif kind == POLL:
            self._on_poll(following, result)
        elif kind == CLOSED:
            self._forget()
        else:
            raise RuntimeError(f"unexpected record of kind {kind} for a user's socket")

    def cancel_waiters(self) -> None:
        """Cancel every operation that is pending."""
        for future, _ in self._receivers:
            future.cancel()
        self._receivers.clear()
        for waiting in self._pollers.values():
            for poller in waiting:
                poller.cancel()
            waiting.clear()

    def loop_closed(self) -> None:
        """Forget the socket; it is the user's to close."""
        self._receivers.clear()
        self._pollers.clear()
        self.stash.clear()
        self._end = None

    def forked(self) -> None:
        """Have nobody go on in a child; those who were woken already are cancelled."""
        for waiting in self._pollers.values():
            waiting.clear()
        self._pollers = {}
        self.loop_closed()
