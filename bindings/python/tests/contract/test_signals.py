"""add_signal_handler(): what asyncio promises of it, on both loops."""

from __future__ import annotations

import asyncio
import functools
import os
import signal
import threading

import pytest
from steps import turns

NUMBERS = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP)


@pytest.fixture(autouse=True)
def _dispositions():
    """Leave every signal and the wake-up descriptor as they were."""
    numbers = (*NUMBERS, signal.SIGINT, signal.SIGCHLD)
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, before):
        signal.signal(number, handler)
    signal.set_wakeup_fd(-1)


def test_a_signal_calls_its_handler_with_its_arguments(loop):
    """In the loop, after the code that it came in."""
    got = []

    async def main():
        loop.add_signal_handler(signal.SIGUSR1, lambda *args: got.append(args), 1, "b")
        os.kill(os.getpid(), signal.SIGUSR1)
        assert got == []
        while not got:
            await asyncio.sleep(0)
        assert loop.remove_signal_handler(signal.SIGUSR1) is True

    loop.run_until_complete(main())
    assert got == [(1, "b")]


def test_a_signal_from_a_thread_wakes_a_loop_that_sleeps(loop):
    """At once, although nothing else happens."""
    loop.add_signal_handler(signal.SIGUSR1, loop.stop)
    thread = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGUSR1))
    thread.start()
    loop.run_forever()
    thread.join()
    loop.remove_signal_handler(signal.SIGUSR1)


def test_a_signal_that_comes_while_the_loop_does_not_run_is_kept(loop):
    """Before the first run, and between two."""
    loop.add_signal_handler(signal.SIGUSR1, loop.stop)
    for _ in range(3):
        signal.raise_signal(signal.SIGUSR1)
        loop.run_forever()
    loop.remove_signal_handler(signal.SIGUSR1)


def test_several_signals_each_call_their_handler_in_order(loop):
    """None hides another."""
    got = []

    async def main():
        for number in NUMBERS:
            loop.add_signal_handler(number, got.append, number)
        for number in NUMBERS:
            signal.raise_signal(number)
        while len(got) < len(NUMBERS):
            await asyncio.sleep(0)
        await turns(3)

    loop.run_until_complete(main())
    assert got == list(NUMBERS)
    for number in NUMBERS:
        assert loop.remove_signal_handler(number) is True


def test_another_handler_takes_the_place_of_the_one_before(loop):
    """Only the last is called, and one removal removes it."""
    loop.add_signal_handler(signal.SIGUSR1, pytest.fail, "replaced")
    loop.add_signal_handler(signal.SIGUSR1, loop.stop)
    signal.raise_signal(signal.SIGUSR1)
    loop.run_forever()
    assert loop.remove_signal_handler(signal.SIGUSR1) is True
    assert loop.remove_signal_handler(signal.SIGUSR1) is False


@pytest.mark.parametrize(
    ("number", "default"),
    [(signal.SIGUSR1, signal.SIG_DFL), (signal.SIGINT, signal.default_int_handler)],
)
def test_removing_gives_the_default_back(loop, number, default):
    """For SIGINT that is KeyboardInterrupt."""
    loop.add_signal_handler(number, print)
    assert signal.getsignal(number) is not default
    assert loop.remove_signal_handler(number) is True
    assert signal.getsignal(number) == default


def test_closing_the_loop_removes_the_handlers(loop):
    """And signals write to nobody any more."""
    for number in NUMBERS:
        loop.add_signal_handler(number, print)
    loop.close()
    for number in NUMBERS:
        assert signal.getsignal(number) == signal.SIG_DFL
    assert signal.set_wakeup_fd(-1) == -1


def test_a_handler_of_sigint_keeps_the_interrupt_away(loop):
    """Without one KeyboardInterrupt comes out of the run, and the loop can be used again."""
    loop.add_signal_handler(signal.SIGINT, loop.stop)
    signal.raise_signal(signal.SIGINT)
    loop.run_forever()
    loop.remove_signal_handler(signal.SIGINT)
    loop.call_soon(signal.raise_signal, signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        loop.run_forever()
    loop.run_until_complete(turns(3))


def test_an_exception_in_a_handler_is_reported(loop):
    """The handler stays and is called again."""
    calls = []

    def fail():
        calls.append(1)
        raise ZeroDivisionError

    async def main():
        loop.add_signal_handler(signal.SIGUSR1, fail)
        for count in (1, 2):
            signal.raise_signal(signal.SIGUSR1)
            while len(calls) < count:
                await asyncio.sleep(0)

    loop.run_until_complete(main())
    assert len(loop.problems) == 2
    loop.problems.clear()
    loop.remove_signal_handler(signal.SIGUSR1)


async def coroutine_function():
    """Stand for what is refused."""


@pytest.mark.parametrize(
    "callback",
    [coroutine_function, functools.partial(coroutine_function)],
    ids=["plain", "partial"],
)
def test_a_coroutine_function_is_a_type_error(loop, callback):
    """It would never be awaited."""
    with pytest.raises(TypeError, match="coroutine"):
        loop.add_signal_handler(signal.SIGUSR1, callback)
    assert signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL


def test_a_coroutine_is_a_type_error(loop):
    """Also one that was made already."""
    coroutine = coroutine_function()
    with pytest.raises(TypeError, match="coroutine"):
        loop.add_signal_handler(signal.SIGUSR1, coroutine)
    coroutine.close()


@pytest.mark.parametrize(
    ("number", "error"), [(0, ValueError), (-1, ValueError), (1000, ValueError), ("x", TypeError)]
)
def test_what_is_no_signal_is_refused(loop, number, error):
    """By both methods."""
    with pytest.raises(error):
        loop.add_signal_handler(number, print)
    with pytest.raises(error):
        loop.remove_signal_handler(number)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_what_cannot_be_caught_is_a_runtime_error(loop, number):
    """Nothing is kept of it."""
    with pytest.raises(RuntimeError, match="cannot be caught"):
        loop.add_signal_handler(number, print)
    assert loop.remove_signal_handler(number) is False
    assert signal.set_wakeup_fd(-1) == -1


def test_another_thread_than_the_main_one_is_refused(loop):
    """RuntimeError; only the main thread gets signals in Python."""
    errors = []

    def add():
        try:
            loop.add_signal_handler(signal.SIGUSR1, print)
        except BaseException as exc:
            errors.append(exc)

    thread = threading.Thread(target=add)
    thread.start()
    thread.join()
    assert [type(error) for error in errors] == [RuntimeError]
    assert loop.remove_signal_handler(signal.SIGUSR1) is False


def test_a_closed_loop_refuses(loop):
    """RuntimeError, and the signal keeps its default."""
    loop.close()
    with pytest.raises(RuntimeError, match="closed"):
        loop.add_signal_handler(signal.SIGUSR1, print)
    assert signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL
