"""Disks that are full or broken, limits, and files that others change: errors of the built-in."""

from __future__ import annotations

import ctypes
import errno
import os
import resource

import pytest
from file_scripts import Player

from uringcore_cffi import fs

FULL = "/dev/full"
OWN_MEMORY = "/proc/self/mem"


def both(loop, path, opening, *calls):
    """Make the same calls on both kinds of file; return what each came to."""
    played = []
    for opener in (open, fs.open):
        player = Player(opener, path.parent)
        played.append(loop.run_until_complete(player.calls(path, opening, calls)))
    return played


@pytest.mark.parametrize("mode", ["wb", "r+b", "w"])
@pytest.mark.parametrize("size", [1, 10_000, 3 << 20])
def test_a_full_disk_is_told_by_whatever_writes_first(any_loop, tmp_path, mode, size):
    """A small write is told by flush(), and again by close(); a large one at once."""
    data = b"x" * size if "b" in mode else "x" * size
    path = tmp_path / "full"
    path.symlink_to(FULL)
    theirs, mine = both(
        any_loop, path, {"mode": mode}, ("write", (data,)), ("flush", ()), ("flush", ()),
        ("close", ()), ("close", ()),
    )  # fmt: skip
    assert mine == theirs
    assert any(errno.ENOSPC in answer for answer in mine if isinstance(answer, tuple))


def test_a_full_disk_is_told_by_an_unbuffered_write(any_loop, tmp_path):
    path = tmp_path / "full"
    path.symlink_to(FULL)
    theirs, mine = both(
        any_loop, path, {"mode": "wb", "buffering": 0}, ("write", (b"x",)), ("tell", ()),
        ("close", ()),
    )  # fmt: skip
    assert mine == theirs


def test_a_block_on_a_full_disk_raises_at_its_end_and_the_file_is_closed(run):
    async def leave():
        file = None
        with pytest.raises(OSError, match="No space left on device") as caught:
            async with fs.open(FULL, "wb") as file:
                await file.write(b"x")
        assert caught.value.errno == errno.ENOSPC
        assert file.closed

    run(leave())


SIZE_LIMIT = 10_000


@pytest.mark.parametrize("buffering", [0, -1])
def test_a_file_that_may_not_grow_is_told_as_by_the_built_in(tmp_path, fork, buffering):
    """The part that fits is written."""

    def limited():
        import uringcore_cffi

        _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (SIZE_LIMIT, most))
        loop = uringcore_cffi.new_event_loop()
        path = tmp_path / "file"
        found = []
        for opener in (open, fs.open):
            path.unlink(missing_ok=True)
            calls = [("write", (b"x" * 20_000,)), ("write", (b"y",)), ("close", ())]
            opening = {"mode": "wb", "buffering": buffering}
            found.append(
                loop.run_until_complete(Player(opener, tmp_path).calls(path, opening, calls))
            )
            assert path.stat().st_size == SIZE_LIMIT
        loop.close()
        assert found[1] == found[0]
        assert any(errno.EFBIG in answer for answer in found[0] if isinstance(answer, tuple))

    fork(limited).join()


CLONE_NEWNS = 0x00020000
MS_REC_PRIVATE = 0x4000 | 0x40000


def mount_small(folder) -> None:
    """Mount a disk of 1 MiB there, for this process alone; raises OSError where it may not."""
    libc = ctypes.CDLL(None, use_errno=True)
    for failed in (
        lambda: libc.unshare(CLONE_NEWNS),
        lambda: libc.mount(b"none", b"/", None, MS_REC_PRIVATE, None),
        lambda: libc.mount(b"none", os.fsencode(folder), b"tmpfs", 0, b"size=1m"),
    ):
        if failed() != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def test_a_disk_that_becomes_full_keeps_what_was_told_to_be_written(tmp_path, fork):
    refused = tmp_path / "refused"
    folder = tmp_path / "disk"
    folder.mkdir()

    def fill():
        import uringcore_cffi

        try:
            mount_small(folder)
        except OSError as error:
            refused.write_text(str(error))
            return

        async def write():
            written = 0
            async with fs.open(folder / "file", "wb", 0) as file:
                while written < 2 << 20:
                    try:
                        written += await file.write(b"%07d\n" % (written // 8) * 512)
                    except OSError as error:
                        refused_with = error.errno
                        break
                assert refused_with == errno.ENOSPC
                assert await file.tell() == written
            data = (folder / "file").read_bytes()
            assert len(data) == written
            await fs.unlink(folder / "file")
            async with fs.open(folder / "again", "wb") as file:
                await file.write(b"there is room again")
            assert (folder / "again").read_bytes() == b"there is room again"

        uringcore_cffi.run(write())

    fork(fill).join()
    if refused.exists():
        pytest.skip(f"a disk cannot be mounted here: {refused.read_text()}")


@pytest.mark.parametrize("buffering", [0, -1])
def test_a_broken_disk_is_told_with_its_errno(any_loop, tmp_path, buffering):
    """No memory is mapped at 0: reading and writing it is a real EIO."""
    path = tmp_path / "memory"
    path.symlink_to(OWN_MEMORY)
    theirs, mine = both(
        any_loop, path, {"mode": "r+b", "buffering": buffering}, ("seek", (0,)), ("read", (10,)),
        ("tell", ()), ("readinto", (10,)), ("tell", ()), ("seek", (0,)),
    )  # fmt: skip
    assert mine == theirs
    assert [answer[3] for answer in mine if isinstance(answer, tuple) and "raised" in answer] == [
        errno.EIO, errno.EIO,
    ]  # fmt: skip


def test_a_file_that_is_cut_under_its_reader_ends_there(any_loop, tmp_path):
    path = tmp_path / "file"
    answers = []
    for opener in (open, fs.open):
        path.write_bytes(b"0123456789" * 10_000)
        player = Player(opener, tmp_path)
        cut = [
            ("read", (5,)),
            (lambda: os.truncate(path, 20_000), ()),
            ("read", (1 << 20,)),
            ("read", (1,)),
            ("tell", ()),
            (lambda: os.truncate(path, 0), ()),
            ("read", ()),
            ("seek", (0, 2)),
            (lambda: path.write_bytes(b"grown again"), ()),
            ("seek", (0,)),
            ("read", ()),
        ]
        calls = player.calls(path, {"mode": "rb"}, cut)
        answers.append(any_loop.run_until_complete(calls))
    assert answers[1] == answers[0]


def test_a_file_that_is_removed_under_its_user_goes_on(run, tmp_path):
    async def work():
        async with fs.open(tmp_path / "file", "w+b") as file:
            await file.write(b"still")
            await fs.unlink(tmp_path / "file")
            await file.seek(0)
            assert await file.read() == b"still"
        assert not (tmp_path / "file").exists()

    run(work())


def test_a_number_that_was_closed_by_somebody_else_is_an_error_and_no_other_file(run, tmp_path):
    async def work():
        file = await fs.open(tmp_path / "file", "w+b", 0)
        os.close(file.fileno())
        with pytest.raises(OSError, match="Bad file descriptor") as caught:
            await file.write(b"x")
        assert caught.value.errno == errno.EBADF
        with pytest.raises(OSError, match="Bad file descriptor"):
            await file.close()
        assert file.closed

    run(work())


def test_no_descriptor_left_is_told_by_open(tmp_path, fork):
    def limited():
        import uringcore_cffi

        async def open_all():
            files = [await fs.open(tmp_path / "first", "w")]
            resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))

            async def open_on():
                for number in range(50):
                    files.append(await fs.open(tmp_path / str(number), "w"))  # noqa: PERF401

            with pytest.raises(OSError, match="Too many open files") as caught:
                await open_on()
            assert caught.value.errno == errno.EMFILE
            assert str(caught.value.filename).startswith(str(tmp_path))
            for file in files:
                await file.close()
            async with fs.open(tmp_path / "last", "w"):
                pass

        uringcore_cffi.run(open_all())

    fork(limited).join()


@pytest.mark.parametrize("mode", ["wb", "ab"])
def test_a_write_that_stops_half_way_leaves_the_position_where_the_built_in_has_it(
    run, tmp_path, mode
):
    data = b"x" * 7000  # more than the buffer, so that the second is cut at 10,000

    async def ours():
        answers = []
        async with fs.open(tmp_path / "ours", mode, 4096) as file:
            await file.write(data)
            answers.append(await file.tell())
            await file.write(data)
            answers.append(await file.tell())
            with pytest.raises(OSError, match="File too large"):
                await file.flush()
            answers.append(await file.tell())
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        return answers

    def theirs():
        answers = []
        with open(tmp_path / "theirs", mode, 4096) as file:
            file.write(data)
            answers.append(file.tell())
            file.write(data)
            answers.append(file.tell())
            with pytest.raises(OSError, match="File too large"):
                file.flush()
            answers.append(file.tell())
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        return answers

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
        expected = theirs()
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
        assert run(ours()) == expected
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes() == data * 2
