"""What became of a test, a module, an interpreter."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from conformity.subjects import full_name
from interpreters import Interpreter

PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"
# failed, and fails on stock asyncio too: says nothing about the loop
OWN = "own"


@dataclass
class Outcome:
    """What became of a test."""

    test: str
    outcome: str
    detail: str = ""
    loops: int = 0
    seconds: float = 0.0
    output: str = ""  # of a failed test: what was written while it ran

    @property
    def last_line(self) -> str:
        """Of a traceback, the exception; of a reason, the reason."""
        return (self.detail.strip().splitlines() or [""])[-1].strip()


@dataclass
class ModuleResult:
    """What became of a module's tests."""

    label: str
    tests: list[str] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)  # tests on the skip list
    left_out_outcomes: list[Outcome] = field(default_factory=list)
    stock: list[Outcome] = field(default_factory=list)  # what was run on stock asyncio as well
    not_selected: int = 0
    seconds: float = 0.0
    absent: bool = False  # this Python does not have the module

    def part(self) -> None:
        """Put the tests on the skip list apart from the others."""
        listed = set(self.left_out)
        self.left_out_outcomes = [one for one in self.outcomes if one.test in listed]
        self.outcomes = [one for one in self.outcomes if one.test not in listed]
        self.tests = [test for test in self.tests if test not in listed]

    def count(self, outcome: str) -> int:
        """How many ended so."""
        return sum(one.outcome == outcome for one in self.outcomes)

    @property
    def on_loop(self) -> int:
        """How many tests made at least one loop under test."""
        return sum(one.loops > 0 for one in self.outcomes)

    @property
    def stale(self) -> list[str]:
        """Tests on the skip list that pass."""
        return [one.test for one in self.left_out_outcomes if one.outcome == PASSED]


@dataclass
class InterpreterResult:
    """What became of an interpreter's tests; ``unavailable`` says why there are none."""

    interpreter: Interpreter
    modules: list[ModuleResult] = field(default_factory=list)
    unavailable: str = ""

    @property
    def name(self) -> str:
        """What the interpreter is called."""
        return full_name(self.interpreter)

    def failures(self) -> list[Outcome]:
        """Failed, and not by the interpreter's own fault."""
        return [one for module in self.modules for one in module.outcomes if one.outcome == FAILED]

    def own(self) -> list[Outcome]:
        """Failed on stock asyncio too."""
        return [one for module in self.modules for one in module.outcomes if one.outcome == OWN]

    def tests(self) -> list[str]:
        """Every test that is run."""
        return [test for module in self.modules for test in module.tests]

    def left_out(self) -> list[str]:
        """Every test that the skip list names."""
        return [test for module in self.modules for test in module.left_out]


def totals(results: list[InterpreterResult]) -> Counter[str]:
    """Passed, failed and skipped tests of all.

    Left out and own failures count as skipped: they say nothing about the loop.
    """
    counts: Counter[str] = Counter()
    for result in results:
        for module in result.modules:
            counts[PASSED] += module.count(PASSED)
            counts[FAILED] += module.count(FAILED)
            counts[SKIPPED] += module.count(SKIPPED) + module.count(OWN) + len(module.left_out)
    return counts
