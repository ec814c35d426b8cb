"""Listening sockets: what asyncio.base_events.Server asks of a loop.

create_unix_server() is the very function of the asyncio that runs.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from asyncio.log import logger
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, Callable

from uringcore_cffi._ffi.errors import answer_error, result_error
from uringcore_cffi._handles.events import ACCEPT, CLOSED
from uringcore_cffi._handles.fd import Fd
from uringcore_cffi._loop.compat import (
    ACCEPT_RETRY_DELAY,
    TLS_TIMEOUTS,
    TransportSocket,
    UnixSelectorEventLoop,
    is_tcp,
)
from uringcore_cffi._loop.endpoint import RecordsOnly
from uringcore_cffi.transports.stream import SocketTransport

if TYPE_CHECKING:
    from uringcore_cffi._loop.loop import UringEventLoop

_OUT_OF_RESOURCES = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Listener(RecordsOnly):
    """The endpoint of one listening socket."""

    def __init__(
        self,
        loop: UringEventLoop,
        protocol_factory: Callable[[], Any],
        sock: socket.socket,
        server: Any,
        tls: dict[str, Any] | None = None,
    ) -> None:
        """Start accepting on ``sock``; ``tls``: what to pass on to _make_ssl_transport()."""
        self._loop = loop
        self._protocol_factory = protocol_factory
        self._sock = sock
        self._server = server
        self._tls = tls
        self._context = copy_context()
        # A connection being wrapped: kept, so that an interrupt cannot lose or close it.
        self._wrapping: socket.socket | None = None
        # What accepted sockets are; read once, because socket's properties make an enum each time.
        self._kind = (int(sock.family), sock.type | socket.SOCK_NONBLOCK, sock.proto)
        self._is_tcp = is_tcp(sock)
        self._retry: Any = None
        fd, _ = loop._attach_socket(sock, self)
        self._fd: Fd | None = fd
        self._start()

    def _start(self) -> None:
        if self._fd is None:
            return
        answer = self._fd.accept_start()
        if answer not in (0, -errno.EALREADY):
            raise answer_error(answer, "uc_fd_accept_start")
        self._loop._submit_outside_turn()

    def stop(self) -> None:
        """Accept no more. On return the port is free once the socket is closed."""
        fd, self._fd = self._fd, None
        if self._retry is not None:
            self._retry.cancel()
        if fd is None:
            return
        self._loop._own_thread()
        self._loop._detach_fileno(fd)

    def on_record(self, following: int, kind: int, result: int, flags: int, offset: int) -> None:
        """Take an accepted connection, or the reason why there is none."""
        if kind == ACCEPT and result >= 0:
            self._on_accept(following, result)
        elif kind == ACCEPT:
            self._on_error(following, result_error(result))
        elif kind != CLOSED:
            raise RuntimeError(f"unexpected record of kind {kind} for {self._sock!r}")

    def _on_accept(self, following: int, fileno: int) -> None:
        loop = self._loop
        conn = self._wrapping
        if conn is None:
            conn = self._wrapping = socket.socket.__new__(socket.socket)
        if conn.fileno() != fileno:
            # With the kind of socket known, no system call is needed to find it out.
            conn.__init__(*self._kind, fileno)  # type: ignore[misc]
        handle = loop._internal_handle(self._connect, (conn,), self._context)
        loop._ready += (handle,)
        self._wrapping = None
        loop._cursor = following

    def _connect(self, conn: socket.socket) -> None:
        """Make protocol and transport of a new connection."""
        loop = self._loop
        if loop.get_debug():
            logger.debug("%r got a new connection: %r", self._server, conn)
        protocol = None
        # Accepted before the server was closed, it is not lost; a closed server counts no more.
        server = self._server if self._fd is not None else None
        try:
            protocol = self._protocol_factory()
            if self._tls is None:
                SocketTransport(loop, conn, protocol, server=server, is_tcp=self._is_tcp)
            else:
                self._connect_tls(conn, protocol, server)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as exc:
            conn.close()
            self._connect_failed(exc, protocol)

    def _connect_tls(self, conn: socket.socket, protocol: Any, server: Any) -> None:
        loop = self._loop
        waiter = loop.create_future()
        transport = loop._make_ssl_transport(
            conn, protocol, waiter=waiter, server_side=True, server=server, **self._tls or {}
        )

        def on_handshake(waiter: asyncio.Future[None]) -> None:
            exc = None if waiter.cancelled() else waiter.exception()
            if exc is not None:
                transport.close()
                self._connect_failed(exc, protocol, transport)

        waiter.add_done_callback(on_handshake)

    def _connect_failed(self, exc: BaseException, protocol: Any, transport: Any = None) -> None:
        """Tell of a connection that could not be served, in debug mode as asyncio does."""
        if self._loop.get_debug():
            context = {
                "message": "Error on transport creation for incoming connection",
                "exception": exc,
            }
            if protocol is not None:
                context["protocol"] = protocol
            if transport is not None:
                context["transport"] = transport
            self._loop.call_exception_handler(context)

    def _on_error(self, following: int, exc: OSError) -> None:
        """Try again, later if resources ran out, and say why accepting ended."""
        if self._fd is None:
            return
        if exc.errno == errno.ECONNABORTED:
            self._start()
            return
        message = "socket.accept() failed"
        if exc.errno in _OUT_OF_RESOURCES:
            message = "socket.accept() out of system resource"
        self._retry = self._loop.call_later(ACCEPT_RETRY_DELAY, self._start)
        self._loop._cursor = following
        self._loop.call_exception_handler(
            {"message": message, "exception": exc, "socket": TransportSocket(self._sock)}
        )

    def loop_closed(self) -> None:
        """Close the listening socket."""
        self._fd = None
        if self._wrapping is not None:
            self._wrapping.close()
        self._sock.close()

    def forked(self) -> None:
        """Stop in a child; the socket is still there to be served by a loop of its own."""
        self._fd = None
        if self._retry is not None:
            self._retry.cancel()
        if self._wrapping is not None:
            self._wrapping.detach()  # the record that tells of it will be dropped, and closes it


class ServerMethods:
    """The hooks of BaseEventLoop that serve."""

    create_unix_server = UnixSelectorEventLoop.create_unix_server

    _closed: bool
    _listeners: dict[int, Listener]  # by descriptor
    # By listening socket: the inode of the path it is bound to (create_unix_server of 3.13).
    _unix_server_sockets: dict[socket.socket, int]

    def _start_serving(
        self,
        protocol_factory: Callable[[], Any],
        sock: socket.socket,
        sslcontext: Any = None,
        server: Any = None,
        backlog: int = 100,
        *timeouts: float | None,
    ) -> None:
        """Accept connections on a listening socket."""
        tls = None
        if sslcontext is not None:
            tls = {"sslcontext": sslcontext, **dict(zip(TLS_TIMEOUTS, timeouts))}
        self._listeners[sock.fileno()] = Listener(self, protocol_factory, sock, server, tls)  # type: ignore[arg-type]

    def _stop_serving(self, sock: socket.socket) -> None:
        """Accept no more and close the listening socket: its port is free on return."""
        listener = self._listeners.pop(sock.fileno(), None)
        path = sock.getsockname() if sock in self._unix_server_sockets else None
        if listener is not None and not self._closed:
            listener.stop()
        sock.close()
        if path is not None:
            self._unlink_unix_path(sock, path)

    def _unlink_unix_path(self, sock: socket.socket, path: Any) -> None:
        """Remove the path that a server's socket was bound to, unless it is another's by now."""
        inode = self._unix_server_sockets.pop(sock)
        try:
            if os.stat(path).st_ino == inode:
                os.unlink(path)
        except FileNotFoundError:
            pass
        except OSError as exc:
            logger.error("Unable to clean up listening UNIX socket %r: %r", path, exc)
