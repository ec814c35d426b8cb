"""Files sent by splices: what must not be left over, and what must not get in between."""

from __future__ import annotations

import asyncio
import os
import socket

import pytest
from files import opened
from garbage import collect
from leaks import open_descriptors
from patience import PATIENCE
from peers import connect, read_what_comes
from protocols import Sink
from steps import cancel, turns

CONTENT = os.urandom(2_000_000) * 12


@pytest.fixture
def file(tmp_path):
    """Make a file that no socket's buffer holds, opened to be read."""
    with opened(tmp_path / "file", CONTENT) as made:
        yield made


def test_a_second_file_does_not_disturb_the_first(loop, file):
    """RuntimeError for the second; writing stays refused until the first has ended."""

    async def main():
        protocol, peer = await connect(loop)
        with peer:
            first = asyncio.ensure_future(loop.sendfile(protocol.transport, file))
            await turns(3)
            with pytest.raises(RuntimeError, match="in progress"), open(file.name, "rb") as other:
                await loop.sendfile(protocol.transport, other)
            with pytest.raises(RuntimeError, match="in progress"):
                protocol.transport.write(b"in between")
            assert not protocol.transport.is_reading()
            reading = loop.run_in_executor(None, read_what_comes, peer)
            assert await asyncio.wait_for(first, PATIENCE) == len(CONTENT)
            assert protocol.transport.is_reading()
            protocol.transport.close()
            assert await reading == CONTENT
            await protocol.lost

    loop.run_until_complete(main())


@pytest.mark.parametrize("end", ["close", "abort"])
def test_ending_the_transport_ends_the_file(loop, file, end):
    """sendfile() raises, connection_lost() comes, and the peer sees an end."""

    async def main():
        protocol, peer = await connect(loop)
        with peer:
            task = asyncio.ensure_future(loop.sendfile(protocol.transport, file))
            first = await loop.run_in_executor(None, peer.recv, 1000)
            getattr(protocol.transport, end)()
            with pytest.raises(ConnectionError):
                await asyncio.wait_for(task, PATIENCE)
            await asyncio.wait_for(protocol.lost, PATIENCE)
            got = first + await asyncio.wait_for(
                loop.run_in_executor(None, read_what_comes, peer), 20
            )
            assert len(got) < len(CONTENT)
            assert got == CONTENT[: len(got)]

    loop.run_until_complete(main())


def test_a_transport_closed_by_the_reader_sends_no_more(loop, file):
    """close() while the peer reads fast: the file does not go on behind the end."""

    async def main():
        protocol, peer = await connect(loop)
        with peer:
            reading = loop.run_in_executor(None, read_what_comes, peer)
            task = asyncio.ensure_future(loop.sendfile(protocol.transport, file))
            await turns(1)
            protocol.transport.close()
            with pytest.raises(ConnectionError):
                await asyncio.wait_for(task, PATIENCE)
            await asyncio.wait_for(protocol.lost, PATIENCE)
            assert len(await asyncio.wait_for(reading, PATIENCE)) < len(CONTENT)

    loop.run_until_complete(main())


def test_cancelling_a_hundred_files_leaves_nothing(loop, file):
    """At every moment of the first turns; the leak check counts descriptors."""

    async def main():
        for pauses in range(100):
            ours, peer = socket.socketpair()
            with ours, peer:
                ours.setblocking(False)
                task = asyncio.ensure_future(loop.sock_sendfile(ours, file))
                await turns(pauses % 10)
                assert await cancel(task)
                position = file.tell()
                ours.close()
                assert len(await loop.run_in_executor(None, read_what_comes, peer)) == position
            file.seek(0)

    loop.run_until_complete(main())


def test_a_file_waits_for_what_was_written_although_one_before_was_given_up(loop, file):
    """The poll that the cancelled file has left behind does not let the next one overtake."""

    async def main():
        ours, peer = socket.socketpair()
        ours.setblocking(False)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        transport, protocol = await loop.create_connection(Sink, sock=ours)
        with peer:
            full = asyncio.Event()
            wait_writable = transport._wait_writable
            transport._wait_writable = lambda: (full.set(), wait_writable())[1]
            given_up = asyncio.ensure_future(loop.sendfile(transport, file))
            await asyncio.wait_for(full.wait(), PATIENCE)
            await turns(2)
            assert await cancel(given_up)
            position = file.tell()
            written = b"w" * 600_000
            transport.write(written)
            file.seek(0)
            task = asyncio.ensure_future(loop.sendfile(transport, file))
            await turns(3)
            reading = loop.run_in_executor(None, read_what_comes, peer)
            await asyncio.wait_for(task, PATIENCE)
            transport.close()
            assert await reading == CONTENT[:position] + written + CONTENT
            await protocol.lost

    loop.run_until_complete(main())


@pytest.mark.parametrize("pauses", [2, 100])
def test_closing_the_loop_in_the_middle_of_a_file_leaves_nothing(loop, file, pauses):
    """A splice in flight is ended; nothing is open, though somebody still knows the task."""
    ours, peer = socket.socketpair()
    with ours, peer:
        ours.setblocking(False)
        before = open_descriptors()

        async def main():
            task = asyncio.ensure_future(loop.sock_sendfile(ours, file))
            await turns(pauses)
            return task

        task = loop.run_until_complete(main())
        assert len(open_descriptors()) >= len(before) + 4
        task._log_destroy_pending = False
        loop.close()
        assert open_descriptors().items() <= before.items()
        task.get_coro().close()  # else the socket is held until it is collected
        del task
        collect()


def test_closing_the_loop_while_a_file_waits_for_its_peer_leaves_nothing(loop, file):
    async def main():
        protocol, peer = await connect(loop)
        transport = protocol.transport
        task = loop.create_task(loop.sendfile(transport, file))
        await turns(1)
        first = transport._sendfile_waiter
        while transport._sendfile_waiter is first:  # until there is no room
            await asyncio.sleep(0)
        return task, transport, peer

    task, transport, peer = loop.run_until_complete(main())
    with peer:
        task._log_destroy_pending = False
        loop.close()
        del task, transport
        with pytest.warns(ResourceWarning, match="unclosed transport"):
            collect()


def test_a_file_that_shrinks_ends_early(loop, tmp_path):
    """The answer is what was sent."""
    path = tmp_path / "shrinking"
    path.write_bytes(CONTENT)

    async def main():
        protocol, peer = await connect(loop)
        with peer, path.open("rb") as shrinking:
            task = asyncio.ensure_future(loop.sendfile(protocol.transport, shrinking))
            await loop.run_in_executor(None, peer.recv, 1000)
            os.truncate(path, 20_000_000)
            reading = loop.run_in_executor(None, read_what_comes, peer)
            sent = await asyncio.wait_for(task, PATIENCE)
            protocol.transport.close()
            assert len(await reading) == sent - 1000
            assert shrinking.tell() == sent
            await protocol.lost

    loop.run_until_complete(main())


def test_a_pipe_is_no_file(loop):
    """It has no size and no offsets (asyncio takes it for an empty file)."""

    async def main():
        reader, writer = os.pipe()
        os.write(writer, b"from a pipe")
        os.close(writer)
        ours, peer = socket.socketpair()
        with ours, peer, open(reader, "rb", buffering=0) as pipe:
            ours.setblocking(False)
            with pytest.raises(asyncio.SendfileNotAvailableError):
                await loop.sock_sendfile(ours, pipe, fallback=False)

    loop.run_until_complete(main())
