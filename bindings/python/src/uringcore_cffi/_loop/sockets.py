"""sock_recv, sock_recv_into, sock_sendall, sock_connect, sock_accept: the user's own sockets.

The system call is tried first; only what would block goes to the ring. Receiving is done by
completion into the pool and copied out, so a cancelled sock_recv_into() never writes late.
Everything else waits for readiness and then makes the call in the coroutine itself, so a
cancelled coroutine has taken nothing and sent nothing that nobody knows of.

No byte is lost by cancelling: what completed although nobody waits any more is the next
receive's, whether libuc holds it (it came after the cancellation), the stash of the endpoint (it
was in the same batch) or the future of a task that was cancelled after the result was set.
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
from uringcore_cffi._handles.fd import Fd
from uringcore_cffi._loop.compat import check_ssl_socket, hold_socket, let_go_of_socket

if TYPE_CHECKING:
    from uringcore_cffi._loop.loop import UringEventLoop

_WOULD_BLOCK = (BlockingIOError, InterruptedError)
_RECV_MAX = 2**31 - 4096
# How many sockets may stay attached before those that are gone are looked for.
SWEEP_MIN_SOCKETS = 64


class SocketEndpoint:
    """What the loop knows of one socket that belongs to the user.

    Attached at first need and kept: attaching costs more than receiving.
    """

    receive = None

    def __init__(self, loop: UringEventLoop, sock: socket.socket) -> None:
        self._loop = loop
        self.socket = weakref.ref(sock)
        self.fileno = sock.fileno()
        self.fd: Fd = loop._attach_fileno(self.fileno, self)
        # (future, how many bytes are wanted), first come, first served
        self._receivers: deque[tuple[asyncio.Future[bytes], int]] = deque()
        self._pollers: dict[int, deque[asyncio.Future[None]]] = {}
        self.stash: deque[bytes] = deque()
        self._cancelled = False  # a receive was called off: libuc may hold its data

    def holds_data(self) -> bool:
        """Tell whether data that came earlier must be received before the socket is read."""
        if self.stash or self._receivers:
            return True
        if self._cancelled:
            status = self.fd.status()
            self._cancelled = bool(status.in_flight or status.undelivered_bytes)
        return self._cancelled

    async def recv(self, sock: socket.socket, count: int) -> bytes:
        """Receive at most ``count`` bytes, 1 or more, through the ring."""
        if self.stash and not self._receivers:
            return self._take_stash(count)
        future: asyncio.Future[bytes] = self._loop.create_future()
        self._receivers.append((future, count))
        hold_socket(sock)
        try:
            if len(self._receivers) == 1:
                self._arm_recv()
            return await future
        except BaseException:
            self._recv_abandoned(future)
            raise
        finally:
            let_go_of_socket(sock)

    def _take_stash(self, count: int) -> bytes:
        data = self.stash[0]
        if len(data) <= count:
            del self.stash[0]
            return data
        self.stash[0] = data[count:]
        return data[:count]

    def _arm_recv(self) -> None:
        answer = self.fd.recv_once(min(self._receivers[0][1], _RECV_MAX))
        if answer == -errno.ENOTCONN:
            self._receive_directly()
        elif answer not in (0, -errno.EALREADY):
            raise answer_error(answer, "uc_fd_recv_once")

    def _receive_directly(self) -> None:
        """Ask the socket itself: libuc has reported its end already."""
        future, count = self._receivers.popleft()
        sock = self.socket()
        try:
            future.set_result(sock.recv(count) if sock is not None else b"")
        except OSError as exc:
            future.set_exception(exc)

    def _recv_abandoned(self, future: asyncio.Future[bytes]) -> None:
        """Call off a receive whose coroutine ends without the data."""
        if future.done() and not future.cancelled():
            if future.exception() is None and future.result():
                self.stash.appendleft(future.result())
            return
        future.cancel()
        first = bool(self._receivers) and self._receivers[0][0] is future
        self._receivers = deque(item for item in self._receivers if item[0] is not future)
        if not first or self.fd.free_already():
            return
        self.fd.recv_stop()
        self._cancelled = True
        if self._receivers:
            self._arm_recv()

    def _on_recv(self, following: int, result: int, offset: int) -> None:
        loop, receivers = self._loop, self._receivers
        while receivers and receivers[0][0].done():
            del receivers[0]
        if result >= 0:
            data = loop._memory[offset : offset + result] if result else b""
        if not receivers:
            if result > 0:
                self.stash += (data,)
            loop._cursor = following
            return
        future, count = receivers[0]
        del receivers[0]
        loop._cursor = following
        if result < 0:
            future.set_exception(result_error(result))
        elif len(data) > count:
            self.stash += (data[count:],)
            future.set_result(data[:count])
        else:
            future.set_result(data)
        if receivers:
            self._arm_recv()

    async def wait_ready(self, sock: socket.socket, event: int) -> None:
        """Wait until ``sock`` is ready for ``event`` (select.POLLIN or select.POLLOUT)."""
        future: asyncio.Future[None] = self._loop.create_future()
        waiting = self._pollers.setdefault(event, deque())
        waiting.append(future)
        hold_socket(sock)
        try:
            self._arm_poll()
            await future
        finally:
            if future in waiting:
                waiting.remove(future)
                self._arm_poll()
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
        self._loop._cursor = following
        for event, waiting in self._pollers.items():
            if result < 0 or result & (event | select.POLLERR | select.POLLHUP):
                while waiting:
                    future = waiting.popleft()
                    if not future.done():
                        future.set_result(None)
        if any(self._pollers.values()):
            self._arm_poll()

    def receive_failed(self, exc: BaseException) -> None:
        """Cannot happen: there is no receive()."""
        raise exc

    def on_record(self, following: int, kind: int, result: int, flags: int, offset: int) -> None:
        """Wake who waits for it."""
        if kind == RECV:
            self._on_recv(following, result, offset)
        elif kind == POLL:
            self._on_poll(following, result)
        elif kind != CLOSED:
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

    forked = loop_closed


class SocketMethods:
    """The sock_* methods of the loop."""

    _debug: bool
    _sockets: dict[int, SocketEndpoint]
    _transports: dict[int, Any]
    _endpoints: dict[int, Any]
    _sweep_at: int
    _ensure_resolved: Callable[..., Any]

    async def sock_recv(self, sock: socket.socket, nbytes: int) -> bytes:
        """Receive up to ``nbytes`` bytes; b"" is the end."""
        self._check_socket(sock)
        endpoint = self._known_socket(sock)
        if endpoint is None or not endpoint.holds_data():
            try:
                return sock.recv(nbytes)
            except _WOULD_BLOCK:
                if nbytes == 0:
                    return b""
        return await (endpoint or self._watch_socket(sock)).recv(sock, nbytes)

    async def sock_recv_into(self, sock: socket.socket, buf: Any) -> int:
        """Receive into a writable buffer; return how many bytes, 0 is the end."""
        self._check_socket(sock)
        endpoint = self._known_socket(sock)
        if endpoint is None or not endpoint.holds_data():
            try:
                return sock.recv_into(buf)
            except _WOULD_BLOCK:
                pass
        room = memoryview(buf).nbytes
        if room == 0:
            return 0
        data = await (endpoint or self._watch_socket(sock)).recv(sock, room)
        with memoryview(buf) as view, view.cast("B") as target:
            target[: len(data)] = data
        return len(data)

    async def sock_sendall(self, sock: socket.socket, data: Any) -> None:
        """Send everything."""
        self._check_socket(sock)
        try:
            sent = sock.send(data)
        except _WOULD_BLOCK:
            sent = 0
        with memoryview(data) as whole:
            if sent == whole.nbytes:  # not len(): items may be larger than bytes
                return
            with whole.cast("B") as view:
                while sent < len(view):
                    await self._watch_socket(sock).wait_ready(sock, select.POLLOUT)
                    try:
                        sent += sock.send(view[sent:])
                    except _WOULD_BLOCK:
                        continue

    async def sock_connect(self, sock: socket.socket, address: Any) -> None:
        """Connect to a remote address."""
        self._check_socket(sock)
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            resolved = await self._ensure_resolved(
                address, family=sock.family, type=sock.type, proto=sock.proto, loop=self
            )
            _, _, _, _, address = resolved[0]
        try:
            sock.connect(address)
            return
        except _WOULD_BLOCK:
            pass
        await self._watch_socket(sock).wait_ready(sock, select.POLLOUT)
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code != 0:
            raise OSError(code, f"Connect call failed {address}")

    async def sock_accept(self, sock: socket.socket) -> tuple[socket.socket, Any]:
        """Accept one connection; return the new socket and the peer's address."""
        self._check_socket(sock)
        while True:
            try:
                conn, address = sock.accept()
            except _WOULD_BLOCK:
                await self._watch_socket(sock).wait_ready(sock, select.POLLIN)
            else:
                conn.setblocking(False)
                return conn, address

    def _check_socket(self, sock: socket.socket) -> None:
        check_ssl_socket(sock)
        if self._debug and sock.gettimeout() != 0:
            raise ValueError("the socket must be non-blocking")

    def _ensure_fd_no_transport(self, fd: Any) -> None:
        """Refuse a descriptor that a transport uses."""
        fileno = fd
        if not isinstance(fileno, int):
            try:
                fileno = int(fileno.fileno())
            except (AttributeError, TypeError, ValueError):
                raise ValueError(f"Invalid file object: {fd!r}") from None
        transport = self._transports.get(fileno)
        if transport is not None and not transport.is_closing():
            raise RuntimeError(f"File descriptor {fd!r} is used by transport {transport!r}")

    def _known_socket(self, sock: socket.socket) -> SocketEndpoint | None:
        """Return the socket's endpoint, if it has one."""
        endpoint = self._sockets.get(sock.fileno())
        return endpoint if endpoint is not None and endpoint.socket() is sock else None

    def _watch_socket(self, sock: socket.socket) -> SocketEndpoint:
        """Return the socket's endpoint; attach it if it has none."""
        endpoint = self._known_socket(sock)
        if endpoint is None:
            self._ensure_fd_no_transport(sock)
            if len(self._sockets) >= self._sweep_at:
                self._sweep_sockets()
            self._release_fileno(sock.fileno())
            endpoint = SocketEndpoint(self, sock)  # type: ignore[arg-type]
            self._sockets[endpoint.fileno] = endpoint
        return endpoint

    def _sweep_sockets(self) -> None:
        """Detach sockets that are closed or gone."""
        for fileno, endpoint in list(self._sockets.items()):
            sock = endpoint.socket()
            if sock is None or sock.fileno() != fileno:
                self._release_fileno(fileno)
        self._sweep_at = max(SWEEP_MIN_SOCKETS, 2 * len(self._sockets))

    def _release_fileno(self, fileno: int) -> None:
        """Detach what an earlier owner of the number left attached."""
        endpoint = self._sockets.pop(fileno, None)
        if endpoint is not None:
            endpoint.cancel_waiters()
            self._endpoints.pop(endpoint.fd.cookie, None)
            endpoint.fd.free()
