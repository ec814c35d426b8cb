"""The tests of a module, and which of them are to be run."""

from __future__ import annotations

import fnmatch
import unittest
from collections.abc import Iterable, Iterator
from types import ModuleType
from typing import Any


def flatten(suite: Iterable[Any]) -> Iterator[unittest.TestCase]:
    """Walk through suites of suites."""
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from flatten(test)
        else:
            yield test


def is_selected(class_name: str, job: dict[str, Any]) -> bool:
    """Whether the tests of a class are run at all."""
    if class_name in job["without_classes"]:
        return False
    return not job["classes"] or class_name in job["classes"]


def collect(
    module: ModuleType, job: dict[str, Any]
) -> tuple[list[unittest.TestCase], list[unittest.TestCase], int]:
    """(tests to run, those of them on the skip list, how many are of classes not selected).

    Tests on the skip list run too, in their place: others may rely on what they leave behind.
    """
    tests, left_out, not_selected = [], [], 0
    for test in flatten(unittest.defaultTestLoader.loadTestsFromModule(module)):
        name = test.id()
        if not is_selected(type(test).__name__, job):
            not_selected += 1
        elif job["keyword"] not in name:
            continue
        else:
            tests.append(test)
            if any(fnmatch.fnmatchcase(name, pattern) for pattern in job["left_out"]):
                left_out.append(test)
    return tests, left_out, not_selected
