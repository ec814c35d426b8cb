"""Loops that look for completions before they sleep."""

from __future__ import annotations

import asyncio
import socket

import pytest

import uringcore_cffi


def ping(loop) -> None:
    """Send a byte to and fro, twenty times."""
    one, other = socket.socketpair()

    async def echo():
        reader, writer = await asyncio.open_connection(sock=other)
        while data := await reader.read(1):
            writer.write(data)
        writer.close()
        await writer.wait_closed()

    async def ask():
        task = asyncio.ensure_future(echo())
        reader, writer = await asyncio.open_connection(sock=one)
        for _ in range(20):
            writer.write(b"?")
            assert await reader.readexactly(1) == b"?"
        await asyncio.sleep(0.005)  # what it waits for is found by looking, or not
        writer.close()
        await writer.wait_closed()
        await task

    loop.run_until_complete(ask())


@pytest.mark.parametrize("busy_poll_us", [0, 1000])
def test_it_is_done_only_where_it_was_asked_for(busy_poll_us):
    """And counted; epoll has nothing to look at."""
    loop = uringcore_cffi.new_event_loop(busy_poll_us=busy_poll_us)
    try:
        ping(loop)
        stats = loop.stats()
        expected = busy_poll_us > 0 and loop.info().backend == "uring"
        assert (stats.busy_polls > 0) == expected
        assert stats.busy_poll_hits <= stats.busy_polls
    finally:
        loop.close()


def test_a_millisecond_is_the_most():
    """The error names the option and its limit."""
    with pytest.raises(ValueError, match="busy_poll_us up to 1000"):
        uringcore_cffi.new_event_loop(busy_poll_us=1001)
