"""Steps that several tests of the loop take."""

from __future__ import annotations

import asyncio


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
