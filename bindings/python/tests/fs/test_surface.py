"""The interface of aiofiles: what is awaited, what answers at once, what is an attribute."""

from __future__ import annotations

import inspect

import pytest

from uringcore_cffi import fs

AWAITED = (
    "close", "flush", "isatty", "read", "readline", "seek", "seekable", "tell", "truncate",
    "writable", "write", "writelines", "readlines",
)  # fmt: skip
KINDS = {
    "raw": ({"mode": "w+b", "buffering": 0}, ("readall", "readinto")),
    "buffered, reads and writes": ({"mode": "w+b"}, ("read1", "readinto", "peek")),
    "text": ({"mode": "w+", "encoding": "utf-8"}, ("readable",)),
}
OFFSETS = ("pread", "pwrite", "fsync", "fdatasync", "fallocate")
NAMES = (
    "stat", "statvfs", "listdir", "scandir", "mkdir", "makedirs", "rename", "replace", "unlink",
    "rmdir", "symlink", "link", "readlink", "exists", "copyfile", "read_many",
)  # fmt: skip
OS = (
    "stat", "rename", "renames", "replace", "remove", "unlink", "mkdir", "makedirs", "rmdir",
    "removedirs", "symlink", "readlink", "listdir", "scandir", "access", "getcwd", "link",
    "sendfile", "statvfs",
)  # fmt: skip
OSPATH = (
    "abspath", "getatime", "getctime", "getmtime", "getsize", "exists", "isdir", "isfile",
    "islink", "ismount", "samefile", "sameopenfile",
)  # fmt: skip
TEMPFILE = ("NamedTemporaryFile", "TemporaryFile", "SpooledTemporaryFile", "TemporaryDirectory")


@pytest.mark.parametrize("kind", KINDS)
def test_what_aiofiles_has_coroutines_awaits(run, tmp_path, kind):
    opening, special = KINDS[kind]

    async def look():
        async with fs.open(tmp_path / "file", **opening) as file:
            for name in (*AWAITED, *special, *(OFFSETS if "b" in opening["mode"] else ())):
                assert inspect.iscoroutinefunction(getattr(file, name)), name
            assert isinstance(file.fileno(), int)
            assert file.closed is False
            assert file.mode
            assert str(file.name) == str(tmp_path / "file")
            assert file.__aiter__() is file

    run(look())


def test_binary_files_say_at_once_that_they_can_be_read(run, tmp_path):
    """As in aiofiles, where it is no coroutine; of text it is one."""

    async def look():
        for buffering in (0, -1):
            async with fs.open(tmp_path / "file", "w+b", buffering) as file:
                assert file.readable() is True

    run(look())


@pytest.mark.parametrize(
    ("module", "names"),
    [("", NAMES), ("os", OS), ("ospath", OSPATH)],
    ids=["fs", "fs.os", "fs.ospath"],
)
def test_every_function_is_there_and_awaited(module, names):
    home = getattr(fs, module) if module else fs
    for name in names:
        assert inspect.iscoroutinefunction(getattr(home, name)), name


def test_temporary_files_are_opened_as_files_are():
    for name in TEMPFILE:
        assert callable(getattr(fs.tempfile, name)), name


def test_every_public_function_says_what_it_does():
    for module in (fs, fs.os, fs.ospath, fs.tempfile):
        assert module.__doc__
    for name in (*NAMES, "open"):
        assert getattr(fs, name).__doc__, name


def test_lines_come_one_by_one(run, tmp_path):
    (tmp_path / "file").write_text("one\ntwo\nthree")

    async def read(mode):
        async with fs.open(tmp_path / "file", mode) as file:
            return [line async for line in file]

    assert run(read("r")) == ["one\n", "two\n", "three"]
    assert run(read("rb")) == [b"one\n", b"two\n", b"three"]


def test_nothing_is_done_before_it_is_awaited(run, tmp_path):
    async def leave():
        waiting = fs.open(tmp_path / "file", "w")
        assert not (tmp_path / "file").exists()
        file = await waiting
        await file.close()
        assert (tmp_path / "file").exists()

    run(leave())
