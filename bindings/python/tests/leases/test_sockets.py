"""sock_recv_lease(): leases from the user's own sockets."""

from __future__ import annotations

import asyncio
import random
import socket

import pytest
from leased import A_BUFFER, Taking, lease_of, leased, until_leased
from receives import abandon
from steps import soon, turns

HOST = "127.0.0.1"


def test_what_arrives_later_is_waited_for(loop, pair):
    ours, peer = pair

    async def main():
        task = loop.create_task(loop.sock_recv_lease(ours))
        await turns(3)
        assert not task.done()
        peer.sendall(b"later")
        with await soon(task) as lease:
            assert lease.view == b"later"

    loop.run_until_complete(main())


def test_the_end_is_an_empty_lease_each_time(loop, pair):
    ours, peer = pair

    async def main():
        peer.sendall(b"last")
        peer.shutdown(socket.SHUT_WR)
        with await loop.sock_recv_lease(ours) as lease:
            assert lease.view == b"last"
        for _ in range(3):
            lease = await loop.sock_recv_lease(ours)
            assert not lease
            assert lease.view == b""
        assert await loop.sock_recv(ours, 10) == b""

    loop.run_until_complete(main())


def test_an_error_is_raised(loop):
    async def main():
        with socket.create_server((HOST, 0)) as server:
            ours = socket.create_connection(server.getsockname())
            peer, _ = server.accept()
        with ours:
            ours.setblocking(False)
            task = loop.create_task(loop.sock_recv_lease(ours))
            await turns(3)
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            peer.close()
            with pytest.raises(ConnectionResetError):
                await soon(task)

    loop.run_until_complete(main())


def test_datagrams_are_refused_with_a_word_on_what_to_use(loop, udp_pair):
    async def main():
        with pytest.raises(ValueError, match=r"use sock_recv\(\)"):
            await loop.sock_recv_lease(udp_pair[0])

    loop.run_until_complete(main())


def test_what_came_for_a_cancelled_receive_is_the_next_ones(loop, pair):
    """Whichever of the two kinds each of them is."""
    ours, peer = pair
    kinds = [loop.sock_recv, lambda sock, _: loop.sock_recv_lease(sock)]

    async def main():
        for first in kinds:
            for second in kinds:
                await abandon(loop, ours, first)
                peer.sendall(b"data")
                assert bytes(await soon(second(ours, 10))) == b"data"
        await until_leased(loop, 0)

    loop.run_until_complete(main())


def test_a_lease_that_came_for_a_receiver_that_was_then_cancelled_is_the_next_ones(loop, pair):
    """It is cancelled after the data has come and before it has run."""
    ours, peer = pair

    async def main():
        for count in (1, 3, 100):
            task = loop.create_task(loop.sock_recv_lease(ours))
            await turns(3)
            peer.sendall(b"<data>")
            loop.call_soon(task.cancel)
            await turns(3)
            assert task.cancelled()
            got = b""
            while len(got) < 6:
                got += await soon(loop.sock_recv(ours, count))
            assert got == b"<data>"
        await until_leased(loop, 0)

    loop.run_until_complete(main())


def test_the_rest_of_a_piece_of_which_a_part_was_wanted_comes_as_a_lease(loop, pair):
    ours, peer = pair

    async def main():
        task = loop.create_task(loop.sock_recv(ours, 3))
        await turns(3)
        peer.sendall(b"12345678")
        assert await soon(task) == b"123"
        got = b""
        while len(got) < 5:
            with await soon(loop.sock_recv_lease(ours)) as lease:
                got += lease.view
        assert got == b"45678"

    loop.run_until_complete(main())


def test_receivers_of_both_kinds_cancelled_at_random_keep_the_order(loop, pair):
    """What they got, in the order in which they got it, is what was sent."""
    ours, peer = pair
    chance = random.Random(2)
    sent, received, kept = bytearray(), bytearray(), []

    async def receive(size):
        if size:
            received.extend(await loop.sock_recv(ours, size))
            return
        lease = await loop.sock_recv_lease(ours)
        received.extend(lease.view)
        kept.append((lease.view[:], bytes(lease)))
        lease.release()
        if len(kept) > 5:
            part, copy = kept.pop(chance.randrange(6))
            assert part == copy

    async def main():
        tasks = []
        for number in range(3000):
            while len(tasks) < 4:
                tasks.append(loop.create_task(receive(chance.choice((0, 0, 3, 12)))))
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
            await soon(receive(chance.choice((0, 1 << 16))))
        assert all(part == copy for part, copy in kept)

    loop.run_until_complete(main())
    assert received == sent


def test_a_socket_handed_to_a_transport_brings_what_came_along(loop, pair):
    """Also a lease for which nobody was there."""
    ours, peer = pair

    async def main():
        task = loop.create_task(loop.sock_recv_lease(ours))
        await turns(3)
        peer.sendall(b"first ")
        loop.call_soon(task.cancel)
        await turns(3)
        _, protocol = await loop.create_connection(Taking, sock=ours)
        peer.sendall(b"second")
        peer.shutdown(socket.SHUT_WR)
        await soon(protocol.lost)
        assert protocol.data == b"first second"

    loop.run_until_complete(main())


def test_a_kept_lease_keeps_its_bytes_while_thousands_of_messages_pass(loop, pair):
    ours, peer = pair

    async def main():
        kept = await lease_of(loop, ours, peer, b"kept" * 1000)
        part = kept.view[400:800]
        kept.release()
        for number in range(3000):
            message = b"%06d" % number * 600
            peer.sendall(message)
            got = bytearray()
            while len(got) < len(message):
                with await loop.sock_recv_lease(ours) as lease:
                    got += lease.view
            assert got == message
        assert part == b"kept" * 100
        assert leased(loop) == A_BUFFER

    loop.run_until_complete(main())
