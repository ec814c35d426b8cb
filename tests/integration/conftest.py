"""Fixtures for tests with libraries of others: the loop under test, servers, certificates.

``--loop MODULE:FACTORY`` runs the same tests on another loop: ``--loop asyncio:SelectorEventLoop``
tells whether a failure is ours.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

import loops
import pytest
from leaks import nothing_left, refusal
from programs import Program

HERE = Path(__file__).resolve().parent
TOP = HERE.parent.parent

pytest_plugins = ["servers"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --loop."""
    parser.addoption(
        "--loop", metavar="MODULE:FACTORY", default=loops.OURS, help="what makes the loop to test"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Tell this process, and those that it starts, which loop is under test."""
    os.environ[loops.LOOP] = config.getoption("--loop")


@pytest.fixture(scope="session")
def ours(pytestconfig: pytest.Config) -> bool:
    """Is the loop under test our own?"""
    return pytestconfig.getoption("--loop") == loops.OURS


@pytest.fixture(scope="session", autouse=True)
def _needs_io_uring(ours) -> None:
    reason = refusal() if ours else ""
    if reason and os.environ.get("UC_REQUIRE_IO_URING") == "1":
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)


@pytest.fixture(autouse=True)
def leak_check():
    """After every test: no descriptor, thread or operation is left over."""
    with nothing_left():
        yield


@pytest.fixture
def run():
    """Run a coroutine on a loop of its own, whose exception handler must stay idle."""

    def run_coroutine(main, *, seconds=50):
        problems = []
        with asyncio.Runner(loop_factory=loops.new_event_loop) as runner:
            runner.get_loop().set_exception_handler(lambda _, context: problems.append(context))
            result = runner.run(asyncio.wait_for(main, seconds))
        assert not problems, problems
        return result

    return run_coroutine


class Reports:
    """The last counters of the loops that programs have closed."""

    def __init__(self, path: Path, ours: bool) -> None:
        self.path = path
        self._ours = ours

    def check(self, at_least: int) -> None:
        """Fail unless so many loops of ours were closed, with nothing in flight or stale."""
        if not self._ours:
            return
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        closed = [json.loads(line) for line in lines]
        assert len(closed) >= at_least, closed
        for stats in closed:
            assert stats["in_flight"] == 0, stats
            assert stats["stale"] == 0, stats


@pytest.fixture
def reports(tmp_path, ours) -> Reports:
    """Collect what the programs of this test report of their loops."""
    return Reports(tmp_path / "loops.jsonl", ours)


@pytest.fixture
def start(reports):
    """Start ``python ARGUMENT...`` that finds the apps and reports its loops; killed at the end."""
    started = []

    def start_python(*arguments, variables=None) -> Program:
        folders = [HERE / "apps", HERE / "support", TOP / "bindings/python/tests/support"]
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(map(str, folders)),
            "PYTHONUNBUFFERED": "1",
            loops.REPORT: str(reports.path),
            **(variables or {}),
        }
        started.append(Program(sys.executable, *arguments, env=environment, cwd=HERE))
        return started[-1]

    yield start_python
    for program in started:
        program.kill()
