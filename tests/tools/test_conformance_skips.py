"""What tools/conformance leaves out is little, has a reason, and is still needed."""

from __future__ import annotations

import pytest

from conformity import skips
from conformity.results import InterpreterResult, ModuleResult
from interpreters import Interpreter


def interpreter(minor: int) -> Interpreter:
    """Make up a Python 3.``minor``."""
    return Interpreter("CPython", (3, minor, 0), False, "python", "build")


def result(minor: int, tests: int, left_out: list[str], unavailable: str = "") -> InterpreterResult:
    """Make up a run of so many tests."""
    module = ModuleResult("module", tests=[f"test_{n}" for n in range(tests)], left_out=left_out)
    return InterpreterResult(interpreter(minor), [module], unavailable)


def entry(**members: str) -> str:
    """Write a list of one entry."""
    return "[[skip]]\n" + "".join(f'{key} = "{value}"\n' for key, value in members.items())


REASON = "reads loop._selector of a foreign loop"


def test_the_list_in_the_tree_can_be_read():
    for skip in skips.read(skips.LIST.read_text()):
        assert skip.test.startswith(("test.", "unittest."))


@pytest.mark.parametrize(
    "text",
    [
        entry(test="a"),
        entry(test="a", reason="fails"),
        entry(reason=REASON),
        entry(test="a", reason=REASON, version="3.11"),
        entry(test="a", reason=REASON, first="new"),
        "[[skip]\n",
    ],
    ids=["no reason", "no real reason", "no test", "unknown key", "no version", "no TOML"],
)
def test_an_entry_that_is_not_complete_is_refused(text):
    with pytest.raises(skips.SkipListError):
        skips.read(text)


def test_an_entry_counts_for_its_versions_only():
    listed = skips.read(entry(test="a", reason=REASON, first="3.10", last="3.12"))
    assert [minor for minor in range(9, 15) if skips.patterns(listed, interpreter(minor))] == [
        10,
        11,
        12,
    ]
    assert skips.patterns(skips.read(entry(test="a", reason=REASON)), interpreter(9)) == ("a",)


def test_more_than_two_per_cent_left_out_is_a_complaint():
    assert skips.too_many(result(11, 98, ["a", "b"])) == ""
    assert "3 of 100" in skips.too_many(result(11, 97, ["a", "b", "c"]))


def test_an_entry_that_matches_nothing_where_it_applies_is_found():
    listed = skips.read(
        entry(test="a.*", reason=REASON) + entry(test="b", reason=REASON, first="3.13")
    )
    assert skips.useless(listed, [result(11, 9, ["a.x"]), result(12, 9, [])]) == []
    assert skips.useless(listed, [result(11, 9, []), result(12, 9, [])]) == ["a.*"]
    assert skips.useless(listed, [result(11, 9, ["a.x"]), result(13, 9, [])]) == ["b"]
    assert skips.useless(listed, [result(13, 0, [], unavailable="no tests")]) == []
