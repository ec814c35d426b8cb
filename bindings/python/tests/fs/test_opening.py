"""open(): what may be asked for, what comes of it, and what is refused, all as of the built-in."""

from __future__ import annotations

import asyncio
import io
import os
import stat
import warnings

import pytest
from file_scripts import failure, not_pypy
from leaks import open_descriptors

from uringcore_cffi import fs


def open_files():
    """Tell the open descriptors but for those that a loop makes for itself when it likes."""
    own = ("anon_inode:", "pipe:", "socket:")
    return {n: what for n, what in open_descriptors().items() if not what.startswith(own)}


class Path:
    """A path of somebody else's making."""

    def __init__(self, path) -> None:
        self._path = path

    def __repr__(self) -> str:
        return f"Path({self._path!r})"

    def __fspath__(self):
        return self._path


def outcome_of_built_in(folder, arguments):
    """Open and close; what came of it."""
    try:
        with open(**arguments) as file:
            return "opened", file.mode, file.name, type(file).__name__.startswith("Text")
    except Exception as error:
        return failure(error, folder)


async def outcome_of_ours(folder, arguments):
    """Open and close; what came of it."""
    try:
        async with fs.open(**arguments) as file:
            return "opened", file.mode, file.name, hasattr(file, "encoding")
    except Exception as error:
        return failure(error, folder)


def _no_number(path, flags):
    return -1


def _text(path, flags):
    return "text"


OPENINGS = [
    {"file": "there"},
    {"file": b"there"},
    {"file": Path("there")},
    {"file": Path(b"there"), "mode": "rb"},
    {"file": "there", "mode": "rt"},
    {"file": "there", "mode": "br+"},
    {"file": "there", "mode": "x"},
    {"file": "missing"},
    {"file": b"missing", "mode": "rb"},
    {"file": Path("missing")},
    {"file": "missing/below", "mode": "w"},
    {"file": "there/below", "mode": "w"},
    {"file": "."},
    {"file": ".", "mode": "w"},
    {"file": ".", "mode": "rb", "buffering": 0},
    {"file": "loop"},
    {"file": "dangling"},
    {"file": "dangling", "mode": "x"},
    {"file": ""},
    {"file": "x" * 300},
    {"file": "nul\0byte"},
    {"file": b"nul\0byte"},
    {"file": None},
    {"file": 1.5},
    {"file": Path(None)},
    {"file": -1},
    {"file": "there", "mode": ""},
    {"file": "there", "mode": "rw"},
    {"file": "there", "mode": "q"},
    {"file": "there", "mode": "rr"},
    {"file": "there", "mode": "r++"},
    {"file": "there", "mode": "+"},
    {"file": "there", "mode": "b"},
    {"file": "there", "mode": "rbt"},
    {"file": "there", "mode": "rU"},
    {"file": "there", "mode": 7},
    {"file": "there", "mode": None},
    {"file": "there", "buffering": 0},
    {"file": "there", "buffering": -2},
    {"file": "there", "buffering": "1"},
    {"file": "there", "mode": "rb", "encoding": "utf-8"},
    pytest.param({"file": "there", "mode": "rb", "errors": "strict"}, marks=not_pypy),
    {"file": "there", "mode": "rb", "newline": "\n"},
    {"file": "there", "newline": "x"},
    {"file": "there", "newline": 1},
    {"file": "there", "encoding": "no-such-encoding"},
    {"file": "there", "encoding": 7},
    {"file": "there", "encoding": "utf-8", "errors": 7},
    {"file": "there", "encoding": "hex"},
    {"file": "there", "closefd": False},
    {"file": "there", "opener": _no_number},
    {"file": "there", "opener": _text},
    {"file": "there", "opener": 7},
]


@pytest.mark.parametrize("arguments", OPENINGS, ids=str)
def test_open_opens_and_refuses_what_the_built_in_one_does(run, tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").write_bytes(b"text\n")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "dangling").symlink_to("nowhere")
    expected = outcome_of_built_in(tmp_path, arguments)

    async def twice():
        before = open_files()
        first = await outcome_of_ours(tmp_path, arguments)
        assert open_files() == before
        if "x" not in str(arguments.get("mode")):
            assert await outcome_of_ours(tmp_path, arguments) == first
        assert open_files() == before
        return first

    assert run(twice()) == expected
    assert not set(tmp_path.iterdir()) - {tmp_path / n for n in ("there", "loop", "dangling")}


def test_lines_cannot_be_buffered_in_binary_mode_and_that_is_a_warning(run, tmp_path):
    async def warned():
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            async with fs.open(tmp_path / "file", "wb", buffering=1) as file:
                await file.write(b"line\n")
            return [(w.category, str(w.message)) for w in caught]

    with pytest.warns(RuntimeWarning) as expected, open(tmp_path / "file", "wb", buffering=1):
        pass
    assert run(warned()) == [(RuntimeWarning, str(expected[0].message))]


def test_a_new_file_has_the_mode_that_the_mask_leaves_and_is_not_inherited(run, tmp_path):
    mask = os.umask(0o027)
    try:

        async def make():
            async with fs.open(tmp_path / "file", "w") as file:
                return os.get_inheritable(file.fileno())

        assert run(make()) is False
    finally:
        os.umask(mask)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640


def test_without_permission_the_error_names_the_file(run, tmp_path, fork):
    path = tmp_path / "closed"
    path.touch(0o000)
    os.chmod(tmp_path, 0o755)
    for parent in tmp_path.parents:
        if not parent.stat().st_mode & 0o001:
            pytest.skip("nobody else may enter the folder of the test")

    def as_nobody():
        if os.getuid() == 0:
            os.setgid(65534)
            os.setuid(65534)
        asyncio.run(refused())

    async def refused():
        with pytest.raises(PermissionError) as caught:
            await fs.open(path)
        assert caught.value.filename == path or caught.value.filename == str(path)

    fork(as_nobody).join()


@pytest.mark.parametrize("closefd", [True, False])
def test_a_number_that_is_open_becomes_a_file_and_is_closed_only_when_asked(run, tmp_path, closefd):
    number = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)

    async def write():
        async with fs.open(number, "r+b", closefd=closefd) as file:
            assert file.name == number
            assert file.fileno() == number
            await file.write(b"written")

    run(write())
    assert (tmp_path / "file").read_bytes() == b"written"
    assert (str(tmp_path / "file") in open_files().values()) is not closefd
    if not closefd:
        os.close(number)


def test_a_number_goes_on_where_it_stands(run, tmp_path):
    (tmp_path / "file").write_bytes(b"0123456789")
    number = os.open(tmp_path / "file", os.O_RDONLY)
    os.lseek(number, 4, os.SEEK_SET)

    async def read():
        async with fs.open(number, "rb") as file:
            return await file.tell(), await file.read()

    assert run(read()) == (4, b"456789")


def test_an_opener_opens_and_its_number_is_closed_with_the_file(run, tmp_path):
    folder = os.open(tmp_path, os.O_RDONLY)
    seen = []

    def opener(path, flags):
        seen.append((path, flags & (os.O_WRONLY | os.O_RDWR), bool(flags & os.O_CLOEXEC)))
        return os.open(path, flags, 0o600, dir_fd=folder)

    async def write():
        async with fs.open("file", "w", opener=opener) as file:
            await file.write("text")
            assert os.get_inheritable(file.fileno()) is False

    run(write())
    os.close(folder)
    assert seen == [("file", os.O_WRONLY, True)]
    assert (tmp_path / "file").read_text() == "text"


def test_what_an_opener_raises_comes_out_of_open(run, tmp_path):
    class OwnError(Exception):
        pass

    def opener(path, flags):
        raise OwnError(path)

    async def refused():
        with pytest.raises(OwnError):
            await fs.open(tmp_path / "file", "w", opener=opener)

    run(refused())


def test_open_is_awaited_or_entered_and_both_give_the_file(run, tmp_path):
    async def both():
        file = await fs.open(tmp_path / "file", "w")
        await file.write("one")
        await file.close()
        assert file.closed
        async with fs.open(tmp_path / "file") as file:
            assert await file.read() == "one"
            assert not file.closed
        assert file.closed
        await file.close()  # twice is once

    run(both())


def test_a_block_that_raises_closes_the_file_and_what_was_written_stays(run, tmp_path):
    async def fail():
        async with fs.open(tmp_path / "file", "w") as file:
            await file.write("kept")
            raise LookupError(file)

    with pytest.raises(LookupError) as caught:
        run(fail())
    assert caught.value.args[0].closed
    assert (tmp_path / "file").read_text() == "kept"


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("read", ()), ("readline", ()), ("write", (b"",)), ("seek", (0,)), ("tell", ()),
        ("truncate", ()), ("flush", ()), ("readinto", (bytearray(1),)), ("peek", ()),
        ("pread", (1, 0)), ("pwrite", (b"a", 0)), ("fsync", ()), ("fdatasync", ()),
        ("fallocate", (0, 1)),
    ],
)  # fmt: skip
def test_a_closed_file_refuses_everything(run, tmp_path, name, arguments):
    async def refused():
        file = await fs.open(tmp_path / "file", "w+b")
        await file.close()
        with pytest.raises(ValueError, match="closed file"):
            await getattr(file, name)(*arguments)
        with pytest.raises(ValueError, match="closed file"):
            file.fileno()

    run(refused())


def test_unsupported_is_the_exception_of_the_io_module(run, tmp_path):
    async def refused():
        async with fs.open(tmp_path / "file", "wb") as file:
            with pytest.raises(io.UnsupportedOperation):
                await file.read()

    run(refused())
