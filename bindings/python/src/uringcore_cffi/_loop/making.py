"""Making transports: what BaseEventLoop asks of a loop whenever there is one to be made.

Where the ring would gain nothing, asyncio's own code does the work over this loop's engine: TLS,
pipes, and create_unix_connection(), whose arguments, checks and messages are then those of the
version that runs.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any, Callable

from uringcore_cffi._loop.compat import (
    ReadPipeTransport,
    UnixSelectorEventLoop,
    WritePipeTransport,
)
from uringcore_cffi.transports.datagram import make_datagram_transport
from uringcore_cffi.transports.stream import SocketTransport
from uringcore_cffi.transports.tls import TLSProtocol

if TYPE_CHECKING:
    import asyncio
    import weakref


class MakingMethods:
    """The hooks of BaseEventLoop that make transports."""

    _ensure_fd_no_transport: Callable[[Any], None]
    _direct_writers: weakref.WeakSet[Any]

    create_unix_connection = UnixSelectorEventLoop.create_unix_connection

    def _make_socket_transport(
        self,
        sock: socket.socket,
        protocol: asyncio.BaseProtocol,
        waiter: asyncio.Future[None] | None = None,
        *,
        extra: dict[str, Any] | None = None,
        server: Any = None,
    ) -> SocketTransport:
        self._ensure_fd_no_transport(sock)
        return SocketTransport(self, sock, protocol, waiter, extra, server)  # type: ignore[arg-type]

    def _make_datagram_transport(
        self,
        sock: socket.socket,
        protocol: asyncio.BaseProtocol,
        address: Any = None,
        waiter: asyncio.Future[None] | None = None,
        extra: dict[str, Any] | None = None,
    ) -> asyncio.DatagramTransport:
        self._ensure_fd_no_transport(sock)
        return make_datagram_transport(self, sock, protocol, address, waiter, extra)  # type: ignore[arg-type]

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
        """Put TLS between a new transport and the protocol; return what it talks to."""
        self._ensure_fd_no_transport(rawsock)
        tls = TLSProtocol(
            self, protocol, sslcontext, waiter, server_side, server_hostname, **timeouts
        )
        SocketTransport(self, rawsock, tls, extra=extra, server=server)  # type: ignore[arg-type]
        return tls._app_transport

    def _make_read_pipe_transport(self, *args: Any, **kwargs: Any) -> asyncio.ReadTransport:
        return ReadPipeTransport(self, *args, **kwargs)  # type: ignore[no-any-return]

    def _make_write_pipe_transport(self, *args: Any, **kwargs: Any) -> asyncio.WriteTransport:
        transport: asyncio.WriteTransport = WritePipeTransport(self, *args, **kwargs)
        self._direct_writers.add(transport)
        return transport
