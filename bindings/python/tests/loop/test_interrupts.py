"""An interrupt at any point of a batch loses nothing and delivers nothing twice."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import threading

import pytest
from interrupts import Interrupter, Storm, Tracing

import uringcore_cffi


class Echo(asyncio.Protocol):
    """Sends back what comes."""

    def __init__(self) -> None:
        self.lost = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        self.transport = transport

    def connection_lost(self, exc):
        self.lost.set_result(exc)

    def data_received(self, data):
        self.transport.write(data)


class Client(asyncio.Protocol):
    """Sends numbered messages, a few at a time, and checks that they come back in order."""

    def __init__(self, loop, messages: int) -> None:
        self.loop = loop
        self.received = bytearray()
        self.expected = b"".join(b"%07d\n" % i for i in range(messages))
        self.sent = 0
        self.lost = False

    def connection_made(self, transport):
        self.transport = transport
        self.send()

    def send(self):
        piece = self.expected[self.sent : self.sent + 800]
        self.sent += len(piece)
        if piece:
            self.transport.write(piece)

    def data_received(self, data):
        self.received += data
        if len(self.received) == self.sent:
            if self.sent == len(self.expected):
                self.transport.close()
            else:
                self.send()

    def connection_lost(self, exc):
        assert exc is None
        self.lost = True
        self.loop.stop()


def echo_stream(loop, interrupt, messages=2000):
    """Run an echo stream to its end, as often interrupted as ``interrupt`` likes."""
    echoes = []

    def make_echo():
        echoes.append(Echo())
        return echoes[-1]

    server = loop.run_until_complete(loop.create_server(make_echo, "127.0.0.1", 0))
    address = server.sockets[0].getsockname()
    interrupts = 0

    async def connect():
        _, protocol = await loop.create_connection(lambda: Client(loop, messages), *address)
        return protocol

    client = loop.run_until_complete(connect())
    with interrupt:
        while not client.lost:
            try:
                loop.run_forever()
            except KeyboardInterrupt:
                interrupts += 1
    assert bytes(client.received) == client.expected
    server.close()
    loop.run_until_complete(server.wait_closed())
    for echo in echoes:
        assert loop.run_until_complete(echo.lost) is None
    return interrupts


@pytest.mark.heavy
@pytest.mark.parametrize("first", range(1, 301, 50))
def test_interrupt_at_any_call_loses_nothing(first):
    for at in range(first, first + 50):
        loop = uringcore_cffi.new_event_loop()
        try:
            interrupter = Interrupter(at)
            assert echo_stream(loop, Tracing(interrupter), messages=400) == interrupter.fired
        finally:
            loop.close()


@pytest.mark.heavy
@pytest.mark.skipif(
    sys.version_info < (3, 10) or sys.implementation.name == "pypy",
    reason="3.9 and PyPy look for signals between any two steps",
)
def test_storm_of_interrupts_loses_nothing(loop):
    assert echo_stream(loop, Storm(), messages=40_000) > 10


@pytest.mark.heavy
def test_storm_of_signals_is_not_felt(loop):
    strikes = []
    previous = signal.signal(signal.SIGALRM, lambda *_: strikes.append(1))
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0002)
    try:
        assert echo_stream(loop, Tracing(None), messages=40_000) == 0
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
    assert len(strikes) > 10


def test_signal_wakes_a_loop_that_sleeps(loop):
    async def main():
        threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()
        await asyncio.sleep(30)

    task = loop.create_task(main())
    with pytest.raises(KeyboardInterrupt):
        loop.run_until_complete(task)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(task)
    for thread in threading.enumerate():
        if thread is not threading.main_thread():
            thread.join()


def test_wakeup_descriptor_is_put_back(loop):
    receiver, sender = socket.socketpair()
    with receiver, sender:
        sender.setblocking(False)
        before = signal.set_wakeup_fd(sender.fileno())
        try:
            loop.run_until_complete(asyncio.sleep(0))
            assert signal.set_wakeup_fd(before) == sender.fileno()
        finally:
            signal.set_wakeup_fd(before)


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_interrupt_in_a_callback_leaves_the_loop_usable(loop, kind):
    def fail():
        raise kind

    seen = []
    loop.call_soon(fail)
    loop.call_soon(seen.append, 1)
    with pytest.raises(kind):
        loop.run_forever()
    loop.call_soon(loop.stop)
    loop.run_forever()
    assert seen == [1]


def run_turns(loop, interrupt, count: int) -> None:
    """Run the loop for some turns, as often interrupted as ``interrupt`` likes."""
    left = [count]

    def count_turn():
        left[0] -= 1
        loop.call_soon(count_turn if left[0] > 0 else loop.stop)

    loop.call_soon(count_turn)
    with interrupt:
        while left[0] > 0:
            try:
                loop.run_forever()
            except KeyboardInterrupt:
                continue


def lose_by_end(loop, interrupt) -> list:
    """Have a peer end its connection; return what connection_lost() was called with."""
    lost = []

    class Quiet(asyncio.Protocol):
        def connection_lost(self, exc):
            lost.append(exc)

    ours, peer = socket.socketpair()
    ours.setblocking(False)
    kept = loop.run_until_complete(loop.create_connection(Quiet, sock=ours))
    peer.close()
    run_turns(loop, interrupt, 20)
    del kept  # not earlier: what strikes a finalizer is nobody's to feel
    return lost


def receive_datagrams(loop, interrupt) -> list:
    """Send five datagrams to a transport while other callbacks are ready; return what came."""
    arrived = []

    class Noting(asyncio.DatagramProtocol):
        def datagram_received(self, data, addr):
            arrived.append(data)

    address = ("127.0.0.1", 0)
    endpoint = loop.create_datagram_endpoint(Noting, local_addr=address)
    transport, _ = loop.run_until_complete(endpoint)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for number in range(5):
            sender.sendto(b"%d" % number, transport.get_extra_info("sockname"))
        run_turns(loop, interrupt, 20)
    transport.close()
    return arrived


@pytest.mark.parametrize(
    ("drive", "outcome"),
    [(lose_by_end, [None]), (receive_datagrams, [b"0", b"1", b"2", b"3", b"4"])],
)
def test_interrupt_at_any_call_leaves_the_outcome_as_it_is(drive, outcome):
    fired, at = True, 0
    while fired:
        at += 1
        loop = uringcore_cffi.new_event_loop()
        problems = []
        loop.set_exception_handler(lambda _, context, to=problems: to.append(context))
        interrupter = Interrupter(at)
        try:
            assert (at, drive(loop, Tracing(interrupter))) == (at, outcome)
        finally:
            loop.close()
        assert not problems, at
        fired = interrupter.fired
    assert at > 40
