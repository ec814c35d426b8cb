"""Scheduling: processes, and names."""

from __future__ import annotations

import asyncio
import shutil
import socket

from benchmarks.inside.timing import Watch, in_task


@in_task
async def spawn(count: int) -> Watch:
    """Run a program that ends at once, and wait for it."""
    program = shutil.which("true")
    if program is None:
        raise NotImplementedError("there is no program called true")
    with Watch() as watch:
        for _ in range(count):
            process = await asyncio.create_subprocess_exec(program)
            await process.wait()
    return watch


@in_task
async def literal_address(count: int) -> Watch:
    """Ask for a name that is an address already."""
    loop = asyncio.get_running_loop()
    with Watch() as watch:
        for _ in range(count):
            await loop.getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM)
    return watch
