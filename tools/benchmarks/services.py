"""What a measured Python server does with its loop: the same echo through each of asyncio's APIs.

Each service listens on 127.0.0.1 or on a Unix socket and says where (``port N``, ``unix PATH``).
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from benchmarks.certificates import make_server_context

BACKLOG = 4096
READ_BYTES = 1 << 16


@dataclass(frozen=True)
class Service:
    """A service that listens."""

    address: str
    close: Callable[[], None]


class EchoProtocol(asyncio.Protocol):
    """Sends back what comes, with nothing around it."""

    transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keeps the transport."""
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass

    def data_received(self, data: bytes) -> None:
        """Sends it back."""
        self.transport.write(data)


class BufferedEchoProtocol(asyncio.BufferedProtocol):
    """The same with a buffer of its own, which is free again as soon as it was written from."""

    transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keeps the transport."""
        self.transport = cast(asyncio.Transport, transport)
        self._buffer = bytearray(READ_BYTES)
        self._view = memoryview(self._buffer)

    def get_buffer(self, sizehint: int) -> bytearray:
        """Where the next bytes go."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Sends a copy back: a transport may keep what it could not send at once."""
        self.transport.write(bytes(self._view[:nbytes]))


class DatagramEchoProtocol(asyncio.DatagramProtocol):
    """Sends each datagram back to where it came from."""

    transport: asyncio.DatagramTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keeps the transport."""
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Sends it back."""
        self.transport.sendto(data, addr)


async def echo_stream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Sends back what comes until the end."""
    try:
        while data := await reader.read(READ_BYTES):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


async def echo_socket(connection: socket.socket) -> None:
    """Sends back what comes until the end."""
    loop = asyncio.get_running_loop()
    with connection, contextlib.suppress(ConnectionError):
        while data := await loop.sock_recv(connection, READ_BYTES):
            await loop.sock_sendall(connection, data)


def _of_server(server: asyncio.AbstractServer) -> Service:
    sockets = cast(asyncio.Server, server).sockets
    return Service(f"port {sockets[0].getsockname()[1]}", server.close)


async def serve_protocol() -> Service:
    """Echo over ``asyncio.Protocol``."""
    loop = asyncio.get_running_loop()
    return _of_server(await loop.create_server(EchoProtocol, "127.0.0.1", 0, backlog=BACKLOG))


async def serve_buffered() -> Service:
    """Echo over ``asyncio.BufferedProtocol``."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(BufferedEchoProtocol, "127.0.0.1", 0, backlog=BACKLOG)
    return _of_server(server)


async def serve_streams() -> Service:
    """Echo over ``asyncio.start_server``."""
    return _of_server(await asyncio.start_server(echo_stream, "127.0.0.1", 0, backlog=BACKLOG))


async def serve_sock() -> Service:
    """Echo over ``sock_recv`` and ``sock_sendall``, with a task per connection."""
    loop = asyncio.get_running_loop()
    listener = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
    listener.setblocking(False)
    tasks: set[asyncio.Task[None]] = set()

    async def accept() -> None:
        while True:
            connection, _ = await loop.sock_accept(listener)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            task = loop.create_task(echo_socket(connection))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    accepting = loop.create_task(accept())

    def close() -> None:
        accepting.cancel()
        listener.close()

    return Service(f"port {listener.getsockname()[1]}", close)


async def serve_tls() -> Service:
    """Echo over ``asyncio.Protocol`` and TLS."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        EchoProtocol, "127.0.0.1", 0, backlog=BACKLOG, ssl=make_server_context()
    )
    return _of_server(server)


async def serve_unix() -> Service:
    """Echo over ``asyncio.Protocol`` and a Unix socket."""
    loop = asyncio.get_running_loop()
    folder = tempfile.mkdtemp(prefix="bench-")
    path = str(Path(folder) / "echo")
    server = await loop.create_unix_server(EchoProtocol, path, backlog=BACKLOG)

    def close() -> None:
        server.close()
        shutil.rmtree(folder, ignore_errors=True)

    return Service(f"unix {path}", close)


async def serve_udp() -> Service:
    """Echo over ``asyncio.DatagramProtocol``."""
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(
        DatagramEchoProtocol, local_addr=("127.0.0.1", 0)
    )
    return Service(f"port {transport.get_extra_info('sockname')[1]}", transport.close)


SERVICES: dict[str, Callable[[], Awaitable[Service]]] = {
    "protocol": serve_protocol,
    "buffered": serve_buffered,
    "streams": serve_streams,
    "sock": serve_sock,
    "tls": serve_tls,
    "unix": serve_unix,
    "udp": serve_udp,
}
