"""Limits: locked memory of an ordinary user, and descriptors that run out."""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import socket

import pytest
from echoes import echo_to_many

from uringcore_cffi._loop import servers

FIVE_HUNDRED_LOOPS = """
import asyncio, os, resource, sys
import uringcore_cffi
limit = 8 << 20
resource.setrlimit(resource.RLIMIT_MEMLOCK, (limit, limit))
if os.getuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)

async def talk():
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    writer.write(b"hello")
    assert await reader.readexactly(5) == b"hello"
    writer.close()
    await writer.wait_closed()
    server.close()
    await server.wait_closed()

async def echo(reader, writer):
    writer.write(await reader.readexactly(5))
    writer.close()

for number in range(500):
    loop = uringcore_cffi.new_event_loop()
    loop.run_until_complete(talk() if number % 10 == 0 else asyncio.sleep(0))
    loop.close()
assert os.getuid() != 0
print("done", len(os.listdir("/proc/self/fd")))
"""


@pytest.mark.heavy
def test_five_hundred_loops_fit_into_the_locked_memory_of_an_ordinary_user(run_python):
    """A test suite that makes a loop for each test works at the usual limit of 8 MiB."""
    if os.getuid() != 0 and resource.getrlimit(resource.RLIMIT_MEMLOCK)[1] < 8 << 20:
        pytest.skip("the limit is lower here and cannot be raised")
    done = run_python("-W", "error", "-c", FIVE_HUNDRED_LOOPS)
    assert done.stderr == ""
    word, descriptors = done.stdout.split()
    assert word == "done"
    assert int(descriptors) <= 6
    assert done.returncode == 0


@pytest.fixture
def few_descriptors():
    """Let the process have only some twenty descriptors more: fill() takes them, free() gives back.

    The limit is low from the start, because an accept in flight knows the one it began with.
    """
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + 20, before[1]))
    filling = []

    class Few:
        def fill(self):
            try:
                while True:
                    filling.append(os.dup(0))
            except OSError as error:
                if error.errno != errno.EMFILE:
                    raise

        def free(self):
            while filling:
                os.close(filling.pop())

    few = Few()
    yield few
    few.free()
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_accepting_without_descriptors_backs_off_and_recovers(loop, monkeypatch, few_descriptors):
    """EMFILE is reported, tried again after a while without spinning, and nobody is lost."""
    monkeypatch.setattr(servers, "ACCEPT_RETRY_DELAY", 0.05)
    count = 5
    retries = 4
    entries, times = [], []
    clients = [socket.socket() for _ in range(count)]

    async def serve(reader, writer):
        writer.write(await reader.readexactly(2))
        writer.close()

    def problem(_loop, context):
        loop.problems.append(context)
        entries.append(loop.stats().kernel_entries)
        times.append(loop.time())
        if len(loop.problems) == retries:
            enough.set()

    enough = None

    async def main():
        nonlocal enough
        enough = asyncio.Event()
        server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=count)
        loop.set_exception_handler(problem)
        few_descriptors.fill()
        for number, client in enumerate(clients):
            client.connect(server.sockets[0].getsockname())
            client.sendall(b"%02d" % number)
        await asyncio.wait_for(enough.wait(), 20)
        few_descriptors.free()
        for number, client in enumerate(clients):
            client.settimeout(20)
            assert await loop.run_in_executor(None, client.recv, 10) == b"%02d" % number
        server.close()
        await server.wait_closed()

    try:
        loop.run_until_complete(main())
    finally:
        for client in clients:
            client.close()
    for context in loop.problems:
        assert context["message"] == "socket.accept() out of system resource"
        assert context["exception"].errno == errno.EMFILE
        assert "socket" in context
    assert entries[retries - 1] - entries[0] <= 5 * (retries - 1)
    assert times[retries - 1] - times[0] >= 0.05 * (retries - 1)
    loop.problems.clear()


def test_a_server_closed_while_it_backs_off_stays_closed(loop, few_descriptors):
    """The retry that was planned does not come to life again."""

    async def main():
        client = socket.socket()
        reported = asyncio.Event()
        loop.set_exception_handler(lambda *_: reported.set())
        server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
        few_descriptors.fill()
        with client:
            client.connect(server.sockets[0].getsockname())
            await asyncio.wait_for(reported.wait(), 20)
        server.close()
        await server.wait_closed()
        await asyncio.sleep(0)
        assert [timer for timer in loop._scheduled if not timer[2].cancelled()] == []
        assert loop.stats().attached <= 1  # the receiver of signals

    loop.run_until_complete(main())


def test_a_small_pool_serves_many_connections(loop):
    """With four small buffers for thirty busy connections every byte still arrives."""
    import uringcore_cffi

    pool = uringcore_cffi.Pool.new(buffer_bytes=4096, buffer_count=4, buffer_max=4)
    small = uringcore_cffi.UringEventLoop(pool=pool)

    try:
        small.run_until_complete(echo_to_many(30, 50_000))
        assert small.pool_stats().buffers == 4
    finally:
        small.close()
        pool.free()
