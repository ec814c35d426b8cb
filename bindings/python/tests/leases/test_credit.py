"""Credit: who releases nothing stands still alone, and what is leased is told."""

from __future__ import annotations

import asyncio
import socket

import pytest
from leased import Holding, Taking, lease_of, needs_buffers, until_leased
from peers import connect
from steps import soon, turns, until

import uringcore_cffi

pytestmark = needs_buffers

OTHERS = 1000
HOST = "127.0.0.1"


def test_a_connection_tells_what_it_may_hold_and_what_it_holds(loop, pair):
    async def main():
        leases = [await lease_of(loop, *pair, b"data") for _ in range(3)]
        told = loop.credit(pair[0])
        assert told.leased_bytes == 3 * loop.pool_stats().buffer_bytes
        assert (told.credit_bytes, told.credit_ops) == (1 << 20, 16)
        loop.set_credit(pair[0], bytes=500_000)
        loop.set_credit(pair[0], ops=3)
        told = loop.credit(pair[0])
        assert (told.credit_bytes, told.credit_ops) == (500_000, 3)
        for lease in leases:
            lease.release()
        assert loop.credit(pair[0]).leased_bytes == 0

    loop.run_until_complete(main())


def test_credit_is_set_before_the_first_receive_too(loop, pair):
    ours, peer = pair

    async def main():
        with pytest.raises(ValueError, match="received from"):
            loop.credit(ours)
        loop.set_credit(ours, bytes=1)
        lease = await lease_of(loop, ours, peer, b"data")
        task = loop.create_task(loop.sock_recv_lease(ours))
        peer.sendall(b"more")
        await turns(20)
        assert not task.done()
        lease.release()
        assert bytes(await soon(task)) == b"more"

    loop.run_until_complete(main())


def test_the_loop_gives_every_connection_its_credit():
    loop = uringcore_cffi.new_event_loop(credit_bytes=300_000)

    async def main():
        protocol, peer = await connect(loop, Taking)
        with peer:
            assert loop.credit(protocol.transport).credit_bytes == 300_000
        await soon(protocol.lost)
        with pytest.raises(ValueError, match="no open connection"):
            loop.credit(protocol.transport)
        with pytest.raises(ValueError, match="no open connection"):
            loop.set_credit(protocol.transport, bytes=1)

    loop.run_until_complete(main())
    loop.close()


@pytest.mark.parametrize(
    "wrong", [{"ops": 0}, {"ops": 17}, {"bytes": 0}, {"bytes": -1}, {"bytes": 1 << 63}]
)
def test_a_credit_out_of_range_is_refused(loop, pair, wrong):
    with pytest.raises(ValueError, match=r"or more|from 1 to 16"):
        loop.set_credit(pair[0], **wrong)


@pytest.mark.parametrize("wrong", [-1, 1 << 63])
def test_a_credit_for_all_out_of_range_is_refused(wrong):
    with pytest.raises(ValueError, match="credit_bytes is"):
        uringcore_cffi.new_event_loop(credit_bytes=wrong)


def test_at_its_credit_a_connection_rests_and_the_peer_feels_it(loop):
    """It goes on when leases come back, and nothing is lost."""

    async def main():
        protocol, peer = await connect(loop, Holding)
        payload = bytes(range(256)) * 80_000  # more than all socket buffers hold
        with peer:
            pouring = loop.run_in_executor(None, peer.sendall, payload)
            await until(lambda: loop.credit(protocol.transport).leased_bytes >= 1 << 20)
            await turns(100)
            buffer_bytes = loop.pool_stats().buffer_bytes
            most = (1 << 20) + 64 * buffer_bytes  # its credit and a batch
            assert loop.credit(protocol.transport).leased_bytes <= most
            assert not pouring.done()
            got = bytearray()
            while len(got) < len(payload):
                await until(lambda: protocol.leases)
                with protocol.leases.pop(0) as lease:
                    got += lease.view
            await pouring
        await soon(protocol.lost)
        assert got == payload

    loop.run_until_complete(main())


@pytest.mark.heavy
def test_one_that_releases_nothing_does_not_stop_a_thousand_others(loop):
    """All of them receive leases, twice, after the one has come to a standstill."""
    import resource

    wanted = 2 * OTHERS + 200
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip(f"needs {wanted} open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))

    async def main():
        greedy, flood = await connect(loop, Holding)
        others, peers = [], []
        for _ in range(OTHERS):
            ours, peer = socket.socketpair()
            ours.setblocking(False)
            _, protocol = await loop.create_connection(Taking, sock=ours)
            others.append(protocol)
            peers.append(peer)
        flood.setblocking(False)
        sent = 0
        while loop.credit(greedy.transport).leased_bytes < 1 << 20:
            try:
                sent += flood.send(bytes(1 << 16))
            except BlockingIOError:
                pass
            await turns(1)
        for number in range(2):
            for index, peer in enumerate(peers):
                peer.sendall(b"%06d" % index)
            await until(lambda n=number: all(len(other.data) == 6 * (n + 1) for other in others))
        for index, other in enumerate(others):
            assert other.data == b"%06d" % index * 2
            assert other.from_pool == 2
        assert b"".join(bytes(lease) for lease in greedy.leases) == bytes(
            sum(map(len, greedy.leases))
        )
        for peer in peers:
            peer.close()
        flood.close()
        greedy.transport.abort()
        await soon(asyncio.gather(*(other.lost for other in [*others, greedy])))
        greedy.leases.clear()
        await until_leased(loop, 0)

    try:
        loop.run_until_complete(main())
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
