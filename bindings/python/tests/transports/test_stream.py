"""What our transports promise beyond asyncio's letter."""

from __future__ import annotations

import asyncio
import logging
import os
import socket

import pytest
from peers import HOST, connect, pour
from protocols import Made, Sink
from steps import until


def test_all_writes_of_a_turn_leave_as_one(loop):
    """A thousand small writes cost one send: the operations submitted do not grow with them."""

    async def main():
        protocol, peer = await connect(loop)
        with peer:
            await asyncio.sleep(0)
            before = loop.stats().submissions
            for _ in range(1000):
                protocol.transport.write(b"x" * 10)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert loop.stats().submissions - before <= 3
            left = 10_000
            while left:
                left -= len(peer.recv(1 << 16))
            protocol.transport.close()
            await protocol.lost

    loop.run_until_complete(main())


def test_writing_after_close_is_dropped_and_warned_of_in_the_end(loop, caplog):
    """Nothing written after close() reaches the peer; after some vain writes there is a warning."""

    async def main():
        protocol, peer = await connect(loop)
        with peer:
            protocol.transport.write(b"in time")
            protocol.transport.close()
            for _ in range(10):
                protocol.transport.write(b"too late")
            await protocol.lost
            assert peer.recv(100) == b"in time"
            assert peer.recv(100) == b""

    with caplog.at_level(logging.WARNING, logger="asyncio"):
        loop.run_until_complete(main())
    assert {record.getMessage() for record in caplog.records} == {"socket.send() raised exception."}


def test_large_writes_keep_their_memory_until_they_are_sent(loop):
    """Payloads queued by reference arrive whole although the caller has forgotten them."""
    count, size = 40, 300_000

    async def main():
        protocol, peer = await connect(loop)

        def read():
            got = bytearray()
            while piece := peer.recv(1 << 20):
                got += piece
            return got

        with peer:
            for number in range(count):
                protocol.transport.write(bytes([number]) * size)
                junk = [os.urandom(size) for _ in range(3)]
                del junk
            assert protocol.transport.get_write_buffer_size() > 0
            protocol.transport.close()
            got = await loop.run_in_executor(None, read)
        assert await protocol.lost is None
        assert got == b"".join(bytes([number]) * size for number in range(count))
        assert not protocol.transport._references

    loop.run_until_complete(main())


def test_the_end_is_not_delivered_while_paused(loop):
    """Data and end that came during a pause are delivered after it, in order."""

    async def main():
        protocol, peer = await connect(loop)
        transport = protocol.transport
        for _ in range(3):
            await asyncio.sleep(0)
        transport.pause_reading()
        with peer:
            peer.sendall(b"data")
        for _ in range(20):
            await asyncio.sleep(0.0005)
        assert protocol.data == b""
        assert not protocol.lost.done()
        transport.resume_reading()
        assert await protocol.lost is None
        assert protocol.data == b"data"

    loop.run_until_complete(main())


def test_pausing_in_data_received_holds_at_once(loop):
    """Pause after each piece, resume later: pieces come one by one and none is lost."""
    payload = os.urandom(3_000_000)

    class Stuttering(Sink):
        pieces = 0
        paused = False

        def data_received(self, data):
            assert not self.paused
            super().data_received(data)
            self.pieces += 1
            self.paused = True
            self.transport.pause_reading()
            loop.call_soon(self.go_on)

        def go_on(self):
            self.paused = False
            self.transport.resume_reading()

    async def main():
        protocol, peer = await connect(loop, Stuttering)
        await pour(loop, peer, payload)
        assert await protocol.lost is None
        assert protocol.data == payload
        assert protocol.pieces > 5

    loop.run_until_complete(main())


def test_a_paused_reader_is_felt_by_the_peer(loop):
    """Memory stays bounded: a peer that floods a paused reader is stopped by its window."""

    async def main():
        protocol, peer = await connect(loop)
        for _ in range(3):
            await asyncio.sleep(0)
        protocol.transport.pause_reading()
        peer.setblocking(False)
        sent = idle = 0
        while idle < 50:
            try:
                sent += peer.send(b"x" * (1 << 20))
                idle = 0
            except BlockingIOError:
                idle += 1
            await asyncio.sleep(0.0002)
        assert sent < 64 << 20
        stats = loop.pool_stats()
        assert stats.completed * stats.buffer_bytes <= 2 << 20
        protocol.transport.resume_reading()
        await until(lambda: len(protocol.data) >= sent)
        peer.close()
        assert await protocol.lost is None

    loop.run_until_complete(main())


@pytest.mark.parametrize("where", ["connection_made", "eof_received", "connection_lost"])
def test_an_exception_in_a_protocol_is_reported_and_contained(loop, where):
    """The handler is told; another connection of the loop notices nothing."""

    class Failing(Sink):
        pass

    def fail(self, *_):
        if where == "connection_made":
            self.transport = _[0]
        if where == "connection_lost":
            self.lost.set_result(None)
        raise ZeroDivisionError

    setattr(Failing, where, fail)

    async def main():
        protocol, peer = await connect(loop, Failing)
        good, good_peer = await connect(loop)
        peer.close()
        await protocol.lost
        good_peer.sendall(b"undisturbed")
        good_peer.close()
        assert await good.lost is None
        assert good.data == b"undisturbed"

    loop.run_until_complete(main())
    assert [type(problem["exception"]) for problem in loop.problems] == [ZeroDivisionError]
    loop.problems.clear()


def test_an_exception_in_pause_writing_is_reported(loop):
    """Flow control goes on: resume_writing() still comes."""
    resumed = []

    class Failing(Sink):
        def pause_writing(self):
            raise ZeroDivisionError

        def resume_writing(self):
            resumed.append(True)
            raise ZeroDivisionError

    async def main():
        protocol, peer = await connect(loop, Failing)

        def read():
            while peer.recv(1 << 20):
                pass

        with peer:
            protocol.transport.write(b"x" * 20_000_000)
            protocol.transport.close()
            await loop.run_in_executor(None, read)
        await protocol.lost

    loop.run_until_complete(main())
    messages = [problem["message"] for problem in loop.problems]
    assert messages[0] == "protocol.pause_writing() failed"
    assert messages[1:] == ["protocol.resume_writing() failed"] * len(resumed)
    loop.problems.clear()


def test_a_failing_server_protocol_factory_closes_the_connection(loop):
    """The client gets the end; in debug mode the handler is told; the server goes on."""
    loop.set_debug(True)
    failing = [True]

    def factory():
        if failing.pop():
            raise ZeroDivisionError
        return Sink()

    async def main():
        served = Made(factory)
        server = await loop.create_server(served, HOST, 0)
        address = server.sockets[0].getsockname()
        reader, writer = await asyncio.open_connection(*address)
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()
        failing.append(False)
        transport, protocol = await loop.create_connection(Sink, *address)
        await until(lambda: served)
        transport.close()
        await protocol.lost
        await served[0].lost
        server.close()
        await server.wait_closed()

    loop.run_until_complete(main())
    assert [type(problem["exception"]) for problem in loop.problems] == [ZeroDivisionError]
    loop.problems.clear()


def test_debug_mode_serves_as_well(loop):
    """The slow road of debug mode moves the same bytes."""
    loop.set_debug(True)
    payload = os.urandom(2_000_000)

    async def main():
        protocol, peer = await connect(loop)

        def talk():
            with peer:
                got = bytearray()
                peer.sendall(payload)
                while len(got) < len(payload):
                    got += peer.recv(1 << 20)
                return got

        protocol.transport.write(payload)
        assert await loop.run_in_executor(None, talk) == payload
        assert await protocol.lost is None
        assert protocol.data == payload

    loop.run_until_complete(main())


def test_nodelay_is_set(loop):
    """As asyncio does for every TCP connection, on both sides."""

    async def main():
        accepted = loop.create_future()

        class Server(Sink):
            def connection_made(self, transport):
                super().connection_made(transport)
                accepted.set_result(self)

        server = await loop.create_server(Server, HOST, 0)
        transport, client = await loop.create_connection(Sink, *server.sockets[0].getsockname())
        other = await accepted
        for each in (transport, other.transport):
            sock = each.get_extra_info("socket")
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
        transport.close()
        await client.lost
        await other.lost
        server.close()
        await server.wait_closed()

    loop.run_until_complete(main())


def test_ipv6_works(loop):
    """Addresses of four members come through."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("no IPv6 here")

    async def main():
        served = Made(Sink)
        server = await loop.create_server(served, "::1", 0)
        address = server.sockets[0].getsockname()
        transport, protocol = await loop.create_connection(Sink, *address[:2])
        assert transport.get_extra_info("peername") == address
        await until(lambda: served)
        transport.close()
        await protocol.lost
        await served[0].lost
        server.close()
        await server.wait_closed()

    loop.run_until_complete(main())
