"""Text: whatever is called in whatever order, a file does what the built-in one does."""

from __future__ import annotations

import pytest
from file_scripts import Opening, Script, compare, flushed
from hypotheses import examples
from hypothesis import example, given
from hypothesis import strategies as st

from uringcore_cffi import fs
from uringcore_cffi.fs.cookie import Cookie

MODES = ("r", "w", "a", "x", "r+", "w+", "a+", "x+")
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "latin-1", "gbk")
NEWLINES = (None, "", "\n", "\r\n", "\r")
ERRORS = (None, "strict", "replace", "ignore", "surrogateescape", "backslashreplace")
BUFFERINGS = (-1, 1, 2, 5, 64)
# Every kind of end of a line; letters of one to four bytes, and some that an encoding lacks.
PIECES = ("a", "line\n", "\n", "\r", "\r\n", "\u00e9", "\u4e2d", "\u2028", "\U0001f600", "x" * 9000)

lines = st.lists(st.sampled_from(PIECES), max_size=8)
text = lines.map("".join)
SMALL = st.integers(0, 20)


def call(name: str, *arguments):
    """A call with these strategies for arguments."""
    return st.tuples(st.just(name), st.tuples(*arguments))


READING = (
    call("read"),
    call("read", st.one_of(st.none(), st.just(-1), SMALL, SMALL)),
    call("readline"),
    call("readline", st.one_of(st.just(-1), SMALL)),
    call("readlines"),
    call("readlines", SMALL),
    call("next"),
)
MOVING = (
    call("note"),
    call("return", SMALL),
    call("seek", st.just(0)),
    call("seek", st.just(0), st.integers(1, 2)),
    call("tell"),
)
WRITING = (
    call("write", text),
    call("writelines", lines.map(tuple)),
    call("flush"),
)
RARE = (
    call("truncate", st.one_of(st.none(), SMALL)),
    call("write", st.sampled_from([b"bytes", None, 7])),
    call("writelines", st.just((b"bytes",))),
    call("seek", st.sampled_from([-1, 3, "0"]), st.integers(0, 3)),
    call("read", st.sampled_from(["1", 1.5])),
    call("seekable"),
    call("writable"),
    call("readable"),
    call("isatty"),
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


openings = st.builds(
    Opening,
    st.sampled_from(MODES),
    st.sampled_from(BUFFERINGS),
    st.sampled_from(ENCODINGS),
    st.sampled_from(ERRORS),
    st.sampled_from(NEWLINES),
)


@st.composite
def scripts(draw, *names):
    """Make scripts whose file holds text in the encoding that it is opened with."""
    opening = draw(openings)
    known = draw(st.one_of(st.none(), text))
    content = None if known is None else known.encode(opening.encoding, "ignore")
    chosen = flushed(draw(calls(*names)), frozenset({"read", "readline", "readlines", "next"}))
    if not set(opening.mode) & {"r", "+"}:
        # the built-in's tell() is out of order for good when its readlines() has failed
        chosen = tuple(each for each in chosen if each[0] != "readlines")
    return Script(content, opening, chosen)


@pytest.mark.timeout(300)
@examples
@given(script=scripts(*READING, *READING, *MOVING, *WRITING))
@example(
    script=Script(
        b"a\r\nb\rc", Opening("r", 2, "utf-8", None, None), (("read", (2,)), ("tell", ()))
    )
)
@example(script=Script(None, Opening("w", -1, "utf-16"), (("write", ("a",)), ("write", ("b",)))))
@example(script=Script(b"\xff\xfea\0", Opening("a", -1, "utf-16"), (("write", ("b",)),)))
@example(script=Script(b"\xef\xbb\xbfa", Opening("a+", -1, "utf-8-sig"), (("write", ("b",)),)))
def test_a_text_file_answers_as_the_built_in_one(any_loop, tmp_path, script):
    compare(any_loop, fs.open, tmp_path, script)


@pytest.mark.timeout(300)
@examples
@given(
    content=st.lists(
        st.sampled_from([b"a\n", b"\xff", b"\xc3\xa9", b"\xc3", b"\xf0\x9f", b"\r", b"\x80\n"]),
        max_size=8,
    ).map(b"".join),
    encoding=st.sampled_from(ENCODINGS),
    errors=st.sampled_from(ERRORS),
    buffering=st.sampled_from(BUFFERINGS),
    calls=st.lists(st.one_of(*READING), max_size=6),
)
def test_bytes_that_are_no_text_are_told_as_the_built_in_one_tells_them(
    any_loop, tmp_path, content, encoding, errors, buffering, calls
):
    """After the first exception a decoder's state is nobody's promise: the script ends there."""
    opening = Opening("r", buffering, encoding, errors)
    path = tmp_path / "file"
    path.write_bytes(content)
    good = 0
    with path.open(**opening.arguments()) as file:
        for name, arguments in calls:
            good += 1
            try:
                getattr(file, "readline" if name == "next" else name)(*arguments)
            except UnicodeError:
                break
    compare(any_loop, fs.open, tmp_path, Script(content, opening, tuple(calls[:good])))


@pytest.mark.parametrize("newline", NEWLINES)
def test_the_ends_of_lines_that_were_seen_are_told(run, tmp_path, newline):
    path = tmp_path / "file"
    path.write_bytes(b"a\nb\r\nc\rd")
    with path.open(newline=newline) as file:
        before = file.newlines
        file.read()
        expected = before, file.newlines

    async def look():
        async with fs.open(path, newline=newline) as file:
            before = file.newlines
            await file.read()
            return before, file.newlines

    assert run(look()) == expected


def test_encoding_errors_and_buffering_are_told(run, tmp_path):
    path = tmp_path / "file"

    def told(file):
        return file.encoding, file.errors, file.line_buffering, file.mode, str(file.name)

    async def look(**arguments):
        async with fs.open(path, "w", **arguments) as file:
            return told(file)

    for arguments in (
        {},
        {"encoding": "latin-1"},
        {"encoding": "utf-8", "errors": "replace"},
        {"buffering": 1},
    ):
        with path.open("w", **arguments) as file:
            expected = told(file)
        assert run(look(**arguments)) == expected


def test_what_lies_below_a_text_file_is_its_buffered_file(run, tmp_path):
    async def look():
        async with fs.open(tmp_path / "file", "w+", encoding="utf-8") as file:
            await file.write("\u00e9")
            await file.flush()
            assert await file.buffer.seek(0) == 0
            assert await file.buffer.read() == b"\xc3\xa9"
            assert file.buffer.raw.fileno() == file.fileno()

    run(look())


def test_a_position_behind_few_bytes_after_many_long_characters_is_not_behind_those_bytes(
    run, tmp_path
):
    """A position in the midst of few bytes has these decoded again: no more of them are skipped."""
    path = tmp_path / "file"
    path.write_bytes("\u65e5".encode() * 100 + b"\rya")
    between = Cookie(start=301, flags=1, feed=1, skip=1).number()

    async def work():
        async with fs.open(path, encoding="utf-8") as file:
            await file.read(100)
            await file.seek(between)
            assert await file.read(1) == "y"
            assert await file.tell() == 302

    run(work())
