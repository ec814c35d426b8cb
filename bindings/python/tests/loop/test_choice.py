"""Which backend a loop runs on: asked for, by the environment, or for want of io_uring; and that
it is told."""

from __future__ import annotations

import asyncio
import errno
import json
import logging
import os
import signal

import pytest
from filters import IO_URING_REGISTER, kill_on_io_uring, refuse, refuse_io_uring

import uringcore_cffi
from uringcore_cffi._handles.ring import Info
from uringcore_cffi._loop.telling import tell_reason

NEUTRAL = {"UC_BACKEND": "", "UC_DISABLE": ""}

# Echoes a line over TCP, then prints what the loop tells of itself, and the log.
PROGRAM = """
import asyncio, json, logging, sys, uringcore_cffi

logged = []

class Keep(logging.Handler):
    def emit(self, record):
        logged.append((record.levelname, record.getMessage()))

logger = logging.getLogger("uringcore_cffi")
logger.addHandler(Keep())
logger.setLevel(logging.DEBUG)

async def serve(reader, writer):
    writer.write(await reader.readline())
    writer.close()
    await writer.wait_closed()

async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"line\\n")
        assert await reader.read() == b"line\\n"
        writer.close()
        await writer.wait_closed()
    return asyncio.get_running_loop().info()

for _ in range(3):
    info = uringcore_cffi.run(main(), **json.loads(sys.argv[1]))
print(json.dumps([info.backend, info.reason, logged]))
"""


@pytest.fixture
def echo(run_python):
    """Run PROGRAM with options for run(); return the backend, the reason and the log."""

    def run(options=None, variables=None, **more):
        done = run_python(
            "-c",
            PROGRAM,
            json.dumps(options or {}),
            variables={**NEUTRAL, **(variables or {})},
            **more,
        )
        assert done.returncode == 0, (done.returncode, done.stderr)
        return json.loads(done.stdout)

    return run


def test_epoll_by_environment_makes_no_call_of_io_uring(echo):
    """Under a filter that kills for the call, a program runs with UC_BACKEND=epoll."""
    backend, reason, logged = echo(variables={"UC_BACKEND": "epoll"}, preexec_fn=kill_on_io_uring)
    assert backend == "epoll"
    assert "UC_BACKEND" in reason
    assert logged == [["INFO", f"the loop runs on epoll: {reason}"]]


def test_epoll_by_argument_makes_no_call_of_io_uring(echo):
    """It was asked for, so there is nothing to tell."""
    assert echo({"backend": "epoll"}, preexec_fn=kill_on_io_uring) == ["epoll", "", []]


def test_without_either_such_a_filter_kills(run_python):
    """The filter of the tests above does what it says."""
    done = run_python("-c", PROGRAM, "{}", variables=NEUTRAL, preexec_fn=kill_on_io_uring)
    assert done.returncode == -signal.SIGSYS


def test_the_argument_goes_before_the_environment(echo):
    """Whoever passes a backend gets it."""
    assert echo({"backend": "uring"}, {"UC_BACKEND": "epoll"})[0] == "uring"
    assert echo({"backend": "epoll"}, {"UC_BACKEND": "uring"})[0] == "epoll"
    assert echo({"backend": "auto"}, {"UC_BACKEND": "epoll"})[0] == "epoll"
    assert echo({"backend": None})[0] == "uring"


def test_where_io_uring_is_refused_epoll_serves_and_one_line_says_why(echo):
    """Three loops, one line, at INFO."""
    backend, reason, logged = echo(preexec_fn=refuse_io_uring)
    assert backend == "epoll"
    assert "seccomp" in reason
    assert "EPERM" in reason
    assert logged == [["INFO", f"the loop runs on epoll: {reason}"]]


def test_io_uring_that_is_asked_for_is_had_or_an_error_says_why(run_python):
    """backend="uring" never falls back."""
    program = "import uringcore_cffi; uringcore_cffi.new_event_loop(backend='uring')"
    done = run_python("-c", program, variables=NEUTRAL, preexec_fn=refuse_io_uring)
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"PermissionError: [Errno {errno.EPERM}] cannot make a ring: io_uring")
    assert "seccomp" in last


def test_the_variable_asks_as_the_argument_does(run_python):
    """UC_BACKEND=uring never falls back either."""
    program = "import uringcore_cffi; uringcore_cffi.new_event_loop()"
    variables = {**NEUTRAL, "UC_BACKEND": "uring"}
    done = run_python("-c", program, variables=variables, preexec_fn=refuse_io_uring)
    assert done.stderr.splitlines()[-1].startswith("PermissionError")


def test_a_wish_for_a_kernel_thread_makes_it_a_warning(run_python):
    """sqpoll="try" is io_uring's alone: who asked for it is warned."""
    program = "import uringcore_cffi as u; u.UringEventLoop(sqpoll='try', backend='epoll').close()"
    done = run_python("-c", program, variables=NEUTRAL)
    assert done.returncode == 0
    assert done.stderr.startswith("the loop runs on epoll: SQPOLL")


def test_a_kernel_thread_that_is_required_is_refused_on_epoll():
    """sqpoll="require" is a condition."""
    with pytest.raises(OSError) as caught:
        uringcore_cffi.UringEventLoop(sqpoll="require", backend="epoll")
    assert caught.value.errno == errno.EOPNOTSUPP


@pytest.mark.parametrize("value", ["io_uring", "", "EPOLL", 1, b"epoll"])
def test_an_unknown_backend_is_a_value_error_that_names_those_known(value):
    """Nothing is made before that."""
    with pytest.raises(ValueError, match="known are auto, uring, epoll") as caught:
        uringcore_cffi.new_event_loop(backend=value)
    assert repr(value) in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("UC_BACKEND", "io_uring", ("UC_BACKEND", "'io_uring'", "auto, uring and epoll")),
        ("UC_DISABLE", "bundle,multi", ("UC_DISABLE", "'multi'", "multishot", "bufring")),
    ],
)
def test_an_unknown_word_in_the_environment_is_a_value_error(monkeypatch, name, value, words):
    """It names the variable, the word, and those that are known."""
    monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=name) as caught:
        uringcore_cffi.new_event_loop()
    assert all(word in str(caught.value) for word in words)


def test_features_are_switched_off_by_the_environment(echo):
    """UC_DISABLE changes what io_uring is used for, not that it is used; and is told."""
    backend, reason, logged = echo(variables={"UC_DISABLE": "multishot,bufring"})
    assert backend == "uring"
    assert "UC_DISABLE" in reason
    assert logged == [["INFO", f"the loop runs on uring: {reason}"]]


@pytest.mark.parametrize("backend", ["uring", "epoll"])
def test_every_way_to_make_a_loop_takes_a_backend(monkeypatch, backend):
    """The class, the factory, run(), the policy."""
    monkeypatch.delenv("UC_BACKEND", raising=False)

    async def told():
        return asyncio.get_running_loop().info().backend

    assert uringcore_cffi.run(told(), backend=backend) == backend
    makers = (
        uringcore_cffi.UringEventLoop,
        uringcore_cffi.new_event_loop,
        lambda backend: uringcore_cffi.EventLoopPolicy(backend=backend).new_event_loop(),
    )
    for make in makers:
        loop = make(backend=backend)
        assert loop.info().backend == backend
        loop.close()


def test_installed_with_a_backend(run_python):
    """install(backend=...) is for programs that use asyncio's own names."""
    program = (
        "import asyncio, uringcore_cffi; uringcore_cffi.install(backend='epoll'); "
        "loop = asyncio.new_event_loop(); print(loop.info().backend); loop.close()"
    )
    assert run_python("-c", program, variables=NEUTRAL).stdout == "epoll\n"


def info(reason: str) -> Info:
    """Make what a loop would tell."""
    return Info("epoll", "6.1.0", (), (), 128, 4096, 0, 0, reason)


def test_each_reason_is_told_once(caplog):
    """One line for each reason; none where nothing is amiss."""
    with caplog.at_level(logging.INFO, "uringcore_cffi"):
        for reason in ("first of this test", "second of this test", "first of this test", ""):
            tell_reason(info(reason), was_asked_for=False)
    assert caplog.messages == [
        "the loop runs on epoll: first of this test",
        "the loop runs on epoll: second of this test",
    ]


def test_a_reason_that_was_told_is_told_again_as_a_warning(caplog):
    """Who sees warnings only, and asks for what is refused, must not miss it."""
    with caplog.at_level(logging.INFO, "uringcore_cffi"):
        for was_asked_for in (False, True, True, False):
            tell_reason(info("first a hint"), was_asked_for=was_asked_for)
    assert [record.levelname for record in caplog.records] == ["INFO", "WARNING"]


def test_a_forked_child_tells_its_own(caplog, fork):
    """The parent's line may be in another file."""

    def child():
        caplog.clear()
        tell_reason(info("the same in both"), was_asked_for=False)
        assert caplog.messages == ["the loop runs on epoll: the same in both"]

    with caplog.at_level(logging.INFO, "uringcore_cffi"):
        tell_reason(info("the same in both"), was_asked_for=False)
        fork(child).join()


def test_an_inherited_loop_chooses_again_and_tells(loop, fork):
    """A child under a filter runs its parent's loop on epoll."""
    loop.run_until_complete(asyncio.sleep(0))

    def child():
        refuse_io_uring()
        loop.run_until_complete(asyncio.sleep(0))
        assert loop.info().backend == "epoll"
        assert "seccomp" in loop.info().reason
        loop.close()

    if os.environ.get("UC_BACKEND", "") not in ("", "auto"):
        pytest.skip("the environment has chosen")
    fork(child).join()


def test_a_refusal_between_making_and_running_is_told_as_one(fork):
    """Not as another thread's loop; and the loop can be closed."""

    def child():
        try:
            loop = uringcore_cffi.UringEventLoop(backend="uring")
        except OSError:
            return  # refused before
        refuse(IO_URING_REGISTER, errno.EPERM)
        for _ in range(2):
            with pytest.raises(PermissionError, match="io_uring is refused") as caught:
                loop.run_forever()
            assert "restricted" not in repr(caught.value.__context__)
        loop.close()

    fork(child).join()


def test_an_inherited_loop_that_asked_for_a_kernel_thread_warns(fork, caplog):
    """What is a warning in the parent is one in a child."""
    if os.environ.get("UC_BACKEND", "") not in ("", "auto"):
        pytest.skip("the environment has chosen")
    loop = uringcore_cffi.new_event_loop(sqpoll="try")

    def child():
        refuse_io_uring()
        caplog.clear()
        loop.run_until_complete(asyncio.sleep(0))
        assert [record.levelname for record in caplog.records] == ["WARNING"]
        loop.close()

    fork(child).join()
    loop.close()
