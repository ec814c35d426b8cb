"""Subprocesses: what asyncio promises of them, on both loops."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import sys
import warnings

import pytest
from steps import cancel

PIPE = subprocess.PIPE


@pytest.fixture(autouse=True)
def _watched(loop):
    """Have the stock loop watch children, which it needs the policy for up to 3.13."""
    if not isinstance(loop, asyncio.SelectorEventLoop) or sys.version_info >= (3, 14):
        yield
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        asyncio.set_child_watcher(asyncio.ThreadedChildWatcher())
        yield
        asyncio.set_child_watcher(None)


async def shell(script, **options):
    """Start /bin/sh with a script."""
    return await asyncio.create_subprocess_exec("/bin/sh", "-c", script, **options)


@pytest.mark.parametrize("code", [0, 1, 7, 255])
def test_the_exit_code_is_told(loop, code):
    """By wait(), and by returncode afterwards."""

    async def main():
        process = await shell(f"exit {code}")
        assert await process.wait() == code
        assert process.returncode == code

    loop.run_until_complete(main())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGUSR1])
def test_a_signal_that_ended_it_is_told_negatively(loop, number):
    """Sent by send_signal()."""

    async def main():
        process = await asyncio.create_subprocess_exec("sleep", "60")
        process.send_signal(number)
        assert await process.wait() == -number

    loop.run_until_complete(main())


def test_megabytes_go_both_ways(loop):
    """Through stdin and stdout at once, with nothing lost at the end."""
    data = os.urandom(5 << 20)

    async def main():
        process = await asyncio.create_subprocess_exec("cat", stdin=PIPE, stdout=PIPE)
        out, err = await process.communicate(data)
        assert out == data
        assert err is None
        assert process.returncode == 0

    loop.run_until_complete(main())


def test_all_output_comes_before_the_end(loop):
    """A child that writes megabytes to both and ends at once: not a byte is missing."""
    script = "head -c 3000000 /dev/zero; head -c 2000000 /dev/zero >&2; exit 3"

    async def main():
        process = await shell(script, stdout=PIPE, stderr=PIPE)
        out, err = await process.communicate()
        assert (len(out), len(err), process.returncode) == (3_000_000, 2_000_000, 3)

    loop.run_until_complete(main())


def test_the_protocol_is_told_in_order(loop):
    """Output, ends of the pipes, the exit, and last of all the connection's loss."""
    calls = []

    class Protocol(asyncio.SubprocessProtocol):
        def connection_made(self, transport):
            calls.append("made")

        def pipe_data_received(self, fd, data):
            calls.append((fd, data))

        def pipe_connection_lost(self, fd, exc):
            calls.append(("lost", fd, exc))

        def process_exited(self):
            calls.append("exited")

        def connection_lost(self, exc):
            calls.append("end")
            ended.set_result(exc)

    ended = loop.create_future()

    async def main():
        transport, _ = await loop.subprocess_exec(
            Protocol, "/bin/sh", "-c", "echo out", stdin=None, stderr=None
        )
        assert await asyncio.wait_for(ended, 20) is None
        assert transport.get_returncode() == 0
        transport.close()

    loop.run_until_complete(main())
    assert calls[0] == "made"
    assert calls[-1] == "end"
    assert calls.index((1, b"out\n")) < calls.index(("lost", 1, None))
    assert calls.count("exited") == 1


def test_two_tasks_may_wait_for_one_child(loop):
    """Both are told, and whoever asks later too; one of them may be cancelled."""

    async def main():
        process = await shell("read line; exit 5", stdin=PIPE)
        waiters = [loop.create_task(process.wait()) for _ in range(3)]
        await asyncio.sleep(0)
        assert await cancel(waiters.pop())
        process.stdin.write(b"\n")
        assert await asyncio.gather(*waiters) == [5, 5]
        assert await process.wait() == 5

    loop.run_until_complete(main())


def test_a_program_that_is_not_there_is_told_at_once(loop):
    """FileNotFoundError from the call itself."""

    async def main():
        with pytest.raises(FileNotFoundError):
            await asyncio.create_subprocess_exec("/nonexistent/program")

    loop.run_until_complete(main())


def test_closing_the_transport_kills_the_child(loop):
    """close() ends a child that runs, and the protocol is told."""

    async def main():
        transport, _ = await loop.subprocess_exec(
            asyncio.SubprocessProtocol, "sleep", "60", stdin=None, stdout=None, stderr=None
        )
        pid = transport.get_pid()
        transport.close()
        await asyncio.wait_for(transport._wait(), 20)
        assert transport.get_returncode() == -signal.SIGKILL
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)

    loop.run_until_complete(main())


def test_starting_may_be_cancelled_at_any_turn(loop):
    """No child is left behind, whenever the cancellation comes."""

    async def main():
        for turns in range(12):
            task = loop.create_task(
                asyncio.create_subprocess_exec("sleep", "60", stdin=PIPE, stdout=PIPE)
            )
            for _ in range(turns):
                await asyncio.sleep(0)
            if not await cancel(task):
                process = task.result()
                process.kill()
                await process.communicate()

    loop.run_until_complete(main())
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_the_users_handler_of_sigchld_is_untouched(loop):
    """It is called for our children too, and is still there afterwards."""
    calls = []

    def note(*_):
        calls.append(1)

    before = signal.signal(signal.SIGCHLD, note)
    try:

        async def main():
            for code in range(3):
                process = await shell(f"exit {code}")
                assert await process.wait() == code

        loop.run_until_complete(main())
        assert signal.getsignal(signal.SIGCHLD) is note
        assert calls
    finally:
        signal.signal(signal.SIGCHLD, before)


def test_ignoring_sigchld_still_tells_of_the_end(loop, caplog):
    """The kernel reaps by itself then: the code is unknown, but nobody waits for ever."""
    caplog.set_level(logging.CRITICAL, "asyncio")
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:

        async def main():
            process = await shell("exit 3")
            assert await asyncio.wait_for(process.wait(), 20) in (3, 255)

        loop.run_until_complete(main())
    finally:
        signal.signal(signal.SIGCHLD, before)
