"""sock_recv, sock_recv_into, sock_sendall, sock_connect, sock_accept: the user's own sockets."""

from __future__ import annotations

import array
import asyncio
import os
import socket

import pytest
from listeners import full_listener
from steps import cancel, turns

HOST = "127.0.0.1"


@pytest.mark.heavy
def test_ten_thousand_cancelled_receives_lose_no_byte(loop, pair):
    """Wherever the cancellation strikes, what arrived is the next receive's, in order."""
    ours, peer = pair
    sent, received = bytearray(), bytearray()

    async def main():
        cancelled = round_ = 0
        while cancelled < 10_000:
            round_ += 1
            task = loop.create_task(ours_recv(round_ % 7 * 3 + 1))
            await turns(round_ % 2)
            if round_ % 3:
                piece = b"%07d;" % round_
                peer.sendall(piece)
                sent.extend(piece)
            await turns(round_ % 5)
            if await cancel(task):
                cancelled += 1
            else:
                received.extend(task.result())
            if round_ % 50 == 0:
                while len(received) < len(sent):
                    received.extend(await loop.sock_recv(ours, 4096))
        peer.shutdown(socket.SHUT_WR)
        while piece := await loop.sock_recv(ours, 4096):
            received.extend(piece)

    async def ours_recv(count):
        return await loop.sock_recv(ours, count)

    loop.run_until_complete(main())
    assert received == sent
    assert len(sent) > 50_000


def test_a_receive_cancelled_after_its_data_came_gives_it_to_the_next(loop, pair):
    """The task is cancelled when the result is set but the coroutine has not run again."""
    ours, peer = pair

    async def main():
        for number in range(200):
            task = loop.create_task(loop.sock_recv(ours, 100))
            await turns(1)
            peer.sendall(b"%d" % number)
            # Until the result lies in the future, and not a turn longer.
            endpoint = loop._sockets[ours.fileno()]
            future = endpoint._receivers[0][0]
            while not future.done():
                loop.call_soon(task.cancel) if number % 2 else None
                await turns(1)
            await cancel(task)
            if task.cancelled():
                assert await loop.sock_recv(ours, 100) == b"%d" % number
            else:
                assert task.result() == b"%d" % number

    loop.run_until_complete(main())


def test_the_buffer_of_a_cancelled_receive_is_never_written(loop, pair):
    """After the cancellation the buffer is the caller's alone: unchanged and resizable."""
    ours, peer = pair

    async def main():
        for number in range(100):
            buffer = bytearray(b"\xaa" * 1000)
            task = loop.create_task(loop.sock_recv_into(ours, buffer))
            await turns(1 + number % 3)
            if number % 2:
                peer.sendall(b"b" * 500)
            assert await cancel(task)
            if not number % 2:
                peer.sendall(b"b" * 500)
            other = bytearray(1000)
            got = 0
            while got < 500:
                with memoryview(other) as view:
                    got += await loop.sock_recv_into(ours, view[got:])
            assert other[:500] == b"b" * 500
            assert buffer == b"\xaa" * 1000
            buffer.clear()

    loop.run_until_complete(main())


@pytest.mark.parametrize("make", [bytearray, lambda count: array.array("H", bytes(count))])
def test_receiving_into_any_writable_buffer(loop, pair, make):
    """The bytes land at its start, the answer is their number, 0 is the end."""
    ours, peer = pair
    target = make(8)

    async def main():
        task = loop.create_task(loop.sock_recv_into(ours, target))
        await turns(2)
        peer.sendall(b"abcd")
        assert await task == 4
        assert bytes(target)[:4] == b"abcd"
        peer.sendall(b"efghij")
        assert await loop.sock_recv_into(ours, target) == 6
        assert bytes(target)[:6] == b"efghij"
        task = loop.create_task(loop.sock_recv_into(ours, target))
        await turns(2)
        peer.shutdown(socket.SHUT_WR)
        assert await task == 0
        assert await loop.sock_recv_into(ours, target) == 0

    loop.run_until_complete(main())


def test_several_receivers_are_served_in_order(loop, pair):
    """First come, first served; each gets no more than it asked for."""
    ours, peer = pair

    async def main():
        tasks = [loop.create_task(loop.sock_recv(ours, 3)) for _ in range(4)]
        await turns(2)
        peer.sendall(b"aaabbbcccddd")
        assert await asyncio.gather(*tasks) == [b"aaa", b"bbb", b"ccc", b"ddd"]

    loop.run_until_complete(main())


def test_the_middle_one_of_several_receivers_can_be_cancelled(loop, pair):
    """The others keep their places."""
    ours, peer = pair

    async def main():
        tasks = [loop.create_task(loop.sock_recv(ours, 3)) for _ in range(3)]
        await turns(2)
        assert await cancel(tasks[1])
        peer.sendall(b"aaabbb")
        assert await tasks[0] == b"aaa"
        assert await tasks[2] == b"bbb"

    loop.run_until_complete(main())


def test_what_is_there_is_had_without_a_turn(loop, pair):
    """Also when a receive through the ring has emptied the socket before."""
    ours, peer = pair

    async def main():
        receiving = loop.create_task(loop.sock_recv(ours, 100))
        await turns(2)
        peer.sendall(b"one")
        assert await receiving == b"one"
        peer.sendall(b"two")
        with pytest.raises(StopIteration) as done:
            loop.sock_recv(ours, 100).send(None)
        assert done.value.value == b"two"

    loop.run_until_complete(main())


def test_after_a_short_receive_all_other_ways_to_receive_still_work(loop, pair):
    ours, peer = pair

    async def empty_it():
        receiving = loop.create_task(loop.sock_recv(ours, 100))
        await turns(2)
        peer.sendall(b"short")
        assert await receiving == b"short"

    async def main():
        await empty_it()
        assert await loop.sock_recv(ours, 0) == b""
        with pytest.raises(ValueError, match="negative"):
            await loop.sock_recv(ours, -1)
        peer.sendall(b"abcdef")
        assert await loop.sock_recv(ours, 2) == b"ab"
        assert ours.recv(1) == b"c"
        room = bytearray(2)
        assert await loop.sock_recv_into(ours, room) == 2
        assert room == b"de"
        with pytest.raises(TypeError):
            await loop.sock_recv_into(ours, b"read-only")
        assert await loop.sock_recv(ours, 100) == b"f"
        await empty_it()
        peer.shutdown(socket.SHUT_WR)
        assert await loop.sock_recv(ours, 100) == b""
        assert await loop.sock_recv(ours, 100) == b""

    loop.run_until_complete(main())


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_sendall_sends_everything(loop, pair, kind):
    """16 MiB through a small socket, byte for byte, whatever holds the bytes."""
    ours, peer = pair
    payload = os.urandom(16 << 20)

    def read():
        pieces = []
        while piece := peer.recv(1 << 20):
            pieces.append(piece)
        return b"".join(pieces)

    async def main():
        reading = loop.run_in_executor(None, read)
        await loop.sock_sendall(ours, kind(payload))
        ours.shutdown(socket.SHUT_WR)
        assert await reading == payload

    loop.run_until_complete(main())


def test_sendall_counts_bytes_and_not_items(loop, pair):
    """When the first send takes as many bytes as there are items, the rest is sent too."""
    ours, peer = pair
    probe, probe_peer = socket.socketpair()
    with probe, probe_peer:
        probe.setblocking(False)
        taken = probe.send(bytes(1 << 24))
    data = array.array("I", range(taken))

    def read():
        pieces = bytearray()
        while len(pieces) < 4 * taken and (piece := peer.recv(1 << 20)):
            pieces += piece
        return pieces

    async def main():
        reading = loop.run_in_executor(None, read)
        await loop.sock_sendall(ours, data)
        ours.shutdown(socket.SHUT_WR)
        assert await reading == data.tobytes()

    loop.run_until_complete(main())


def test_a_cancelled_sendall_leaves_the_socket_usable(loop, pair):
    """What is sent is a prefix; nothing of the rest comes later."""
    ours, peer = pair
    payload = os.urandom(8 << 20)

    async def main():
        task = loop.create_task(loop.sock_sendall(ours, payload))
        await turns(5)
        assert await cancel(task)
        ours.shutdown(socket.SHUT_WR)

        def read():
            got = bytearray()
            while piece := peer.recv(1 << 20):
                got += piece
            return got

        got = await loop.run_in_executor(None, read)
        assert 0 < len(got) < len(payload)
        assert payload.startswith(got)
        peer.sendall(b"answer")
        assert await loop.sock_recv(ours, 100) == b"answer"

    loop.run_until_complete(main())


def test_reading_and_writing_one_socket_at_once(loop, pair):
    """A pending sendall and a pending receive do not disturb each other."""
    ours, peer = pair
    payload = os.urandom(4 << 20)

    async def main():
        sending = loop.create_task(loop.sock_sendall(ours, payload))
        receiving = loop.create_task(loop.sock_recv(ours, 100))
        await turns(3)
        assert not sending.done()
        peer.sendall(b"meanwhile")
        assert await receiving == b"meanwhile"
        assert not sending.done()

        def read():
            left = len(payload)
            while left:
                left -= len(peer.recv(1 << 20))

        await loop.run_in_executor(None, read)
        await sending

    loop.run_until_complete(main())


def test_a_cancelled_accept_loses_no_connection(loop):
    """Every client is accepted, whenever the awaiting task was cancelled."""
    accepted, clients = [], []

    async def main():
        with socket.create_server((HOST, 0), backlog=100) as server:
            server.setblocking(False)
            for number in range(300):
                task = loop.create_task(loop.sock_accept(server))
                await turns(number % 3)
                if number % 3 == 0 or number % 5 == 0:
                    clients.append(socket.create_connection(server.getsockname()))
                await turns(number % 4)
                if not await cancel(task):
                    accepted.append(task.result()[0])
            while len(accepted) < len(clients):
                conn, address = await loop.sock_accept(server)
                assert conn.getpeername() == address
                assert conn.gettimeout() == 0
                accepted.append(conn)

    loop.run_until_complete(main())
    try:
        ours = sorted(sock.getpeername() for sock in accepted)
        assert ours == sorted(sock.getsockname() for sock in clients)
    finally:
        for sock in accepted + clients:
            sock.close()


def test_a_refused_connection_is_an_error_at_once(loop):
    """Nobody listens: ConnectionRefusedError."""

    async def main():
        with socket.socket() as holder, socket.socket() as sock:
            holder.bind((HOST, 0))
            sock.setblocking(False)
            with pytest.raises(ConnectionRefusedError):
                await loop.sock_connect(sock, holder.getsockname())

    loop.run_until_complete(main())


def test_a_connection_that_waits_can_be_cancelled_or_succeed(loop):
    """A full backlog keeps sock_connect() waiting; room in it lets the connection through."""

    async def main():
        with full_listener() as server, socket.socket() as given_up, socket.socket() as sock:
            for one in (given_up, sock):
                one.setblocking(False)
            task = loop.create_task(loop.sock_connect(given_up, server.getsockname()))
            waiting = loop.create_task(loop.sock_connect(sock, server.getsockname()))
            await turns(5)
            assert not task.done()
            assert not waiting.done()
            assert await cancel(task)
            given_up.close()
            while not waiting.done():
                server.settimeout(10)
                conn, _ = await loop.run_in_executor(None, server.accept)
                conn.close()
                await asyncio.wait([waiting], timeout=0.01)
            await waiting
            assert sock.getpeername() == server.getsockname()

    loop.run_until_complete(main())


def test_a_host_name_is_resolved(loop):
    """sock_connect() takes a name as asyncio's does."""

    async def main():
        with socket.create_server((HOST, 0)) as server, socket.socket() as sock:
            sock.setblocking(False)
            await loop.sock_connect(sock, ("localhost", server.getsockname()[1]))
            assert sock.getpeername() == server.getsockname()

    loop.run_until_complete(main())


def test_connect_has_begun_when_the_first_turn_ends(loop):
    """A program may accept with a blocking call right after it."""

    async def main():
        with socket.create_server((HOST, 0)) as server, socket.socket() as sock:
            sock.setblocking(False)
            server.settimeout(10)
            task = loop.create_task(loop.sock_connect(sock, server.getsockname()))
            await turns(1)
            conn, address = server.accept()
            conn.close()
            await task
            assert sock.getsockname() == address

    loop.run_until_complete(main())
