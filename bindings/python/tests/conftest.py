"""Fixtures for every test: a loop, a leak check, and no test where io_uring is refused."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import traceback
from pathlib import Path

import pytest
from checking import checked
from datagrams import udp_socket
from garbage import set_aside
from leaks import nothing_left, refusal
from patience import SLOWNESS
from peers import socket_pair
from processes import wait_unreaped
from sqpoll import force_if_asked

import uringcore_cffi

# Where the package is imported from: programs that tests start must see the same one.
PACKAGE_PARENT = str(Path(uringcore_cffi.__file__).resolve().parent.parent)
SUPPORT = str(Path(__file__).resolve().parent / "support")

REFUSAL = refusal()
force_if_asked()

# A shell has what it runs in the background ignore it, and children inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items) -> None:
    """Let the limits that tests name grow as the one of all does, on a slow machine."""
    for item in items:
        mark = item.get_closest_marker("timeout")
        if mark is not None:
            item.add_marker(pytest.mark.timeout(mark.args[0] * SLOWNESS), append=False)


def pytest_collection_finish() -> None:
    """Every test collects garbage twice, which takes longer than most tests do."""
    set_aside()


@pytest.fixture(autouse=True)
def _needs_io_uring() -> None:
    if REFUSAL:
        if os.environ.get("UC_REQUIRE_IO_URING") == "1":
            pytest.fail(REFUSAL)
        pytest.skip(REFUSAL)


@pytest.fixture(autouse=True)
def leak_check():
    """After every test: no descriptor, thread or operation is left over."""
    with nothing_left():
        yield


@pytest.fixture
def loop():
    """Make one of our loops, closed after the test; unhandled exceptions fail the test."""
    made = uringcore_cffi.new_event_loop()
    yield from checked(made)


@pytest.fixture
def pair():
    """Make two connected sockets: ours, non-blocking, and its blocking peer."""
    with socket_pair() as both:
        yield both


@pytest.fixture
def udp_pair():
    """Make two bound UDP sockets that do not know each other: ours, non-blocking, and its peer."""
    with udp_socket() as ours, udp_socket() as peer:
        ours.setblocking(False)
        yield ours, peer


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
            signal.alarm(int(30 * SLOWNESS))
            function(*args)
            status = 0
        except BaseException:
            os.write(writer, traceback.format_exc().encode()[-4000:])
        finally:
            os._exit(status)

    def wait(self) -> None:
        """Wait for its end, and leave it to be joined."""
        wait_unreaped(self._pid)

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
            timeout=timeout * SLOWNESS,
            check=False,
            **options,
        )

    return run
