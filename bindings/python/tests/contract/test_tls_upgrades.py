"""TLS begun later, and over what is not a TCP connection of one's own: on both loops."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import sys

import pytest
from certificates import NAME
from protocols import Strict
from steps import soon, turns
from tls import HOST, Served, close, connect, until


def test_streams_are_upgraded_by_both_sides(loop, certificates):
    """loop.start_tls() on the client and on the server of a plain connection."""

    async def main():
        async def upgrade(protocol, context, **arguments):
            transport = await soon(
                loop.start_tls(protocol.transport, protocol, context, **arguments)
            )
            protocol.transport = transport
            return transport

        async with Served() as served:
            _, ours = await loop.create_connection(Strict, *served.address)
            await until(lambda: served.protocols and served.protocols[0].made.done())
            theirs = served.protocols[0]
            ours.transport.write(b"plain")
            await until(lambda: theirs.data == b"plain")
            await asyncio.gather(
                upgrade(ours, certificates.client(), server_hostname=NAME),
                upgrade(theirs, certificates.server(), server_side=True),
            )
            payload = os.urandom(300_000)
            ours.transport.write(payload)
            await until(lambda: len(theirs.data) == 300_005)
            assert theirs.data[5:] == payload
            theirs.transport.write(b"back")
            await until(lambda: ours.data == b"back")
            assert ours.transport.get_extra_info("cipher")
            await close(ours)

    loop.run_until_complete(main())


@pytest.mark.skipif(sys.version_info < (3, 11), reason="StreamWriter.start_tls() is of 3.11")
def test_stream_writers_are_upgraded(loop, certificates):
    """StreamWriter.start_tls() on the client and on the server."""

    async def serve(reader, writer):
        assert await reader.readline() == b"STARTTLS\n"
        writer.write(b"go\n")
        await writer.drain()
        await writer.start_tls(certificates.server())
        writer.write(await reader.readline())
        writer.close()
        await writer.wait_closed()

    async def main():
        server = await asyncio.start_server(serve, HOST, 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"STARTTLS\n")
        assert await soon(reader.readline()) == b"go\n"
        await soon(writer.start_tls(certificates.client(), server_hostname=NAME))
        writer.write(b"secret\n")
        assert await soon(reader.readline()) == b"secret\n"
        assert await soon(reader.read()) == b""
        writer.close()
        await soon(writer.wait_closed())
        server.close()
        await soon(server.wait_closed())

    loop.run_until_complete(main())


def test_starting_tls_is_refused_where_it_makes_no_sense(loop, certificates):
    """No context, a transport that cannot, a wrong certificate: the connection is closed."""

    async def main():
        async with Served() as served:
            _, ours = await loop.create_connection(Strict, *served.address)
            with pytest.raises(TypeError):
                await loop.start_tls(ours.transport, ours, None)
            with pytest.raises(TypeError):
                await loop.start_tls(object(), ours, certificates.client())
            await until(lambda: served.protocols and served.protocols[0].made.done())
            theirs = served.protocols[0]
            with pytest.raises(ssl.SSLError):
                await soon(
                    asyncio.gather(
                        loop.start_tls(
                            ours.transport,
                            ours,
                            certificates.client(trusting=False),
                            server_hostname=NAME,
                        ),
                        loop.start_tls(
                            theirs.transport, theirs, certificates.server(), server_side=True
                        ),
                    )
                )
            await turns(10)

    loop.run_until_complete(main())


@pytest.mark.parametrize("where", ["path", "abstract"])
def test_tls_over_unix_sockets(loop, certificates, where, tmp_path):
    """Streams over a Unix socket, both ends with TLS."""
    path = str(tmp_path / "tls")
    if where == "abstract":
        path = "\0" + path

    async def serve(reader, writer):
        writer.write(await reader.readexactly(100_000))
        await writer.drain()
        writer.close()

    async def main():
        payload = os.urandom(100_000)
        server = await asyncio.start_unix_server(serve, path, ssl=certificates.server())
        reader, writer = await asyncio.open_unix_connection(
            path, ssl=certificates.client(), server_hostname=NAME
        )
        writer.write(payload)
        assert await soon(reader.read()) == payload
        writer.close()
        await soon(writer.wait_closed())
        server.close()
        await soon(server.wait_closed())
        await turns(5)

    loop.run_until_complete(main())


def test_a_buffered_protocol_under_tls(loop, certificates):
    """get_buffer() and buffer_updated() get the plain text, in pieces of the protocol's size."""

    class Buffered(Strict, asyncio.BufferedProtocol):
        data_received = None

        def get_buffer(self, sizehint):
            self.buffer = bytearray(1000)
            return memoryview(self.buffer)  # asyncio slices it

        def buffer_updated(self, count):
            self.data += self.buffer[:count]

    async def main():
        payload = os.urandom(200_000)
        async with Served(ssl=certificates.server()) as served:
            ours, theirs = await connect(served, certificates.client(), Buffered)
            theirs.transport.write(payload)
            await until(lambda: len(ours.data) == len(payload))
            assert ours.data == payload
            await close(ours)

    loop.run_until_complete(main())


def test_an_accepted_socket_gets_tls(loop, certificates):
    """connect_accepted_socket(ssl=)."""

    async def main():
        with socket.create_server((HOST, 0)) as server:
            client = asyncio.ensure_future(
                loop.create_connection(
                    Strict, *server.getsockname(), ssl=certificates.client(), server_hostname=NAME
                )
            )
            await turns(3)
            accepted, _ = server.accept()
            _, theirs = await soon(
                loop.connect_accepted_socket(Strict, accepted, ssl=certificates.server())
            )
            _, ours = await soon(client)
            ours.transport.write(b"hello")
            await until(lambda: theirs.data == b"hello")
            await close(ours)
            await soon(theirs.lost)
            theirs.transport.close()

    loop.run_until_complete(main())
