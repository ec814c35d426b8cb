"""An interrupt at any place loses no lease, delivers none twice and forgets no buffer.

Also one that strikes a finalizer, where Python can only print it.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys

import pytest
from interrupts import PACKAGE, Interrupter, Tracing
from leased import PYPY, Taking
from steps import run_turns, turns

import uringcore_cffi

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

NAMES = ("lending.py", "lease.py", "leasing.py", "reading.py", "socket_endpoint.py", "dispatch.py")


def handles_leases(frame) -> bool:
    """Tell whether a frame is the loop's own work on leases."""
    if os.path.basename(frame.f_code.co_filename) not in NAMES:
        return False
    while frame is not None and frame.f_code.co_filename.startswith(PACKAGE):
        if frame.f_code.co_name in ("_run_once", "run_forever"):
            return True
        frame = frame.f_back
    return False


class _Keeping(Taking):
    """Keeps a slice of every lease but the first, and releases every other."""

    def __init__(self) -> None:
        super().__init__()
        self.slices = []

    def lease_received(self, lease):
        self.slices.append((bytes(lease), lease.view[:]))
        if len(self.slices) % 2:
            lease.release()


def transport_scenario(loop):
    """Receive messages one by one by a transport, some of them while something is ready."""

    async def main():
        ours, peer = socket.socketpair()
        with peer:
            ours.setblocking(False)
            _, protocol = await loop.create_connection(_Keeping, sock=ours)
            for number in range(6):
                peer.sendall(b"%d" % number)
                if number % 2:
                    loop.call_soon(loop.call_soon, str)
                while len(protocol.slices) <= number:
                    await turns(1)
                await turns(1)
        await protocol.lost
        assert [data for data, _ in protocol.slices] == [b"%d" % number for number in range(6)]
        assert all(part == data for data, part in protocol.slices)

    return main()


def socket_scenario(loop):
    """Receive by both kinds of receivers from a socket, with a cancellation in between."""

    async def main():
        ours, peer = socket.socketpair()
        got = []
        with ours, peer:
            ours.setblocking(False)

            async def receive(as_lease):
                if as_lease:
                    lease = await loop.sock_recv_lease(ours)
                    got.append(bytes(lease))
                    lease.release()
                else:
                    got.append(await loop.sock_recv(ours, 3))

            for number in range(4):
                tasks = [loop.create_task(receive(kind)) for kind in (True, number % 2, True)]
                await turns(3)
                peer.sendall(b"<%d>" % number)
                loop.call_soon(tasks[0].cancel)
                while b"".join(got) != b"".join(b"<%d>" % n for n in range(number + 1)):
                    await turns(1)
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    return main()


def run_interrupted(loop, task, at: int, event: str) -> bool:
    """Run a task to its end with an interrupt on the way; tell whether it came to that."""
    interrupter = Interrupter(at, events=(event,), strikes=handles_leases)
    task.add_done_callback(lambda _: loop.stop())
    while not task.done():
        with Tracing(None if interrupter.fired else interrupter):
            try:
                loop.run_forever()
            except KeyboardInterrupt:
                assert interrupter.fired
    return interrupter.fired


@pytest.mark.heavy
@pytest.mark.parametrize("scenario", [transport_scenario, socket_scenario])
def test_an_interrupt_at_any_call_loses_no_lease_and_no_buffer(scenario):
    at, fired = 0, True
    while fired:
        at += 1
        loop = uringcore_cffi.new_event_loop(quarantine_ms=0)
        try:
            task = loop.create_task(scenario(loop))
            fired = run_interrupted(loop, task, at, "call")
            task.result()
            del task
            run_turns(loop, 3)
            run_turns(loop)
            assert (at, loop.pool_stats().leased) == (at, 0)
        finally:
            loop.close()
    assert at > 10


@pytest.mark.skipif(PYPY, reason="PyPy has no such events")
@pytest.mark.heavy
def test_an_interrupt_after_any_call_into_c_loses_no_lease_and_no_buffer():
    """Also between libuc's keeping of a buffer and Python's knowing of it."""
    at, fired = 0, True
    while fired:
        at += 1
        loop = uringcore_cffi.new_event_loop(quarantine_ms=0)
        try:
            task = loop.create_task(transport_scenario(loop))
            fired = _run_profiled(loop, task, at)
            task.result()
            del task
            run_turns(loop, 3)
            assert (at, loop.pool_stats().leased) == (at, 0)
        finally:
            loop.close()
    assert at > 20


def _run_profiled(loop, task, at: int) -> bool:
    interrupter = Interrupter(at, events=("call", "c_return"), strikes=handles_leases)
    task.add_done_callback(lambda _: loop.stop())
    while not task.done():
        previous = sys.getprofile()
        sys.setprofile(previous if interrupter.fired else interrupter)
        try:
            loop.run_forever()
        except KeyboardInterrupt:
            assert interrupter.fired
        finally:
            sys.setprofile(previous)
    return interrupter.fired
