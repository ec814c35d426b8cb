"""UDP sockets beyond asyncio: several waiters, and no loss by cancelling."""

from __future__ import annotations

import asyncio
import random

from datagrams import udp_socket
from steps import cancel, turns


def test_a_cancelled_receive_loses_nothing(loop, udp_pair):
    """A thousand datagrams, receives cancelled at random moments: all arrive, in order."""
    ours, peer = udp_pair
    dice = random.Random(20)

    async def main():
        got = []
        buffer = bytearray(100)
        sent = 0
        while len(got) < 1000:
            if dice.random() < 0.5:
                task = asyncio.ensure_future(loop.sock_recvfrom(ours, 100))
            else:
                task = asyncio.ensure_future(loop.sock_recvfrom_into(ours, buffer))
            await turns(dice.randrange(3))
            if sent < 1000 and dice.random() < 0.8:
                peer.sendto(b"%d" % sent, ours.getsockname())
                sent += 1
            await turns(dice.randrange(3))
            if sent < 1000 or dice.random() < 0.3:
                task.cancel()
            try:
                data, sender = await task
            except asyncio.CancelledError:
                continue
            got.append(bytes(data if isinstance(data, bytes) else buffer[:data]))
            assert sender == peer.getsockname()
        assert got == [b"%d" % number for number in range(1000)]

    loop.run_until_complete(main())


def test_several_receivers_share_what_comes(loop, udp_pair):
    """Each gets one datagram; one that is cancelled takes none with it."""
    ours, _ = udp_pair

    async def main():
        with udp_socket() as peer:
            tasks = [asyncio.ensure_future(loop.sock_recvfrom(ours, 10)) for _ in range(5)]
            await turns(2)
            assert await cancel(tasks.pop(2))
            for number in range(4):
                peer.sendto(b"%d" % number, ours.getsockname())
            got = await asyncio.wait_for(asyncio.gather(*tasks), 20)
            assert sorted(data for data, _ in got) == [b"0", b"1", b"2", b"3"]

    loop.run_until_complete(main())


def test_a_receiver_and_a_sender_wait_side_by_side(loop, udp_pair):
    """Sending does not wake the receiver, receiving does not disturb the sender."""
    ours, _ = udp_pair

    async def main():
        with udp_socket() as peer:
            receiver = asyncio.ensure_future(loop.sock_recvfrom(ours, 10))
            for _ in range(20):
                assert await loop.sock_sendto(ours, b"out", peer.getsockname()) == 3
                assert peer.recv(10) == b"out"
            assert not receiver.done()
            peer.sendto(b"in", ours.getsockname())
            assert await asyncio.wait_for(receiver, 20) == (b"in", peer.getsockname())

    loop.run_until_complete(main())


def test_closing_the_socket_leaves_a_receive_that_can_be_cancelled(loop):
    """The descriptor is closed when the receive has ended."""

    async def main():
        sock = udp_socket()
        sock.setblocking(False)
        task = asyncio.ensure_future(loop.sock_recvfrom(sock, 10))
        await turns(2)
        sock.close()
        await turns(2)
        assert await cancel(task)
        assert sock.fileno() == -1

    loop.run_until_complete(main())
