"""When a buffer goes back: with the last who can see it, whoever and wherever that is."""

from __future__ import annotations

import asyncio
import gc
import threading

import pytest
from leased import Holding, lease_of, leased, needs_buffers, until_leased
from patience import PATIENCE
from peers import connect, socket_pair
from steps import soon, turns, until

import uringcore_cffi
from uringcore_cffi._handles.lending import lingering

pytestmark = needs_buffers


def in_a_thread(function) -> None:
    """Call something in another thread, to its end."""
    thread = threading.Thread(target=function)
    thread.start()
    thread.join(PATIENCE)


def test_a_released_lease_that_nobody_looked_at_is_back_at_once(loop, pair):
    async def main():
        lease = await lease_of(loop, *pair, b"data")
        assert leased(loop) == 1
        lease.release()
        assert leased(loop) == 0

    loop.run_until_complete(main())


def test_a_released_lease_of_which_nobody_has_a_slice_is_back_at_once(loop, pair):
    """Within the turn in which it came, and later."""

    async def main():
        for later in (0, 3):
            lease = await lease_of(loop, *pair, b"data")
            await turns(later)
            assert lease.view == b"data"
            lease.release()
            assert leased(loop) == 0

    loop.run_until_complete(main())


def test_the_last_slice_returns_the_buffer(loop, pair):
    async def main():
        lease = await lease_of(loop, *pair, b"0123456789")
        slices = [lease.view[number:] for number in range(10)]
        lease.release()
        del lease
        while slices:
            await turns(2)
            assert leased(loop) == 1
            assert slices.pop() == b"0123456789"[len(slices) :]
        await until_leased(loop, 0)
        assert loop.pool_stats().refused == 0

    loop.run_until_complete(main())


def test_a_lease_that_is_forgotten_returns_the_buffer(loop, pair):
    """Also in a cycle that only the collector finds."""

    async def main():
        lease = await lease_of(loop, *pair, b"data")
        del lease
        await until_leased(loop, 0)
        lease = await lease_of(loop, *pair, b"data")
        cycle = [lease.view[1:]]
        cycle.append(cycle)
        del lease, cycle
        await turns(2)
        gc.collect()
        await until_leased(loop, 0)

    loop.run_until_complete(main())


def test_what_is_released_while_the_loop_does_not_run_is_told_as_such(loop, pair):
    lease = loop.run_until_complete(lease_of(loop, *pair, b"data"))
    part = lease.view[1:]
    lease.release()
    assert leased(loop) == 1
    assert part == b"ata"
    del part
    assert leased(loop) == 0


def test_a_slice_that_a_finalizer_saves_from_the_collector_keeps_the_buffer(loop, pair):
    """The collector tells of the deaths in a cycle before it asks the objects in it."""
    saved = []

    class Saving:
        def __init__(self, part):
            self.part = part
            self.itself = self

        def __del__(self):
            saved.append(self.part)

    async def main():
        Saving((await lease_of(loop, *pair, b"0123456789")).view[3:])
        await turns(2)
        gc.collect()
        await turns(2)
        assert leased(loop) == 1
        assert saved.pop() == b"3456789"
        await until_leased(loop, 0)

    loop.run_until_complete(main())


def test_who_is_about_to_look_when_another_thread_releases_keeps_the_buffer(
    loop, pair, monkeypatch
):
    """Between taking the bytes up and having a view of them."""

    async def main():
        lease = await lease_of(loop, *pair, b"data")
        begun, released = threading.Event(), threading.Event()

        class Slow:
            def __new__(cls, data):
                begun.set()
                assert released.wait(PATIENCE)
                return memoryview(data)

        monkeypatch.setattr("uringcore_cffi._handles.lease.memoryview", Slow, raising=False)
        looking = loop.run_in_executor(None, getattr, lease, "view")
        assert begun.wait(PATIENCE)
        lease.release()
        assert leased(loop) == 1
        released.set()
        assert await looking == b"data"
        del looking, lease
        await until_leased(loop, 0)

    loop.run_until_complete(main())


@pytest.mark.parametrize("looked", [False, True])
def test_a_lease_may_be_released_in_another_thread(loop, pair, looked):
    async def main():
        leases = [await lease_of(loop, *pair, b"data") for _ in range(4)]
        if looked:
            assert all(lease.view == b"data" for lease in leases)
        await asyncio.get_running_loop().run_in_executor(
            None, lambda: [lease.release() for lease in leases]
        )
        await until_leased(loop, 0)

    loop.run_until_complete(main())


def test_what_is_released_in_many_threads_comes_back_once_each(loop, pair):
    async def main():
        for _ in range(20):
            leases = [await lease_of(loop, *pair, b"data") for _ in range(10)]
            slices = [lease.view[1:] for lease in leases]
            jobs = [loop.run_in_executor(None, leases.pop().release) for _ in range(10)]
            await asyncio.gather(*jobs)
            del jobs
            assert all(part == b"ata" for part in slices)
            del slices
            await until_leased(loop, 0)
        assert loop.pool_stats().refused == 0

    loop.run_until_complete(main())


@pytest.mark.parametrize("way", ["release", "forget", "last slice"])
def test_a_return_in_another_thread_wakes_a_receiver_that_rests(loop, way):
    """Nothing else happens: no timer, no other connection, no callback."""

    async def main():
        protocol, peer = await connect(loop, Holding)
        with peer:
            loop.set_credit(protocol.transport, bytes=1)
            peer.sendall(b"one")
            await until(lambda: protocol.leases)
            peer.sendall(b"two")
            await turns(20)
            assert [bytes(lease) for lease in protocol.leases] == [b"one"]
            held = [protocol.leases.pop()]
            if way == "last slice":
                held = [held[0].view[1:]]
            end = held[0].release if way == "release" else held.clear
            asleep, told = threading.Event(), []

            def let_go():
                asleep.wait(PATIENCE)
                end()

            def arrived(lease):
                told.append(bytes(lease))
                lease.release()
                waiter.set_result(None)

            waiter = loop.create_future()
            protocol.lease_received = arrived
            protocol.transport.set_protocol(protocol)  # which looks where leases go
            thread = threading.Thread(target=let_go)
            thread.start()
            wait = loop._wait

            def tell_and_wait(timeout_ns):
                if timeout_ns != 0:
                    asleep.set()
                return wait(timeout_ns)

            loop._wait = tell_and_wait
            await waiter  # without a timer: it must come by itself
            loop._wait = wait
            thread.join(PATIENCE)
            assert told == [b"two"]
        await soon(protocol.lost)

    loop.run_until_complete(main())


def test_leases_survive_their_loop(loop):
    """They are read and released after close(), in any order, and the memory goes with the last."""

    async def main():
        with socket_pair() as (ours, peer):
            return [await lease_of(loop, ours, peer, b"%d" % number) for number in range(4)]

    leases = loop.run_until_complete(main())
    part = leases[1].view[:]
    loop.close()
    assert [bytes(lease.view) for lease in leases] == [b"0", b"1", b"2", b"3"]
    pool = leases[0]._owner
    assert pool in lingering
    leases[0].release()
    in_a_thread(leases[1].release)
    assert part == b"1"
    del part, leases[2]
    assert pool in lingering
    in_a_thread(leases.clear)
    assert pool not in lingering
    assert not pool


def test_nothing_remembers_a_pool_of_which_all_leases_have_ended(loop, pair):
    lease = loop.run_until_complete(lease_of(loop, *pair, b"data"))
    pool = lease._owner
    lease.release()
    loop.close()
    assert pool not in lingering


def test_a_loop_that_has_all_its_leases_back_leaves_nothing_behind(loop, pair):
    async def main():
        (await lease_of(loop, *pair, b"data")).release()

    before = set(lingering)
    loop.run_until_complete(main())
    loop.close()
    assert lingering == before


def test_leases_survive_a_pool_of_the_users(loop):
    """They come back to the loop that has the pool next, or after it was given up."""
    pool = uringcore_cffi.Pool.new(buffer_bytes=4096, buffer_count=8, quarantine_ms=0)

    async def main():
        loop = asyncio.get_running_loop()
        with socket_pair() as (ours, peer):
            return [await lease_of(loop, ours, peer, b"data") for _ in range(3)]

    leases = uringcore_cffi.run(main(), pool=pool)
    leases.pop().release()
    assert pool.stats().leased == 2
    assert pool.stats().free == pool.stats().buffers - 2

    async def again():
        assert leased(asyncio.get_running_loop()) == 2
        leases.pop().release()
        await until_leased(asyncio.get_running_loop(), 1)

    uringcore_cffi.run(again(), pool=pool)
    pool.free()
    assert leases[0].view == b"data"
    leases.pop().release()


def test_the_transport_and_the_socket_may_go_first(loop):
    async def main():
        protocol, peer = await connect(loop, Holding)
        with peer:
            peer.sendall(b"data")
            await until(lambda: protocol.leases)
        await soon(protocol.lost)
        (lease,) = protocol.leases
        protocol.leases.clear()
        gc.collect()
        assert lease.view == b"data"
        assert leased(loop) == 1
        lease.release()
        await until_leased(loop, 0)

    loop.run_until_complete(main())


def test_leases_may_be_out_when_the_interpreter_ends(run_python):
    program = """
import asyncio, socket, uringcore_cffi
kept = []
async def main():
    loop = asyncio.get_running_loop()
    ours, peer = socket.socketpair()
    with ours, peer:
        ours.setblocking(False)
        for number in range(3):
            peer.send(b"data")
            lease = await loop.sock_recv_lease(ours)
            kept.append(lease if number else lease.view[1:])
uringcore_cffi.run(main())
print(bytes(kept[0]), kept[1])
"""
    ended = run_python("-W", "error", "-c", program)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == "b'ata' <Lease of 4 bytes>\n"


@pytest.mark.parametrize(("given", "rests"), [({}, True), ({"quarantine_ms": 0}, False)])
def test_a_buffer_rests_as_long_as_the_loop_was_told(given, rests):
    loop = uringcore_cffi.new_event_loop(**given)

    async def main():
        with socket_pair() as (ours, peer):
            lease = await lease_of(loop, ours, peer, b"data")
            lease.release()
            stats = loop.pool_stats()
            assert (stats.leased, stats.quarantine) == (0, int(rests))
            await until(lambda: loop.pool_stats().quarantine == 0, 0.001)

    try:
        loop.run_until_complete(main())
    finally:
        loop.close()


@pytest.mark.parametrize("wrong", [-1, 1e12])
def test_a_quarantine_out_of_range_is_refused(wrong):
    with pytest.raises(ValueError, match="quarantine_ms is"):
        uringcore_cffi.new_event_loop(quarantine_ms=wrong)


def test_the_quarantine_of_a_given_pool_is_the_pools():
    pool = uringcore_cffi.Pool.new()
    with pytest.raises(ValueError, match=r"pass it to Pool\.new"):
        uringcore_cffi.new_event_loop(pool=pool, quarantine_ms=1)
    pool.free()
