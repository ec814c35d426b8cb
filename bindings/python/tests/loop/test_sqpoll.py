"""Loops with a kernel thread that submits."""

from __future__ import annotations

import asyncio
import errno
import socket

import pytest
from echoes import echo_to_many
from leaks import nothing_left
from processes import last_cpu

import uringcore_cffi


def has_sqpoll(loop) -> bool:
    return "sqpoll" in loop.info().features


@pytest.fixture
def sqpoll_loop():
    """Make a loop with the kernel thread, which soon falls asleep."""
    made = uringcore_cffi.new_event_loop(sqpoll="try", sqpoll_idle_ms=5)
    yield made
    made.close()


def test_what_was_tried_is_told(sqpoll_loop):
    """The thread is in use, or the reason why it is not stands there."""
    info = sqpoll_loop.info()
    assert has_sqpoll(sqpoll_loop) != ("SQPOLL" in info.reason.upper())
    assert info.sqpoll_cpu is None


def test_a_loop_without_it_says_nothing():
    """Off is not a wish that failed."""
    loop = uringcore_cffi.new_event_loop(sqpoll="off")
    assert not has_sqpoll(loop)
    assert "sqpoll" not in loop.info().features_stripped
    loop.close()


def test_only_the_three_words_are_known():
    """ValueError names them; a CPU without a thread is a ValueError too."""
    for wrong in ("on", "", 1, None):
        with pytest.raises(ValueError, match="'off', 'try', 'require'"):
            uringcore_cffi.new_event_loop(sqpoll=wrong)
    with pytest.raises(ValueError, match="sqpoll_cpu needs sqpoll"):
        uringcore_cffi.new_event_loop(sqpoll="off", sqpoll_cpu=0)


def test_what_is_required_and_refused_is_an_error():
    """No loop is made in place of the one that was asked for."""
    bit = 1 << 9  # UC_FEATURE_SQPOLL
    with pytest.raises(OSError, match="SQPOLL") as caught:
        uringcore_cffi.new_event_loop(sqpoll="require", features_off=bit)
    assert caught.value.errno == errno.EOPNOTSUPP


def test_the_thread_stays_on_its_cpu():
    """info() tells which; a CPU that there is not is told as the reason."""
    cpu = last_cpu()
    loop = uringcore_cffi.new_event_loop(sqpoll="try", sqpoll_cpu=cpu)
    try:
        if not has_sqpoll(loop):
            pytest.skip("SQPOLL is refused here")
        assert loop.info().sqpoll_cpu == cpu
    finally:
        loop.close()
    loop = uringcore_cffi.new_event_loop(sqpoll="try", sqpoll_cpu=100_000)
    assert loop.info().sqpoll_cpu is None
    assert "CPU 100000" in loop.info().reason
    loop.close()


def test_many_connections_are_served(sqpoll_loop):
    """Every byte of forty connections comes back."""
    sqpoll_loop.run_until_complete(echo_to_many(40, 20_000))
    assert sqpoll_loop.stats().stale == 0


def test_a_socket_closed_while_it_is_received_from_reads_nobody_elses_data(sqpoll_loop):
    """Its number is another's at once; what that one has to read stays there."""

    async def main():
        stranger, peer = socket.socketpair()
        with stranger, peer:
            peer.send(b"stranger")
            for _ in range(300):
                ours, other = socket.socketpair()
                ours.setblocking(False)
                number = ours.fileno()
                receiving = asyncio.ensure_future(sqpoll_loop.sock_recv(ours, 100))
                await asyncio.sleep(0)
                receiving.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await receiving
                ours.close()
                other.close()
                reused = stranger.dup()
                assert reused.fileno() == number
                await asyncio.sleep(0)
                reused.close()
            stranger.setblocking(False)
            assert stranger.recv(100) == b"stranger"

    sqpoll_loop.run_until_complete(main())


def test_a_loop_that_never_sleeps_gets_its_completions(sqpoll_loop):
    """With something ready in every turn the loop asks without waiting, and is answered."""

    async def main():
        ours, other = socket.socketpair()
        with ours, other:
            ours.setblocking(False)
            receiving = asyncio.ensure_future(sqpoll_loop.sock_recv(ours, 100))
            await asyncio.sleep(0)
            other.send(b"x")
            deadline = sqpoll_loop.time() + 20
            while not receiving.done() and sqpoll_loop.time() < deadline:
                await asyncio.sleep(0)
            assert receiving.done()
            assert await receiving == b"x"

    sqpoll_loop.run_until_complete(main())


def test_nothing_is_left_of_it():
    """The ring, its thread and its descriptors go with the loop."""
    with nothing_left():
        loop = uringcore_cffi.new_event_loop(sqpoll="try")
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
