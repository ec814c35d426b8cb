"""The tests that are left out, and whether the list of them is honest."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tomllib

from conformity.results import InterpreterResult
from interpreters import Interpreter

LIST = Path(__file__).with_name("skips.toml")
# of the tests of any version
SHARE_MAX = 0.02


class SkipListError(Exception):
    """The skip list cannot be read; says where."""


@dataclass(frozen=True)
class Skip:
    """Tests that are left out, in some versions, for a reason."""

    test: str  # with wildcards
    reason: str
    first: tuple[int, int] = (3, 0)
    last: tuple[int, int] = (3, 999)

    def applies_to(self, interpreter: Interpreter) -> bool:
        """Whether it is one of its versions."""
        return self.first <= interpreter.version[:2] <= self.last


def _version(text: str) -> tuple[int, int]:
    major, minor = text.split(".")
    return int(major), int(minor)


def read(text: str) -> list[Skip]:
    """The entries of a list; raises SkipListError."""
    try:
        entries = tomllib.loads(text).get("skip", [])
    except tomllib.TOMLDecodeError as error:
        raise SkipListError(str(error)) from error
    skips = []
    for entry in entries:
        name = entry.get("test", "")
        unknown = entry.keys() - {"test", "reason", "first", "last"}
        if unknown or not name or len(entry.get("reason", "").split()) < 4:
            raise SkipListError(
                f"{name or entry}: an entry has a test, a reason, and maybe first, last"
            )
        try:
            bounds = {key: _version(entry[key]) for key in ("first", "last") if key in entry}
        except ValueError as error:
            raise SkipListError(f"{name}: first and last are versions such as 3.12") from error
        skips.append(Skip(name, entry["reason"], **bounds))
    return skips


def patterns(skips: Sequence[Skip], interpreter: Interpreter) -> tuple[str, ...]:
    """What is left out of an interpreter's tests."""
    return tuple(skip.test for skip in skips if skip.applies_to(interpreter))


def too_many(result: InterpreterResult) -> str:
    """A complaint if more is left out than may be, else nothing."""
    out, run = len(result.left_out()), len(result.tests())
    if out <= SHARE_MAX * (out + run):
        return ""
    return f"{result.name}: {out} of {out + run} tests are left out, more than {SHARE_MAX:.0%}"


def useless(skips: Sequence[Skip], results: Sequence[InterpreterResult]) -> list[str]:
    """Entries that match no test on any of the interpreters that they are for."""
    found = []
    for skip in skips:
        tried = [one for one in results if not one.unavailable and skip.applies_to(one.interpreter)]
        if tried and not any(fnmatch.filter(one.left_out(), skip.test) for one in tried):
            found.append(skip.test)
    return found
