"""Subprocesses in numbers, without pidfd, and when the loop ends first: nothing is left behind."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import signal
import subprocess
import sys
import warnings

import pytest
from garbage import collect

import uringcore_cffi


@pytest.fixture(autouse=True)
def _no_child_is_left():
    """After every test the process has no child, running or zombie."""
    yield
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


async def run_true() -> None:
    """Run a child that ends at once."""
    process = await asyncio.create_subprocess_exec("/bin/true")
    assert await process.wait() == 0


async def talk() -> None:
    """Have a child say back what it is told, and end with a code of its own."""
    process = await asyncio.create_subprocess_exec(
        "/bin/sh", "-c", "cat; exit 4", stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert await process.communicate(b"said") == (b"said", None)
    assert process.returncode == 4


@pytest.mark.heavy
@pytest.mark.timeout(300)
def test_short_children_in_a_row_leave_nothing(loop):
    """Two thousand, each ended before the next begins: no zombie, no descriptor."""

    async def main():
        for _ in range(20):  # the loop opens what it needs for this once
            await run_true()
        collect()
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(2000):
            await run_true()
        collect()
        assert len(os.listdir("/proc/self/fd")) <= before

    loop.run_until_complete(main())
    assert not loop._children


def test_two_hundred_children_at_once_are_all_told(loop):
    """Each with its own code."""

    async def run(code):
        process = await asyncio.create_subprocess_exec("/bin/sh", "-c", f"exit {code}")
        return await process.wait()

    async def main():
        codes = list(range(200))
        assert await asyncio.gather(*(run(code) for code in codes)) == codes

    loop.run_until_complete(main())
    assert not loop._children


def refused(pid):
    """Answer as a kernel, or a sandbox, without pidfd_open()."""
    raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))


@pytest.mark.parametrize("how", ["refused", "missing"])
def test_without_pidfd_a_thread_waits(loop, monkeypatch, how):
    """Where the kernel refuses, and where Python has no pidfd_open()."""
    if how == "refused":
        monkeypatch.setattr(os, "pidfd_open", refused, raising=False)
    else:
        monkeypatch.delattr(os, "pidfd_open", raising=False)

    async def main():
        await asyncio.gather(*(talk() for _ in range(5)))
        await run_true()
        process = await asyncio.create_subprocess_exec("sleep", "60")
        process.kill()
        assert await process.wait() == -signal.SIGKILL

    loop.run_until_complete(main())
    assert not loop._children


def test_a_child_that_is_killed_by_somebody_else_is_told(loop):
    """Somebody sends it a signal behind the loop's back."""

    async def main():
        process = await asyncio.create_subprocess_exec("sleep", "60")
        os.kill(process.pid, signal.SIGTERM)
        assert await process.wait() == -signal.SIGTERM

    loop.run_until_complete(main())


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="a thread waits, and may be first")
def test_a_child_that_somebody_else_has_reaped_is_reported_as_255(loop, caplog):
    """With one warning, because the status is lost; nobody waits for ever."""
    caplog.set_level(logging.WARNING, "asyncio")

    async def main():
        process = await asyncio.create_subprocess_exec(
            "/bin/sh", "-c", "read line; exit 3", stdin=subprocess.PIPE
        )
        process.stdin.write(b"\n")
        os.waitpid(process.pid, 0)  # in the same turn: the loop cannot have looked before
        assert await asyncio.wait_for(process.wait(), 20) == 255

    loop.run_until_complete(main())
    assert [r.levelname for r in caplog.records] == ["WARNING"]
    assert "exit status already read" in caplog.text
    assert not loop._children


def test_a_loop_in_another_thread_runs_children(run_in_thread):
    """Without a watcher, a policy, or anything from the main thread."""

    def run():
        loop = uringcore_cffi.new_event_loop()
        try:
            loop.run_until_complete(asyncio.wait_for(talk(), 20))
        finally:
            loop.close()

    run_in_thread(run)


@pytest.fixture
def run_in_thread():
    """Run a function in a thread of its own; raise what it raised."""
    import concurrent.futures

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        yield lambda function: pool.submit(function).result(30)


def test_closing_the_loop_first_leaves_no_descriptor():
    """The child runs on, and is the user's; what the loop watched it with is closed."""
    before = os.listdir("/proc/self/fd")
    loop = uringcore_cffi.new_event_loop()

    async def start():
        return await asyncio.create_subprocess_exec("sleep", "60")

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        process = loop.run_until_complete(start())
        loop.close()
        collect()
        assert len(os.listdir("/proc/self/fd")) == len(before)
        os.kill(process.pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):  # where a thread waits, it may be first
            os.waitpid(process.pid, 0)
        process._transport._proc.returncode = -signal.SIGKILL
        process._transport.close()
        del process
        collect()


def test_a_forked_child_does_not_take_the_parents_children(loop, fork):
    """The exit is the parent's to hear of; the child that closes the loop disturbs nothing."""

    async def start():
        return await asyncio.create_subprocess_exec(
            "/bin/sh", "-c", "read line; exit 6", stdin=subprocess.PIPE
        )

    process = loop.run_until_complete(start())

    def child():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            loop.run_until_complete(asyncio.sleep(0))
            loop.close()

    fork(child).join()

    async def finish():
        process.stdin.write(b"\n")
        return await process.wait()

    assert loop.run_until_complete(finish()) == 6


def test_a_child_of_python_sees_an_ordinary_process(loop):
    """Its signals are not ours: SIGUSR1 ends it, although the loop handles it here."""
    loop.add_signal_handler(signal.SIGUSR1, pytest.fail, "it was for the child")

    async def main():
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", "import os, signal; os.kill(os.getpid(), signal.SIGUSR1)"
        )
        assert await process.wait() == -signal.SIGUSR1
        await asyncio.sleep(0)

    loop.run_until_complete(main())
    loop.remove_signal_handler(signal.SIGUSR1)
