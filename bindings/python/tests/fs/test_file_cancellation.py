"""A cancelled operation is over when CancelledError comes: nothing is read or written late."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import itertools
import os

import pytest
from garbage import collect, needs_prompt_deaths
from leaks import open_descriptors
from patience import PATIENCE
from slow_files import backend, cancelled, pipes, waiting
from steps import cancel, soon, turns

import uringcore_cffi
from uringcore_cffi import fs
from uringcore_cffi.fs.engine import SPENT_MAX

BLOCK = 1 << 16
F_SETPIPE_SZ = 1031  # fcntl.F_SETPIPE_SZ from Python 3.10 on
MOMENTS = range(12)


def opened_below(folder) -> list[str]:
    """What is open of the files in a folder."""
    return [what for what in open_descriptors().values() if what.startswith(str(folder))]


async def cancel_after(count, coroutine) -> bool:
    """Cancel a task after so many turns; tell whether that ended it."""
    task = asyncio.ensure_future(coroutine)
    await turns(count)
    return await cancel(task)


@pytest.mark.parametrize("buffering", [0, -1])
def test_a_write_cancelled_at_any_moment_writes_nothing_late(any_loop, tmp_path, buffering):
    """Late bytes would be of the second kind: the buffer changes once the task has ended."""

    async def write(moment):
        path = tmp_path / str(moment)
        path.write_bytes(b"")
        data = bytearray(b"1" * (64 * BLOCK))
        file = await fs.open(path, "r+b", buffering)
        was_cancelled = await cancel_after(moment, file.write(data))
        there = path.read_bytes()
        data[:] = b"2" * len(data)
        await turns(3)
        await file.fsync()
        if buffering == 0:  # a buffered write may have accepted what it writes when it is closed
            assert path.read_bytes() == there
        await file.close()
        assert set(path.read_bytes()) <= {ord("1")}
        return was_cancelled

    async def at_every_moment():
        return [await write(moment) for moment in MOMENTS]

    assert any_loop.run_until_complete(at_every_moment())[0]


@pytest.mark.parametrize("buffering", [0, -1])
def test_a_read_cancelled_at_any_moment_fills_nothing_late_and_moves_nothing(
    run, tmp_path, buffering
):
    path = tmp_path / "file"
    path.write_bytes(os.urandom(64 * BLOCK))

    async def read(moment):
        buffer = bytearray(32 * BLOCK)
        async with fs.open(path, "rb", buffering) as file:
            await file.seek(7)
            if await cancel_after(moment, file.readinto(buffer)):
                assert await file.tell() == 7
            buffer[:] = b"~" * len(buffer)
            rest = await file.read(100)
            await turns(3)
            assert set(buffer) == {ord("~")}
            where = await file.tell()
            assert path.read_bytes()[where - 100 : where] == rest

    async def at_every_moment():
        for moment in MOMENTS:
            await read(moment)

    run(at_every_moment())


def test_a_reader_of_a_pipe_that_is_cancelled_loses_nothing(run):
    """What comes after the cancellation is for the next reader, from its first byte on."""

    async def read():
        with pipes() as [(reader, writer)]:
            async with fs.open(reader, "rb", 0, closefd=False) as file:
                for number in range(20):
                    [task] = await waiting(file.read(10))
                    await cancelled(task)
                    os.write(writer, b"%02d" % number)
                    assert await soon(file.read(10)) == b"%02d" % number

    run(read())


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_reader_that_is_cancelled_while_bytes_come_loses_none_of_them(run, moment):
    async def read():
        with pipes() as [(reader, writer)]:
            async with fs.open(reader, "rb", 0, closefd=False) as file:
                task = asyncio.ensure_future(file.read(10))
                await turns(moment)
                os.write(writer, b"0123456789")
                task.cancel()
                (got,) = await soon(asyncio.gather(task, return_exceptions=True))
                os.close(writer)
                rest = await soon(file.read())
                assert (got if isinstance(got, bytes) else b"") + rest == b"0123456789"

    run(read())


def test_a_writer_to_a_full_pipe_that_is_cancelled_writes_nothing_more(run):
    async def write():
        with pipes() as [(reader, writer)]:
            os.set_blocking(writer, False)
            room = os.write(writer, b"0" * (1 << 20))
            os.set_blocking(writer, True)
            async with fs.open(writer, "wb", 0, closefd=False) as file:
                [task] = await waiting(file.write(b"1" * 100))
                await cancelled(task)
            os.close(writer)
            with open(reader, "rb", closefd=False) as rest:
                assert rest.read() == b"0" * room

    run(write())


def test_a_file_goes_on_after_a_cancelled_operation(run, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(bytes(range(256)) * 64)

    async def work():
        async with fs.open(path, "r+b") as file:
            for moment in MOMENTS:
                await cancel_after(moment, file.read(100))
                await cancel_after(moment, file.seek(moment))
                await cancel_after(moment, file.flush())
                await cancel_after(moment, file.tell())
            await file.seek(3)
            assert await file.read(2) == b"\3\4"
            await file.write(b"xy")
        assert path.read_bytes()[:8] == b"\0\1\2\3\4xy\7"

    run(work())


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_cancelled_open_leaves_no_descriptor(run, tmp_path, moment):
    async def leave():
        for number in range(10):

            async def keep(number=number):
                return await fs.open(tmp_path / str(number), "w")

            task = asyncio.ensure_future(keep())
            await turns(moment)
            if not await cancel(task):
                await task.result().close()
        await turns(5)
        assert not opened_below(tmp_path)

    run(leave())


def test_an_open_that_waits_for_the_other_end_of_a_pipe_can_be_cancelled(run, tmp_path):
    """Over epoll a worker's open() waits until the end has come: so it comes."""
    path = tmp_path / "pipe"
    os.mkfifo(path)

    async def wait():
        [task] = await waiting(_opened(path))
        task.cancel()
        await turns(3)
        other = os.open(path, os.O_RDWR) if backend() == "epoll" else None
        with pytest.raises(asyncio.CancelledError):
            await soon(task)
        if other is not None:
            os.close(other)
        for _ in range(100):
            if not opened_below(tmp_path):
                break
            await asyncio.sleep(0.01)
        assert not opened_below(tmp_path)

    run(wait())


async def _opened(path):
    async with fs.open(path, "rb"):
        pass


def test_a_time_limit_ends_a_read_that_waits(run):
    async def wait():
        with pipes() as [(reader, writer)]:
            async with fs.open(reader, "rb", 0, closefd=False) as file:
                with pytest.raises(asyncio.TimeoutError):
                    await asyncio.wait_for(file.read(1), 0.01)
                os.write(writer, b"x")
                assert await soon(file.read(1)) == b"x"

    run(wait())


def test_cancelling_one_of_many_leaves_the_others(run):
    async def wait():
        with pipes(3) as numbers:
            files = [await fs.open(reader, "rb", 0, closefd=False) for reader, _ in numbers]
            first, second, third = await waiting(*(file.read(1) for file in files))
            await cancelled(second)
            for _, writer in numbers:
                os.write(writer, b"x")
            assert await soon(asyncio.gather(first, third)) == [b"x", b"x"]
            for file in files:
                await file.close()

    run(wait())


@needs_prompt_deaths
def test_a_loop_that_ends_while_files_wait_leaves_nothing():
    """asyncio.run() cancels what is left."""
    with pipes(3) as numbers:

        async def leave():
            files = [await fs.open(reader, "rb", 0) for reader, _ in numbers]
            await waiting(*(file.read(1) for file in files))

        def end():
            uringcore_cffi.run(leave())
            collect()

        with pytest.warns(ResourceWarning):
            end()


def test_cancelled_again_and_again_it_still_waits_for_the_kernel(run):
    async def stubborn():
        with pipes() as [(reader, writer)]:
            async with fs.open(reader, "rb", 0, closefd=False) as file:
                [task] = await waiting(file.read(1))
                for _ in range(5):
                    task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await asyncio.wait_for(task, PATIENCE)
                os.write(writer, b"x")
                assert await soon(file.read(1)) == b"x"

    run(stubborn())


@pytest.mark.parametrize("buffering", [0, -1])
def test_a_deadline_ends_each_operation_that_takes_longer_and_loses_nothing(run, buffering):
    async def wait():
        with pipes() as [(reader, writer)]:
            opening = fs.open(reader, "rb", buffering, closefd=False, deadline=0.02)
            async with opening as file:
                for number in (b"1", b"2"):
                    with pytest.raises(TimeoutError) as caught:
                        await soon(file.read(1))
                    assert caught.value.errno == errno.ETIMEDOUT
                    os.write(writer, number)
                    assert await soon(file.read(1)) == number

    run(wait())


@pytest.mark.parametrize("deadline", [0, -1, "1", float("nan")])
def test_a_deadline_is_a_number_of_seconds_above_0(run, tmp_path, deadline):
    async def refused():
        with pytest.raises((ValueError, TypeError)):
            await fs.open(tmp_path / "file", "w", deadline=deadline)
        assert not (tmp_path / "file").exists()

    run(refused())


def test_a_deadline_that_is_kept_changes_nothing(run, tmp_path):
    async def work():
        async with fs.open(tmp_path / "file", "w+b", deadline=PATIENCE) as file:
            await file.write(b"x" * 100_000)
            await file.fsync()
            await file.seek(0)
            assert await file.read() == b"x" * 100_000

    run(work())


@pytest.mark.parametrize("encoding", ["ascii", "utf-16"])
def test_a_cancelled_write_of_text_loses_nothing_of_those_before_it(run, encoding):
    async def work():
        with pipes() as [(reader, writer)]:
            fcntl.fcntl(writer, F_SETPIPE_SZ, 4096)
            file = await fs.open(writer, "w", encoding=encoding, closefd=False)
            accepted = ""
            for number in itertools.count():
                text = f"{number:04}" * 300
                task = asyncio.ensure_future(file.write(text))
                await turns(5)
                if not task.done():
                    await cancelled(task)
                    break
                accepted += text
            reading = asyncio.ensure_future(everything(reader))
            await file.write("the end")
            await soon(file.close())
            os.close(writer)
            assert (await soon(reading)).decode(encoding) == accepted + "the end"

    run(work())


async def everything(reader) -> bytes:
    async with fs.open(reader, "rb", 0, closefd=False) as file:
        return await file.read()


def test_text_that_was_never_accepted_takes_its_byte_order_mark_with_it(run):
    """The encoder is as before the cancelled write: the next one begins the file."""

    async def work():
        with pipes() as [(reader, writer)]:
            os.set_blocking(writer, False)
            room = os.write(writer, b"0" * (1 << 20))
            os.set_blocking(writer, True)
            file = await fs.open(writer, "w", encoding="utf-16", closefd=False)
            [task] = await waiting(file.write("x" * 100_000))
            await cancelled(task)
            reading = asyncio.ensure_future(everything(reader))
            await file.write("the end")
            await soon(file.close())
            os.close(writer)
            assert (await soon(reading))[room:] == "the end".encode("utf-16")

    run(work())


def test_a_flush_that_is_cancelled_before_it_begins_loses_nothing(run, tmp_path):
    """What an earlier write had written is not taken for this one's."""
    path = tmp_path / "file"

    async def work():
        async with fs.open(path, "ab") as file:
            await file.write(bytes(3 << 20))
            await file.write(b"the end")

            async def flush():
                file._d.engine.spent = SPENT_MAX  # others must have their turn first
                await file.flush()

            assert await cancel_after(1, flush())

    run(work())
    assert path.read_bytes() == bytes(3 << 20) + b"the end"


def test_a_close_that_is_cancelled_closes_the_descriptor(run, tmp_path):
    """Over epoll it may still wait for a worker, of which there are four."""

    async def work():
        paths = [tmp_path / f"pipe{number}" for number in range(4)]
        for path in paths:
            os.mkfifo(path)
        files = [await fs.open(tmp_path / "file", "wb", buffering) for buffering in (0, -1)]
        readers = [asyncio.ensure_future(_opened(path)) for path in paths]
        await turns(5)
        for file in files:
            task = asyncio.ensure_future(file.close())
            await turns(5)
            await cancel(task)
            assert file.closed
        assert not opened_below(tmp_path / "file")
        for reader in readers:
            reader.cancel()
        await turns(3)
        others = [os.open(path, os.O_RDWR) for path in paths]
        await soon(asyncio.gather(*readers, return_exceptions=True))
        for other in others:
            os.close(other)

    run(work())


@pytest.mark.parametrize("deadline", [1e300, float("inf")])
def test_a_deadline_that_never_comes_is_none(run, tmp_path, deadline):
    async def work():
        async with fs.open(tmp_path / "file", "wb", deadline=deadline) as file:
            await file.write(b"x" * 10_000)

    run(work())
