"""Tasks that share a file, and tasks that have nothing to do with files."""

from __future__ import annotations

import asyncio
import os
import random
import socket

import pytest
from slow_files import backend, cancelled, pipes, waiting
from steps import soon

from uringcore_cffi import fs

RECORD = 100


def records(count: int) -> list[bytes]:
    """Bytes of which each piece says which it is."""
    return [b"%0*d" % (RECORD, number) for number in range(count)]


@pytest.mark.parametrize("buffering", [-1, 0, 128])
def test_tasks_that_read_one_file_get_every_byte_once(run, tmp_path, buffering):
    pieces = records(200)
    (tmp_path / "file").write_bytes(b"".join(pieces))

    async def read():
        async with fs.open(tmp_path / "file", "rb", buffering) as file:
            return await asyncio.gather(*(file.read(RECORD) for _ in pieces))

    assert sorted(run(read())) == pieces


@pytest.mark.parametrize("mode", ["wb", "ab", "r+b"])
@pytest.mark.parametrize("buffering", [-1, 0, 128])
def test_tasks_that_write_one_file_write_whole_pieces(run, tmp_path, buffering, mode):
    pieces = records(200)
    path = tmp_path / "file"
    path.touch()

    async def write():
        async with fs.open(path, mode, buffering) as file:
            await asyncio.gather(*map(file.write, pieces))

    run(write())
    data = path.read_bytes()
    assert sorted(data[at : at + RECORD] for at in range(0, len(data), RECORD)) == pieces


def test_tasks_that_write_lines_of_text_write_whole_lines(run, tmp_path):
    pieces = [f"{number} \u00e9\u4e2d\n" * 50 for number in range(100)]

    async def write():
        async with fs.open(tmp_path / "file", "w", encoding="utf-8") as file:
            await asyncio.gather(*map(file.write, pieces))

    run(write())
    text = (tmp_path / "file").read_text(encoding="utf-8")
    assert sorted(text.splitlines()) == sorted("".join(pieces).splitlines())
    for piece in pieces:
        assert piece in text


def test_a_reader_with_offsets_moves_nobody(run, tmp_path):
    pieces = records(100)
    (tmp_path / "file").write_bytes(b"".join(pieces))

    async def read():
        async with fs.open(tmp_path / "file", "rb") as file:
            at = [file.pread(RECORD, number * RECORD) for number in range(100)]
            random.Random(1).shuffle(at)
            mixed = await asyncio.gather(*at, *(file.read(RECORD) for _ in range(100)))
            assert sorted(mixed) == sorted(pieces * 2)
            assert await file.tell() == 100 * RECORD

    run(read())


def test_writers_with_offsets_write_each_in_its_place(run, tmp_path):
    pieces = records(300)

    async def write():
        async with fs.open(tmp_path / "file", "w+b") as file:
            places = list(enumerate(pieces))
            random.Random(2).shuffle(places)
            await asyncio.gather(*(file.pwrite(data, n * RECORD) for n, data in places))
            assert await file.tell() == 0

    run(write())
    assert (tmp_path / "file").read_bytes() == b"".join(pieces)


class Ticks:
    """A task that counts its turns, and how much others did between two of them."""

    def __init__(self) -> None:
        self.done = 0
        self.most_between = 0
        self.turns = 0

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            before = self.done
            await asyncio.sleep(0)
            self.turns += 1
            self.most_between = max(self.most_between, self.done - before)

    async def beside(self, work) -> None:
        """Work, with the task running beside."""
        task = asyncio.ensure_future(self.run())
        await asyncio.sleep(0)
        await work
        await cancelled(task)


@pytest.mark.parametrize(
    ("size", "most"), [(10, 1000), (4096, 1000), (1 << 20, 50)], ids=["10", "4k", "1m"]
)
@pytest.mark.parametrize("what", ["read", "pread", "write", "read_many"])
def test_others_run_while_a_task_works_on_cached_data(run, tmp_path, what, size, most):
    """``most`` is how often it may take without a pause: less, the more it takes."""
    path = tmp_path / "file"
    path.write_bytes(bytes(4 << 20))
    ticks = Ticks()
    count = 5000 if size < 1 << 20 else 300

    async def work():
        async with fs.open(path, "r+b", 0) as file:
            for _ in range(count):
                if what == "read_many":
                    await fs.read_many([(file, 0, size)])
                elif what == "pread":
                    await file.pread(size, 0)
                else:
                    await file.seek(0)
                    await (file.read(size) if what == "read" else file.write(bytes(size)))
                ticks.done += 1

    run(ticks.beside(work()))
    assert ticks.done == count
    assert ticks.most_between <= most
    assert ticks.turns >= count // most


def test_others_run_while_a_file_of_short_lines_is_read(run, tmp_path):
    (tmp_path / "file").write_bytes(b"x\n" * 100_000)
    ticks = Ticks()

    async def work():
        async with fs.open(tmp_path / "file") as file:
            async for _ in file:
                ticks.done += 1

    run(ticks.beside(work()))
    assert ticks.done == 100_000
    assert ticks.turns >= 5


def test_others_run_while_names_are_asked_for(run, tmp_path):
    ticks = Ticks()

    async def work():
        for _ in range(2000):
            await fs.stat(tmp_path)
            ticks.done += 1

    run(ticks.beside(work()))
    assert ticks.most_between <= 1000


def test_a_timer_fires_while_files_are_read_without_end(any_loop, tmp_path):
    (tmp_path / "file").write_bytes(bytes(4096))

    async def work():
        fired = any_loop.create_future()
        any_loop.call_later(0.01, fired.set_result, None)
        async with fs.open(tmp_path / "file", "rb") as file:
            while not fired.done():
                await file.seek(0)
                await file.read()

    any_loop.run_until_complete(soon(work()))


@pytest.mark.parametrize("kind", ["pipe", "open"])
def test_files_that_do_not_answer_stop_neither_the_loop_nor_others(any_loop, tmp_path, kind):
    """What waits in a thread leaves one of four; io_uring waits for any number of pipes itself."""
    count = 100 if kind == "pipe" and backend() == "uring" else 3
    path = tmp_path / "fifo"
    os.mkfifo(path)

    async def other_work():
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.setblocking(False)
            theirs.send(b"news")
            assert await any_loop.sock_recv(ours, 10) == b"news"
        for number in range(20):
            async with fs.open(tmp_path / "file", "w+") as file:
                await file.write(str(number))
                await file.seek(0)
                assert await file.read() == str(number)
        await fs.unlink(tmp_path / "file")

    async def opened():
        async with fs.open(path, "rb") as file:
            return await file.read()

    async def work():
        with pipes(count) as numbers:
            files = [await fs.open(n, "rb", 0, closefd=False) for n, _ in numbers]
            if kind == "pipe":
                tasks = await waiting(*(file.read(1) for file in files))
            else:
                tasks = await waiting(*(opened() for _ in range(count)))
            await soon(other_work())
            assert not any(task.done() for task in tasks)
            for _, writer in numbers:
                os.write(writer, b"x")
            await _let_go(tasks, path if kind == "open" else None)
            for file in files:
                await file.close()

    any_loop.run_until_complete(work())


async def _let_go(tasks, path) -> None:
    """See all tasks end; those that open a pipe get its other end again and again."""
    while path is not None and not all(task.done() for task in tasks):
        other = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        await asyncio.sleep(0.01)
        os.close(other)
        await asyncio.sleep(0.01)  # readers see the end only while there is no other
    expected = b"" if path is not None else b"x"
    assert set(await soon(asyncio.gather(*tasks))) == {expected}


def test_two_hundred_files_are_read_at_once(run, tmp_path):
    for number in range(200):
        (tmp_path / str(number)).write_text(str(number) * 1000)

    async def read(number):
        async with fs.open(tmp_path / str(number)) as file:
            return await file.read()

    async def all_at_once():
        return await asyncio.gather(*map(read, range(200)))

    assert run(all_at_once()) == [str(number) * 1000 for number in range(200)]


@pytest.mark.heavy
@pytest.mark.timeout(300)
def test_ten_thousand_files_are_written_read_and_removed(run, tmp_path):
    async def one(limit, number):
        path = tmp_path / str(number)
        async with limit:
            async with fs.open(path, "wb") as file:
                await file.write(b"%d" % number * 10)
            async with fs.open(path, "rb") as file:
                assert await file.read() == b"%d" % number * 10
            await fs.unlink(path)

    async def all_of_them():
        limit = asyncio.Semaphore(100)
        await asyncio.gather(*(one(limit, number) for number in range(10_000)))

    run(all_of_them())
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(("mode", "data"), [("wb", b"x"), ("ab", b"x"), ("w+b", b"x"), ("w", "x")])
def test_a_write_that_comes_after_the_close_of_another_task_is_refused_and_not_swallowed(
    run, tmp_path, mode, data
):
    async def work():
        file = await fs.open(tmp_path / "file", mode)
        await file.write(data)
        answers = await asyncio.gather(
            file.close(), file.write(data), file.close(), return_exceptions=True
        )
        assert [type(answer) for answer in answers] == [type(None), ValueError, type(None)]

    run(work())
    assert (tmp_path / "file").read_bytes() == b"x"


@pytest.mark.parametrize(("mode", "buffering"), [("rb", 0), ("rb", -1), ("r", -1)])
def test_a_close_waits_for_the_reader_before_it_and_refuses_the_one_behind(run, mode, buffering):
    async def work():
        with pipes() as [(reader, writer)]:
            file = await fs.open(reader, mode, buffering, closefd=False)
            tasks = await waiting(file.read(1), file.close(), file.read(1))
            os.write(writer, b"x")
            os.close(writer)
            first, closed, late = await soon(asyncio.gather(*tasks, return_exceptions=True))
            assert (len(first), closed) == (1, None)
            assert isinstance(late, ValueError)

    run(work())
