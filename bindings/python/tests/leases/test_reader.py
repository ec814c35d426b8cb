"""Streams with read_lease(): a StreamReader in everything else, however its methods are mixed."""

from __future__ import annotations

import asyncio
import socket

import pytest
from certificates import NAME
from leased import A_BUFFER, is_of_a_buffer, leased, until_leased
from steps import soon, turns, until

import uringcore_cffi

HOST = "127.0.0.1"


async def connected(loop, **options):
    """Connect a reader and a writer to a plain socket; return the three."""
    ours, peer = socket.socketpair()
    ours.setblocking(False)
    streams = await uringcore_cffi.open_connection(sock=ours, **options)
    return (*streams, peer)


async def close(writer):
    writer.close()
    await soon(writer.wait_closed())


def with_streams(loop, test, **options):
    """Run a test with a reader and the socket at its other end."""

    async def main():
        reader, writer, peer = await connected(loop, **options)
        with peer:
            await test(reader, peer)
        await close(writer)
        del reader, writer
        await until_leased(loop, 0)

    loop.run_until_complete(main())


def test_leases_come_out_of_the_pool_and_the_end_is_an_empty_one(loop):
    async def test(reader, peer):
        assert isinstance(reader, asyncio.StreamReader)
        for number in range(5):
            reading = loop.create_task(reader.read_lease())
            await turns(2)
            peer.sendall(b"%d" % number)
            with await soon(reading) as lease:
                assert lease.view == b"%d" % number
                assert is_of_a_buffer(lease) == A_BUFFER
        peer.shutdown(socket.SHUT_WR)
        for _ in range(3):
            assert not await soon(reader.read_lease())
        assert reader.at_eof()

    with_streams(loop, test)


def test_what_lies_in_the_buffer_comes_first(loop):
    async def test(reader, peer):
        peer.sendall(b"line\nrest")
        assert await soon(reader.readline()) == b"line\n"
        reading = await soon(reader.read_lease())
        assert reading.view == b"rest"

    with_streams(loop, test)


def test_a_header_is_copied_and_the_body_is_not(loop):
    """readexactly() and readline() take no more out of a lease than they need."""

    async def test(reader, peer):
        reading = loop.create_task(reader.read_lease())
        await turns(2)
        peer.sendall(b"x")
        (await soon(reading)).release()
        for header, read in ((b"1234", lambda: reader.readexactly(4)), (b"123\n", reader.readline)):
            peer.sendall(header + b"body")
            assert await soon(read()) == header
            with await soon(reader.read_lease()) as lease:
                assert is_of_a_buffer(lease) == A_BUFFER
                assert lease.view == b"body"
                assert len(lease) == 4

    with_streams(loop, test)


def test_a_lease_may_be_of_a_part_of_what_has_come(loop):
    """Parts are leases of the same buffer, which goes back with the last."""

    async def test(reader, peer):
        reading = loop.create_task(reader.read_lease())
        await turns(2)
        peer.sendall(b"x")
        (await soon(reading)).release()
        peer.sendall(b"0123456789")
        parts = [await soon(reader.read_lease(count)) for count in (3, 4, 100)]
        assert [bytes(part.view) for part in parts] == [b"012", b"3456", b"789"]
        assert [len(part) for part in parts] == [3, 4, 3]
        while parts:
            assert leased(loop) == A_BUFFER
            assert bytes(parts[-1])
            parts.pop().release()
        assert not await reader.read_lease(0)

    with_streams(loop, test)


def test_after_a_while_without_leases_the_transport_gives_bytes_again(loop):
    async def test(reader, peer):
        reading = loop.create_task(reader.read_lease())
        await turns(2)
        peer.sendall(b"x")
        (await soon(reading)).release()
        assert reader._transport._leased
        for number in range(50):
            reading = loop.create_task(reader.read(100))
            await turns(2)
            peer.sendall(b"%d" % number)
            assert await soon(reading) == b"%d" % number
        assert not reader._transport._leased

    with_streams(loop, test)


def test_two_cannot_wait_at_a_time(loop):
    async def test(reader, peer):
        reading = loop.create_task(reader.read_lease())
        await turns(2)
        for read in (reader.read_lease, reader.readline):
            with pytest.raises(RuntimeError, match="another coroutine is already waiting"):
                await read()
        peer.sendall(b"x")
        (await soon(reading)).release()

    with_streams(loop, test)


def test_a_lease_that_is_refused_to_a_second_reader_leaves_the_first_its_bytes(loop):
    async def test(reader, peer):
        reading = loop.create_task(reader.read(10))
        await turns(2)
        with pytest.raises(RuntimeError, match="another coroutine is already waiting"):
            await reader.read_lease()
        peer.sendall(b"first")
        assert await soon(reading) == b"first"

    with_streams(loop, test)


def test_a_cancelled_read_loses_nothing(loop):
    async def test(reader, peer):
        for number in range(20):
            reading = loop.create_task(reader.read_lease())
            await turns(2)
            peer.sendall(b"%02d" % number)
            await turns(number % 4)
            if reading.cancel():
                with pytest.raises(asyncio.CancelledError):
                    await reading
                reading = loop.create_task(reader.read_lease())
            assert bytes(await soon(reading)) == b"%02d" % number

    with_streams(loop, test)


def test_a_reader_that_is_not_read_from_pauses_at_twice_its_limit(loop):
    """Counted are bytes and leases together; reading goes on below the limit."""

    async def test(reader, peer):
        reading = loop.create_task(reader.read_lease())
        await turns(2)
        peer.sendall(b"x")
        (await soon(reading)).release()
        for _ in range(20):
            peer.sendall(bytes(1000))
            await turns(5)
        assert reader._paused
        assert 2000 < reader._lease_bytes < 5000
        got = 0
        while got < 20_000:
            with await soon(reader.read_lease()) as lease:
                got += len(lease)
        await turns(2)
        assert not reader._paused

    with_streams(loop, test, limit=1000)


def test_more_than_the_limit_and_the_credit_is_read_exactly(loop):
    """What is wanted is copied out of the leases as they come, so that more can."""
    payload = bytes(range(256)) * 12_000

    async def test(reader, peer):
        reading = loop.create_task(reader.read_lease())
        await turns(2)
        peer.sendall(b"x")
        (await soon(reading)).release()
        pouring = loop.run_in_executor(None, peer.sendall, payload)
        assert await soon(reader.readexactly(len(payload))) == payload
        await pouring

    with_streams(loop, test)


def test_a_lost_connection_raises(loop):
    async def main():
        async def serve(reader, writer):
            writer.transport.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0"
            )
            writer.transport.abort()

        server = await uringcore_cffi.start_server(serve, HOST, 0)
        reader, writer = await uringcore_cffi.open_connection(*server.sockets[0].getsockname())
        with pytest.raises(ConnectionResetError):
            await soon(reader.read_lease())
        writer.close()
        server.close()
        await server.wait_closed()

    loop.run_until_complete(main())


async def _echo(reader, writer):
    while lease := await reader.read_lease():
        with lease:
            writer.write(lease.view)
        await writer.drain()
    writer.close()


async def _exchange(reader, writer) -> int:
    """Send and get back a megabyte, by leases; return how many of them were of the pool."""
    payload = bytes(range(256)) * 4000
    writer.write(payload)
    got, pooled = bytearray(), 0
    while len(got) < len(payload):
        with await soon(reader.read_lease()) as lease:
            pooled += is_of_a_buffer(lease)
            got += lease.view
    assert got == payload
    await close(writer)
    return pooled


def test_servers_over_tcp_and_unix_sockets_give_such_readers(loop, tmp_path):
    async def main():
        server = await uringcore_cffi.start_server(_echo, HOST, 0)
        address = server.sockets[0].getsockname()
        assert await _exchange(*await uringcore_cffi.open_connection(*address)) >= A_BUFFER
        unix = await uringcore_cffi.start_unix_server(_echo, tmp_path / "socket")
        streams = await uringcore_cffi.open_unix_connection(tmp_path / "socket")
        assert await _exchange(*streams) >= A_BUFFER
        for each in (server, unix):
            each.close()
            await each.wait_closed()
        await until(lambda: not leased(loop))

    loop.run_until_complete(main())


@pytest.mark.parametrize("ours", [True, False])
def test_over_tls_and_on_another_event_loop_read_lease_copies(certificates, ours):
    loop = uringcore_cffi.new_event_loop() if ours else asyncio.SelectorEventLoop()

    async def main():
        tls = {"ssl": certificates.server()} if ours else {}
        server = await uringcore_cffi.start_server(_echo, HOST, 0, **tls)
        address = server.sockets[0].getsockname()
        tls = {"ssl": certificates.client(), "server_hostname": NAME} if ours else {}
        assert await _exchange(*await uringcore_cffi.open_connection(*address, **tls)) == 0
        server.close()
        await server.wait_closed()

    try:
        loop.run_until_complete(main())
        loop.run_until_complete(turns(5))
    finally:
        loop.close()
