"""TCP over protocols and streams: the asyncio contract, on both loops."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import struct
import sys

import pytest

HOST = "127.0.0.1"


class Recorder(asyncio.Protocol):
    """Writes down every call, and answers questions about them."""

    def __init__(self, *, keep_open: bool = False) -> None:
        self.calls: list[str] = []
        self.data = bytearray()
        self.keep_open = keep_open
        self.transport: asyncio.Transport | None = None
        self.lost: asyncio.Future = asyncio.get_running_loop().create_future()
        self.ended: asyncio.Future = asyncio.get_running_loop().create_future()
        self.paused = False

    def connection_made(self, transport):
        assert not self.calls
        self.calls.append("made")
        self.transport = transport

    def data_received(self, data):
        assert type(data) is bytes
        assert data
        assert "eof" not in self.calls
        assert "lost" not in self.calls
        if self.calls[-1] != "data":
            self.calls.append("data")
        self.data += data

    def eof_received(self):
        self.calls.append("eof")
        self.ended.set_result(None)
        return self.keep_open

    def pause_writing(self):
        assert not self.paused
        self.paused = True
        self.calls.append("pause")

    def resume_writing(self):
        assert self.paused
        self.paused = False
        self.calls.append("resume")

    def connection_lost(self, exc):
        assert "lost" not in self.calls
        self.calls.append("lost")
        self.lost.set_result(exc)


def listening():
    """Make a listening socket."""
    sock = socket.create_server((HOST, 0))
    return sock, sock.getsockname()


async def connect(loop, **arguments):
    """Connect a Recorder to a plain blocking socket; return both."""
    server, address = listening()
    with server:
        _, protocol = await loop.create_connection(lambda: Recorder(**arguments), *address)
        peer, _ = server.accept()
    return protocol, peer


async def drain_peer(loop, peer):
    """Read everything that a peer gets, in a thread."""

    def read():
        pieces = []
        while piece := peer.recv(1 << 20):
            pieces.append(piece)
        return b"".join(pieces)

    return await loop.run_in_executor(None, read)


@pytest.mark.parametrize("path", ["close", "abort", "eof", "write_close", "eof_close"])
def test_the_end_reaches_the_peer_on_every_close_path(loop, path):
    async def main():
        protocol, peer = await connect(loop)
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
            got = await drain_peer(loop, peer)
            assert got == (b"last words" if path.startswith("write") else b"")
            transport.close()
            assert await protocol.lost is None
        assert protocol.calls[0] == "made"
        assert protocol.calls[-1] == "lost"

    loop.run_until_complete(main())


def test_data_comes_in_order_then_eof_then_lost(loop):
    async def main():
        protocol, peer = await connect(loop)
        with peer:
            peer.sendall(b"a" * 100_000)
            peer.sendall(b"b" * 100_000)
        assert await protocol.lost is None
        assert protocol.data == b"a" * 100_000 + b"b" * 100_000
        assert protocol.calls == ["made", "data", "eof", "lost"]

    loop.run_until_complete(main())


def test_half_closed_connection_still_writes(loop):
    async def main():
        protocol, peer = await connect(loop, keep_open=True)
        with peer:
            peer.sendall(b"question")
            peer.shutdown(socket.SHUT_WR)
            await protocol.ended
            assert not protocol.transport.is_closing()
            protocol.transport.write(b"answer")
            protocol.transport.close()
            assert await drain_peer(loop, peer) == b"answer"
        assert await protocol.lost is None
        assert bytes(protocol.data) == b"question"

    loop.run_until_complete(main())


def test_write_eof_comes_after_what_was_written(loop):
    async def main():
        protocol, peer = await connect(loop, keep_open=True)
        with peer:
            big = os.urandom(3_000_000)
            protocol.transport.write(big)
            protocol.transport.write_eof()
            with pytest.raises(RuntimeError):
                protocol.transport.write(b"too late")
            assert await drain_peer(loop, peer) == big
            peer.sendall(b"thanks")
        await protocol.ended
        assert bytes(protocol.data) == b"thanks"
        protocol.transport.close()
        await protocol.lost

    loop.run_until_complete(main())


def test_a_write_outside_the_loop_leaves_at_once(loop):
    protocol, peer = loop.run_until_complete(connect(loop))
    with peer:
        peer.settimeout(10)
        protocol.transport.write(b"now")
        assert peer.recv(100) == b"now"
        protocol.transport.close()
        loop.run_until_complete(protocol.lost)


def test_reset_is_told_as_connection_reset(loop):
    async def main():
        protocol, peer = await connect(loop)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.close()
        exc = await protocol.lost
        assert isinstance(exc, ConnectionResetError)
        assert exc.errno == errno.ECONNRESET

    loop.run_until_complete(main())


def test_reset_while_sending_ends_the_connection_with_an_oserror(loop):
    async def main():
        protocol, peer = await connect(loop)
        for _ in range(64):
            protocol.transport.write(b"x" * 100_000)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.close()
        exc = await protocol.lost
        assert isinstance(exc, (ConnectionResetError, BrokenPipeError))
        assert protocol.paused == (protocol.calls.count("pause") > protocol.calls.count("resume"))

    loop.run_until_complete(main())


def test_pause_and_resume_of_writing_are_paired(loop):
    async def main():
        protocol, peer = await connect(loop)
        transport = protocol.transport
        transport.set_write_buffer_limits(high=1000, low=100)
        assert transport.get_write_buffer_limits() == (100, 1000)
        with peer:
            total = 0
            while not protocol.paused:
                transport.write(b"x" * 50_000)
                total += 50_000
            assert transport.get_write_buffer_size() > 1000
            transport.write(b"y" * 10)
            transport.close()
            assert len(await drain_peer(loop, peer)) == total + 10
        await protocol.lost
        assert protocol.calls.count("pause") == 1

    loop.run_until_complete(main())


def test_write_takes_a_copy_of_mutable_data(loop):
    if isinstance(loop, asyncio.SelectorEventLoop) and sys.version_info >= (3, 12):
        pytest.skip("asyncio keeps a view of the caller's memory since 3.12")

    async def main():
        protocol, peer = await connect(loop)
        data = bytearray(b"a" * 5_000_000)
        protocol.transport.write(data)
        protocol.transport.write(memoryview(b"end"))
        data[:] = b"b" * len(data)
        protocol.transport.close()
        with peer:
            assert await drain_peer(loop, peer) == b"a" * 5_000_000 + b"end"
        await protocol.lost

    loop.run_until_complete(main())


@pytest.mark.parametrize("wrong", ["text", 5, None, [b"x"]])
def test_write_refuses_what_is_not_bytes(loop, wrong):
    async def main():
        protocol, peer = await connect(loop)
        with peer, pytest.raises(TypeError):
            protocol.transport.write(wrong)
        protocol.transport.close()
        await protocol.lost

    loop.run_until_complete(main())


def test_paused_reader_gets_nothing_and_loses_nothing(loop):
    async def main():
        protocol, peer = await connect(loop)
        transport = protocol.transport
        transport.pause_reading()
        assert not transport.is_reading()
        payload = os.urandom(20_000_000)

        def send():
            with peer:
                peer.sendall(payload)

        sending = loop.run_in_executor(None, send)
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
        protocol, peer = await connect(loop)
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
        protocol, peer = await connect(loop)
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
        server, address = listening()
        with server:
            _, protocol = await loop.create_connection(Failing, *address)
            peer, _ = server.accept()
        with peer:
            peer.sendall(b"x")
            assert isinstance(await protocol.lost, ZeroDivisionError)
        (problem,) = loop.problems
        assert "data_received() call failed" in problem["message"]
        loop.problems.clear()

    loop.run_until_complete(main())


class Buffered(asyncio.BufferedProtocol):
    """Receives into a buffer of a given size."""

    def __init__(self, size: int) -> None:
        self.buffer = bytearray(size)
        self.data = bytearray()
        self.transport = None
        self.lost = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        self.transport = transport

    def get_buffer(self, sizehint):
        return self.buffer

    def buffer_updated(self, count):
        assert 0 < count <= len(self.buffer)
        self.data += self.buffer[:count]

    def connection_lost(self, exc):
        self.lost.set_result(exc)


@pytest.mark.parametrize("size", [1, 1000, 1 << 20])
def test_buffered_protocol_gets_every_byte(loop, size):
    payload = os.urandom(2_000 * min(size, 1000))

    async def main():
        server, address = listening()
        with server:
            _, protocol = await loop.create_connection(lambda: Buffered(size), *address)
            peer, _ = server.accept()

        def send():
            with peer:
                peer.sendall(payload)

        await loop.run_in_executor(None, send)
        assert await protocol.lost is None
        assert protocol.data == payload

    loop.run_until_complete(main())


def test_a_new_protocol_gets_what_comes_next(loop):
    async def main():
        protocol, peer = await connect(loop)
        with peer:
            peer.sendall(b"first")
            while not protocol.data:
                await asyncio.sleep(0)
            second = Recorder()
            second.calls.append("made")
            protocol.transport.set_protocol(second)
            assert protocol.transport.get_protocol() is second
            peer.sendall(b"second")
            while not second.data:
                await asyncio.sleep(0)
        assert bytes(protocol.data) == b"first"
        assert bytes(second.data) == b"second"
        await second.lost

    loop.run_until_complete(main())


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


def test_callbacks_run_in_the_context_that_made_the_connection(loop):
    import contextvars

    variable = contextvars.ContextVar("variable", default="outside")
    seen = []

    class Looking(Recorder):
        def connection_made(self, transport):
            super().connection_made(transport)
            seen.append(variable.get())

        def data_received(self, data):
            super().data_received(data)
            seen.append(variable.get())

        def eof_received(self):
            seen.append(variable.get())
            return super().eof_received()

        def connection_lost(self, exc):
            seen.append(variable.get())
            super().connection_lost(exc)

    async def main():
        variable.set("inside")
        server, address = listening()
        with server:
            _, protocol = await loop.create_connection(Looking, *address)
            peer, _ = server.accept()
        with peer:
            peer.sendall(b"x")
        await protocol.lost

    loop.run_until_complete(main())
    assert set(seen) == {"inside"}


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
