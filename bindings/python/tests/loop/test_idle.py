"""An idle loop sleeps: nothing wakes it, and it does not look like waiting for a disk.

The rule is about time that passes, so these tests let some pass.
"""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from pathlib import Path

import pytest
from patience import PATIENCE
from protocols import Sink

HOST = "127.0.0.1"
IDLE = 1.0
SAMPLES = 50


class Sleeper:
    """A loop that runs in a thread of its own, with everything armed that may be."""

    def __init__(self, loop) -> None:
        self.loop = loop
        self._thread = threading.Thread(target=loop.run_until_complete, args=(self._main(),))
        self._ready = threading.Event()
        self._thread.start()
        assert self._ready.wait(PATIENCE)

    async def _main(self) -> None:
        loop = self.loop
        self._end = loop.create_future()
        server = await loop.create_server(Sink, HOST, 0)
        client, protocol = await loop.create_connection(Sink, *server.sockets[0].getsockname())
        endpoint, _ = await loop.create_datagram_endpoint(
            asyncio.DatagramProtocol, local_addr=(HOST, 0)
        )
        ours, theirs = socket.socketpair()
        with ours, theirs:
            loop.add_reader(ours, print)
            later = loop.call_later(3600, print)
            self._ready.set()
            await self._end
            later.cancel()
            loop.remove_reader(ours)
        endpoint.close()
        client.close()
        await protocol.lost
        server.close()
        await server.wait_closed()

    def sleeps(self) -> int:
        """How often it went to sleep so far."""
        status = Path(f"/proc/self/task/{self._thread.native_id}/status").read_text()
        return int(status.partition("\nvoluntary_ctxt_switches:")[2].split()[0])

    def settle(self) -> None:
        """Wait until what was just begun is done."""
        before = -1
        while before != (before := self.sleeps()):
            time.sleep(0.1)

    def end(self) -> None:
        """Let it end."""
        self.loop.call_soon_threadsafe(self._end.set_result, None)
        self._thread.join()


@pytest.fixture
def others_blocked():
    """Tell how many others wait for disks all the time, or look as if they did."""
    blocked = []
    for _ in range(SAMPLES):
        blocked.append(procs_blocked())
        time.sleep(IDLE / SAMPLES)
    return min(blocked)


def procs_blocked() -> int:
    stat = Path("/proc/stat").read_text()
    return int(stat.partition("\nprocs_blocked ")[2].split()[0])


@pytest.fixture
def sleeper(loop):
    """Have a loop sleep."""
    sleeping = Sleeper(loop)
    try:
        sleeping.settle()
        yield sleeping
    finally:
        sleeping.end()


def test_nothing_wakes_an_idle_loop(sleeper):
    before = sleeper.sleeps()
    time.sleep(IDLE)
    assert sleeper.sleeps() == before


def test_an_idle_loop_is_not_counted_as_waiting_for_a_disk(others_blocked, sleeper):
    """Without it, every monitor would show a processor as busy with a disk (kernel 6.15 helps)."""
    info = sleeper.loop.info()
    if info.backend == "uring" and "no-iowait" not in info.features:
        pytest.skip("this ring cannot ask the kernel for that")
    if others_blocked:
        pytest.skip("another process waits for a disk all the time")
    until = time.monotonic() + PATIENCE
    while procs_blocked():  # others do now and then
        assert time.monotonic() < until
        time.sleep(IDLE / SAMPLES)
