"""Writing, pausing, switching, serving: the finer points of the contract, on both loops."""

from __future__ import annotations

import asyncio
import os
import socket
import sys

import pytest

HOST = "127.0.0.1"


class Strict(asyncio.Protocol):
    """Asserts the order of calls and the exact pairing of pause and resume."""

    def __init__(self) -> None:
        self.state = "new"
        self.data = bytearray()
        self.paused = False
        self.pauses = self.resumes = 0
        self.sizes = []
        self.can_write = asyncio.Event()
        self.can_write.set()
        self.lost = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        assert self.state == "new"
        self.state = "made"
        self.transport = transport

    def data_received(self, data):
        assert self.state == "made"
        self.data += data

    def eof_received(self):
        assert self.state == "made"
        self.state = "eof"

    def pause_writing(self):
        assert not self.paused
        assert self.state in ("made", "eof")
        self.sizes.append(self.transport.get_write_buffer_size())
        self.paused = True
        self.pauses += 1
        self.can_write.clear()

    def resume_writing(self):
        assert self.paused
        self.sizes.append(self.transport.get_write_buffer_size())
        self.paused = False
        self.resumes += 1
        self.can_write.set()

    def connection_lost(self, exc):
        assert self.state != "lost"
        self.state = "lost"
        self.lost.set_result(exc)


async def connect(loop, factory=Strict):
    """Connect a protocol to a plain blocking socket; return both."""
    with socket.create_server((HOST, 0)) as server:
        _, protocol = await loop.create_connection(factory, *server.getsockname())
        peer, _ = server.accept()
    peer.settimeout(20)
    return protocol, peer


async def drain(loop, peer) -> bytes:
    """Read everything that a peer gets, in a thread."""

    def read():
        pieces = []
        while piece := peer.recv(1 << 20):
            pieces.append(piece)
        return b"".join(pieces)

    return await loop.run_in_executor(None, read)


@pytest.mark.parametrize(
    "pieces",
    [
        [b"one ", b"two ", b"three"],
        [bytearray(b"a" * 100_000), memoryview(b"b" * 100_000), b"c"],
        [b"", b"x", b""],
        [b"x" * 100] * 2000,
        [],
    ],
)
def test_writelines_is_one_write_of_all_pieces(loop, pieces):
    """The bytes arrive in order, whatever holds them and however many there are."""
    if not pieces and isinstance(loop, asyncio.SelectorEventLoop):
        pytest.skip("asyncio stumbles over an empty list in 3.12 and 3.13")

    async def main():
        protocol, peer = await connect(loop)
        with peer:
            protocol.transport.write(b"before ")
            protocol.transport.writelines(pieces)
            protocol.transport.writelines(iter(pieces))
            protocol.transport.write(b" after")
            protocol.transport.close()
            expected = b"before " + b"".join(pieces) * 2 + b" after"
            assert await drain(loop, peer) == expected
        await protocol.lost

    loop.run_until_complete(main())


def test_writelines_feels_the_water_mark(loop):
    """As write() does: above the high mark the protocol is paused (a former bug of asyncio)."""
    if isinstance(loop, asyncio.SelectorEventLoop):
        pytest.skip("asyncio had it wrong until some late 3.12 and 3.13")

    async def main():
        protocol, peer = await connect(loop)
        with peer:
            while not protocol.paused:
                protocol.transport.writelines([b"x" * 50_000] * 20)
            protocol.transport.abort()
            await protocol.lost

    loop.run_until_complete(main())


def test_pausing_and_resuming_are_paired_over_many_rounds(loop):
    """Paused above the high mark, resumed at or below the low one, strictly in turn."""
    rounds, high, low = 30, 50_000, 10_000
    piece = b"x" * 30_000

    async def main():
        protocol, peer = await connect(loop)
        transport = protocol.transport
        transport.set_write_buffer_limits(high=high, low=low)
        reading = loop.create_task(drain(loop, peer))
        total = 0
        with peer:
            for _ in range(rounds):
                while not protocol.paused:
                    transport.write(piece)
                    total += len(piece)
                await protocol.can_write.wait()
                assert transport.get_write_buffer_size() <= low
            transport.close()
            assert len(await reading) == total
        assert await protocol.lost is None
        assert protocol.pauses == protocol.resumes == rounds
        assert all(size > high for size in protocol.sizes[::2])
        assert all(size <= low for size in protocol.sizes[1::2])

    loop.run_until_complete(main())


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({}, (16 * 1024, 64 * 1024)),
        ({"high": 0}, (0, 0)),
        ({"high": 4000}, (1000, 4000)),
        ({"low": 100}, (100, 400)),
        ({"high": 10, "low": 10}, (10, 10)),
    ],
)
def test_the_limits_are_asyncios(loop, limits, expected):
    """Defaults, what follows from one mark alone, and a mark of 0."""

    async def main():
        protocol, peer = await connect(loop)
        with peer:
            protocol.transport.set_write_buffer_limits(**limits)
            assert protocol.transport.get_write_buffer_limits() == expected
            with pytest.raises(ValueError):
                protocol.transport.set_write_buffer_limits(high=5, low=6)
            with pytest.raises(ValueError):
                protocol.transport.set_write_buffer_limits(high=5, low=-1)
            assert protocol.transport.get_write_buffer_limits() == expected
            protocol.transport.close()
            await protocol.lost

    loop.run_until_complete(main())


def test_a_high_mark_of_zero_resumes_when_all_is_sent(loop):
    """With both marks 0 every byte that waits pauses, and none that waits resumes."""

    async def main():
        protocol, peer = await connect(loop)
        transport = protocol.transport
        transport.set_write_buffer_limits(high=0)
        with peer:
            reading = loop.create_task(drain(loop, peer))
            for _ in range(5):
                while not protocol.paused:
                    transport.write(b"x" * 3_000_000)
                await protocol.can_write.wait()
                assert transport.get_write_buffer_size() == 0
            transport.close()
            await reading
        await protocol.lost
        assert protocol.pauses == protocol.resumes == 5

    loop.run_until_complete(main())


def test_aborting_drops_what_is_queued(loop):
    """connection_lost(None) comes soon, although the peer reads nothing; the rest never arrives."""

    async def main():
        protocol, peer = await connect(loop)
        with peer:
            size = 64 << 20
            protocol.transport.write(b"x" * size)
            await asyncio.sleep(0)
            protocol.transport.abort()
            assert protocol.transport.is_closing()
            assert await asyncio.wait_for(protocol.lost, 20) is None
            received = 0
            try:
                while piece := peer.recv(1 << 20):
                    received += len(piece)
            except ConnectionResetError:
                pass
            assert received < size

    loop.run_until_complete(main())


def test_closing_sends_everything_to_a_slow_reader(loop):
    """close() with a large queue: the peer gets every byte, then the end, then we are lost."""
    payload = os.urandom(16 << 20)

    async def main():
        protocol, peer = await connect(loop)
        with peer:
            protocol.transport.write(payload)
            protocol.transport.close()
            await asyncio.sleep(0)
            assert not protocol.lost.done()
            assert await drain(loop, peer) == payload
        assert await protocol.lost is None

    loop.run_until_complete(main())


def test_a_protocol_can_be_switched_in_the_middle_of_a_stream(loop):
    """A line-wise handshake, then the rest as bulk: no byte is lost or given to the wrong one."""
    payload = os.urandom(3_000_000)

    class Handshake(Strict):
        def data_received(self, data):
            self.data += data
            line, found, rest = bytes(self.data).partition(b"\n")
            if found:
                second = Strict()
                second.state, second.transport = "made", self.transport
                self.transport.set_protocol(second)
                self.transport.write(b"ready\n")
                if rest:
                    second.data_received(rest)
                switched.set_result((line, second))

    switched = loop.create_future()

    async def main():
        protocol, peer = await connect(loop, Handshake)

        def talk():
            with peer:
                peer.sendall(b"hel")
                peer.sendall(b"lo\n" + payload[:100])
                peer.sendall(payload[100:])
                assert peer.recv(100) == b"ready\n"

        talking = loop.run_in_executor(None, talk)
        line, second = await switched
        assert line == b"hello"
        assert protocol.transport.get_protocol() is second
        assert await second.lost is None
        await talking
        assert second.data == payload
        assert protocol.state == "made"

    loop.run_until_complete(main())


def test_a_buffered_protocol_can_take_over(loop):
    """From a plain protocol to a BufferedProtocol while data is arriving."""
    payload = os.urandom(2_000_000)
    got = bytearray()

    class Buffered(asyncio.BufferedProtocol):
        def __init__(self):
            self.buffer = bytearray(10_000)

        def get_buffer(self, sizehint):
            return self.buffer

        def buffer_updated(self, count):
            got.extend(self.buffer[:count])

        def connection_lost(self, exc):
            lost.set_result(exc)

    class First(Strict):
        def data_received(self, data):
            got.extend(data)
            self.transport.set_protocol(Buffered())

    lost = loop.create_future()

    async def main():
        _, peer = await connect(loop, First)

        def send():
            with peer:
                peer.sendall(payload)

        await loop.run_in_executor(None, send)
        assert await lost is None

    loop.run_until_complete(main())
    assert got == payload


def test_extra_info_is_there_after_the_end(loop):
    """Names survive; the socket is closed; unknown names give the default."""

    async def main():
        protocol, peer = await connect(loop)
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
        for _ in range(5):
            await asyncio.sleep(0.001)
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
        with socket.create_server((HOST, 0)) as server:
            peer = socket.create_connection(server.getsockname())
            conn, _ = server.accept()
        with peer:
            conn.setblocking(False)
            transport, protocol = await loop.connect_accepted_socket(Strict, conn)
            peer.sendall(b"x")
            peer.shutdown(socket.SHUT_WR)
            assert await protocol.lost is None
            assert protocol.data == b"x"
            assert transport.is_closing()

    loop.run_until_complete(main())


def test_a_buffered_protocol_is_told_of_the_end(loop):
    """eof_received() once; a true answer keeps the writing side open."""
    calls = []

    class Buffered(asyncio.BufferedProtocol):
        def connection_made(self, transport):
            self.transport = transport

        def get_buffer(self, sizehint):
            return bytearray(100)

        def buffer_updated(self, count):
            calls.append(count)

        def eof_received(self):
            calls.append("eof")
            self.transport.write(b"bye")
            self.transport.close()
            return True

        def connection_lost(self, exc):
            lost.set_result(exc)

    lost = loop.create_future()

    async def main():
        _, peer = await connect(loop, Buffered)
        with peer:
            peer.sendall(b"12345")
            peer.shutdown(socket.SHUT_WR)
            assert await drain(loop, peer) == b"bye"
        assert await lost is None

    loop.run_until_complete(main())
    assert calls == [5, "eof"]


class HoldingBack(Strict):
    """Writes its last words only when it may."""

    def resume_writing(self):
        super().resume_writing()
        self.transport.write(b"last words")


def test_what_a_paused_protocol_holds_back_is_sent_after_close(loop):
    async def main():
        protocol, peer = await connect(loop, HoldingBack)
        with peer:
            transport = protocol.transport
            while not protocol.paused:
                transport.write(bytes(1 << 20))
                await asyncio.sleep(0)
            transport.close()
            assert transport.is_closing()
            assert not transport.is_reading()
            assert (await drain(loop, peer)).endswith(b"\0last words")
            assert await protocol.lost is None
        assert protocol.resumes == 1

    loop.run_until_complete(main())


def test_a_connection_closed_while_its_protocol_pauses_can_be_aborted(loop):
    async def main():
        protocol, peer = await connect(loop, HoldingBack)
        with peer:
            transport = protocol.transport
            while not protocol.paused:
                transport.write(bytes(1 << 20))
                await asyncio.sleep(0)
            transport.close()
            transport.abort()
            assert await protocol.lost is None

    loop.run_until_complete(main())
