"""Signals where they are many, of two processes, or where others want to be woken too."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import threading

import pytest
from leaks import open_descriptors
from steps import turns, until

import uringcore_cffi


@pytest.fixture
def wakeup():
    """Have signals write to a socket of the user's own; its number, while it is installed."""
    receiver, sender = socket.socketpair()
    with receiver, sender:
        sender.setblocking(False)
        before = signal.set_wakeup_fd(sender.fileno())
        yield sender.fileno()
        signal.set_wakeup_fd(before)


def current_wakeup() -> int:
    """Tell where signals write to."""
    current = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(current)
    return current


def test_a_flood_of_one_signal_is_felt_and_hides_no_other(loop):
    """Ten thousand at once are at least one call, and so is the other one that came last."""
    got = []

    def flood():
        for _ in range(10_000):
            signal.raise_signal(signal.SIGUSR1)
        signal.raise_signal(signal.SIGUSR2)

    async def main():
        for number in (signal.SIGUSR1, signal.SIGUSR2):
            loop.add_signal_handler(number, got.append, number)
        flood()
        await until(lambda: signal.SIGUSR2 in got)
        assert signal.SIGUSR1 in got
        await turns(5)
        got.clear()
        signal.raise_signal(signal.SIGUSR1)
        while not got:
            await asyncio.sleep(0)
        await turns(5)
        assert got == [signal.SIGUSR1]

    loop.run_until_complete(asyncio.wait_for(main(), 20))
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        loop.remove_signal_handler(number)


def test_the_users_wakeup_is_put_back_after_a_run(loop, wakeup):
    """A run without handlers borrows it."""
    loop.run_until_complete(turns(1))
    assert current_wakeup() == wakeup


def test_the_users_wakeup_is_put_back_with_the_last_handler(loop, wakeup):
    """As long as a signal has a handler here, the loop is woken, also between two runs."""
    loop.add_signal_handler(signal.SIGUSR1, print)
    loop.add_signal_handler(signal.SIGUSR2, print)
    loop.run_until_complete(turns(1))
    loop.remove_signal_handler(signal.SIGUSR1)
    assert current_wakeup() != wakeup
    loop.remove_signal_handler(signal.SIGUSR2)
    assert current_wakeup() == wakeup


def test_a_wakeup_that_the_user_installs_meanwhile_is_left_alone(loop):
    """The loop puts back only what it has replaced itself."""
    receiver, sender = socket.socketpair()
    with receiver, sender:
        sender.setblocking(False)
        loop.call_soon(signal.set_wakeup_fd, sender.fileno())
        loop.run_until_complete(turns(3))
        assert signal.set_wakeup_fd(-1) == sender.fileno()


def test_a_wakeup_that_was_closed_meanwhile_is_not_put_back(loop):
    """The run ends as if there had been none."""
    receiver, sender = socket.socketpair()
    with receiver:
        sender.setblocking(False)
        signal.set_wakeup_fd(sender.fileno())
        loop.call_soon(sender.close)
        loop.run_until_complete(turns(3))
        assert current_wakeup() == -1


@pytest.mark.parametrize("first", [0, 1])
def test_two_loops_with_handlers_may_be_closed_in_any_order(wakeup, first):
    """What the second would put back is not the closed socket of the first, but the user's."""
    loops = [uringcore_cffi.new_event_loop() for _ in range(2)]
    for loop, number in zip(loops, (signal.SIGUSR1, signal.SIGUSR2)):
        loop.add_signal_handler(number, loop.stop)
    loops[first].close()
    other = loops[1 - first]
    signal.raise_signal((signal.SIGUSR1, signal.SIGUSR2)[1 - first])
    other.run_forever()
    other.close()
    assert current_wakeup() == wakeup


def test_a_signal_of_a_forked_child_is_not_the_parents(loop, fork):
    """The child has the socket that the parent is woken by, but does not write to it."""
    got = []
    loop.add_signal_handler(signal.SIGUSR1, got.append, "the parent's")
    loop.run_until_complete(turns(2))
    fork(signal.raise_signal, signal.SIGUSR1).join()
    loop.run_until_complete(turns(20))
    assert got == []
    signal.raise_signal(signal.SIGUSR1)
    while not got:
        loop.run_until_complete(turns(1))
    loop.remove_signal_handler(signal.SIGUSR1)


def test_a_child_that_goes_on_with_the_loop_handles_its_own_signals(loop, fork):
    """The handlers are inherited, and work over a socket of the child's."""
    loop.add_signal_handler(signal.SIGUSR1, loop.stop)

    def child():
        loop.run_until_complete(turns(1))
        signal.raise_signal(signal.SIGUSR1)
        loop.run_forever()

    fork(child).join()
    loop.remove_signal_handler(signal.SIGUSR1)


def test_a_forked_child_leaves_the_users_wakeup_as_it_was(loop, fork, wakeup):
    """What the loop has borrowed is back in the child."""
    if sys.version_info >= (3, 12):
        pytest.skip("asyncio itself takes every wake-up away from children there")
    loop.add_signal_handler(signal.SIGUSR1, print)

    def child():
        assert current_wakeup() == wakeup

    fork(child).join()
    loop.remove_signal_handler(signal.SIGUSR1)


def test_closing_a_loop_with_handlers_leaves_no_descriptor():
    """The pair that signals write to is the loop's own."""
    before = os.listdir("/proc/self/fd")
    loop = uringcore_cffi.new_event_loop()
    loop.add_signal_handler(signal.SIGUSR1, print)
    loop.close()
    assert len(os.listdir("/proc/self/fd")) == len(before)


def test_a_loop_closed_in_another_thread_leaves_signals_no_closed_number_to_write_to(loop):
    """Python's handler goes on writing: what is opened next must not get the bytes."""
    before = open_descriptors()
    loop.add_signal_handler(signal.SIGUSR1, lambda: None)
    problems = []

    def close():
        try:
            loop.close()
        except ValueError as exc:  # asyncio's too: signals are the main thread's
            problems.append(str(exc))

    thread = threading.Thread(target=close)
    thread.start()
    thread.join()
    opened = [socket.socketpair() for _ in range(10)]
    try:
        signal.raise_signal(signal.SIGUSR1)
        for sock in (sock for pair in opened for sock in pair):
            sock.setblocking(False)
            with pytest.raises(BlockingIOError):
                sock.recv(1)
    finally:
        signal.signal(signal.SIGUSR1, signal.SIG_DFL)
        signal.set_wakeup_fd(-1)
        for sock in (sock for pair in opened for sock in pair):
            sock.close()
        left = open_descriptors().keys() - before.keys()
        for number in left:
            os.close(int(number))
    assert len(problems) == 1
    assert len(left) == 2
