"""Files that do not answer until somebody lets them: pipes with a name."""

from __future__ import annotations

import asyncio
import contextlib
import os

from steps import soon, turns

import uringcore_cffi


def backend() -> str:
    """What files run on here."""
    loop = uringcore_cffi.new_event_loop()
    loop.close()
    return loop.info().backend


@contextlib.contextmanager
def pipes(count: int = 1):
    """Yield pairs of numbers: reading ends that block, and their writing ends."""
    numbers = [os.pipe() for _ in range(count)]
    try:
        yield numbers
    finally:
        for pair in numbers:
            for number in pair:
                with contextlib.suppress(OSError):
                    os.close(number)


async def waiting(*coroutines):
    """Have tasks begin and get as far as the kernel."""
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    await turns(5)
    assert not any(task.done() for task in tasks)
    return tasks


async def cancelled(*tasks) -> None:
    """Cancel tasks and see them end so."""
    for task in tasks:
        task.cancel()
    for answer in await soon(asyncio.gather(*tasks, return_exceptions=True)):
        assert isinstance(answer, asyncio.CancelledError), answer
