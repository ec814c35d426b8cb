"""connect_read_pipe() and connect_write_pipe(): what asyncio promises, on both loops."""

from __future__ import annotations

import asyncio
import os
import pty
import socket
import tempfile
import tty

import pytest
from protocols import Sink
from steps import turns


class Writer(asyncio.BaseProtocol):
    """Counts pauses, which must alternate with resumes."""

    def __init__(self) -> None:
        self.paused = False
        self.pauses = self.resumes = 0
        self.lost = asyncio.get_running_loop().create_future()
        self.can_write = asyncio.Event()

    def connection_made(self, transport):
        self.transport = transport

    def pause_writing(self):
        assert not self.paused
        self.paused = True
        self.pauses += 1
        self.can_write.clear()

    def resume_writing(self):
        assert self.paused
        self.paused = False
        self.resumes += 1
        self.can_write.set()

    def connection_lost(self, exc):
        self.lost.set_result(exc)


def as_files(reading, writing):
    """Wrap two numbers into unbuffered file objects."""
    return os.fdopen(reading, "rb", 0), os.fdopen(writing, "wb", 0)


def make_pipe(_):
    """Make an anonymous pipe."""
    return as_files(*os.pipe())


def make_fifo(folder):
    """Make a pipe with a name."""
    path = folder / "fifo"
    os.mkfifo(path)
    reading = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    return as_files(reading, os.open(path, os.O_WRONLY))


def make_pty(_):
    """Make a terminal that changes nothing."""
    master, slave = pty.openpty()
    tty.setraw(slave)
    return as_files(master, slave)


def make_sockets(_):
    """Make a socket pair."""
    return socket.socketpair()


KINDS = {"pipe": make_pipe, "fifo": make_fifo, "pty": make_pty, "socket": make_sockets}


@pytest.fixture(params=KINDS)
def ends(request, tmp_path):
    """Make a reading and a writing end of each kind, as objects."""
    reading, writing = KINDS[request.param](tmp_path)
    with reading, writing:
        yield reading, writing


def test_what_is_written_arrives(loop, ends):
    """From one transport to the other, in order, small and large."""
    data = os.urandom(300_000)

    async def main():
        reading, sink = await loop.connect_read_pipe(Sink, ends[0])
        writing, writer = await loop.connect_write_pipe(Writer, ends[1])
        for start in range(0, len(data), 7000):
            writing.write(data[start : start + 7000])
        while len(sink.data) < len(data):
            await asyncio.sleep(0)
        assert sink.data == data
        writing.close()
        assert await writer.lost is None
        reading.close()
        await sink.lost

    loop.run_until_complete(asyncio.wait_for(main(), 30))


@pytest.mark.parametrize("kind", ["pipe", "fifo", "socket"])
def test_the_end_of_the_writer_is_the_readers_end(loop, kind, tmp_path):
    """eof_received() after all data, then connection_lost(None)."""
    first, second = KINDS[kind](tmp_path)

    class Reader(Sink):
        ends = 0

        def eof_received(self):
            assert self.data == b"x" * 200_000
            self.ends += 1

    async def main():
        _, reader = await loop.connect_read_pipe(Reader, first)
        writing, writer = await loop.connect_write_pipe(Writer, second)
        writing.write(b"x" * 200_000)
        writing.write_eof()
        assert await reader.lost is None
        assert reader.ends == 1
        await writer.lost

    loop.run_until_complete(asyncio.wait_for(main(), 30))


def test_a_blocking_read_after_a_write_sees_the_data(loop, ends):
    """What there is room for is in the kernel when write() returns."""

    async def main():
        writing, writer = await loop.connect_write_pipe(Writer, ends[1])
        await turns(2)
        for number in range(20):
            writing.write(b"%02d" % number)
            assert os.read(ends[0].fileno(), 2) == b"%02d" % number
        writing.close()
        await writer.lost

    loop.run_until_complete(main())


def test_pausing_and_resuming_writing_are_paired(loop, ends):
    """Above the mark once, below it once, round after round."""
    rounds = 10

    async def main():
        writing, writer = await loop.connect_write_pipe(Writer, ends[1])
        writing.set_write_buffer_limits(high=20_000, low=5000)
        await turns(2)
        total = 0
        reading = None
        for _ in range(rounds):
            while not writer.paused:
                writing.write(b"x" * 50_000)
                total += 50_000
            assert writing.get_write_buffer_size() > 20_000
            if reading is None:
                reading, sink = await loop.connect_read_pipe(Sink, ends[0])
            await writer.can_write.wait()
            assert writing.get_write_buffer_size() <= 5000
        assert writer.pauses == writer.resumes == rounds
        while len(sink.data) < total:
            await asyncio.sleep(0)
        assert len(sink.data) == total
        writing.close()
        reading.close()
        await asyncio.gather(writer.lost, sink.lost)

    loop.run_until_complete(asyncio.wait_for(main(), 30))


@pytest.mark.parametrize("kind", ["pipe", "fifo", "socket"])
@pytest.mark.parametrize("pending", [False, True], ids=["idle", "with data to write"])
def test_a_reader_that_goes_is_told_to_the_writer(loop, kind, pending, tmp_path):
    """BrokenPipeError if something was still to be written."""
    reading, writing_end = KINDS[kind](tmp_path)

    async def main():
        writing, writer = await loop.connect_write_pipe(Writer, writing_end)
        await turns(2)
        if pending:
            writing.write(b"x" * 2_000_000)
            assert writing.get_write_buffer_size() > 0
        reading.close()
        lost = await asyncio.wait_for(writer.lost, 20)
        assert isinstance(lost, BrokenPipeError) if pending else lost is None

    loop.run_until_complete(main())


def test_pausing_the_reader_holds_the_data_back(loop, ends):
    """It comes when reading is resumed."""

    async def main():
        reading, sink = await loop.connect_read_pipe(Sink, ends[0])
        await turns(2)
        reading.pause_reading()
        os.write(ends[1].fileno(), b"held")
        await turns(5)
        assert not sink.data
        reading.resume_reading()
        while len(sink.data) < 4:
            await asyncio.sleep(0)
        assert sink.data == b"held"
        reading.close()
        await sink.lost

    loop.run_until_complete(main())


def test_streams_work_over_pipes(loop, ends):
    """StreamReader and StreamWriter, as programs use stdin and stdout."""

    async def main():
        reader = asyncio.StreamReader()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), ends[0])
        transport, _ = await loop.connect_write_pipe(asyncio.streams.FlowControlMixin, ends[1])
        for number in range(50):
            transport.write(b"line %d\n" % number)
            assert await reader.readline() == b"line %d\n" % number
        transport.close()
        reader._transport.close()
        await turns(3)

    loop.run_until_complete(main())


@pytest.mark.parametrize("method", ["connect_read_pipe", "connect_write_pipe"])
def test_a_regular_file_is_a_value_error(loop, method):
    """It cannot be waited for."""

    async def main():
        with tempfile.TemporaryFile() as file, pytest.raises(ValueError, match="Pipe transport is"):
            await getattr(loop, method)(asyncio.Protocol, file)

    loop.run_until_complete(main())
