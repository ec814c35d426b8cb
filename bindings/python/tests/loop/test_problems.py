"""Exceptions in callbacks, and what debug mode tells and refuses."""

from __future__ import annotations

import asyncio
import logging
import re
import socket
import time

import pytest
from steps import run_turns


@pytest.mark.parametrize("debug", [False, True])
def test_an_exception_goes_to_the_handler_and_the_loop_goes_on(loop, debug):
    """The context names the callback; the next callback runs."""
    loop.set_debug(debug)
    seen = []

    def fail_on_purpose():
        raise ZeroDivisionError

    handle = loop.call_soon(fail_on_purpose)
    loop.call_later(0, fail_on_purpose)
    loop.call_soon(seen.append, 1)
    while len(loop.problems) < 2:
        run_turns(loop)
    assert seen == [1]
    for problem in loop.problems:
        assert problem["message"].startswith("Exception in callback ")
        assert "fail_on_purpose" in problem["message"]
        assert type(problem["exception"]) is ZeroDivisionError
        assert ("source_traceback" in problem) is debug
    assert loop.problems[0]["handle"] is handle
    loop.problems.clear()


def test_an_exception_without_a_handler_is_logged(loop, caplog):
    """The default handler writes an error with the traceback."""
    loop.set_exception_handler(None)
    loop.call_soon(lambda: 1 / 0)
    with caplog.at_level(logging.ERROR, logger="asyncio"):
        run_turns(loop)
    (record,) = caplog.records
    assert "Exception in callback" in record.getMessage()
    assert record.exc_info[0] is ZeroDivisionError


def test_debug_mode_warns_of_slow_callbacks(loop, caplog):
    """Callback, timer, task and protocol: each is named with its duration."""
    loop.set_debug(True)
    loop.slow_callback_duration = 0.01

    def dawdle(*_):
        end = time.perf_counter() + 0.012
        while time.perf_counter() < end:
            pass

    async def dawdling():
        dawdle()

    with caplog.at_level(logging.WARNING, logger="asyncio"):
        loop.call_soon(dawdle)
        loop.call_later(0, dawdle)
        loop.run_until_complete(dawdling())
        run_turns(loop, 2)
    texts = [record.getMessage() for record in caplog.records]
    assert len(texts) == 3
    assert all(text.startswith("Executing <") and " seconds" in text for text in texts)
    assert sum("dawdling" in text for text in texts) == 1
    assert sum("TimerHandle" in text for text in texts) == 1


def test_debug_mode_warns_of_a_slow_protocol(loop, caplog):
    """A data_received() that blocks is as bad as any callback."""
    loop.set_debug(True)
    loop.slow_callback_duration = 0.01

    class Slow(asyncio.Protocol):
        def data_received(self, data):
            end = time.perf_counter() + 0.012
            while time.perf_counter() < end:
                pass

        def connection_lost(self, exc):
            lost.set_result(None)

    lost = loop.create_future()

    async def main():
        with socket.create_server(("127.0.0.1", 0)) as server:
            await loop.create_connection(Slow, *server.getsockname())
            peer, _ = server.accept()
        with peer:
            peer.sendall(b"x")
        await lost

    with caplog.at_level(logging.WARNING, logger="asyncio"):
        loop.run_until_complete(main())
    took = [re.search(r"Executing .* took (\S+) seconds", text) for text in caplog.messages]
    assert any(found and float(found[1]) >= 0.012 for found in took)


def test_debug_mode_tells_where_a_handle_was_made(loop):
    """The last frame is the caller's, whichever method made the handle."""
    loop.set_debug(True)
    handles = [
        loop.call_soon(int),
        loop.call_soon_threadsafe(int),
        loop.call_later(0, int),
        loop.call_at(0, int),
    ]
    for handle in handles:
        frame = handle._source_traceback[-1]
        assert frame.filename == __file__
        assert "call_" in frame.line
    run_turns(loop)


@pytest.mark.parametrize("wrong", ["text", None])
def test_debug_mode_refuses_what_is_no_callback(loop, wrong):
    """A TypeError at the call instead of in the loop; coroutines too."""
    loop.set_debug(True)

    async def coroutine():
        pass

    for callback in (wrong, coroutine):
        for call in (
            lambda c=callback: loop.call_soon(c),
            lambda c=callback: loop.call_later(0, c),
            lambda c=callback: loop.call_at(0, c),
        ):
            with pytest.raises(TypeError):
                call()
