"""Bytes: whatever is called in whatever order, a file does what the built-in one does."""

from __future__ import annotations

import io
import os

import pytest
from file_scripts import Opening, Script, compare, flushed
from hypotheses import examples
from hypothesis import example, given
from hypothesis import strategies as st

from uringcore_cffi import fs

MODES = ("rb", "wb", "ab", "xb", "r+b", "w+b", "a+b", "x+b")
# Buffers so small that most calls cross a border, and the usual one.
BUFFERED = (-1, 2, 5, 16, 64, 8192)
SMALL = st.integers(0, 40)
PLACES = st.integers(-3, 60)

lines = st.lists(
    st.sampled_from([b"a", b"line\n", b"\n", b"\r\n", b"x" * 17, b"y" * 9000]), max_size=8
)
content = lines.map(b"".join)


def call(name: str, *arguments):
    """A call with these strategies for arguments."""
    return st.tuples(st.just(name), st.tuples(*arguments))


_SIZES = st.one_of(st.none(), st.just(-1), SMALL, st.just(9000))
_WHENCES = st.integers(0, 2)

SEEKABLE = call("seekable")
COMMON = (
    call("read", _SIZES),
    call("read"),
    call("readline", _SIZES.filter(lambda size: size is not None)),
    call("readlines", st.one_of(st.just(-1), SMALL)),
    call("readinto", SMALL),
    call("next"),
    call("seek", PLACES),
    call("seek", PLACES, _WHENCES),
    call("tell"),
    call("write", content),
    call("writelines", lines.map(tuple)),
    call("truncate", st.one_of(st.none(), st.integers(-1, 50))),
    call("flush"),
    SEEKABLE,
    call("writable"),
    call("isatty"),
)
RARE = (
    call("write", st.sampled_from(["text", None, 7])),
    call("seek", st.sampled_from(["0", 1.5, 1 << 70])),
    call("seek", st.just(0), st.sampled_from([5, -1, "1"])),
    call("truncate", st.sampled_from(["0", 1.5])),
    call("read", st.sampled_from(["1", 1.5, -2])),
)


CLOSED = (call("tell"), call("seek", st.just(0)), call("flush"), call("isatty"))


def calls(*names):
    """Make lists of calls, with something rare now and then, and at the end what is closed is used.

    Which of two errors is told, that of the closed file or another, is nobody's promise.
    """
    usual = st.one_of(*names)
    either = st.integers(0, 19).flatmap(lambda dice: st.one_of(*RARE) if dice == 0 else usual)
    closed = st.lists(st.one_of(*CLOSED), max_size=3).map(lambda some: [("close", ()), *some])
    return st.builds(
        lambda some, more: (*some, *more),
        st.lists(either, max_size=12),
        st.one_of(st.just([]), st.just([]), closed),
    )


def scripts(buffering, *names):
    """Make scripts."""
    opening = st.builds(Opening, st.sampled_from(MODES), st.sampled_from(buffering))
    chosen = calls(*names).map(lambda some: flushed(some, frozenset({"read1"})))
    return st.builds(Script, st.one_of(st.none(), content), opening, chosen)


BUFFERED_CALLS = (*COMMON, call("read1", st.one_of(st.just(-1), SMALL)))
# seekable() of the built-in remembers whether the first seek() failed, for whatever reason
RAW_CALLS = (*(each for each in COMMON if each is not SEEKABLE), call("readall"))


@pytest.mark.timeout(300)
@examples
@given(script=scripts(BUFFERED, *BUFFERED_CALLS))
@example(script=Script(b"", Opening("rb"), (("read", ("1",)), ("write", (7,)))))
@example(script=Script(b"a\nb", Opening("r+b", 2), (("readline", (0,)), ("write", (b"x",)))))
def test_a_buffered_file_answers_as_the_built_in_one(any_loop, tmp_path, script):
    compare(any_loop, fs.open, tmp_path, script)


@pytest.mark.timeout(300)
@examples
@given(script=scripts((0,), *RAW_CALLS))
def test_an_unbuffered_file_answers_as_the_built_in_one(any_loop, tmp_path, script):
    compare(any_loop, fs.open, tmp_path, script)


@pytest.mark.parametrize("buffering", [-1, 5, 4096])
@examples
@given(data=content, skipped=SMALL, size=st.integers(0, 50))
def test_peek_shows_what_comes_next_and_moves_nothing(
    run, tmp_path, buffering, data, skipped, size
):
    """How much it shows is nobody's promise, but for something if there is something."""
    path = tmp_path / "file"
    path.write_bytes(data)

    async def look():
        async with fs.open(path, "rb", buffering) as file:
            await file.read(skipped)
            place = await file.tell()
            shown = await file.peek(size)
            assert await file.tell() == place
            return shown, await file.read()

    shown, rest = run(look())
    assert rest == data[skipped:]
    assert rest.startswith(shown)
    assert bool(shown) == bool(rest)


@pytest.mark.parametrize("size", [1 << 20, (1 << 20) + 1, 5_000_001])
@pytest.mark.parametrize("buffering", [-1, 0])
def test_what_is_longer_than_any_buffer_is_read_and_written_whole(run, tmp_path, size, buffering):
    data = os.urandom(size)

    async def copy():
        async with fs.open(tmp_path / "one", "w+b", buffering) as file:
            assert await file.write(data) == size
            assert await file.seek(0) == 0
            again = bytearray(size + 7)
            assert await file.readinto(again) == size
            assert again[:size] == data
            await file.seek(1)
            assert await file.read() == data[1:]

    run(copy())
    assert (tmp_path / "one").read_bytes() == data


def test_any_buffer_is_written_from_and_read_into(run, tmp_path):
    import array

    numbers = array.array("I", range(1000))

    async def work():
        async with fs.open(tmp_path / "file", "wb") as file:
            assert await file.write(numbers) == 4000
            assert await file.write(memoryview(b"0123456789")[5:]) == 5
            with pytest.raises(BufferError):  # it has holes
                await file.write(memoryview(b"0123456789")[::2])
        async with fs.open(tmp_path / "file", "rb") as file:
            again = array.array("I", bytes(4000))
            assert await file.readinto(again) == 4000
            assert again == numbers
            view = memoryview(bytearray(10))
            assert await file.readinto(view[2:7]) == 5
            assert bytes(view) == b"\0\0" + b"56789" + b"\0\0\0"
            with pytest.raises(TypeError):
                await file.readinto(b"cannot be changed")

    run(work())


def test_a_file_is_no_other_kind_of_file(run, tmp_path):
    """An unbuffered file has no peek(), a buffered one no readall()."""

    async def work():
        for buffering, missing in ((0, "peek"), (0, "read1"), (-1, "readall")):
            async with fs.open(tmp_path / "file", "w+b", buffering) as file:
                assert not hasattr(file, missing), (buffering, missing)
        async with fs.open(tmp_path / "file", "wb") as file:
            with pytest.raises(io.UnsupportedOperation):
                await file.read()

    run(work())
