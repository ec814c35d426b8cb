"""An interrupt at any point loses no readiness, no signal and no end of a child."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys

import pytest
from interrupts import Interrupter, Storm, Tracing

import uringcore_cffi


def run_interrupted(loop, is_done) -> int:
    """Run the loop until ``is_done()``, which some callback stops it for; count interrupts."""
    interrupts = 0
    while not is_done():
        try:
            loop.run_forever()
        except KeyboardInterrupt:
            interrupts += 1
    return interrupts


def ping_pong(loop, interrupt, rounds: int) -> int:
    """Send a message to and fro between two watched sockets; it must arrive every time."""
    pairs = [socket.socketpair() for _ in range(2)]
    arrivals = []
    ours, theirs = pairs[0]
    held, peer = pairs[1]

    def read(sock):
        try:
            arrivals.append(sock.recv(100))
        except BlockingIOError:
            return  # an interrupt fell between the looking and the call: it was looked at again
        if len(arrivals) == rounds:
            loop.stop()
        elif len(arrivals) % 10 == 0:
            leave_a_stranger()
        sock.send(b"%d" % len(arrivals))

    def leave_a_stranger():
        number = os.dup(held.fileno())
        loop.add_reader(number, pytest.fail, "it was removed")
        os.close(number)
        loop.remove_reader(number)

    peer.send(b"x")
    for sock in (ours, theirs):
        sock.setblocking(False)
        loop.add_reader(sock, read, sock)
    ours.send(b"0")
    with interrupt:
        interrupts = run_interrupted(loop, lambda: len(arrivals) >= rounds)
    assert arrivals == [b"%d" % number for number in range(rounds)]
    for sock in (ours, theirs):
        assert loop.remove_reader(sock) is True
    for sock in (*pairs[0], *pairs[1]):
        sock.close()
    return interrupts


@pytest.mark.heavy
@pytest.mark.parametrize("first", range(1, 201, 50))
def test_an_interrupt_at_any_call_loses_no_readiness(first):
    """Also while the set is being replaced because of a file that nobody watches any more."""
    for at in range(first, first + 50):
        loop = uringcore_cffi.new_event_loop()
        try:
            interrupter = Interrupter(at)
            assert ping_pong(loop, Tracing(interrupter), 40) == interrupter.fired
        finally:
            loop.close()


@pytest.mark.heavy
@pytest.mark.skipif(
    sys.version_info < (3, 10), reason="3.9 looks for signals between any two steps"
)
def test_a_storm_of_interrupts_loses_no_readiness(loop):
    """Real signals, wherever they fall."""
    assert ping_pong(loop, Storm(), 20_000) > 10


def run_child(loop, interrupt) -> int:
    """Run one child to its end; its output and its exit code must come, exactly once."""
    ends = []
    problems = []
    loop.set_exception_handler(lambda _, context: problems.append(context))

    class Protocol(asyncio.SubprocessProtocol):
        def __init__(self):
            self.output = bytearray()

        def pipe_data_received(self, fd, data):
            self.output += data

        def process_exited(self):
            ends.append("exited")

        def connection_lost(self, exc):
            ends.append(exc)
            loop.stop()

    async def start():
        return await loop.subprocess_exec(
            Protocol, "/bin/sh", "-c", "read line; echo $line; exit 7", stderr=None
        )

    transport, protocol = loop.run_until_complete(start())
    transport.get_pipe_transport(0).write(b"line\n")
    with interrupt:
        interrupts = run_interrupted(loop, lambda: None in ends)
    assert ends == ["exited", None]
    assert transport.get_returncode() == 7
    assert protocol.output == b"line\n"
    with pytest.raises(ChildProcessError):  # reaped: no zombie is left
        os.waitpid(transport.get_pid(), os.WNOHANG)
    assert not loop._children
    assert not problems
    transport.close()
    return interrupts


@pytest.mark.heavy
@pytest.mark.parametrize("first", range(1, 121, 40))
def test_an_interrupt_at_any_call_loses_no_end_of_a_child(first):
    """process_exited() once, the exit code, the output, and the child is reaped."""
    for at in range(first, first + 40):
        loop = uringcore_cffi.new_event_loop()
        try:
            interrupter = Interrupter(at)
            assert run_child(loop, Tracing(interrupter)) == interrupter.fired
        finally:
            loop.close()


def catch_signals(loop, interrupt) -> int:
    """Raise three signals in the loop; each must call its handler once."""
    numbers = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP)
    got = []

    def handle(number):
        got.append(number)
        if len(got) == len(numbers):
            loop.stop()

    for number in numbers:
        loop.add_signal_handler(number, handle, number)
        loop.call_soon(signal.raise_signal, number)
    with interrupt:
        interrupts = run_interrupted(loop, lambda: len(got) >= len(numbers))
    loop.run_until_complete(asyncio.sleep(0))
    assert sorted(got) == sorted(numbers)
    return interrupts


def test_an_interrupt_at_any_call_loses_no_signal():
    """And makes none come twice."""
    for at in range(1, 41):
        loop = uringcore_cffi.new_event_loop()
        try:
            interrupter = Interrupter(at)
            assert catch_signals(loop, Tracing(interrupter)) == interrupter.fired
        finally:
            loop.close()


def read_twice(loop, interrupt) -> list:
    """Watch a socket that becomes readable, is so no more, and is so again; return what came."""
    ours, peer = socket.socketpair()
    ours.setblocking(False)
    arrivals = []

    def read():
        try:
            arrivals.append(ours.recv(1))
        except BlockingIOError:
            return  # an interrupt has left the callback in the queue: it was looked at again

    def run_some_turns():
        left = [10]

        def turn():
            left[0] -= 1
            loop.call_soon(turn if left[0] > 0 else loop.stop)

        loop.call_soon(turn)
        run_interrupted(loop, lambda: left[0] <= 0)

    loop.add_reader(ours, read)
    peer.send(b"1")
    with interrupt:
        run_some_turns()
    peer.send(b"2")
    run_some_turns()
    loop.remove_reader(ours)
    ours.close()
    peer.close()
    return arrivals


def test_interrupt_at_any_call_leaves_a_set_that_was_ready_watched():
    fired, at = True, 0
    while fired:
        at += 1
        loop = uringcore_cffi.new_event_loop()
        interrupter = Interrupter(at)
        try:
            assert (at, read_twice(loop, Tracing(interrupter))) == (at, [b"1", b"2"])
        finally:
            loop.close()
        fired = interrupter.fired
    assert at > 20
