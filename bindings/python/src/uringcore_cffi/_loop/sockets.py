"""The sock_* methods: the user's own sockets.

The system call is tried first; only what would block goes to the ring. A stream is received from
by completion into the pool and copied out, so a cancelled sock_recv_into() never writes late.
Everything else waits for readiness and then makes the call in the coroutine itself, so a
cancelled coroutine has taken nothing and sent nothing that nobody knows of.
"""

from __future__ import annotations

import errno
import select
import socket
from typing import Any, Callable, TypeVar

from uringcore_cffi._handles.lease import Lease
from uringcore_cffi._loop.compat import bytes_view, check_ssl_socket
from uringcore_cffi._loop.readiness import fileno_of
from uringcore_cffi._loop.socket_endpoint import WOULD_BLOCK, SocketEndpoint

_T = TypeVar("_T")

# How many sockets may stay attached before those that are gone are looked for.
SWEEP_MIN_SOCKETS = 64


class SocketMethods:
    """The sock_* methods of the loop."""

    _debug: bool
    _sockets: dict[int, SocketEndpoint]
    _transports: dict[int, Any]
    _sweep_at: int
    _ensure_resolved: Callable[..., Any]

    async def sock_recv(self, sock: socket.socket, nbytes: int) -> bytes:
        """Receive up to ``nbytes`` bytes; b"" is the end."""
        if self._debug or sock.__class__ is not socket.socket:
            self._check_socket(sock)
        endpoint = self._known_socket(sock)
        if endpoint is None or not endpoint.holds_data():
            try:
                return sock.recv(nbytes)
            except WOULD_BLOCK:
                if nbytes == 0:
                    return b""
        endpoint = endpoint or await self._watch_socket(sock)
        if endpoint.is_stream:
            data: bytes = await endpoint.recv(sock, nbytes)
            return data
        return await self._when_ready(sock, select.POLLIN, lambda: sock.recv(nbytes))

    async def sock_recv_into(self, sock: socket.socket, buf: Any) -> int:
        """Receive into a writable buffer; return how many bytes, 0 is the end."""
        if self._debug or sock.__class__ is not socket.socket:
            self._check_socket(sock)
        endpoint = self._known_socket(sock)
        if endpoint is None or not endpoint.holds_data():
            try:
                return sock.recv_into(buf)
            except WOULD_BLOCK:
                pass
        room = memoryview(buf).nbytes
        if room == 0:
            return 0
        endpoint = endpoint or await self._watch_socket(sock)
        if not endpoint.is_stream:
            return await self._when_ready(sock, select.POLLIN, lambda: sock.recv_into(buf))
        data = await endpoint.recv(sock, room)
        with memoryview(buf) as view, view.cast("B") as target:
            target[: len(data)] = data
        return len(data)

    async def sock_recv_lease(self, sock: socket.socket) -> Lease:
        """Receive from a stream what is there, where the kernel has put it; empty is the end.

        The lease is of at most one buffer (see pool_stats()). Bytes that came before, for a
        receive that was cancelled or wanted fewer, are in a lease of their own, which needs no
        buffer. Everything else is as with sock_recv(), and both can be mixed.
        """
        self._check_socket(sock)
        endpoint = self._known_socket(sock) or await self._watch_socket(sock)
        if not endpoint.is_stream:
            raise ValueError("sock_recv_lease() is for streams; use sock_recv() for datagrams")
        return await endpoint.recv_lease(sock)

    async def sock_recvfrom(self, sock: socket.socket, bufsize: int) -> tuple[bytes, Any]:
        """Receive one datagram of up to ``bufsize`` bytes, and where it came from."""
        self._check_socket(sock)
        return await self._when_ready(sock, select.POLLIN, lambda: sock.recvfrom(bufsize))

    async def sock_recvfrom_into(
        self, sock: socket.socket, buf: Any, nbytes: int = 0
    ) -> tuple[int, Any]:
        """Receive one datagram into a buffer; return its length, and where it came from."""
        self._check_socket(sock)
        nbytes = nbytes or len(buf)
        return await self._when_ready(sock, select.POLLIN, lambda: sock.recvfrom_into(buf, nbytes))

    async def sock_sendto(self, sock: socket.socket, data: Any, address: Any) -> int:
        """Send one datagram to ``address``; return its length."""
        self._check_socket(sock)
        return await self._when_ready(sock, select.POLLOUT, lambda: sock.sendto(data, address))

    async def sock_sendall(self, sock: socket.socket, data: Any) -> None:
        """Send everything."""
        if self._debug or sock.__class__ is not socket.socket:
            self._check_socket(sock)
        try:
            sent = sock.send(data)
        except WOULD_BLOCK:
            sent = 0
        if data.__class__ is bytes and sent == len(data):
            return
        with memoryview(data) as whole:
            if sent == whole.nbytes:  # not len(): items may be larger than bytes
                return
            with bytes_view(whole) as view:
                while sent < len(view):
                    await self._wait_ready(sock, select.POLLOUT)
                    try:
                        sent += sock.send(view[sent:])
                    except WOULD_BLOCK:
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
        except WOULD_BLOCK:
            pass
        await self._wait_ready(sock, select.POLLOUT)
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code != 0:
            raise OSError(code, f"Connect call failed {address}")

    async def sock_accept(self, sock: socket.socket) -> tuple[socket.socket, Any]:
        """Accept one connection; return the new socket and the peer's address."""
        self._check_socket(sock)
        conn, address = await self._when_ready(sock, select.POLLIN, sock.accept)
        conn.setblocking(False)
        return conn, address

    async def _when_ready(self, sock: socket.socket, event: int, call: Callable[[], _T]) -> _T:
        """Make a system call that may block, as soon as it does not."""
        while True:
            try:
                return call()
            except WOULD_BLOCK:
                await self._wait_ready(sock, event)

    def _check_socket(self, sock: socket.socket) -> None:
        """Refuse what is no plain socket, in debug mode also one that blocks.

        What is called for every message looks first whether there is anything to check.
        """
        check_ssl_socket(sock)
        if self._debug and sock.gettimeout() != 0:
            raise ValueError("the socket must be non-blocking")

    def _ensure_fd_no_transport(self, fd: Any) -> None:
        """Refuse a descriptor that a transport uses."""
        transport = self._transports.get(fileno_of(fd))
        if transport is not None and not transport.is_closing():
            raise RuntimeError(f"File descriptor {fd!r} is used by transport {transport!r}")

    def _known_socket(self, sock: socket.socket) -> SocketEndpoint | None:
        """Return the socket's endpoint, if it has one."""
        endpoint = self._sockets.get(sock.fileno())
        return endpoint if endpoint is not None and endpoint.socket() is sock else None

    async def _watch_socket(self, sock: socket.socket) -> SocketEndpoint:
        """Return the socket's endpoint; attach it if it has none."""
        while (endpoint := self._known_socket(sock)) is None:
            self._ensure_fd_no_transport(sock)
            if len(self._sockets) >= self._sweep_at:
                self._sweep_sockets()
            self._release_fileno(sock.fileno())
            earlier = self._sockets.get(sock.fileno())
            if earlier is None:
                endpoint = SocketEndpoint(self, sock)  # type: ignore[arg-type]
                self._sockets[endpoint.fileno] = endpoint
                return endpoint
            await earlier.released()
        return endpoint

    def _attach_now(self, sock: socket.socket) -> SocketEndpoint:
        """Attach a socket that has no endpoint, without waiting."""
        self._check_socket(sock)
        self._ensure_fd_no_transport(sock)
        self._release_fileno(sock.fileno())
        if sock.fileno() in self._sockets:
            raise BlockingIOError(
                errno.EAGAIN, "the kernel has not let go of an earlier socket of this number"
            )
        endpoint = SocketEndpoint(self, sock)  # type: ignore[arg-type]
        self._sockets[endpoint.fileno] = endpoint
        return endpoint

    async def _wait_ready(self, sock: socket.socket, event: int) -> None:
        """Wait until ``sock`` is ready for ``event`` (select.POLLIN or select.POLLOUT)."""
        await (await self._watch_socket(sock)).wait_ready(sock, event)

    def _sweep_sockets(self) -> None:
        """Detach sockets that are closed or gone."""
        for fileno, endpoint in list(self._sockets.items()):
            sock = endpoint.socket()
            if sock is None or sock.fileno() != fileno:
                self._release_fileno(fileno)
        self._sweep_at = max(SWEEP_MIN_SOCKETS, 2 * len(self._sockets))

    def _release_fileno(self, fileno: int) -> None:
        """Detach what an earlier owner of the number left attached."""
        endpoint = self._sockets.get(fileno)
        if endpoint is not None:
            endpoint.release()
