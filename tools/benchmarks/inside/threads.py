"""Scheduling: other threads."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

from benchmarks.inside.timing import Watch, in_task, on_loop, watch_run


def _watch_run_beside(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> Watch:
    """Run the loop until it is stopped, beside a thread that it starts."""
    thread = threading.Thread(target=call)
    watch = watch_run(loop, thread.start)
    thread.join()
    return watch


@on_loop
def threadsafe(loop: asyncio.AbstractEventLoop, count: int) -> Watch:
    """A thread schedules callbacks as fast as it can."""
    left = count

    def called() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            loop.stop()

    def call() -> None:
        for _ in range(count):
            loop.call_soon_threadsafe(called)

    return _watch_run_beside(loop, call)


@on_loop
def threadsafe_wake(loop: asyncio.AbstractEventLoop, count: int) -> Watch:
    """A thread wakes the loop from its sleep, and waits until it has run the callback."""
    ran = threading.Lock()
    ran.acquire()

    def call() -> None:
        for _ in range(count):
            loop.call_soon_threadsafe(ran.release)
            ran.acquire()
        loop.call_soon_threadsafe(loop.stop)

    return _watch_run_beside(loop, call)


def _nothing() -> None:
    pass


@in_task
async def executor(count: int) -> Watch:
    """Have a thread call a function, and wait for it."""
    loop = asyncio.get_running_loop()
    await loop.run_in_executor(None, _nothing)
    with Watch() as watch:
        for _ in range(count):
            await loop.run_in_executor(None, _nothing)
    return watch
