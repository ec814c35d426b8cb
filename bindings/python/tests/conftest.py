"""Fixtures for every test: a loop, a leak check, and no test where io_uring is refused."""

from __future__ import annotations

import asyncio
import functools
import os
import signal
import subprocess
import sys
import threading
import traceback
import warnings
from pathlib import Path

import pytest
from garbage import collect

import uringcore_cffi

# Where the package is imported from: programs that tests start must see the same one.
PACKAGE_PARENT = str(Path(uringcore_cffi.__file__).resolve().parent.parent)
SUPPORT = str(Path(__file__).resolve().parent / "support")


def refusal() -> str:
    """Say why io_uring does not work here; empty when it does."""
    try:
        uringcore_cffi.new_event_loop().close()
    except OSError as error:
        return str(error)
    return ""


REFUSAL = refusal()


@pytest.fixture(autouse=True)
def _needs_io_uring() -> None:
    if REFUSAL:
        if os.environ.get("UC_REQUIRE_IO_URING") == "1":
            pytest.fail(REFUSAL)
        pytest.skip(REFUSAL)


def open_descriptors() -> dict[str, str]:
    """Return the open descriptors and what they are."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[name] = os.readlink(f"/proc/self/fd/{name}")
        except FileNotFoundError:
            continue  # the listing's own
    return found


@pytest.fixture(autouse=True)
def leak_check(monkeypatch: pytest.MonkeyPatch):
    """After every test: no descriptor, thread or operation is left over."""
    closed = []
    close = uringcore_cffi.UringEventLoop.close

    @functools.wraps(close)
    def noting_close(self):
        was_closed = self.is_closed()
        close(self)
        if not was_closed:
            closed.append(self.stats())

    monkeypatch.setattr(uringcore_cffi.UringEventLoop, "close", noting_close)
    collect()
    descriptors = open_descriptors()
    threads = threading.active_count()
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        collect()
    new = {k: v for k, v in open_descriptors().items() if descriptors.get(k) != v}
    assert not new, f"descriptors left open: {new}"
    assert threading.active_count() == threads, "threads left running"
    for stats in closed:
        assert stats.in_flight == 0, stats
        assert stats.stale == 0, stats


@pytest.fixture
def loop():
    """Make one of our loops, closed after the test; unhandled exceptions fail the test."""
    made = uringcore_cffi.new_event_loop()
    yield from checked(made)


def checked(made: asyncio.AbstractEventLoop):
    """Hand a loop to a test and close it afterwards; its exception handler must stay idle."""
    problems: list[dict] = []
    made.set_exception_handler(lambda _, context: problems.append(context))
    made.problems = problems
    yield made
    if not made.is_closed():
        made.run_until_complete(made.shutdown_asyncgens())
        made.run_until_complete(made.shutdown_default_executor())
        made.close()
    assert not problems, problems


class Child:
    """A forked child that runs one function and is then gone, whatever happens in it."""

    def __init__(self, function, *args) -> None:
        self._reader, writer = os.pipe()
        self._pid = os.fork()
        if self._pid != 0:
            os.close(writer)
            return
        status = 1
        try:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(30)
            function(*args)
            status = 0
        except BaseException:
            os.write(writer, traceback.format_exc().encode()[-4000:])
        finally:
            os._exit(status)

    def join(self) -> None:
        """Wait for its end; fail with its traceback if it failed."""
        with open(self._reader, "rb") as pipe:
            told = pipe.read().decode()
        _, status = os.waitpid(self._pid, 0)
        assert status == 0, f"the child failed (status {status}):\n{told}"


@pytest.fixture
def fork():
    """Fork a child that calls a function; join() it to learn whether that raised."""
    return Child


@pytest.fixture
def run_python():
    """Run ``python ARGUMENT...`` in a process of its own; return the CompletedProcess."""

    path = os.pathsep.join([PACKAGE_PARENT, SUPPORT])

    def run(*arguments, variables=None, timeout=50, **options):
        environment = {**os.environ, "PYTHONPATH": path, **(variables or {})}
        return subprocess.run(
            [sys.executable, *map(str, arguments)],
            env=environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            **options,
        )

    return run
