"""Forks at the worst moments: a parent that is busy with everything goes on byte for byte."""

from __future__ import annotations

import asyncio
import itertools
import os
import socket
import sys
import threading

import pytest
from echoes import serve_and_talk
from garbage import collect
from protocols import Sink
from traffic import MOMENTS, everything, joined, readers, sockets

import uringcore_cffi

HOST = "127.0.0.1"


def _do_nothing(loop) -> None:
    pass


def _collect_garbage(loop) -> None:
    collect()


def _run_a_new_loop(loop) -> None:
    if sys.version_info >= (3, 14) and loop.is_running():
        return  # 3.14 forgets the running loop only in children made by its own means
    assert uringcore_cffi.run(serve_and_talk(5)) == "talked"


def _touch_the_old_loop(loop) -> None:
    loop.call_soon(print)
    loop.call_later(0, print)
    loop.call_soon_threadsafe(print)
    for transport in loop._inherited.values():
        if isinstance(transport, asyncio.DatagramTransport):
            transport.sendto(b"from the child")
        elif isinstance(transport, asyncio.Transport):
            transport.write(b"from the child")
        if isinstance(transport, asyncio.BaseTransport):
            transport.close()
            transport.abort()
    with pytest.raises(ChildProcessError):
        loop.stats()


def _end_the_old_loop(loop) -> None:
    if loop.is_running():
        with pytest.raises(RuntimeError, match="running"):
            loop.close()
    else:
        loop.close()


KINDS = [_do_nothing, _collect_garbage, _run_a_new_loop, _touch_the_old_loop, _end_the_old_loop]


class Forking:
    """Forks children of all kinds at one moment, each time after a few passed by."""

    def __init__(self, loop, fork, moment: str, *, every: int, most: int = 10) -> None:
        self._loop = loop
        self._fork = fork
        self._moment = moment
        self._every = every
        self._most = most
        self._seen = 0
        self._kinds = itertools.cycle(KINDS)
        self.children: list = []

    def __call__(self, moment: str) -> None:
        if moment != self._moment:
            return
        self._seen += 1
        if self._seen % self._every == 0 and len(self.children) < self._most:
            self.fork()

    def fork(self) -> None:
        """Fork the next child."""
        self.children.append(self._fork(next(self._kinds), self._loop))


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_busy_parent_goes_on_whatever_runs_when_it_forks(
    loop, fork, moment, tmp_path, certificates
):
    at = Forking(loop, fork, moment, every=2)
    with joined(at.children):
        loop.run_until_complete(everything(at, 10, tmp_path, certificates))
        assert len(at.children) >= 5
    assert loop.stats().stale == 0


def test_a_busy_parent_goes_on_when_another_thread_forks(loop, fork, tmp_path, certificates):
    """The loop may be anywhere: in the kernel, in C, in the middle of a batch."""
    at = Forking(loop, fork, "none", every=1)
    ended = threading.Event()

    def forking():
        while not ended.is_set() and len(at.children) < 20:
            at.fork()
            at.children[-1].wait()

    thread = threading.Thread(target=forking)
    with joined(at.children):
        thread.start()
        try:
            for number in itertools.count():
                folder = tmp_path / str(number)
                folder.mkdir()
                loop.run_until_complete(everything(at, 10, folder, certificates))
                if len(at.children) >= 5:
                    break
        finally:
            ended.set()
            thread.join()
    assert loop.stats().stale == 0


def test_a_parent_that_sleeps_goes_on_when_another_thread_forks(loop, fork):
    """Nothing but a pending receive, a watched pipe, and an accepting server."""
    children = []

    async def main():
        server = await loop.create_server(Sink, HOST, 0)
        ours, theirs = socket.socketpair()
        near, far = os.pipe()
        readable = loop.create_future()
        with ours, theirs:
            ours.setblocking(False)
            receiving = loop.create_task(loop.sock_recv(ours, 100))
            loop.add_reader(near, lambda: readable.done() or readable.set_result(None))
            for kind in KINDS:
                children.append(await loop.run_in_executor(None, fork, kind, loop))
                await loop.run_in_executor(None, children[-1].wait)
            theirs.sendall(b"received")
            os.write(far, b"read")
            assert await receiving == b"received"
            await readable
        loop.remove_reader(near)
        assert os.read(near, 100) == b"read"
        os.close(near)
        os.close(far)
        transport, protocol = await loop.create_connection(Sink, *server.sockets[0].getsockname())
        transport.close()
        await protocol.lost
        server.close()
        await server.wait_closed()

    with joined(children):
        loop.run_until_complete(main())
    assert len(children) == len(KINDS)


def test_forks_while_watched_descriptors_alone_wake_the_loop(loop, fork):
    """The loop then waits in a set of its own, which parent and child would share."""
    at = Forking(loop, fork, "reader", every=10)
    with joined(at.children):
        loop.run_until_complete(readers(at, 100))
        assert len(at.children) == 10


def test_a_fork_between_write_and_close_loses_nothing(loop, fork):
    """All that is queued, in flight or only said at the moment arrives, and then the end."""
    payload = os.urandom(1 << 20)
    children = []

    async def main():
        accepted = []
        server = await loop.create_server(lambda: accepted.append(Sink()) or accepted[-1], HOST, 0)
        for kind in KINDS:
            _, client = await loop.create_connection(Sink, *server.sockets[0].getsockname())
            client.transport.write(payload)
            children.append(fork(kind, loop))
            client.transport.write(payload)
            client.transport.close()
            children.append(fork(kind, loop))
            assert await client.lost is None
            assert await accepted[-1].lost is None
            assert accepted[-1].data == payload * 2
        server.close()
        await server.wait_closed()

    with joined(children):
        loop.run_until_complete(main())


@pytest.mark.heavy
def test_forks_while_the_loop_is_closed_leave_parent_and_child_whole(fork):
    """Another thread forks again and again while one makes, uses and closes loops."""
    ended = threading.Event()
    children = []

    def forking():
        while not ended.is_set():
            children.append(fork(collect))
            children[-1].wait()

    thread = threading.Thread(target=forking)
    with joined(children):
        thread.start()
        try:
            while len(children) < 20:
                uringcore_cffi.run(sockets(_do_nothing, 1))
        finally:
            ended.set()
            thread.join()
