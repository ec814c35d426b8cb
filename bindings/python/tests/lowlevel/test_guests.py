"""A ring inside loops of others, and the examples of it."""

from __future__ import annotations

import asyncio
import errno
import os
import random
import re
import runpy
import socket
import sys
import threading
import zlib
from pathlib import Path

import pytest
from patience import PATIENCE
from taking import some

from uringcore_cffi.lowlevel import EventKind

ROOT = Path(__file__).resolve().parents[4]
EXAMPLES = ROOT / "examples" / "python"
needs_examples = pytest.mark.skipif(not EXAMPLES.is_dir(), reason="the examples are not here")


@pytest.fixture
def stock():
    """Make one of asyncio's own loops."""
    loop = asyncio.SelectorEventLoop()
    yield loop
    loop.close()


@pytest.fixture
def trio():
    """Return the module, where it is installed."""
    return pytest.importorskip("trio", reason="trio is not installed: see tools/requirements.txt")


@pytest.fixture
def paths(tmp_path):
    """Make files of several sizes."""
    made = []
    for number, size in enumerate((0, 1, 65_536, 1_000_000)):
        path = tmp_path / f"file{number}"
        path.write_bytes(random.Random(size).randbytes(size))
        made.append(path)
    return made


def turn(ring, told):
    """Take turns until nothing comes; call each event's cookie, and note the turn."""
    told.append(1)
    while events := ring.turn():
        for event in events:
            event.cookie(event)


def test_a_ring_inside_asyncio_is_heard_and_lets_it_sleep(stock, ring, file):
    """Its events come while the loop waits; no turn is taken in between."""
    turns = []

    async def main():
        ended = stock.create_future()
        stock.add_reader(ring.event_fd(), turn, ring, turns)
        turn(ring, turns)
        ring.timeout(0.2, cookie=ended.set_result)
        turn(ring, turns)
        await asyncio.wait_for(ended, PATIENCE)
        assert len(turns) <= 4  # the kernel may tell of the wake-up that was armed
        read = stock.create_future()
        ring.read(file.fileno(), 100, 0, cookie=read.set_result)
        turn(ring, turns)
        assert (await asyncio.wait_for(read, PATIENCE)).data() == bytes(range(100))
        stock.remove_reader(ring.event_fd())

    stock.run_until_complete(main())


def test_another_thread_wakes_a_guest(stock, ring):
    """wake() makes the other loop call, and is no event."""
    turns = []

    async def main():
        woken = asyncio.Event()

        def heard():
            turn(ring, turns)
            woken.set()

        stock.add_reader(ring.event_fd(), heard)
        turn(ring, turns)
        thread = threading.Thread(target=ring.wake)
        thread.start()
        await asyncio.wait_for(woken.wait(), PATIENCE)
        thread.join()
        stock.remove_reader(ring.event_fd())

    stock.run_until_complete(main())


def test_asyncio_and_a_ring_talk_to_each_other(stock, ring, pair):
    """Each with its end of a connection, in the same thread."""
    ours, peer = pair

    async def main():
        def echo(event):
            if event.kind is EventKind.RECV and event.result > 0:
                with event.keep() as lease:
                    event.fd.send(lease.view)

        fd = ring.attach(ours, cookie=echo)

        stock.add_reader(ring.event_fd(), turn, ring, [])
        fd.recv_start()
        turn(ring, [])
        peer.setblocking(False)
        payload = os.urandom(300_000)
        sending = asyncio.ensure_future(stock.sock_sendall(peer, payload))
        got = bytearray()
        while len(got) < len(payload):
            got += await asyncio.wait_for(stock.sock_recv(peer, 1 << 20), PATIENCE)
        await sending
        assert got == payload
        stock.remove_reader(ring.event_fd())
        fd.free()

    stock.run_until_complete(main())


def test_a_ring_inside_trio_is_heard(trio, ring, file):
    """While trio waits for the descriptor; other tasks run meanwhile."""
    order = []

    async def main():
        ring.event_fd()
        ring.timeout(0.05, cookie="late")
        ring.read(file.fileno(), 3, 0, cookie="read")
        seen = []

        async def run():
            while len(seen) < 2:
                while events := ring.turn():
                    seen.extend(event.cookie for event in events)
                if len(seen) < 2:
                    await trio.lowlevel.wait_readable(ring.event_fd())
            order.append("ring")

        async def other():
            await trio.sleep(0.001)
            order.append("other")

        with trio.fail_after(PATIENCE):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(run)
                nursery.start_soon(other)
        assert sorted(seen) == ["late", "read"]

    trio.run(main)
    assert order == ["other", "ring"]


def test_a_wait_in_trio_is_cancelled_and_the_operation_with_it(trio, ring):
    """The kernel has let go by the time the scope is left."""
    reader, writer = os.pipe()

    async def main():
        events = []
        with trio.move_on_after(0.02):
            operation = ring.read(reader, 100)
            ring.turn()
            try:
                await trio.lowlevel.wait_readable(ring.event_fd())
            finally:
                operation.cancel()
                with trio.fail_after(PATIENCE) as scope:
                    scope.shield = True
                    while not (events := ring.turn()):
                        await trio.lowlevel.wait_readable(ring.event_fd())
        (event,) = events
        assert event.result in (-errno.ECANCELED, -errno.EINTR)

    trio.run(main)
    assert ring.stats().in_flight == 0
    os.close(reader)
    os.close(writer)


@needs_examples
def test_the_example_for_asyncio_sends_files_there_and_back(run_python, paths):
    """Byte for byte, and it leaves nothing to warn of."""
    done = run_python("-W", "error", EXAMPLES / "guest_asyncio.py", *paths)
    assert (done.returncode, done.stderr) == (0, "")
    expected = [f"{path.stat().st_size} bytes there and back: {path}" for path in paths]
    assert done.stdout.splitlines() == expected
    assert run_python(EXAMPLES / "guest_asyncio.py").returncode == 0


@needs_examples
def test_the_echo_of_the_example_outlives_peers_that_go_before_they_are_answered(ring):
    """Then the end and the failure of what was being sent come in one batch."""
    echo = runpy.run_path(str(EXAMPLES / "guest_asyncio.py"))["Echo"]
    for _ in range(20):
        ours, peer = socket.socketpair()
        with peer:
            connection = echo(ring, ours)
            peer.sendall(b"data")
            (event,) = some(ring)
            event.cookie(event)
        while connection.fd.fileno() >= 0:
            for event in some(ring):
                event.cookie(event)
        assert not connection.leases


@needs_examples
def test_the_example_for_asyncio_tells_of_a_file_that_is_not_there(run_python, tmp_path):
    """With the exception that open() raises."""
    done = run_python(EXAMPLES / "guest_asyncio.py", tmp_path / "missing")
    assert done.returncode == 1
    assert "FileNotFoundError" in done.stderr
    assert "unclosed" not in done.stderr


@needs_examples
def test_the_example_for_trio_prints_checksums(trio, run_python, paths):
    """Of every file, in the order in which they are done."""
    assert trio.__name__ in sys.modules
    done = run_python("-W", "error", EXAMPLES / "guest_trio.py", *paths)
    assert (done.returncode, done.stderr) == (0, "")
    expected = [
        f"{zlib.crc32(path.read_bytes()):08x} {path.stat().st_size} {path}" for path in paths
    ]
    assert sorted(done.stdout.splitlines()) == sorted(expected)


@needs_examples
def test_the_program_of_the_page_runs_as_it_stands(run_python):
    """docs/howto/embedding.md reads a file through a ring inside asyncio."""
    page = (ROOT / "docs" / "howto" / "embedding.md").read_text(encoding="utf-8")
    (program,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    done = run_python("-W", "error", "-c", program)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip() == Path("/proc/version").read_text().strip()
