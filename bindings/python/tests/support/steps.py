"""Steps that several tests of the loop take."""

from __future__ import annotations

import asyncio

from patience import PATIENCE


async def turns(count: int) -> None:
    """Let the loop take some turns."""
    for _ in range(count):
        await asyncio.sleep(0)


async def cancel(task) -> bool:
    """Cancel a task; tell whether it ended so, which it does not when it was done before."""
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        return True
    return False


async def soon(awaitable):
    """Await something that must not wait for ever."""
    return await asyncio.wait_for(awaitable, PATIENCE)


async def until(condition, pause: float = 0) -> None:
    """Let the loop turn until something is so, and sleep in between if told to."""

    async def turn():
        while not condition():
            await asyncio.sleep(pause)

    await soon(turn())


def run_turns(loop, count: int = 1) -> None:
    """Take a number of turns."""
    for _ in range(count):
        loop.call_soon(loop.stop)
        loop.run_forever()
