"""add_reader() and add_writer() where descriptors die, come back, or belong to two processes."""

from __future__ import annotations

import asyncio
import ctypes
import os
import resource
import socket
import struct
import threading
import time

import pytest
from peers import tcp_pair
from sqpoll import is_forced
from steps import turns, until
from watching import Calls, pipe_ends, socket_ends

import uringcore_cffi

CLOCK_MONOTONIC = time.CLOCK_MONOTONIC


def _fewest(calls: int) -> int:
    """Return how many of the calls that are due must have come: with SQPOLL they may come later."""
    return 0 if is_forced() else calls


async def _are_called(calls) -> None:
    """Let two turns pass, or more with SQPOLL, in which each is called."""
    await turns(2)
    if is_forced():
        await until(lambda: all(called.count for called in calls))
    assert all(called.count for called in calls)


async def is_quiet(loop) -> bool:
    """Tell whether the loop sleeps when nothing is to do: its turns do not end by themselves."""
    await turns(3)
    before = loop.stats().kernel_entries
    await asyncio.sleep(0.05)
    return loop.stats().kernel_entries - before <= 5


def number_again(number: int, source: int) -> None:
    """Make ``number``, which was closed, a duplicate of another descriptor."""
    assert os.dup2(source, number, inheritable=False) == number


def test_a_loop_that_watches_silent_descriptors_sleeps(loop):
    """Nothing is asked again and again; nor after something came and was read."""
    with pipe_ends() as (reading, writing):

        async def main():
            calls = Calls(lambda: os.read(reading, 10))
            loop.add_reader(reading, calls)
            assert await is_quiet(loop)
            os.write(writing, b"x")
            await calls.wait()
            assert await is_quiet(loop)
            loop.remove_reader(reading)
            os.write(writing, b"x")
            assert await is_quiet(loop)

        loop.run_until_complete(main())


@pytest.mark.skipif(not hasattr(os, "eventfd"), reason="os.eventfd() came with 3.10")
def test_an_eventfd_is_watched(loop):
    """It can be read when its counter is not zero."""
    number = os.eventfd(0, os.EFD_NONBLOCK)

    async def main():
        calls = Calls()
        loop.add_reader(number, calls)
        await turns(3)
        assert calls.count == 0
        os.eventfd_write(number, 7)
        await calls.wait(3)
        assert os.eventfd_read(number) == 7
        loop.remove_reader(number)
        os.close(number)

    loop.run_until_complete(main())


def test_a_timerfd_is_watched(loop):
    """It can be read when it has expired."""
    libc = ctypes.CDLL(None, use_errno=True)
    number = libc.timerfd_create(CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
    assert number >= 0
    assert libc.timerfd_settime(number, 0, struct.pack("4q", 0, 0, 0, 5_000_000), None) == 0

    async def main():
        calls = Calls()
        loop.add_reader(number, calls)
        await calls.wait(2)
        assert struct.unpack("Q", os.read(number, 8)) == (1,)
        loop.remove_reader(number)
        os.close(number)

    loop.run_until_complete(main())


def test_a_watched_socket_that_is_closed_reaches_its_peer_at_once(loop):
    """The loop holds no file: the peer reads the end with a blocking call, in the same callback."""

    async def main():
        ours, peer = tcp_pair()
        with peer:
            calls = Calls()
            loop.add_reader(ours, calls)
            await turns(3)
            ours.close()
            assert peer.recv(10) == b""
            await turns(5)
            assert calls.count == 0
            assert await is_quiet(loop)

    loop.run_until_complete(main())


def test_a_ready_descriptor_that_is_closed_calls_no_more(loop):
    """Closed by its owner without being removed, while it had something to read."""

    async def main():
        ours, peer = socket.socketpair()
        with peer:
            calls = Calls(ours.close)
            loop.add_reader(ours.fileno(), calls)
            peer.send(b"x")
            await calls.wait()
            await turns(5)
            assert calls.count == 1
            assert await is_quiet(loop)

    loop.run_until_complete(main())


def test_a_number_used_again_is_watched_anew(loop):
    """Closed without being removed, the number is another file's: only its callback runs."""
    ours, peer = socket.socketpair()
    with peer, pipe_ends() as (reading, writing):

        async def main():
            number = ours.fileno()
            old_read, old_write, new = Calls(), Calls(), Calls()
            loop.add_reader(number, old_read)
            loop.add_writer(number, old_write)
            ours.close()
            number_again(number, reading)
            loop.add_reader(number, new)
            await turns(5)
            assert new.count == 0
            os.write(writing, b"x")
            await new.wait(3)
            assert (old_read.count, old_write.count) == (0, 0)
            assert loop.remove_writer(number) is False
            assert loop.remove_reader(number) is True
            os.close(number)

        loop.run_until_complete(main())


@pytest.mark.parametrize("removed", [False, True], ids=["left", "removed too late"])
def test_a_file_that_lives_on_elsewhere_does_not_call_for_a_number_used_again(loop, removed):
    """Closed under the watched number, held by another: what comes to it concerns nobody here."""
    with socket_ends() as (held, peer), pipe_ends() as (reading, writing):

        async def main():
            number = os.dup(held)
            old, new = Calls(), Calls()
            loop.add_reader(number, old)
            os.close(number)
            if removed:
                assert loop.remove_reader(number) is True
            number_again(number, reading)
            loop.add_reader(number, new)
            os.write(peer, b"for the file that lives on")
            await turns(5)
            assert (old.count, new.count) == (0, 0)
            assert await is_quiet(loop)
            os.write(writing, b"x")
            before = new.count
            await turns(10)
            assert _fewest(9) <= new.count - before <= 10  # once in a turn, not twice
            await new.wait()
            assert loop.remove_reader(number) is True
            os.close(number)

        loop.run_until_complete(main())


def test_a_file_that_lives_on_after_its_removal_keeps_nobody_awake(loop):
    """Closed, then removed: the set still reports the file, and is replaced. Others go on."""
    with socket_ends() as (held, peer), socket_ends() as (one, peer_of_one):

        async def main():
            number = os.dup(held)
            stray, reads, writes = Calls(), Calls(lambda: os.read(one, 1)), Calls()
            loop.add_reader(number, stray)
            loop.add_reader(one, reads)
            os.close(number)
            assert loop.remove_reader(number) is True
            os.write(peer, b"x")
            assert await is_quiet(loop)
            os.write(peer_of_one, b"abc")
            await reads.wait(3)
            loop.add_writer(one, writes)
            await writes.wait(2)
            assert loop.remove_writer(one) is True
            assert loop.remove_reader(one) is True
            assert stray.count == 0
            assert await is_quiet(loop)

        loop.run_until_complete(main())


def test_a_number_that_became_a_regular_file_can_be_removed(loop):
    """The removal of a watched number whose file has gone never fails."""
    with socket_ends() as (one, _), open(os.devnull, "rb") as other:
        number = os.dup(one)
        loop.add_reader(number, print)
        loop.add_writer(number, print)
        os.close(number)
        assert loop.remove_reader(number) is True
        number_again(number, other.fileno())
        assert loop.remove_writer(number) is True
        os.close(number)


def test_a_transport_and_the_users_reader_of_its_duplicate_go_side_by_side(loop):
    """Two numbers of one file: one is the ring's, one the set's."""

    async def main():
        ours, peer = tcp_pair()
        with peer:
            number = os.dup(ours.fileno())
            writes = Calls()
            loop.add_writer(number, writes)
            reader, writer = await asyncio.open_connection(sock=ours)
            for _ in range(20):
                peer.sendall(b"ping\n")
                assert await reader.readline() == b"ping\n"
            await writes.wait(2)
            loop.remove_writer(number)
            os.close(number)
            writer.close()
            await writer.wait_closed()

    loop.run_until_complete(main())


def test_a_thousand_and_more_descriptors_are_watched_at_once(loop):
    """More than one look at the set brings by default; each is called once in a turn."""
    count = 1200
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 3 * count:
        pytest.skip("the limit of descriptors is lower here and cannot be raised")
    resource.setrlimit(resource.RLIMIT_NOFILE, (3 * count, hard))
    pairs = [socket.socketpair() for _ in range(count)]

    async def main():
        calls = [Calls() for _ in pairs]
        for (ours, _), called in zip(pairs, calls):
            loop.add_reader(ours, called)
        await turns(3)
        assert not any(called.count for called in calls)
        for _, peer in pairs[::2]:
            peer.send(b"x")
        await _are_called(calls[::2])
        for _, peer in pairs[1::2]:
            peer.send(b"x")
        await _are_called(calls)
        before = [called.count for called in calls]
        await turns(4)
        assert all(_fewest(3) <= c.count - b <= 4 for c, b in zip(calls, before))
        for ours, _ in pairs:
            assert loop.remove_reader(ours) is True
        assert await is_quiet(loop)

    try:
        loop.run_until_complete(main())
    finally:
        for ours, peer in pairs:
            ours.close()
            peer.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_loop_may_be_made_in_one_thread_and_watch_in_another():
    """Adding before it runs, running, removing and closing: each in a thread of its own."""
    made, got = [], []

    def in_thread(function):
        thread = threading.Thread(target=function)
        thread.start()
        thread.join(30)
        assert not thread.is_alive()

    def read():
        got.append(os.read(reading, 10))
        made[0].stop()

    with pipe_ends() as (reading, writing):
        in_thread(lambda: made.append(uringcore_cffi.new_event_loop()))
        in_thread(lambda: made[0].add_reader(reading, read))
        os.write(writing, b"one")
        in_thread(made[0].run_forever)
        os.write(writing, b"two")
        made[0].run_forever()
        in_thread(lambda: got.append(made[0].remove_reader(reading)))
        in_thread(made[0].close)
    assert got == [b"one", b"two", True]


def test_closing_the_loop_leaves_the_watched_open_and_nothing_else():
    """The descriptors are the user's; the set was the loop's."""
    with pipe_ends() as (reading, writing):
        before = os.listdir("/proc/self/fd")
        loop = uringcore_cffi.new_event_loop()
        loop.add_reader(reading, print)
        loop.add_writer(writing, print)
        loop.call_soon(loop.stop)
        loop.run_forever()
        loop.close()
        assert len(os.listdir("/proc/self/fd")) == len(before)
        os.write(writing, b"x")
        assert os.read(reading, 1) == b"x"


def child_adds(loop, number):
    """Ask before the first run, which is when the inherited loop begins anew."""
    with pytest.raises(ChildProcessError):
        loop.add_writer(number, print)


def child_runs(loop, number):
    """Go on with the loop."""
    loop.run_until_complete(asyncio.sleep(0))
    loop.add_writer(number, loop.stop)
    loop.run_forever()
    loop.remove_writer(number)
    loop.close()


CHILDS = {
    "removes": lambda loop, number: loop.remove_reader(number),
    "adds": child_adds,
    "runs the loop": child_runs,
    "closes the loop": lambda loop, _: loop.close(),
    "closes the descriptor": lambda _, number: os.close(number),
}


@pytest.mark.parametrize("deed", CHILDS)
def test_a_forked_child_cannot_disturb_what_the_parent_watches(loop, fork, deed):
    """The set is shared by fork(): whatever a child does with it, the parent is called exactly."""
    with socket_ends() as (number, peer):
        calls = []

        def on_readable():
            calls.append(os.read(number, 10))
            loop.stop()

        loop.add_reader(number, on_readable)
        loop.run_until_complete(turns(2))
        child = fork(CHILDS[deed], loop, number)
        os.write(peer, b"meanwhile")
        loop.run_forever()
        child.join()
        loop.run_until_complete(turns(5))
        assert len(calls) == 1
        os.write(peer, b"x")
        loop.run_forever()
        assert len(calls) == 2
        assert loop.remove_reader(number) is True
        assert loop.run_until_complete(is_quiet(loop))


def test_a_child_that_goes_on_with_the_loop_watches_for_itself(loop, fork):
    """It begins with nobody watched; its own readers work, and the parent's too."""
    with pipe_ends() as (reading, writing), pipe_ends() as (childs_reading, childs_writing):
        loop.add_reader(reading, pytest.fail, "the parent's")

        def child():
            loop.run_until_complete(asyncio.sleep(0))
            assert loop.remove_reader(reading) is False
            os.write(childs_writing, b"x")
            loop.add_reader(childs_reading, loop.stop)
            loop.run_forever()

        fork(child).join()
        loop.remove_reader(reading)
        loop.add_reader(reading, loop.stop)
        os.write(writing, b"x")
        loop.run_forever()
        loop.remove_reader(reading)


def test_a_file_that_lives_on_in_a_child_keeps_nobody_awake(loop, fork):
    """The parent has closed and removed it; its end in the child is nobody's business."""
    ours, peer = socket.socketpair()
    with peer, pipe_ends() as (gate, opener):

        async def main():
            calls = Calls()
            loop.add_reader(ours, calls)
            child = fork(os.read, gate, 1)
            ours.close()
            assert loop.remove_reader(ours) is True
            peer.send(b"x")
            assert await is_quiet(loop)
            os.write(opener, b"x")
            child.join()
            assert calls.count == 0

        loop.run_until_complete(main())
