"""call_later, call_at and the clock."""

from __future__ import annotations

import asyncio
import random
import time
import weakref

import pytest
from garbage import collect
from steps import run_turns


def test_timers_run_in_the_order_of_their_times(loop):
    """A thousand timers, called in any order; equal times in the order of the calls."""
    rng = random.Random(1)
    now = loop.time()
    times = [now + rng.randrange(50) / 10_000 for _ in range(1000)]
    seen = []
    for number, when in enumerate(times):
        loop.call_at(when, seen.append, (when, number))
    loop.call_at(now + 0.006, loop.stop)
    loop.run_forever()
    assert seen == sorted((when, number) for number, when in enumerate(times))


def test_a_timer_is_never_early(loop):
    """When it runs, its time has come."""
    for delay in (0, 1e-9, 0.0001, 0.001, 0.0105):
        wanted = loop.time() + delay
        loop.call_at(wanted, loop.stop)
        loop.run_forever()
        assert loop.time() >= wanted - loop._clock_resolution


def test_a_timer_knows_its_time(loop):
    """when() is what was asked for."""
    timer = loop.call_at(12345.5, int)
    assert isinstance(timer, asyncio.TimerHandle)
    assert timer.when() == 12345.5
    assert loop.time() < loop.call_later(100, int).when() <= loop.time() + 100


def test_a_delay_must_be_a_number(loop):
    """None is a TypeError at once, not in the loop."""
    with pytest.raises(TypeError):
        loop.call_later(None, int)
    with pytest.raises(TypeError):
        loop.call_at(None, int)


def test_thousands_of_cancelled_timers_take_no_room(loop):
    """Cancelled timers are dropped before their time; those that are wanted stay and run."""
    seen = []
    for number in range(200):
        loop.call_later(0.001, seen.append, number)
    wanted = loop.call_later(1800, int)  # before all that are cancelled
    for _ in range(50):
        for _ in range(200):
            loop.call_later(3600, int).cancel()
        run_turns(loop)
    assert len(loop._scheduled) < 1000
    while len(seen) < 200:
        run_turns(loop)
    assert seen == list(range(200))
    run_turns(loop)
    assert loop._timer_cancelled_count <= len(loop._scheduled)
    assert wanted in [timer[2] for timer in loop._scheduled]


def test_cancelling_drops_what_the_timer_held(loop):
    """The callback and its arguments are let go of at once."""

    class Argument:
        pass

    argument = Argument()
    gone = weakref.ref(argument)
    timer = loop.call_later(3600, print, argument)
    del argument
    timer.cancel()
    timer.cancel()
    collect()
    assert gone() is None
    assert timer.cancelled()


def test_the_count_of_cancelled_timers_is_exact(loop):
    """Whatever is cancelled when, waiting, due or run: the count comes back to 0."""
    rng = random.Random(2)
    timers = []
    for _ in range(300):
        timers.append(loop.call_later(rng.randrange(4) / 2000, lambda: rng.choice(timers).cancel()))
        if rng.random() < 0.5:
            rng.choice(timers).cancel()
        if rng.random() < 0.1:
            run_turns(loop)
    while loop._scheduled:
        run_turns(loop)
    assert loop._timer_cancelled_count == 0


def test_the_time_is_never_cached(loop):
    """Within one callback time goes on: programs measure with it."""
    seen = []

    def look():
        start, seconds = time.perf_counter(), loop.time()
        while time.perf_counter() < start + 0.002:
            pass
        seen.append(loop.time() - seconds)

    loop.call_soon(look)
    run_turns(loop)
    assert seen[0] >= 0.0019
