"""What a program may ask with isinstance()."""

from __future__ import annotations

import asyncio
import os
import socket
import sys

import pytest
from certificates import NAME
from protocols import Made, Sink
from steps import soon, turns

HOST = "127.0.0.1"


def test_the_loop_is_an_event_loop(loop):
    """The abstract class and the one that libraries look for."""
    assert isinstance(loop, asyncio.AbstractEventLoop)
    assert isinstance(loop, asyncio.BaseEventLoop)


@pytest.mark.parametrize("tls", [False, True])
def test_streams_are_transports(loop, certificates, tls):
    """asyncio.Transport, so both its halves; the server is an AbstractServer."""

    async def main():
        served = Made(Sink)
        server = await loop.create_server(
            served, HOST, 0, ssl=certificates.server() if tls else None
        )
        assert isinstance(server, asyncio.AbstractServer)
        options = {"ssl": certificates.client(), "server_hostname": NAME} if tls else {}
        transport, protocol = await loop.create_connection(
            Sink, *server.sockets[0].getsockname(), **options
        )
        assert isinstance(transport, asyncio.Transport)
        assert isinstance(transport, asyncio.ReadTransport)
        assert isinstance(transport, asyncio.WriteTransport)
        assert not isinstance(transport, asyncio.DatagramTransport)
        transport.close()
        await protocol.lost
        await served[0].lost
        served[0].transport.close()
        server.close()
        await server.wait_closed()
        await turns(10)

    loop.run_until_complete(main())


def test_datagram_endpoints_are_datagram_transports(datagram_loop):
    """Both of our kinds, in every version."""
    if isinstance(datagram_loop, asyncio.SelectorEventLoop) and sys.version_info < (3, 12):
        pytest.skip("asyncio's is one from 3.12 on")

    async def main():
        transport, _ = await datagram_loop.create_datagram_endpoint(
            asyncio.DatagramProtocol, local_addr=(HOST, 0)
        )
        assert isinstance(transport, asyncio.DatagramTransport)
        transport.close()
        await turns(5)

    datagram_loop.run_until_complete(main())


def test_pipes_are_halves(loop):
    """ReadTransport and WriteTransport."""

    async def main():
        reader, writer = os.pipe()
        reading, _ = await loop.connect_read_pipe(asyncio.Protocol, os.fdopen(reader, "rb"))
        writing, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, os.fdopen(writer, "wb"))
        assert isinstance(reading, asyncio.ReadTransport)
        assert isinstance(writing, asyncio.WriteTransport)
        reading.close()
        writing.close()
        await turns(5)

    loop.run_until_complete(main())


def test_children_are_subprocess_transports(loop):
    """SubprocessTransport."""

    class Protocol(asyncio.SubprocessProtocol):
        def process_exited(self):
            exited.set_result(None)

    exited = loop.create_future()

    async def main():
        transport, _ = await loop.subprocess_exec(
            Protocol, sys.executable, "-c", "pass", stdin=None, stdout=None
        )
        assert isinstance(transport, asyncio.SubprocessTransport)
        await soon(exited)
        transport.close()
        await turns(5)

    loop.run_until_complete(main())


def test_sockets_of_transports_cannot_be_used_behind_their_back(loop):
    """get_extra_info("socket") is asyncio's TransportSocket."""

    async def main():
        ours, peer = socket.socketpair()
        with peer:
            transport, _ = await loop.create_connection(asyncio.Protocol, sock=ours)
            wrapped = transport.get_extra_info("socket")
            assert type(wrapped).__name__ == "TransportSocket"
            with pytest.raises(ValueError, match="only 0 timeout"):
                wrapped.settimeout(1)
            transport.close()
            await turns(5)

    loop.run_until_complete(main())
