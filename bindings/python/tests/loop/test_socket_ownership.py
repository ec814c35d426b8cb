"""The user's own sockets and who owns them: closed, collected, used again, given to a transport."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import struct
import threading

import pytest
from peers import connect, socket_pair, tcp_pair
from steps import cancel, soon, turns, until

HOST = "127.0.0.1"


def test_a_socket_closed_while_receiving_stays_open_until_the_receive_ends(loop, pair):
    """close() during a pending receive is put off: the data arrives, then the peer gets the end."""
    ours, peer = pair

    async def main():
        task = loop.create_task(loop.sock_recv(ours, 100))
        await turns(2)
        number = ours.fileno()
        ours.close()
        assert os.fstat(number)
        peer.sendall(b"last words")
        assert await task == b"last words"
        with pytest.raises(OSError):
            os.fstat(number)
        assert await loop.run_in_executor(None, peer.recv, 10) == b""

    loop.run_until_complete(main())


def test_a_socket_closed_while_receiving_reaches_the_peer_when_cancelled(loop, pair):
    """After the cancellation the peer gets the end, though nobody enters anything new."""
    ours, peer = pair

    async def main():
        task = loop.create_task(loop.sock_recv(ours, 100))
        await turns(2)
        ours.close()
        assert await cancel(task)
        assert await loop.run_in_executor(None, peer.recv, 10) == b""

    loop.run_until_complete(main())


def test_a_number_used_again_never_sees_the_bytes_of_its_former_socket(loop):
    """What a closed socket had in its stash dies with it."""

    async def main():
        numbers = set()
        for number in range(300):
            with socket_pair() as (ours, peer):
                numbers.add(ours.fileno())
                task = loop.create_task(loop.sock_recv(ours, 4))
                await turns(number % 3)
                peer.sendall(b"old %d" % number)
                await turns(number % 2)
                await cancel(task)
            with socket_pair() as (ours, peer):
                numbers.add(ours.fileno())
                task = loop.create_task(loop.sock_recv(ours, 100))
                await turns(number % 3)
                peer.sendall(b"new %d" % number)
                assert await task == b"new %d" % number
        assert len(numbers) < 20  # they were used again

    loop.run_until_complete(main())


def test_a_socket_may_be_given_to_a_transport_with_what_was_received(loop):
    """Bytes that a cancelled sock_recv() left over are the protocol's first."""
    got = bytearray()

    class Reading(asyncio.Protocol):
        def data_received(self, data):
            got.extend(data)

        def connection_lost(self, exc):
            ended.set_result(exc)

    ended = loop.create_future()

    async def main():
        ours, peer = tcp_pair()
        with peer:
            task = loop.create_task(loop.sock_recv(ours, 100))
            await turns(2)
            peer.sendall(b"first ")
            await cancel(task)
            if not task.cancelled():
                got.extend(task.result())
            await loop.create_connection(Reading, sock=ours)
            peer.sendall(b"second")
        assert await ended is None

    loop.run_until_complete(main())
    assert bytes(got) == b"first second"


@pytest.mark.parametrize("taken", [True, False], ids=["taken", "not taken"])
@pytest.mark.parametrize("how", ["end", "reset"])
def test_a_socket_that_has_ended_may_be_given_to_a_transport(loop, how, taken):
    """Its protocol is told of the end, also if a sock_recv() was, or was cancelled meanwhile."""

    async def main():
        ours, peer = tcp_pair()
        task = loop.create_task(loop.sock_recv(ours, 100))
        await turns(3)
        if how == "reset":
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            peer.close()
        else:
            peer.shutdown(socket.SHUT_WR)
        if taken:
            result = await soon(asyncio.gather(task, return_exceptions=True))
            assert result == [b""] or isinstance(result[0], ConnectionResetError)
        else:
            endpoint = loop._sockets[ours.fileno()]
            await until(lambda: endpoint._end is not None and task.cancel())
            await asyncio.wait([task])
            assert task.cancelled()
        reader, writer = await asyncio.open_connection(sock=ours)
        try:
            return await soon(reader.read())
        finally:
            writer.close()
            peer.close()

    if how == "reset" and not taken:
        with pytest.raises(ConnectionResetError):
            loop.run_until_complete(main())
    else:
        assert loop.run_until_complete(main()) == b""


def test_a_socket_of_a_transport_is_refused(loop):
    """While a transport has the descriptor, sock_* of it raises RuntimeError."""

    async def main():
        protocol, peer = await connect(loop)
        transport = protocol.transport
        with peer:
            sock = socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno()))
            sock.close()
            twin = socket.socket(fileno=transport.get_extra_info("socket").fileno())
            twin.setblocking(False)  # PyPy has made it a blocking one
            try:
                with pytest.raises(RuntimeError, match="is used by transport"):
                    await loop.sock_recv(twin, 10)
            finally:
                twin.detach()
            transport.close()
            await turns(3)

    loop.run_until_complete(main())


CALLS = {
    "sock_recv": (10,),
    "sock_recv_into": (bytearray(10),),
    "sock_sendall": (b"x",),
    "sock_connect": ((HOST, 1),),
    "sock_accept": (),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_tls_socket_is_a_type_error(loop, pair, name):
    """An SSLSocket hides bytes from the loop; asyncio refuses it, so do we."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    tls = context.wrap_socket(pair[0], do_handshake_on_connect=False)
    with tls, pytest.raises(TypeError, match="SSLSocket"):
        loop.run_until_complete(getattr(loop, name)(tls, *CALLS[name]))


@pytest.mark.parametrize("name", CALLS)
def test_a_blocking_socket_is_a_value_error_in_debug_mode(loop, pair, name):
    """It would block the whole loop."""
    loop.set_debug(True)
    with pytest.raises(ValueError, match="non-blocking"):
        loop.run_until_complete(getattr(loop, name)(pair[1], *CALLS[name]))


def test_many_sockets_come_and_go(loop):
    """Sockets that are gone are let go of: the loop does not keep one record for each for ever."""

    async def main():
        for _ in range(500):
            with socket_pair() as (ours, peer):
                task = loop.create_task(loop.sock_recv(ours, 10))
                await turns(1)
                peer.sendall(b"x")
                assert await task == b"x"
        socks = []
        for _ in range(300):
            ours, peer = socket.socketpair()
            ours.setblocking(False)
            socks += [ours, peer]
            task = loop.create_task(loop.sock_recv(ours, 10))
            await turns(1)
            peer.sendall(b"x")
            assert await task == b"x"
        for sock in socks:
            sock.close()
        one, other = socket.socketpair()
        with one, other:
            one.setblocking(False)
            for _ in range(2):
                loop._sweep_sockets()
        assert len(loop._sockets) <= 1
        assert loop.stats().attached < 10

    loop.run_until_complete(main())


def test_a_receive_pending_when_the_loop_is_closed_leaves_the_socket_usable(loop, pair):
    """The socket is the user's: closing the loop calls the receive off and nothing else."""
    ours, peer = pair
    task = loop.create_task(loop.sock_recv(ours, 10))
    loop.run_until_complete(turns(3))
    task.cancel()
    loop.run_until_complete(asyncio.gather(task, return_exceptions=True))
    task = loop.create_task(loop.sock_accept(ours))
    task.cancel()
    loop.run_until_complete(asyncio.gather(task, return_exceptions=True))
    loop.close()
    peer.sendall(b"for whoever reads")
    ours.settimeout(10)
    assert ours.recv(100) == b"for whoever reads"


def test_an_echo_over_bare_sockets(loop):
    """The classic server of sock_accept, sock_recv and sock_sendall, with blocking clients."""
    clients = 20
    failures = []

    def client(address, number):
        try:
            with socket.create_connection(address) as sock:
                sock.settimeout(20)
                payload = b"%d" % number * 50_000
                sender = threading.Thread(target=sock.sendall, args=(payload,))
                sender.start()
                got = bytearray()
                while len(got) < len(payload):
                    got += sock.recv(1 << 16)
                sender.join()
                assert got == payload
        except BaseException as exc:
            failures.append(exc)

    async def serve(conn):
        with conn:
            while data := await loop.sock_recv(conn, 1 << 16):
                await loop.sock_sendall(conn, data)

    async def main():
        with socket.create_server((HOST, 0), backlog=clients) as server:
            server.setblocking(False)
            threads = [
                threading.Thread(target=client, args=(server.getsockname(), number))
                for number in range(clients)
            ]
            for thread in threads:
                thread.start()
            tasks = []
            for _ in range(clients):
                conn, _ = await loop.sock_accept(server)
                tasks.append(loop.create_task(serve(conn)))
            await asyncio.gather(*tasks)
            for thread in threads:
                thread.join()

    loop.run_until_complete(main())
    assert not failures


class Wrapper:
    """Acts as a socket, and has nothing else of one; sending would block at first."""

    def __init__(self, sock):
        self._sock = sock
        self.refusals = 2

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._sock, name)

    def sendto(self, data, address):
        self.refusals -= 1
        if self.refusals >= 0:
            raise BlockingIOError
        return self._sock.sendto(data, address)


def test_what_only_acts_as_a_socket_is_served(loop, pair):
    ours, peer = pair
    datagrams = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]

    async def main():
        wrapped = Wrapper(ours)
        task = loop.create_task(loop.sock_recv(wrapped, 100))
        await turns(2)
        peer.sendall(b"to the wrapped")
        assert await task == b"to the wrapped"
        for sock in datagrams:
            sock.setblocking(False)
            sock.bind((HOST, 0))
        sender = Wrapper(datagrams[0])
        assert await loop.sock_sendto(sender, b"a datagram", datagrams[1].getsockname()) == 10
        assert await loop.sock_recv(datagrams[1], 100) == b"a datagram"

    try:
        loop.run_until_complete(main())
    finally:
        for sock in datagrams:
            sock.close()


def test_the_loop_itself_can_use_a_closed_sockets_number_again(loop, pair):
    """The first add_reader() opens a descriptor of the loop's own, here under such a number."""
    ours, _ = pair

    async def main():
        task = asyncio.ensure_future(loop.sock_recv(ours, 1))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        reader, writer = os.pipe()
        ours.close()  # the next descriptor gets its number
        called = asyncio.Event()
        loop.add_reader(reader, called.set)
        os.write(writer, b"x")
        await asyncio.wait_for(called.wait(), 20)
        loop.remove_reader(reader)
        os.close(reader)
        os.close(writer)

    loop.run_until_complete(main())
