"""Scheduling: timers."""

from __future__ import annotations

import asyncio

from benchmarks.inside.timing import Watch, on_loop, watch_run

DELAY_SECONDS = 0.001
BATCH = 10_000


def _nothing() -> None:
    pass


@on_loop
def call_later_cancel(loop: asyncio.AbstractEventLoop, count: int) -> Watch:
    """Set a time limit and take it back: what asyncio.timeout() and most clients do.

    A turn passes now and then, because loops clean up behind cancelled timers in their turns.
    """
    left = count

    def step() -> None:
        nonlocal left
        part = min(left, 100)
        left -= part
        for _ in range(part):
            loop.call_later(60, _nothing).cancel()
        if left:
            loop.call_soon(step)
        else:
            loop.stop()

    return watch_run(loop, step)


@on_loop
def call_later_fires(loop: asyncio.AbstractEventLoop, count: int) -> Watch:
    """Thousands of timers of a millisecond, set at once.

    So many that setting them takes longer than they wait: what is seen is their cost, and loops
    whose clock ticks in milliseconds are not punished for it.
    """
    to_set = to_fire = count

    def fired() -> None:
        nonlocal to_fire
        to_fire -= 1
        if to_fire == 0:
            loop.stop()

    def fill() -> None:
        nonlocal to_set
        part = min(to_set, BATCH)
        to_set -= part
        for _ in range(part):
            loop.call_later(DELAY_SECONDS, fired)
        if to_set:
            loop.call_soon(fill)

    return watch_run(loop, fill)
