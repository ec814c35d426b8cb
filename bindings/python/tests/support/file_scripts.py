"""The same calls on a file of fs and on a built-in one: what each answers, and what is on the disk.

One function plays a script on both: what a built-in method returns is no coroutine and is taken as
it is. Each call becomes an outcome, its result or its exception, and two lists are compared.
"""

from __future__ import annotations

import asyncio
import inspect
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable

import pytest

PYPY = sys.implementation.name == "pypy"
# Ours has the errors of these, in their words and in their order; others have their own.
LIKE_OURS = not PYPY and (3, 10) <= sys.version_info < (3, 13)
CONTENT = "content on the disk"

# Of calls that PyPy's own os or open() answers otherwise than CPython's.
not_pypy = pytest.mark.skipif(PYPY, reason="PyPy's own answers otherwise")


@dataclass(frozen=True)
class Opening:
    """How a file is opened."""

    mode: str
    buffering: int = -1
    encoding: str | None = None
    errors: str | None = None
    newline: str | None = None

    def arguments(self) -> dict[str, Any]:
        """For open()."""
        return dict(vars(self))


@dataclass(frozen=True)
class Script:
    """A file's content, or None where there is none; how it is opened; names and arguments."""

    content: bytes | None
    opening: Opening
    calls: tuple[tuple[str, tuple[Any, ...]], ...]


def flushed(calls: Any, reading: frozenset[str]) -> tuple[Any, ...]:
    """Put a flush() between writing and those calls that read.

    Without one the built-in may read where it should have written, and write where it has read:
    its read1() forgets what waits to be written, and text is read by read1().
    """
    found: list[Any] = []
    written = False
    for call in calls:
        if call[0] in reading and written:
            found.append(("flush", ()))
        written = (written or call[0] in ("write", "writelines")) and call[0] not in reading
        found.append(call)
    return tuple(found)


def failure(error: BaseException, folder: Path) -> tuple[Any, ...]:
    """Say all that a program can tell of an exception; folders differ, the rest must not."""
    said = str(error).replace(str(folder), "") if LIKE_OURS else ""
    names = [getattr(error, field, None) for field in ("filename", "filename2")]
    plain = [name and str(name).replace(str(folder), "") for name in names]
    return "raised", type(error), said, getattr(error, "errno", None), *plain


async def settle(value: Any) -> Any:
    """Await what can be awaited."""
    return await value if inspect.isawaitable(value) else value


class Player:
    """Plays scripts in a folder with files that ``opener`` opens."""

    def __init__(self, opener: Callable[..., Any], folder: Path) -> None:
        """Nothing is open yet."""
        self._opener = opener
        self._folder = folder
        self._path = folder / "file"
        self._places: list[Any] = []

    async def play(self, script: Script) -> list[tuple[Any, ...]]:
        """Say what opening and each call came to, and what is on the disk at the end."""
        self._path.unlink(missing_ok=True)
        if script.content is not None:
            self._path.write_bytes(script.content)
        self._places = []
        try:
            file = await settle(self._opener(self._path, **script.opening.arguments()))
        except Exception as error:
            return [failure(error, self._folder), self._on_disk()]
        outcomes = [("mode", file.mode), ("closed", file.closed)]
        try:
            for name, arguments in script.calls:
                outcomes.append((name, arguments, await self._outcome(file, name, arguments)))
        finally:
            outcomes.append(("close", await self._outcome(file, "close", ())))
        outcomes.append(("closed", file.closed))
        outcomes.append(self._on_disk())
        return outcomes

    async def calls(self, path: Path, opening: dict[str, Any], calls: Any) -> list[Any]:
        """Say what calls on a file came to; what is no name is called itself, in between."""
        file = await settle(self._opener(path, **opening))
        try:
            outcomes = []
            for name, arguments in calls:
                if callable(name):
                    name()
                else:
                    outcomes.append(await self._outcome(file, name, arguments))
            return outcomes
        finally:
            await self._outcome(file, "close", ())

    def _on_disk(self) -> tuple[str, Any]:
        return CONTENT, self._path.read_bytes() if self._path.exists() else None

    async def _outcome(self, file: Any, name: str, arguments: tuple[Any, ...]) -> Any:
        """Make a call; result or exception."""
        try:
            return await self._call(file, name, arguments)
        except Exception as error:
            return failure(error, self._folder)

    async def _call(self, file: Any, name: str, arguments: tuple[Any, ...]) -> Any:
        if name == "readinto":
            buffer = bytearray(b"~" * arguments[0])
            return await settle(getattr(file, name)(buffer)), bytes(buffer)
        if name == "next":
            return await self._next(file)
        if name == "note":  # what tell() answers of a text is only good for seek()
            self._places.append(await settle(file.tell()))
            return len(self._places)
        if name == "return":
            if not self._places:
                return None
            await settle(file.seek(self._places[arguments[0] % len(self._places)]))
            return None
        result = await settle(getattr(file, name)(*arguments))
        return (result, self._on_disk()) if name == "flush" else result

    async def _next(self, file: Any) -> Any:
        """Take the next line as ``async for`` does: a line is read, nothing ahead of it."""
        if not hasattr(file, "__anext__"):
            return file.readline() or "the end"
        try:
            return await file.__anext__()
        except StopAsyncIteration:
            return "the end"


def _told(outcome: Any) -> Any:
    """Return what must agree: of several mistakes each Python finds another one first."""
    if LIKE_OURS or not isinstance(outcome, tuple):
        return outcome
    return ("raised",) if outcome[:1] == ("raised",) else tuple(map(_told, outcome))


def compare(
    loop: asyncio.AbstractEventLoop, ours: Callable[..., Any], folder: Path, script: Script
) -> None:
    """Fail with the first call whose outcomes differ."""
    played = []
    for opener, name in ((open, "theirs"), (ours, "ours")):
        own = folder / name
        own.mkdir(exist_ok=True)
        played.append(loop.run_until_complete(Player(opener, own).play(script)))
    theirs, mine = played
    for number, (expected, got) in enumerate(zip(theirs, mine)):
        assert _told(got) == _told(expected), f"outcome {number} of {script}"
    assert len(theirs) == len(mine)
