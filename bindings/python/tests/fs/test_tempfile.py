"""Temporary files and directories: there while they are used, gone afterwards."""

from __future__ import annotations

import asyncio
import os
import socket
import tempfile as plain

import pytest
from garbage import collect
from steps import cancel, turns

from uringcore_cffi import fs
from uringcore_cffi.fs import tempfile
from uringcore_cffi.fs.engine import SPENT_MAX, engine_of_running_loop


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Have temporary things made in a folder of the test's own."""
    monkeypatch.setattr(plain, "tempdir", str(tmp_path))
    return tmp_path


def test_a_temporary_file_has_no_name_and_keeps_what_is_written(run, folder):
    async def work():
        async with tempfile.TemporaryFile() as file:
            assert os.listdir(folder) == []
            await file.write(b"some bytes")
            await file.seek(0)
            assert await file.read() == b"some bytes"

    run(work())


@pytest.mark.parametrize("mode", ["w+b", "w+"])
def test_a_named_file_goes_when_it_is_closed(run, folder, mode):
    async def work():
        async with tempfile.NamedTemporaryFile(mode, prefix="begin", suffix=".end") as file:
            name = os.path.basename(file.name)
            assert os.listdir(folder) == [name]
            assert name.startswith("begin")
            assert name.endswith(".end")
            assert os.stat(file.name).st_mode & 0o777 == 0o600
        assert os.listdir(folder) == []

    run(work())


def test_a_named_file_may_outlive_its_closing_and_its_block(run, folder):
    async def work():
        async with tempfile.NamedTemporaryFile(delete_on_close=False) as file:
            await file.write(b"x")
            await file.close()
            assert os.path.getsize(file.name) == 1
        assert os.listdir(folder) == []
        async with tempfile.NamedTemporaryFile(delete=False) as file:
            pass
        assert os.listdir(folder) == [os.path.basename(file.name)]

    run(work())


def test_a_named_file_that_is_forgotten_goes_with_a_warning(run, folder):
    async def work():
        await tempfile.NamedTemporaryFile()

    def forget():
        run(work())
        collect()

    with pytest.warns(ResourceWarning):
        forget()
    assert os.listdir(folder) == []


@pytest.mark.parametrize(("mode", "piece"), [("w+b", b"0123456789"), ("w+", "0123456789")])
def test_a_spooled_file_moves_to_the_disk_when_it_grows(run, mode, piece):
    async def work():
        async with tempfile.SpooledTemporaryFile(max_size=25, mode=mode) as file:
            await file.write(piece)
            await file.write(piece)
            assert file.name is None
            await file.write(piece)
            assert file.name is not None
            assert await file.tell() == 30
            await file.seek(5)
            assert await file.read(10) == piece[5:] + piece[:5]
            assert os.fstat(await file.fileno())
        assert file.closed

    run(work())


def test_a_temporary_directory_goes_with_all_that_is_in_it(run, folder):
    async def work():
        async with tempfile.TemporaryDirectory(prefix="tree") as name:
            assert os.path.basename(name).startswith("tree")
            await fs.makedirs(os.path.join(name, "a", "b"))
            async with fs.open(os.path.join(name, "a", "file"), "w") as file:
                await file.write("x")
            await fs.symlink("nowhere", os.path.join(name, "a", "b", "link"))
        assert os.listdir(folder) == []
        made = await tempfile.TemporaryDirectory()
        assert os.path.isdir(made.name)
        await made.cleanup()
        await made.cleanup()
        assert os.listdir(folder) == []

    run(work())


def test_a_temporary_directory_that_is_forgotten_goes_with_a_warning(run, folder):
    async def work():
        await tempfile.TemporaryDirectory()

    def forget():
        run(work())
        collect()

    with pytest.warns(ResourceWarning, match="Implicitly cleaning up"):
        forget()
    assert os.listdir(folder) == []


def test_sendfile_sends_a_part_and_moves_the_position_only_if_it_begins_there(run, folder):
    data = os.urandom(300_000)
    (folder / "file").write_bytes(data)

    async def work():
        ours, theirs = socket.socketpair()
        with ours, theirs, open(folder / "file", "rb", 0) as file:
            for offset, start in ((1000, 1000), (None, 7)):
                file.seek(7)
                sending = fs.os.sendfile(ours.fileno(), file.fileno(), offset, 50_000)
                sent = await asyncio.wait_for(sending, 20)
                assert sent == 50_000
                assert theirs.recv(sent, socket.MSG_WAITALL) == data[start : start + sent]
                assert file.tell() == (7 if offset else 7 + sent)
            assert await fs.os.sendfile(ours.fileno(), file.fileno(), 300_000, 10) == 0

    run(work())


def test_sendfile_to_a_socket_without_room_sends_what_fits_or_says_so(run, folder):
    (folder / "file").write_bytes(bytes(8 << 20))

    async def work():
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with ours, theirs, open(folder / "file", "rb", 0) as file:
            sent = await fs.os.sendfile(ours.fileno(), file.fileno(), 0, 8 << 20)
            assert 0 < sent < 8 << 20
            with pytest.raises(BlockingIOError):
                await fs.os.sendfile(ours.fileno(), file.fileno(), sent, 8 << 20)

    run(work())


def test_tasks_that_fill_a_spooled_file_lose_nothing_when_it_moves_to_the_disk(run):
    pieces = [b"%04d" % number for number in range(50)]

    async def work():
        async with tempfile.SpooledTemporaryFile(max_size=30) as file:
            await asyncio.gather(*map(file.write, pieces))
            await file.seek(0)
            assert await file.read() == b"".join(pieces)

    run(work())


@pytest.mark.parametrize("moment", range(8))
def test_a_spooled_file_whose_move_to_the_disk_is_cancelled_is_as_it_was(run, moment):
    async def work():
        async with tempfile.SpooledTemporaryFile(max_size=30) as file:
            await file.write(b"in memory")
            task = asyncio.ensure_future(file.rollover())
            await turns(moment)
            await cancel(task)
            await file.write(b" and on")
            await file.seek(0)
            assert await file.read() == b"in memory and on"

    run(work())


def test_a_spooled_file_of_text_moves_its_bytes_as_they_are(run):
    async def work():
        async with tempfile.SpooledTemporaryFile(max_size=30, mode="w+", newline=None) as file:
            await file.write("one\r\ntwo\rthree\n")
            number = await file.fileno()
            assert os.pread(number, 100, 0) == b"one\r\ntwo\rthree\n"

    run(work())


def test_a_temporary_directory_whose_cleanup_was_cancelled_can_be_cleaned_up_again(run, folder):
    async def work():
        made = await tempfile.TemporaryDirectory()
        for number in range(20):
            (folder / made.name / str(number)).touch()

        async def clean_up():
            engine_of_running_loop().spent = SPENT_MAX  # others must have their turn first
            await made.cleanup()

        task = asyncio.ensure_future(clean_up())
        await turns(1)
        assert await cancel(task)
        assert os.listdir(folder)
        await made.cleanup()
        assert not os.listdir(folder)

    run(work())
