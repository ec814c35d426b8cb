"""Many connections, numbers used again, sockets that belong to somebody, the end of the loop."""

from __future__ import annotations

import asyncio
import os
import resource
import socket
import struct
import warnings
import weakref

import pytest
from garbage import collect
from listeners import full_listener
from peers import connect, tcp_pair

import uringcore_cffi

HOST = "127.0.0.1"


class Echo(asyncio.Protocol):
    """Sends back what comes; knows how many of its kind there are."""

    def __init__(self, crowd: Crowd) -> None:
        self.crowd = crowd

    def connection_made(self, transport):
        self.transport = transport
        self.crowd.enter()

    def data_received(self, data):
        self.transport.write(data)

    def connection_lost(self, exc):
        self.crowd.leave()


class Crowd:
    """Counts the connections of a server; makes the protocols."""

    def __init__(self) -> None:
        self.count = self.total = 0
        self.empty = asyncio.Event()

    def __call__(self):
        return Echo(self)

    def enter(self):
        self.count += 1
        self.total += 1
        self.empty.clear()

    def leave(self):
        self.count -= 1
        if self.count == 0:
            self.empty.set()


class Client(asyncio.Protocol):
    """Sends one message, waits for as many bytes, tells when the connection is lost."""

    def __init__(self, message: bytes = b"") -> None:
        self.message = message
        self.data = bytearray()
        loop = asyncio.get_running_loop()
        self.complete = loop.create_future()
        self.lost = loop.create_future()

    def connection_made(self, transport):
        self.transport = transport
        if self.message:
            transport.write(self.message)

    def data_received(self, data):
        self.data += data
        if len(self.data) == len(self.message):
            self.complete.set_result(None)

    def connection_lost(self, exc):
        self.lost.set_result(exc)


@pytest.fixture
def _many_descriptors():
    """Allow as many descriptors as the test needs, or skip."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    if before[1] < 5000:
        pytest.skip("the limit of descriptors is too low")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(before[0], 5000), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.heavy
@pytest.mark.usefixtures("_many_descriptors")
def test_two_thousand_connections_at_once(loop):
    """Each gets its own bytes back, three times, while all others are open."""
    count = 2000

    async def main():
        crowd = Crowd()
        server = await loop.create_server(crowd, HOST, 0, backlog=count)
        address = server.sockets[0].getsockname()
        clients = []
        for start in range(0, count, 200):
            clients += await asyncio.gather(
                *(
                    loop.create_connection(lambda n=n: Client(b"%06d" % n * 50), *address)
                    for n in range(start, start + 200)
                )
            )
        for _ in range(3):
            for _, client in clients:
                await client.complete
                assert client.data == client.message
                client.data.clear()
                client.complete = loop.create_future()
                client.transport.write(client.message)
        for transport, client in clients:
            await client.complete
            transport.close()
        for _, client in clients:
            assert await client.lost is None
        await crowd.empty.wait()
        assert crowd.total == count
        server.close()
        await server.wait_closed()

    loop.run_until_complete(main())


@pytest.mark.heavy
def test_ten_thousand_connects_and_closes(loop):
    """Connection after connection, some closed, some aborted; each talks; nothing piles up."""
    total, together = 10_000, 50

    async def one(address, number):
        transport, client = await loop.create_connection(lambda: Client(b"%08d" % number), *address)
        await client.complete
        assert client.data == client.message
        # A reset leaves no TIME_WAIT, of which the system has only so many.
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if number % 2:
            transport.close()
        else:
            transport.abort()
        assert await client.lost is None

    async def main():
        crowd = Crowd()
        server = await loop.create_server(crowd, HOST, 0)
        address = server.sockets[0].getsockname()
        for start in range(0, total, together):
            await asyncio.gather(*(one(address, start + i) for i in range(together)))
        await crowd.empty.wait()
        assert crowd.total == total
        server.close()
        await server.wait_closed()

    loop.run_until_complete(main())
    assert loop.stats().stale == 0
    assert len(loop._endpoints) < 5
    assert len(loop._transports) == 0


@pytest.mark.parametrize("end", ["close", "abort"])
def test_a_number_used_again_never_sees_another_connections_bytes(loop, end):
    """The peer floods the old connection while its number passes to the next one."""
    rounds, reused = 300, 0

    async def main():
        nonlocal reused
        listener = socket.create_server((HOST, 0))
        with listener:
            address = listener.getsockname()
            last = None
            for number in range(rounds):
                _, old = await loop.create_connection(Client, *address)
                flooding, _ = listener.accept()
                flooding.setblocking(False)
                flooding.send(b"old" * 1000)
                if number % 3:
                    await asyncio.sleep(0)
                last = old.transport.get_extra_info("socket").fileno()
                getattr(old.transport, end)()
                flooding.send(b"old" * 1000)
                await old.lost
                _, new = await loop.create_connection(lambda: Client(b"new"), *address)
                peer, _ = listener.accept()
                reused += new.transport.get_extra_info("socket").fileno() == last
                try:
                    flooding.send(b"old" * 1000)
                except OSError:
                    pass
                flooding.close()
                peer.sendall(b"new")
                await new.complete
                assert new.data == b"new"
                new.transport.close()
                await new.lost
                peer.close()

    loop.run_until_complete(main())
    assert reused > rounds // 2


def test_a_later_close_by_the_user_closes_no_stranger(loop):
    """create_connection(sock=) owns the socket; the user's close() afterwards does nothing."""

    async def main():
        with socket.create_server((HOST, 0)) as listener:
            for _ in range(50):
                mine = socket.create_connection(listener.getsockname())
                peer, _ = listener.accept()
                mine.setblocking(False)
                number = mine.fileno()
                transport, client = await loop.create_connection(Client, sock=mine)
                transport.close()
                await client.lost
                stranger = socket.socket()
                assert stranger.fileno() == number
                mine.close()
                assert stranger.getsockname() == ("0.0.0.0", 0)
                stranger.close()
                peer.close()

    loop.run_until_complete(main())


def test_a_close_by_the_user_while_connected_is_put_off(loop):
    """The transport goes on with the socket that it owns; a stranger never gets its number."""

    async def main():
        mine, peer = tcp_pair()
        number = mine.fileno()
        transport, client = await loop.create_connection(lambda: Client(b"hello"), sock=mine)
        inode = os.fstat(number).st_ino
        mine.close()
        with peer, socket.socket(), socket.socket():
            assert os.fstat(number).st_ino == inode
            assert peer.recv(100) == b"hello"
            peer.sendall(b"HELLO")
            await client.complete
            transport.close()
            assert await client.lost is None
            assert peer.recv(100) == b""
        with pytest.raises(OSError):
            os.fstat(number)

    loop.run_until_complete(main())


@pytest.mark.parametrize("how", ["sock", "accepted"])
def test_a_failing_protocol_factory_leaves_the_socket_to_its_owner(loop, how):
    """No transport was made, so nothing was taken over: the socket is open and usable."""

    def fail():
        raise ZeroDivisionError

    async def main():
        mine, peer = tcp_pair()
        with mine, peer:
            if how == "sock":
                making = loop.create_connection(fail, sock=mine)
            else:
                making = loop.connect_accepted_socket(fail, mine)
            with pytest.raises(ZeroDivisionError):
                await making
            assert mine.fileno() >= 0
            mine.send(b"still mine")
            assert peer.recv(100) == b"still mine"

    loop.run_until_complete(main())


def test_happy_eyeballs_takes_the_address_that_answers(loop, monkeypatch):
    """One address hangs, the other answers: the second is used, the first attempt is given up."""

    async def main():
        async def resolve(*_args, **_options):
            addresses = (hanging.getsockname(), good.getsockname())
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", each) for each in addresses]

        monkeypatch.setattr(loop, "getaddrinfo", resolve)
        with full_listener() as hanging, socket.create_server((HOST, 0)) as good:
            transport, client = await asyncio.wait_for(
                loop.create_connection(Client, "name", 1, happy_eyeballs_delay=0.01), 20
            )
            assert transport.get_extra_info("peername") == good.getsockname()
            transport.close()
            await client.lost

    loop.run_until_complete(main())


def test_a_refused_address_leads_to_the_next(loop, monkeypatch):
    """Without happy eyeballs too; and when all refuse, the error says so."""

    async def main():
        refused = socket.socket()
        refused.bind((HOST, 0))
        good = socket.create_server((HOST, 0))
        addresses = [refused.getsockname(), good.getsockname()]

        async def resolve(*_args, **_options):
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", each) for each in addresses]

        monkeypatch.setattr(loop, "getaddrinfo", resolve)
        with refused, good:
            transport, client = await loop.create_connection(Client, "name", 1)
            assert transport.get_extra_info("peername") == good.getsockname()
            transport.close()
            await client.lost
            addresses[1] = addresses[0]
            with pytest.raises(OSError):
                await loop.create_connection(Client, "name", 1)

    loop.run_until_complete(main())


def test_a_cancelled_connect_leaves_nothing(loop):
    """The task ends, its socket is closed; the leak check of every test looks for the rest."""

    async def main():
        with full_listener() as hanging:
            for turns in range(20):
                task = loop.create_task(loop.create_connection(Client, *hanging.getsockname()))
                for _ in range(turns):
                    await asyncio.sleep(0)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task

    loop.run_until_complete(main())


def test_closing_the_loop_with_open_connections_leaks_nothing():
    """Descriptors are closed, peers get the end, transports and protocols can be collected."""
    peers, gone = [], []

    async def main(loop, listener):
        server = await loop.create_server(Crowd(), HOST, 0)
        for number in range(20):
            transport, protocol = await loop.create_connection(Client, *listener.getsockname())
            peer, _ = listener.accept()
            peers.append(peer)
            if number % 4 == 1:
                transport.write(b"x" * 10_000_000)
            if number % 4 == 2:
                transport.pause_reading()
                peer.sendall(b"x" * 100_000)
            if number % 4 == 3:
                transport.write(b"x" * 10_000_000)
                transport.close()
            gone.extend((weakref.ref(transport), weakref.ref(protocol)))
        _, inner = await loop.create_connection(Client, *server.sockets[0].getsockname())
        gone.append(weakref.ref(inner))
        return server

    with warnings.catch_warnings(), socket.create_server((HOST, 0), backlog=50) as listener:
        warnings.simplefilter("ignore", ResourceWarning)
        before = len(os.listdir("/proc/self/fd"))
        loop = uringcore_cffi.new_event_loop()
        server = loop.run_until_complete(main(loop, listener))
        loop.close()
        assert len(os.listdir("/proc/self/fd")) == before + len(peers)
        for peer in peers:
            peer.settimeout(20)
            try:
                while peer.recv(1 << 20):
                    pass
            except ConnectionResetError:
                pass
            peer.close()
        del server, loop, peer
        collect()
        assert [each() for each in gone if each() is not None] == []


def test_a_transport_used_after_the_loop_was_closed_does_no_harm():
    """write() is dropped, the sizes are 0, close() and abort() raise nothing unexpected."""
    loop = uringcore_cffi.new_event_loop()

    async def connect(listener):
        return await loop.create_connection(Client, *listener.getsockname())

    with warnings.catch_warnings(), socket.create_server((HOST, 0)) as listener:
        warnings.simplefilter("ignore", ResourceWarning)
        transport, _ = loop.run_until_complete(connect(listener))
        peer, _ = listener.accept()
        loop.close()
        with peer:
            transport.write(b"dropped")
            transport.abort()
            assert transport.get_write_buffer_size() == 0
            assert transport.get_extra_info("peername") == listener.getsockname()
            repr(transport)
            peer.settimeout(20)
            assert peer.recv(100) == b""
        del transport
        collect()


def test_a_transport_can_be_collected_after_its_end(loop):
    """Neither the loop nor libuc keeps a closed connection alive."""

    async def main():
        protocol, peer = await connect(loop, Client)
        transport = protocol.transport
        with peer:
            peer.sendall(b"x")
            transport.write(b"y" * 1_000_000)
            transport.abort()
            await protocol.lost
        return weakref.ref(transport), weakref.ref(protocol)

    gone = loop.run_until_complete(main())
    collect()
    assert [each() for each in gone] == [None, None]
