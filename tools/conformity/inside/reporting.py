"""What the parent process is told: a line of JSON for every beginning and every end of a test."""

from __future__ import annotations

import contextlib
import faulthandler
import json
import os
import time
import unittest
from collections.abc import Iterator
from typing import Any

# tests put other objects into sys.stderr
STDERR = 2
# begins a line of the log in front of what a test writes
BEGINNING = "=== "
_WORST = ("passed", "skipped", "failed")


class Report:
    """The line to the parent. Children that tests start do not inherit it."""

    def __init__(self, fileno: int) -> None:
        """Take the descriptor."""
        os.set_inheritable(fileno, False)
        self._fileno = fileno
        self._pid = os.getpid()

    def send(self, **message: Any) -> None:
        """Write one line, unbuffered; a child forked by a test keeps quiet."""
        if os.getpid() != self._pid:
            return
        line = memoryview(json.dumps(message).encode() + b"\n")
        while line:
            line = line[os.write(self._fileno, line) :]


class ReportingResult(unittest.TestResult):
    """A unittest result that reports, counts loops, and ends the process when a test hangs."""

    def __init__(self, report: Report, injection: Any, test_seconds: float) -> None:
        """``injection`` counts the loops it makes; None on stock asyncio."""
        super().__init__()
        self._report = report
        self._injection = injection
        self._test_seconds = test_seconds
        self._reported: set[str] = set()
        self._fixture_outcome = ("failed", "it was never run")
        self._begin()

    def _begin(self) -> None:
        self._outcome, self._detail = "passed", ""
        self._loops_before = self._loops()
        self._started = time.monotonic()

    def _loops(self) -> int:
        return 0 if self._injection is None else self._injection.made

    @contextlib.contextmanager
    def watchdog(self) -> Iterator[None]:
        """While this is open, who stands still too long is dumped to stderr and ended."""
        faulthandler.enable(STDERR)
        self._rearm()
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()

    def _rearm(self) -> None:
        faulthandler.dump_traceback_later(self._test_seconds, exit=True, file=STDERR)

    def startTest(self, test: unittest.TestCase) -> None:  # noqa: N802
        """Say so: should it never end, the parent knows which one it was."""
        super().startTest(test)
        self._rearm()
        self._report.send(start=test.id())
        os.write(STDERR, f"\n{BEGINNING}{test.id()}\n".encode())
        self._begin()

    def stopTest(self, test: unittest.TestCase) -> None:  # noqa: N802
        """Report what became of it."""
        super().stopTest(test)
        self._rearm()
        self._send(test.id(), self._outcome, self._detail)

    def _send(self, name: str, outcome: str, detail: str) -> None:
        self._reported.add(name)
        self._report.send(
            end=name,
            outcome=outcome,
            detail=detail,
            loops=self._loops() - self._loops_before,
            seconds=time.monotonic() - self._started,
        )

    def _note(self, test: Any, outcome: str, detail: str) -> None:
        """Remember the worst that happened to a test; of a fixture, report a failure at once."""
        if isinstance(test, unittest.TestCase):
            if _WORST.index(outcome) > _WORST.index(self._outcome):
                self._outcome, self._detail = outcome, detail
            return
        # setUpClass, tearDownModule...: the tests behind a failed or skipped one do not run
        self._fixture_outcome = (outcome, detail)
        if outcome == "failed":
            self._send(test.id(), outcome, detail)

    def _note_error(self, test: Any, error: Any) -> None:
        try:
            detail = self._exc_info_to_string(error, test)  # type: ignore[attr-defined]
        except Exception:
            detail = repr(error[1])
        self._note(test, "failed", detail)

    def addError(self, test: Any, err: Any) -> None:  # noqa: N802
        """An exception, of a test or of a fixture."""
        self._note_error(test, err)

    def addFailure(self, test: Any, err: Any) -> None:  # noqa: N802
        """A failed assertion."""
        self._note_error(test, err)

    def addSubTest(self, test: Any, subtest: Any, err: Any) -> None:  # noqa: N802
        """A part of a test has ended; ``err`` is None if it went well."""
        if err is not None:
            self._note_error(test, err)

    def addSkip(self, test: Any, reason: str) -> None:  # noqa: N802
        """Skipped: a test, part of it, or all behind a fixture."""
        self._note(test, "skipped", reason)

    def addUnexpectedSuccess(self, test: Any) -> None:  # noqa: N802
        """CPython expects this test to fail, and it has passed."""
        self._note(test, "failed", "unexpected success")

    def settle(self, names: list[str]) -> None:
        """Report those that a fixture has kept from running."""
        self._begin()
        for name in names:
            if name not in self._reported:
                self._send(name, *self._fixture_outcome)
