"""Servers, their ports, and connecting to them: the contract, on both loops."""

from __future__ import annotations

import asyncio
import socket

import pytest
from peers import HOST, tcp_pair
from protocols import Recorder, Strict


def test_server_closes_and_its_port_is_free_at_once(loop):
    async def main():
        server = await loop.create_server(Recorder, HOST, 0)
        address = server.sockets[0].getsockname()
        for _ in range(20):
            server.close()
            assert server.sockets == ()
            probe = socket.socket()
            with probe:
                probe.bind(address)
            await server.wait_closed()
            server = await loop.create_server(Recorder, *address, reuse_address=False)
        server.close()
        await server.wait_closed()

    loop.run_until_complete(main())


def test_port_is_free_right_after_the_loop_is_closed(loop):
    async def main():
        server = await loop.create_server(Recorder, HOST, 0)
        address = server.sockets[0].getsockname()
        server.close()
        return address

    address = loop.run_until_complete(main())
    loop.close()
    with socket.socket() as probe:
        probe.bind(address)


def test_a_port_can_be_bound_again_while_connections_are_open(loop):
    """server.close() frees the port at once; the accepted connections go on."""

    class Echo(asyncio.Protocol):
        def connection_made(self, transport):
            self.transport = transport

        def data_received(self, data):
            self.transport.write(data)

    async def main():
        server = await loop.create_server(Echo, HOST, 0)
        address = server.sockets[0].getsockname()
        peers = []
        for _ in range(5):
            reader, writer = await asyncio.open_connection(*address)
            writer.write(b"1")
            assert await reader.readexactly(1) == b"1"
            peers.append((reader, writer))
            server.close()
            server = await loop.create_server(Echo, *address)
        for reader, writer in peers:
            writer.write(b"2")
            assert await reader.readexactly(1) == b"2"
            writer.close()
            await writer.wait_closed()
        server.close()
        await server.wait_closed()

    loop.run_until_complete(main())


def test_two_servers_share_a_port(loop):
    """reuse_port: both are bound, every connection is served by one of them."""

    async def main():
        served = []

        def serving(name):
            async def serve(reader, writer):
                served.append(name)
                writer.write(await reader.readexactly(1))
                writer.close()

            return serve

        first = await asyncio.start_server(serving("first"), HOST, 0, reuse_port=True)
        address = first.sockets[0].getsockname()
        second = await asyncio.start_server(serving("second"), *address, reuse_port=True)
        for _ in range(60):
            reader, writer = await asyncio.open_connection(*address)
            writer.write(b"x")
            assert await reader.read() == b"x"
            writer.close()
            await writer.wait_closed()
        assert set(served) == {"first", "second"}
        assert len(served) == 60
        for server in (first, second):
            server.close()
            await server.wait_closed()

    loop.run_until_complete(main())


def test_a_bound_port_is_refused_to_others(loop):
    """OSError that names the address."""

    async def main():
        server = await loop.create_server(Strict, HOST, 0)
        host, port = server.sockets[0].getsockname()
        with pytest.raises(OSError, match=str(port)):
            await loop.create_server(Strict, host, port)
        server.close()
        await server.wait_closed()

    loop.run_until_complete(main())


def test_a_given_socket_is_served(loop):
    """create_server(sock=) with start_serving=False begins when it is told to."""

    async def main():
        listener = socket.socket()
        listener.bind((HOST, 0))
        server = await loop.create_server(Strict, sock=listener, start_serving=False)
        assert not server.is_serving()
        await server.start_serving()
        assert server.is_serving()
        with socket.create_connection(listener.getsockname()) as peer:
            peer.settimeout(20)
            peer.sendall(b"x")
            server.close()
            assert not server.is_serving()
        assert listener.fileno() == -1

    loop.run_until_complete(main())


def test_serve_forever_ends_when_it_is_cancelled(loop):
    """The server is closed then."""

    async def main():
        server = await loop.create_server(Strict, HOST, 0)
        task = loop.create_task(server.serve_forever())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not server.is_serving()

    loop.run_until_complete(main())


def test_a_refused_connection_is_an_error(loop):
    """ConnectionRefusedError, and the factory is never called."""

    async def main():
        with socket.socket() as holder:
            holder.bind((HOST, 0))
            with pytest.raises(ConnectionRefusedError):
                await loop.create_connection(pytest.fail, *holder.getsockname())

    loop.run_until_complete(main())


def test_the_local_address_is_bound(loop):
    """local_addr= is what the peer sees."""

    async def main():
        with socket.create_server((HOST, 0)) as server:
            transport, protocol = await loop.create_connection(
                Strict, *server.getsockname(), local_addr=("127.0.0.2", 0)
            )
            peer, address = server.accept()
        with peer:
            assert address[0] == "127.0.0.2"
            assert transport.get_extra_info("sockname") == address
            transport.close()
            await protocol.lost

    loop.run_until_complete(main())


def test_an_accepted_socket_becomes_a_transport(loop):
    """connect_accepted_socket() of a socket accepted elsewhere."""

    async def main():
        conn, peer = tcp_pair()
        with peer:
            transport, protocol = await loop.connect_accepted_socket(Strict, conn)
            peer.sendall(b"x")
            peer.shutdown(socket.SHUT_WR)
            assert await protocol.lost is None
            assert protocol.data == b"x"
            assert transport.is_closing()

    loop.run_until_complete(main())
