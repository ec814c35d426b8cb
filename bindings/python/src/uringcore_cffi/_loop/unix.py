"""Unix sockets, TLS, pipes, names: asyncio's own code over this loop's engine.

create_unix_connection() and create_unix_server() are the very functions of the asyncio that runs:
arguments, checks and messages are those of its version.
"""

from __future__ import annotations

import asyncio
import os
import socket
from asyncio.log import logger
from typing import Any, Callable

from uringcore_cffi._loop.compat import (
    ReadPipeTransport,
    SSLProtocol,
    UnixSelectorEventLoop,
    WritePipeTransport,
)
from uringcore_cffi.transports.stream import SocketTransport


class UnixMethods(asyncio.BaseEventLoop):
    """What asyncio keeps in its loop for Unix."""

    create_unix_connection = UnixSelectorEventLoop.create_unix_connection
    create_unix_server = UnixSelectorEventLoop.create_unix_server

    # By listening socket: the inode of the path it is bound to (create_unix_server of 3.13).
    _unix_server_sockets: dict[socket.socket, int]
    _ensure_fd_no_transport: Callable[[Any], None]
    _getaddrinfo_debug: Callable[..., list[Any]]
    _debug: bool

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

    def _make_ssl_transport(
        self,
        rawsock: socket.socket,
        protocol: asyncio.BaseProtocol,
        sslcontext: Any,
        waiter: asyncio.Future[None] | None = None,
        *,
        server_side: bool = False,
        server_hostname: str | None = None,
        extra: dict[str, Any] | None = None,
        server: Any = None,
        **timeouts: float | None,
    ) -> Any:
        """Put asyncio's TLS between a new transport and the protocol; return what it talks to."""
        self._ensure_fd_no_transport(rawsock)
        tls = SSLProtocol(
            self, protocol, sslcontext, waiter, server_side, server_hostname, **timeouts
        )
        SocketTransport(self, rawsock, tls, extra=extra, server=server)  # type: ignore[arg-type]
        return tls._app_transport

    def _make_read_pipe_transport(
        self,
        pipe: Any,
        protocol: asyncio.BaseProtocol,
        waiter: asyncio.Future[None] | None = None,
        extra: dict[str, Any] | None = None,
    ) -> Any:
        return ReadPipeTransport(self, pipe, protocol, waiter, extra)

    def _make_write_pipe_transport(
        self,
        pipe: Any,
        protocol: asyncio.BaseProtocol,
        waiter: asyncio.Future[None] | None = None,
        extra: dict[str, Any] | None = None,
    ) -> Any:
        return WritePipeTransport(self, pipe, protocol, waiter, extra)

    async def getaddrinfo(
        self,
        host: Any,
        port: Any,
        *,
        family: int = 0,
        type: int = 0,  # noqa: A002 - asyncio's name
        proto: int = 0,
        flags: int = 0,
    ) -> list[Any]:
        """As asyncio's; what needs no resolver is answered here instead of in a thread."""
        if _needs_no_resolver(host) and _needs_no_resolver(port):
            ask = self._getaddrinfo_debug if self._debug else socket.getaddrinfo
            numeric = flags | socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
            try:
                return ask(host, port, family, type, proto, numeric)
            except socket.gaierror as exc:
                if exc.errno not in (socket.EAI_NONAME, socket.EAI_SERVICE):
                    raise
        return await super().getaddrinfo(
            host, port, family=family, type=type, proto=proto, flags=flags
        )

    async def getnameinfo(self, sockaddr: Any, flags: int = 0) -> tuple[str, str]:
        """As asyncio's; what needs no resolver is answered here instead of in a thread."""
        numeric = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV
        known = isinstance(sockaddr, tuple) and sockaddr and _needs_no_resolver(sockaddr[0])
        if known and flags & numeric == numeric:
            return socket.getnameinfo(sockaddr, flags)
        return await super().getnameinfo(sockaddr, flags)


def _needs_no_resolver(text: Any) -> bool:
    """Tell whether a host or a port can only be a number, or is left out."""
    if text is None or isinstance(text, int):
        return True
    if isinstance(text, bytes):
        text = text.decode("latin-1")
    return isinstance(text, str) and (text == "" or text[-1].isdigit() or ":" in text)
