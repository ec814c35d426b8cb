"""Scheduling: tasks that wait for each other."""

from __future__ import annotations

import asyncio

from benchmarks.inside.timing import Watch, in_task


@in_task
async def future(count: int) -> Watch:
    """Wait for a future that a callback sets."""
    loop = asyncio.get_running_loop()
    with Watch() as watch:
        for _ in range(count):
            waiting = loop.create_future()
            loop.call_soon(waiting.set_result, None)
            await waiting
    return watch


@in_task
async def queue(count: int) -> Watch:
    """Hand items from task to task through a queue that holds one."""
    items: asyncio.Queue[int] = asyncio.Queue(1)

    async def take() -> None:
        for _ in range(count):
            await items.get()

    taker = asyncio.get_running_loop().create_task(take())
    with Watch() as watch:
        for number in range(count):
            await items.put(number)
        await taker
    return watch


@in_task
async def lock(count: int) -> Watch:
    """Two tasks in turn under a lock that both want."""
    shared = asyncio.Lock()
    loop = asyncio.get_running_loop()

    async def use(times: int) -> None:
        for _ in range(times):
            async with shared:
                await asyncio.sleep(0)

    first = loop.create_task(use(count - count // 2))
    second = loop.create_task(use(count // 2))
    with Watch() as watch:
        await first
        await second
    return watch
