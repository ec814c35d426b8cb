"""What refuses io_uring, memory or descriptors, when a process starts and while it runs.

Each case is a process of its own that echoes to twenty connections (support/faulty.py). It serves,
on io_uring or on epoll, with one line in the log that says why; or it ends with the error that is
documented. It never hangs.
"""

from __future__ import annotations

import errno
import json
import os
import sys

import pytest
from filters import IO_URING_ENTER, IO_URING_REGISTER, IO_URING_SETUP

from uringcore_cffi._handles.probe import probe

NEUTRAL = {"UC_BACKEND": "", "UC_DISABLE": ""}
ERRORS = (errno.EPERM, errno.ENOSYS, errno.EACCES)
PATIENCE = 40
USERS = 200_000  # one for each process: what a user had locked comes back late

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="another user is needed")


@pytest.fixture
def lab(run_python):
    """Run a server under a fault; return what it told."""

    def run(**fault):
        done = run_python(
            "-X", "faulthandler", "-m", "faulty", json.dumps(fault),
            variables=NEUTRAL, timeout=PATIENCE,
        )  # fmt: skip
        assert done.returncode == 0, (done.returncode, done.stderr)
        return json.loads(done.stdout)

    return run


def check_served(told):
    """Served without an error; what is amiss is told in the loop's info and once in the log."""
    assert told["error"] is None, told
    assert told["backend"] in ("uring", "epoll")
    expected = [["INFO", f"the loop runs on {told['backend']}: {told['reason']}"]]
    assert told["log"] == (expected if told["reason"] else [])
    assert told["backend"] == "uring" or told["reason"]


def usual_backend():
    return "epoll" if probe().error else "uring"


def name_of(code):
    return errno.errorcode.get(code, str(code))


def test_without_a_fault_it_serves_on_io_uring_and_logs_nothing(lab, monkeypatch):
    """The lab's own program is no fault."""
    monkeypatch.setenv("UC_BACKEND", "auto")
    told = lab()
    check_served(told)
    assert told["backend"] == usual_backend()


@pytest.mark.parametrize("error", ERRORS, ids=name_of)
@pytest.mark.parametrize("call", [IO_URING_SETUP, IO_URING_ENTER], ids=["setup", "enter"])
def test_a_filter_on_a_call_that_is_needed_leads_to_epoll(lab, call, error):
    """The reason names the filter."""
    told = lab(refuse=[call, error])
    check_served(told)
    assert told["backend"] == "epoll"
    assert "seccomp" in told["reason"]


@pytest.mark.parametrize("error", ERRORS, ids=name_of)
def test_a_filter_on_registering_is_got_around_and_told(lab, error):
    """By doing without what would have been registered, or by epoll."""
    told = lab(refuse=[IO_URING_REGISTER, error])
    check_served(told)
    assert told["reason"]


@pytest.mark.parametrize("error", ERRORS, ids=name_of)
@pytest.mark.parametrize("call", [IO_URING_SETUP, IO_URING_REGISTER], ids=["setup", "register"])
def test_a_filter_that_comes_later_does_not_disturb_a_running_loop(lab, monkeypatch, call, error):
    """Nothing is set up or registered on the way."""
    monkeypatch.setenv("UC_BACKEND", "auto")
    told = lab(refuse=[call, error], when="after")
    check_served(told)
    assert told["backend"] == usual_backend()
    assert "seccomp" not in told["reason"]


@pytest.mark.parametrize("error", ERRORS, ids=name_of)
def test_a_filter_on_entering_that_comes_later_ends_the_run_with_its_error(lab, error):
    """The loop cannot go on, says what happened and what to do, and closes at once."""
    told = lab(refuse=[IO_URING_ENTER, error], when="after")
    if told["backend"] == "epoll":
        check_served(told)
        return
    # EPERM is what another thread is told.
    assert told["error"] == (errno.EACCES if error == errno.EPERM else error)
    assert "io_uring is refused" in told["text"]
    assert "UC_BACKEND=epoll" in told["text"]
    assert told["closing"] < 5


@as_root
@pytest.mark.parametrize("kib", [0, 4, 64, 8192])
def test_an_ordinary_user_is_served_whatever_memory_may_be_locked(lab, kib):
    """With too little on epoll, and the reason names the limit and how much is needed."""
    told = lab(limit=["RLIMIT_MEMLOCK", kib << 10], user=USERS + os.getpid() * 4 + kib % 7)
    check_served(told)
    usual = lab()
    if (told["backend"], told["reason"]) != (usual["backend"], usual["reason"]):
        assert "RLIMIT_MEMLOCK" in told["reason"]
        assert kib < 8192


@pytest.mark.heavy
@pytest.mark.parametrize("descriptors", range(3, 40, 3))
def test_too_few_descriptors_are_an_error_that_names_the_limit_or_enough(lab, descriptors):
    """At the start; never a loop that hangs."""
    told = lab(limit=["RLIMIT_NOFILE", descriptors])
    if told["error"] is not None:
        assert told["error"] == errno.EMFILE
        assert told["text"]


@pytest.mark.skipif(
    sys.implementation.name == "pypy", reason="PyPy itself aborts where memory runs out"
)
@pytest.mark.parametrize("mib", [0, 1, 4, 16, 64, 512])
def test_too_little_memory_is_an_error_or_enough(lab, mib):
    """ENOMEM or MemoryError; never a crash."""
    told = lab(limit=["RLIMIT_AS", mib << 20])
    if told["error"] is None:
        check_served(told)
    else:
        assert told["error"] in (errno.ENOMEM, "MemoryError")
