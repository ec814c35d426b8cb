"""TCP over protocols and streams: order, ends, reading; the asyncio contract, on both loops."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import struct
import sys

import pytest
from peers import HOST, connect, drain, pour
from protocols import Recorder, Strict


@pytest.mark.parametrize("path", ["close", "abort", "eof", "write_close", "eof_close"])
def test_the_end_reaches_the_peer_on_every_close_path(loop, path):
    async def main():
        protocol, peer = await connect(loop, Recorder)
        with peer:
            transport = protocol.transport
            if path.startswith("write"):
                transport.write(b"last words")
            if path.startswith("eof"):
                transport.write_eof()
            if path.endswith("close"):
                transport.close()
            if path == "abort":
                transport.abort()
            got = await drain(loop, peer)
            assert got == (b"last words" if path.startswith("write") else b"")
            transport.close()
            assert await protocol.lost is None
        assert protocol.calls[0] == "made"
        assert protocol.calls[-1] == "lost"

    loop.run_until_complete(main())


def test_data_comes_in_order_then_eof_then_lost(loop):
    async def main():
        protocol, peer = await connect(loop, Recorder)
        with peer:
            peer.sendall(b"a" * 100_000)
            peer.sendall(b"b" * 100_000)
        assert await protocol.lost is None
        assert protocol.data == b"a" * 100_000 + b"b" * 100_000
        assert protocol.calls == ["made", "data", "eof", "lost"]

    loop.run_until_complete(main())


def test_half_closed_connection_still_writes(loop):
    async def main():
        protocol, peer = await connect(loop, lambda: Recorder(keep_open=True))
        with peer:
            peer.sendall(b"question")
            peer.shutdown(socket.SHUT_WR)
            await protocol.ended
            assert not protocol.transport.is_closing()
            protocol.transport.write(b"answer")
            protocol.transport.close()
            assert await drain(loop, peer) == b"answer"
        assert await protocol.lost is None
        assert bytes(protocol.data) == b"question"

    loop.run_until_complete(main())


def test_reset_is_told_as_connection_reset(loop):
    async def main():
        protocol, peer = await connect(loop, Recorder)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.close()
        exc = await protocol.lost
        assert isinstance(exc, ConnectionResetError)
        assert exc.errno == errno.ECONNRESET

    loop.run_until_complete(main())


def test_reset_while_sending_ends_the_connection_with_an_oserror(loop):
    async def main():
        protocol, peer = await connect(loop, Recorder)
        for _ in range(64):
            protocol.transport.write(b"x" * 100_000)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.close()
        exc = await protocol.lost
        assert isinstance(exc, (ConnectionResetError, BrokenPipeError))
        assert protocol.paused == (protocol.calls.count("pause") > protocol.calls.count("resume"))

    loop.run_until_complete(main())


def test_paused_reader_gets_nothing_and_loses_nothing(loop):
    async def main():
        protocol, peer = await connect(loop, Recorder)
        transport = protocol.transport
        transport.pause_reading()
        assert not transport.is_reading()
        payload = os.urandom(20_000_000)
        sending = pour(loop, peer, payload)
        for _ in range(20):
            await asyncio.sleep(0.001)
            assert not protocol.data
            assert not protocol.ended.done()
        while not protocol.ended.done():
            transport.resume_reading()
            before = len(protocol.data)
            while len(protocol.data) == before and not protocol.ended.done():
                await asyncio.sleep(0)
            transport.pause_reading()
            now = len(protocol.data)
            await asyncio.sleep(0)
            assert len(protocol.data) == now or protocol.ended.done()
        await sending
        transport.close()
        assert await protocol.lost is None
        assert protocol.data == payload

    loop.run_until_complete(main())


def test_extra_info_survives_the_connection(loop):
    async def main():
        protocol, peer = await connect(loop, Recorder)
        transport = protocol.transport
        with peer:
            assert transport.get_extra_info("peername") == peer.getsockname()
            assert transport.get_extra_info("sockname") == peer.getpeername()
            assert transport.get_extra_info("socket").fileno() >= 0
            assert transport.get_extra_info("nothing", "default") == "default"
            peername = peer.getsockname()
            transport.close()
            await protocol.lost
        assert transport.get_extra_info("peername") == peername
        assert "closed" in repr(transport)

    loop.run_until_complete(main())


def test_abort_is_never_reentrant(loop):
    async def main():
        protocol, peer = await connect(loop, Recorder)
        with peer:
            protocol.transport.abort()
            assert "lost" not in protocol.calls
            assert protocol.transport.is_closing()
            protocol.transport.abort()
            protocol.transport.close()
            assert await protocol.lost is None

    loop.run_until_complete(main())


def test_an_error_in_data_received_ends_the_connection(loop):
    class Failing(Recorder):
        def data_received(self, data):
            raise ZeroDivisionError("on purpose")

    async def main():
        protocol, peer = await connect(loop, Failing)
        with peer:
            peer.sendall(b"x")
            assert isinstance(await protocol.lost, ZeroDivisionError)
        (problem,) = loop.problems
        assert "data_received() call failed" in problem["message"]
        loop.problems.clear()

    loop.run_until_complete(main())


def test_an_error_in_connection_made_is_told_and_the_connection_goes_on(loop):
    class Failing(Recorder):
        def connection_made(self, transport):
            super().connection_made(transport)
            raise ZeroDivisionError("on purpose")

    async def main():
        protocol, peer = await connect(loop, Failing)  # the waiter is woken all the same
        with peer:
            peer.sendall(b"x")
        assert await protocol.lost is None
        assert protocol.data == b"x"
        (problem,) = loop.problems
        assert isinstance(problem["exception"], ZeroDivisionError)
        assert problem["message"].startswith("Exception in callback ")
        loop.problems.clear()

    loop.run_until_complete(main())


def test_a_protocol_may_choose_its_receiver_in_connection_made(loop):
    class Choosing(Recorder):
        def connection_made(self, transport):
            super().connection_made(transport)
            self.data_received = self.chosen

        def data_received(self, data):
            raise AssertionError("not this one")

        def chosen(self, data):
            Recorder.data_received(self, data)

    async def main():
        protocol, peer = await connect(loop, Choosing)
        with peer:
            peer.sendall(b"x")
        assert await protocol.lost is None
        assert protocol.data == b"x"

    loop.run_until_complete(main())


def test_streams_echo(loop):
    async def serve(reader, writer):
        while data := await reader.read(70_000):
            writer.write(data)
            await writer.drain()
        writer.close()
        await writer.wait_closed()

    async def main():
        server = await asyncio.start_server(serve, HOST, 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        payload = os.urandom(1 << 20)
        writer.write(payload)
        writer.write_eof()
        assert await reader.read() == payload
        writer.close()
        await writer.wait_closed()
        server.close()
        await server.wait_closed()

    loop.run_until_complete(main())


@pytest.mark.heavy
@pytest.mark.parametrize("chunk", [1000, 100_000])
def test_64_mib_through_a_small_socket_both_ways(loop, chunk):
    size = 64 << 20
    block = os.urandom(1 << 20)

    async def serve(reader, writer):
        while data := await reader.read(chunk):
            writer.write(data)
            await writer.drain()
        writer.close()
        await writer.wait_closed()

    async def main():
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        listener.bind((HOST, 0))
        server = await asyncio.start_server(serve, sock=listener)
        reader, writer = await asyncio.open_connection(*listener.getsockname())

        async def send():
            for _ in range(size // len(block)):
                writer.write(block)
                await writer.drain()
            writer.write_eof()

        sending = loop.create_task(send())
        for _ in range(size // len(block)):
            assert await reader.readexactly(len(block)) == block
        assert await reader.read() == b""
        await sending
        writer.close()
        await writer.wait_closed()
        server.close()
        await server.wait_closed()

    loop.run_until_complete(main())


def test_who_yields_once_after_close_or_abort_has_seen_connection_lost(loop):
    async def main():
        for end in ("close", "abort"):
            ours, peer = socket.socketpair()
            with peer:
                transport, protocol = await loop.create_connection(Recorder, sock=ours)
                await asyncio.sleep(0)
                getattr(transport, end)()
                await asyncio.sleep(0)
                assert protocol.lost.done(), end

    loop.run_until_complete(main())


def test_extra_info_is_there_after_the_end(loop):
    """Names survive; the socket is closed; unknown names give the default."""

    async def main():
        protocol, peer = await connect(loop, Strict)
        transport = protocol.transport
        with peer:
            sockname, peername = peer.getpeername(), peer.getsockname()
            transport.abort()
            await protocol.lost
        assert transport.get_extra_info("sockname") == sockname
        assert transport.get_extra_info("peername") == peername
        assert transport.get_extra_info("socket").fileno() == -1
        assert transport.get_extra_info("nothing", 5) == 5
        assert transport.get_write_buffer_size() == 0
        assert transport.is_closing()
        transport.close()
        transport.abort()
        transport.write(b"nobody hears")

    loop.run_until_complete(main())


def test_reading_can_be_paused_before_it_begins(loop):
    """pause_reading() in connection_made(): nothing arrives until resume_reading()."""

    if isinstance(loop, asyncio.SelectorEventLoop) and sys.version_info < (3, 12):
        pytest.skip("asyncio had it wrong until 3.12")

    class Paused(Strict):
        def connection_made(self, transport):
            super().connection_made(transport)
            transport.pause_reading()

    async def main():
        protocol, peer = await connect(loop, Paused)
        with peer:
            peer.sendall(b"early")
            for _ in range(10):
                await asyncio.sleep(0)
            assert protocol.data == b""
            protocol.transport.resume_reading()
            protocol.transport.resume_reading()
            peer.sendall(b" late")
        assert await protocol.lost is None
        assert protocol.data == b"early late"

    loop.run_until_complete(main())
