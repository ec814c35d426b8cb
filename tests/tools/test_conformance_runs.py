"""tools/conformance tells what became of every test, also of those that hang and crash."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from conformity.campaign import Plan, run_one
from conformity.processes import Limits
from conformity.results import FAILED, OWN, PASSED, SKIPPED, InterpreterResult, totals
from conformity.selection import Module
from conformity.skips import Skip
from conformity.subjects import ROOT, Subject, find_one

TESTS = """
import asyncio, os, threading, unittest

class Tests(unittest.TestCase):
    def test_a_passes(self):
        pass

    def test_b_fails(self):
        print("what it says")
        self.assertEqual(1, 2)

    def test_c_is_skipped(self):
        self.skipTest("no reason")

    def test_d_fails_in_a_part(self):
        for number in range(2):
            with self.subTest(number=number):
                self.assertEqual(number, 0)

    def test_e_hangs(self):
        threading.Event().wait()

    def test_f_crashes(self):
        os.abort()

    def test_g_makes_a_loop(self):
        asyncio.new_event_loop().close()

    def test_h_fails_on_the_foreign_loop(self):
        loop = asyncio.SelectorEventLoop()
        self.assertIsInstance(loop, asyncio.SelectorEventLoop)
        loop.close()
        self.assertFalse(hasattr(loop, "is_foreign"))

class Other(unittest.TestCase):
    def test_of_another_class(self):
        pass
"""

LOOP = """
import asyncio

class Loop(asyncio.SelectorEventLoop):
    is_foreign = True
"""


SOME_TESTS = Module(("some_tests",))


class Watcher:
    """Hears everything."""

    def __init__(self) -> None:
        self.started = []

    def module_begins(self, interpreter, module):
        """Nothing to do."""

    def module_ends(self, interpreter, result):
        """Nothing to do."""

    def hear(self, message):
        """Note which tests begin."""
        if "start" in message:
            self.started.append(message["start"].rpartition(".")[2])


@pytest.fixture
def run(tmp_path: Path):
    """Return a function that runs module ``some_tests`` of the text given, on Loop."""
    (tmp_path / "foreign.py").write_text(LOOP)
    subject = Subject(Path(sys.executable), (tmp_path, ROOT / "tools"))

    def run_text(text: str, module: Module = SOME_TESTS, **options):
        (tmp_path / "some_tests.py").write_text(text)
        options = {"skips": [], "limits": Limits(test_seconds=1.0), **options}
        plan = Plan([module], loop="foreign:Loop", **options)
        watcher = Watcher()
        result = run_one(subject, find_one(sys.executable), module, plan, watcher)
        return result, watcher.started

    return run_text


def outcomes(result) -> dict[str, str]:
    """Return the outcome of every test by its short name."""
    return {one.test.rpartition(".")[2]: one.outcome for one in result.outcomes}


def test_every_test_gets_its_outcome_and_a_hang_or_a_crash_costs_itself_alone(run):
    result, _ = run(TESTS, Module(("some_tests",), without_classes=("Other",)))
    assert outcomes(result) == {
        "test_a_passes": PASSED,
        "test_b_fails": OWN,
        "test_c_is_skipped": SKIPPED,
        "test_d_fails_in_a_part": OWN,
        "test_e_hangs": OWN,
        "test_f_crashes": OWN,
        "test_g_makes_a_loop": PASSED,
        "test_h_fails_on_the_foreign_loop": FAILED,
    }
    lines = {one.test.rpartition(".")[2]: one.last_line for one in result.outcomes}
    assert lines["test_b_fails"] == "AssertionError: 1 != 2"
    assert lines["test_e_hangs"].startswith("hung for 1 s in wait(), threading.py:")
    assert lines["test_f_crashes"].endswith("SIGABRT")
    assert [one.output for one in result.outcomes if one.output] == ["what it says"]
    assert result.on_loop == 2
    assert result.not_selected == 1
    counted = totals([InterpreterResult(find_one(sys.executable), [result])])
    assert counted == {PASSED: 2, FAILED: 1, SKIPPED: 5}


def test_a_module_with_failures_runs_on_stock_asyncio_too(run):
    _, started = run(TESTS, keyword="_fails_on")
    assert started == ["test_h_fails_on_the_foreign_loop"] * 2
    result, started = run(TESTS, keyword="_passes")
    assert started == ["test_a_passes"]
    assert result.stock == []
    result, _ = run(TESTS, keyword="_passes", all_on_stock=True)
    assert [one.outcome for one in result.stock] == [PASSED]


NEIGHBOURS = """
import unittest

class Tests(unittest.TestCase):
    done = False

    def test_a_leaves_something_behind(self):
        type(self).done = True
        self.fail()

    def test_b_needs_it(self):
        self.assertTrue(self.done)
"""


def test_a_test_that_is_left_out_runs_in_its_place(run):
    result, _ = run(NEIGHBOURS, skips=[Skip("*.test_a_*", "a reason")])
    assert outcomes(result) == {"test_b_needs_it": PASSED}


def test_a_test_that_passes_although_left_out_is_stale(run):
    skips = [Skip("*.test_a_passes", "a reason"), Skip("*.test_b_fails", "a reason")]
    result, _ = run(TESTS, skips=skips, keyword="s")
    assert [test.rpartition(".")[2] for test in result.stale] == ["test_a_passes"]
    assert sorted(test.rpartition(".")[2] for test in result.left_out) == [
        "test_a_passes",
        "test_b_fails",
    ]
    assert not {"test_a_passes", "test_b_fails"} & outcomes(result).keys()


def test_a_module_that_cannot_be_imported_is_a_failure(run):
    result, _ = run("raise RuntimeError('broken')\n")
    assert [one.outcome for one in result.outcomes] == [OWN]
    assert "broken" in result.outcomes[0].detail


def test_tests_behind_a_failed_fixture_have_failed(run):
    result, _ = run(
        "import asyncio, unittest\n"
        "class Tests(unittest.TestCase):\n"
        "    @classmethod\n"
        "    def setUpClass(cls):\n"
        "        asyncio.SelectorEventLoop.is_foreign and 1 / 0\n"
        "    def test_x(self): pass\n"
    )
    assert outcomes(result)["test_x"] == OWN


def test_a_module_under_its_older_name_is_found(run):
    result, _ = run(TESTS, Module(("some_tests", "newer.some_tests"), ("Other",)))
    assert outcomes(result) == {"test_of_another_class": PASSED}
    assert run(TESTS, Module(("no_such_module",)))[0].absent
