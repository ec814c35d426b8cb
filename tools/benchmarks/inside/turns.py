"""Scheduling: callbacks and tasks, turn by turn."""

from __future__ import annotations

import asyncio

from benchmarks.inside.timing import Watch, in_task, on_loop, watch_run

BATCH = 1000
GATHERED = 100


@on_loop
def call_soon_chain(loop: asyncio.AbstractEventLoop, count: int) -> Watch:
    """Each callback schedules the next: a turn of the loop for each."""
    left = count

    def step() -> None:
        nonlocal left
        left -= 1
        if left > 0:
            loop.call_soon(step)
        else:
            loop.stop()

    return watch_run(loop, step)


@on_loop
def call_soon_batch(loop: asyncio.AbstractEventLoop, count: int) -> Watch:
    """Many callbacks in a turn."""
    left = count

    def nothing() -> None:
        pass

    def fill() -> None:
        nonlocal left
        part = min(left, BATCH)
        left -= part
        for _ in range(part):
            loop.call_soon(nothing)
        if left:
            loop.call_soon(fill)
        else:
            loop.call_soon(loop.stop)

    return watch_run(loop, fill)


@in_task
async def sleep_zero(count: int) -> Watch:
    """Give way to others, of whom there are none."""
    with Watch() as watch:
        for _ in range(count):
            await asyncio.sleep(0)
    return watch


async def _nothing() -> None:
    pass


@in_task
async def gather(count: int) -> Watch:
    """Wait for a hundred tasks that end at once."""
    with Watch() as watch:
        for _ in range(count):
            await asyncio.gather(*(_nothing() for _ in range(GATHERED)))
    return watch


@in_task
async def create_task(count: int) -> Watch:
    """Make a task and wait for it."""
    loop = asyncio.get_running_loop()
    with Watch() as watch:
        for _ in range(count):
            await loop.create_task(_nothing())
    return watch
