"""sock_*: receives that were cancelled, ends that are none, several receivers at a time."""

from __future__ import annotations

import asyncio
import random
import socket

import pytest
from receives import abandon
from steps import soon, turns

HOST = "127.0.0.1"


@pytest.fixture
def datagrams():
    """Make two connected sockets of datagrams: ours, non-blocking, and its peer."""
    with (
        socket.socket(type=socket.SOCK_DGRAM) as ours,
        socket.socket(type=socket.SOCK_DGRAM) as peer,
    ):
        ours.bind((HOST, 0))
        peer.bind((HOST, 0))
        ours.connect(peer.getsockname())
        peer.connect(ours.getsockname())
        ours.setblocking(False)
        yield ours, peer


async def receive_into(loop, sock, count):
    """Do as sock_recv(), by way of sock_recv_into()."""
    buffer = bytearray(count)
    return bytes(buffer[: await loop.sock_recv_into(sock, buffer)])


RECEIVERS = {
    "sock_recv": lambda loop: loop.sock_recv,
    "sock_recv_into": lambda loop: lambda sock, count: receive_into(loop, sock, count),
}


@pytest.mark.parametrize("name", RECEIVERS)
def test_an_empty_datagram_is_not_the_end(loop, datagrams, name):
    """What comes after it is waited for and received, also after a cancelled receive."""
    ours, peer = datagrams
    receive = RECEIVERS[name](loop)

    async def main():
        for number in range(5):
            task = loop.create_task(receive(ours, 100))
            await turns(3)
            assert not task.done()
            data = b"later %d" % number if number % 2 else b""
            peer.send(data)
            assert await soon(task) == data
            await abandon(loop, ours, receive)

    loop.run_until_complete(main())


def test_several_receivers_wait_after_an_empty_datagram(loop, datagrams):
    """It is the first's; the others get one datagram each, in order."""
    ours, peer = datagrams

    async def main():
        tasks = [loop.create_task(loop.sock_recv(ours, 100)) for _ in range(4)]
        await turns(3)
        for number, task in enumerate(tasks):
            data = b"%d" % number if number else b""
            peer.send(data)
            assert await soon(task) == data
            await turns(3)
            assert not any(later.done() for later in tasks[number + 1 :])

    loop.run_until_complete(main())


def test_a_refused_datagram_is_an_error_each_time(loop, datagrams):
    """Each receive that waits is told of the refusal; when the peer is there again, data comes."""
    ours, peer = datagrams
    address = peer.getsockname()
    peer.close()

    async def main():
        for _ in range(3):
            task = loop.create_task(loop.sock_recv(ours, 100))
            await turns(3)
            ours.send(b"x")
            with pytest.raises(ConnectionRefusedError):
                await soon(task)
        with socket.socket(type=socket.SOCK_DGRAM) as again:
            again.bind(address)
            task = loop.create_task(loop.sock_recv(ours, 100))
            await turns(3)
            assert not task.done()
            again.sendto(b"here", ours.getsockname())
            assert await soon(task) == b"here"

    loop.run_until_complete(main())


def test_every_receiver_of_a_stream_sees_its_end(loop, pair):
    """Those in the queue, too: the kernel tells libuc only once."""
    ours, peer = pair

    async def main():
        tasks = [loop.create_task(loop.sock_recv(ours, 3)) for _ in range(4)]
        await turns(3)
        peer.sendall(b"last")
        peer.shutdown(socket.SHUT_WR)
        assert await soon(asyncio.gather(*tasks)) == [b"las", b"t", b"", b""]

    loop.run_until_complete(main())


@pytest.mark.parametrize("others", [0, 1])
def test_an_end_told_to_a_cancelled_receiver_is_the_next_ones(loop, datagrams, others):
    """An empty datagram is not lost with the task that it came for."""
    ours, peer = datagrams

    async def main():
        first = loop.create_task(loop.sock_recv(ours, 100))
        tasks = [loop.create_task(loop.sock_recv(ours, 100)) for _ in range(others)]
        await turns(3)
        peer.send(b"")
        loop.call_soon(first.cancel)
        await turns(3)
        assert first.cancelled()
        tasks = tasks or [loop.create_task(loop.sock_recv(ours, 100))]
        assert await soon(tasks[0]) == b""

    loop.run_until_complete(main())


@pytest.mark.parametrize("count", [1, 3, 100])
def test_what_came_for_a_cancelled_receiver_is_the_next_ones_at_once(loop, pair, count):
    """The next in the queue gets it without more being sent, and nobody overtakes it."""
    ours, peer = pair

    async def main():
        for number in range(50):
            received = []

            async def receive(size, to):
                to.append(await loop.sock_recv(ours, size))

            first = loop.create_task(receive(100, received))
            others = [loop.create_task(receive(count, received)) for _ in range(3)]
            await turns(3)
            piece = b"<%d>" % number
            peer.sendall(piece)
            # Runs when the data has come but before the first receiver does.
            loop.call_soon(first.cancel)
            await soon(asyncio.wait([others[0]]))
            assert first.cancelled()
            assert received[0] == piece[:count]
            peer.sendall(b"more")
            await turns(number % 5)
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)
            while len(b"".join(received)) < len(piece) + 4:
                await soon(receive(100, received))
            assert b"".join(received) == piece + b"more"

    loop.run_until_complete(main())


def test_several_receivers_cancelled_at_random_keep_the_order(loop, pair):
    """What the receivers got, in the order in which they got it, is what was sent."""
    ours, peer = pair
    chance = random.Random(1)
    sent, received = bytearray(), bytearray()

    async def receive(size):
        received.extend(await loop.sock_recv(ours, size))

    async def main():
        tasks = []
        for number in range(5000):
            while len(tasks) < 4:
                tasks.append(loop.create_task(receive(chance.randint(1, 12))))
            await turns(chance.randrange(3))
            if chance.random() < 0.7:
                piece = b"%06d;" % number
                peer.sendall(piece)
                sent.extend(piece)
            for task in chance.sample(tasks, chance.randrange(3)):
                if chance.random() < 0.5:
                    task.cancel()
                else:
                    loop.call_soon(task.cancel)
            await turns(chance.randrange(3))
            tasks = [task for task in tasks if not task.done()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        peer.shutdown(socket.SHUT_WR)
        before = -1
        while len(received) > before:
            before = len(received)
            await soon(receive(1 << 16))

    loop.run_until_complete(main())
    assert received == sent


def test_a_receive_served_from_what_was_kept_leaves_nothing_armed(loop, pair):
    """A later receive that finds data in the socket does not overtake what the ring got."""
    ours, peer = pair

    async def main():
        for number in range(100):
            first = loop.create_task(loop.sock_recv(ours, 100))
            second = loop.create_task(loop.sock_recv(ours, 100))
            await turns(3)
            peer.sendall(b"%03d" % number)
            loop.call_soon(first.cancel)
            assert await soon(second) == b"%03d" % number
            peer.sendall(b"a")
            await turns(number % 3)
            peer.sendall(b"b")
            got = b""
            while len(got) < 2:
                got += await soon(loop.sock_recv(ours, 1))
            assert got == b"ab"

    loop.run_until_complete(main())
