"""What a file has beyond aiofiles: offsets, many reads at once, syncing, room, direct access."""

from __future__ import annotations

import asyncio
import errno
import mmap
import os

import pytest

from uringcore_cffi import fs

DATA = bytes(range(256)) * 64


@pytest.fixture
def path(tmp_path):
    """Make a file."""
    made = tmp_path / "file"
    made.write_bytes(DATA)
    return made


@pytest.mark.parametrize("buffering", [0, -1, 64])
def test_pread_reads_there_and_the_position_stays(run, path, buffering):
    async def read():
        async with fs.open(path, "rb", buffering) as file:
            await file.read(10)
            assert await file.pread(5, 1000) == DATA[1000:1005]
            assert await file.pread(100, len(DATA) - 3) == DATA[-3:]
            assert await file.pread(100, len(DATA)) == b""
            assert await file.pread(100, 10 * len(DATA)) == b""
            assert await file.pread(0, 0) == b""
            assert await file.tell() == 10
            assert await file.read(3) == DATA[10:13]

    run(read())


@pytest.mark.parametrize("buffering", [0, -1, 64])
def test_pwrite_writes_there_and_the_position_stays(run, path, buffering):
    async def write():
        async with fs.open(path, "r+b", buffering) as file:
            await file.read(10)
            assert await file.pwrite(b"abc", 1000) == 3
            assert await file.pwrite(b"", 0) == 0
            assert await file.tell() == 10
            assert await file.read(3) == DATA[10:13]
            assert await file.pread(5, 999) == DATA[999:1000] + b"abc" + DATA[1003:1004]
            assert await file.pwrite(b"z", len(DATA) + 1) == 1

    run(write())
    assert path.read_bytes() == DATA[:1000] + b"abc" + DATA[1003:] + b"\0z"


def test_what_was_written_is_seen_at_its_offset_and_what_was_put_there_is_read(run, path):
    """A buffer between the two is no excuse."""

    async def work():
        async with fs.open(path, "r+b") as file:
            assert await file.read(10) == DATA[:10]
            await file.pwrite(b"new", 20)
            assert await file.read(13) == DATA[10:20] + b"new"
            await file.write(b"written")
            assert await file.pread(7, 23) == b"written"

    run(work())


@pytest.mark.parametrize(
    ("mode", "name", "arguments"),
    [("wb", "pread", (1, 0)), ("rb", "pwrite", (b"x", 0)), ("ab", "pread", (1, 0))],
)
def test_a_direction_that_is_not_open_is_unsupported(run, path, mode, name, arguments):
    import io

    async def refused():
        async with fs.open(path, mode) as file:
            with pytest.raises(io.UnsupportedOperation):
                await getattr(file, name)(*arguments)

    run(refused())


def test_bad_offsets_are_refused_as_os_refuses_them(run, path):
    number = os.open(path, os.O_RDWR)

    async def refused():
        async with fs.open(number, "r+b", 0) as file:
            with pytest.raises(OSError, match="Invalid argument") as caught:
                await file.pread(1, -5)
            assert caught.value.errno == errno.EINVAL
            with pytest.raises(OSError, match="Invalid argument"):
                await file.pwrite(b"x", -5)
            with pytest.raises(TypeError):
                await file.pread("1", 0)
            with pytest.raises(TypeError):
                await file.pwrite("text", 0)
            with pytest.raises((ValueError, OSError)):
                await file.pread(-2, 0)

    run(refused())


@pytest.mark.parametrize("how", ["fsync", "fdatasync"])
@pytest.mark.parametrize("mode", ["wb", "w"])
def test_syncing_writes_what_waits_in_the_buffer_first(run, tmp_path, how, mode):
    path = tmp_path / "file"

    async def write():
        async with fs.open(path, mode) as file:
            await file.write(b"all of it" if "b" in mode else "all of it")
            assert path.read_bytes() == b""
            await getattr(file, how)()
            assert path.read_bytes() == b"all of it"

    run(write())


def test_what_cannot_be_synced_says_so(run):
    reader, writer = os.pipe()

    async def refused():
        async with fs.open(writer, "wb", 0) as file:
            with pytest.raises(OSError, match="Invalid argument"):
                await file.fsync()

    run(refused())
    os.close(reader)


def test_room_is_taken_before_it_is_written(run, tmp_path):
    path = tmp_path / "file"

    async def take():
        async with fs.open(path, "wb") as file:
            try:
                await file.fallocate(0, 100_000)
            except OSError as error:
                if error.errno == errno.EOPNOTSUPP:
                    pytest.skip("this file system cannot")
                raise
            with pytest.raises(OSError, match="Invalid argument"):
                await file.fallocate(0, 0)
            with pytest.raises(OSError, match="Invalid argument"):
                await file.fallocate(-1, 10)

    run(take())
    assert path.stat().st_size == 100_000
    assert path.stat().st_blocks * 512 >= 100_000


def test_many_are_read_and_come_back_in_the_order_asked(run, path, tmp_path):
    other = tmp_path / "other"
    other.write_bytes(b"other file")

    async def read():
        async with fs.open(path, "rb") as one, fs.open(other, "rb", 0) as two:
            parts = [(one, 300, 5), (two, 0, 5), (one, 0, 1), (two, 6, 100), (one, 300, 5)]
            assert await fs.read_many(parts) == [
                DATA[300:305], b"other", DATA[:1], b"file", DATA[300:305],
            ]  # fmt: skip
            assert await one.tell() == 0

    run(read())


@pytest.mark.parametrize("count", [0, 1, 64, 65, 5000])
def test_any_number_of_parts_is_read(run, path, count):
    async def read():
        async with fs.open(path, "rb") as file:
            parts = [(file, number * 3, 3) for number in range(count)]
            answers = await fs.read_many(parts)
            assert answers == [DATA[n * 3 : n * 3 + 3] for n in range(count)]

    run(read())


def test_parts_at_and_behind_the_end_are_short_or_empty(run, path):
    async def read():
        async with fs.open(path, "rb") as file:
            end = len(DATA)
            parts = [(file, end - 2, 10), (file, end, 10), (file, end + 5, 1), (file, 0, 0)]
            assert await fs.read_many(parts) == [DATA[-2:], b"", b"", b""]
            assert await fs.read_many(iter(parts[:1])) == [DATA[-2:]]

    run(read())


def test_parts_may_be_large(run, tmp_path):
    data = os.urandom(9 << 20)
    (tmp_path / "file").write_bytes(data)

    async def read():
        async with fs.open(tmp_path / "file", "rb") as file:
            parts = [(file, 1, 4 << 20), (file, 5 << 20, 4 << 20)]
            assert await fs.read_many(parts) == [data[1 : 1 + (4 << 20)], data[5 << 20 :]]

    run(read())


def test_many_reads_of_a_closed_file_are_refused(run, path):
    async def refused():
        file = await fs.open(path, "rb")
        await file.close()
        with pytest.raises(ValueError, match="closed file"):
            await fs.read_many([(file, 0, 1)])

    run(refused())


def test_batches_run_beside_each_other(run, path):
    async def read():
        async with fs.open(path, "rb") as file:
            batches = await asyncio.gather(
                *(
                    fs.read_many([(file, number + at, 1) for at in range(50)])
                    for number in range(50)
                )
            )
            for number, batch in enumerate(batches):
                assert b"".join(batch) == DATA[number : number + 50]

    run(read())


def test_a_part_that_fails_is_told_with_its_errno(run, path):
    async def refused():
        async with fs.open(path, "rb") as good, fs.open("/proc/self/mem", "rb", 0) as bad:
            with pytest.raises(OSError, match="Input/output error") as caught:
                await fs.read_many([(good, 0, 1), (bad, 0, 1)])
            assert caught.value.errno == errno.EIO
            assert await fs.read_many([(good, 0, 1)]) == [DATA[:1]]

    run(refused())


def test_a_file_past_the_page_cache_takes_aligned_memory_only(run, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(os.urandom(1 << 16))

    async def read():
        try:
            file = await fs.open(path, "rb", 0, direct=True)
        except OSError as error:
            if error.errno == errno.EINVAL:
                pytest.skip("this file system has no direct access")
            raise
        async with file:
            page = mmap.mmap(-1, 4096)
            assert await file.readinto(page) == 4096
            assert page[:] == path.read_bytes()[:4096]
            page.close()
            await file.seek(4096)
            assert await file.read(4096) == path.read_bytes()[4096:8192]
            assert await file.pread(8192, 8192) == path.read_bytes()[8192:16384]
            with pytest.raises(OSError, match="Invalid argument"):
                await file.pread(4096, 1)

    run(read())


def test_direct_access_and_a_buffer_exclude_each_other(run, path):
    async def refused():
        with pytest.raises(ValueError, match="direct"):
            await fs.open(path, "rb", direct=True)

    run(refused())


def test_many_reads_see_what_waits_in_the_buffer(run, tmp_path):
    async def work():
        async with fs.open(tmp_path / "file", "w+b") as file:
            await file.write(b"0123456789")
            assert await fs.read_many([(file, 2, 3), (file, 8, 10)]) == [b"234", b"89"]
            await file.write(b"the end")
        assert (tmp_path / "file").read_bytes() == b"0123456789the end"

    run(work())


@pytest.mark.parametrize("buffering", [0, -1])
@pytest.mark.parametrize("times", [0, 1, 2])
def test_a_file_is_closed_behind_what_was_asked_of_it_before(run, path, buffering, times):
    """However many operations wait, and also if who closes is cancelled while they do."""

    async def work():
        file = await fs.open(path, "r+b", buffering)
        reads = [asyncio.ensure_future(file.pread(1, n)) for n in range(300)]
        many = asyncio.ensure_future(fs.read_many([(file, n, 1) for n in range(300)]))
        closing = asyncio.ensure_future(file.close())
        for _ in range(times):
            await asyncio.sleep(0)
            closing.cancel()
        assert await asyncio.gather(*reads) == [DATA[n : n + 1] for n in range(300)]
        assert await many == [DATA[n : n + 1] for n in range(300)]
        await asyncio.gather(closing, return_exceptions=True)
        assert file.closed
        with pytest.raises(ValueError, match="closed file"):
            await file.pread(1, 0)

    run(work())
