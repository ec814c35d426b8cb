"""What parents and their children say to each other over loops: in a module they can import."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import sys

import loops
from web_answers import body


async def echo(reader, writer) -> None:
    """Send everything back."""
    while chunk := await reader.read(65536):
        writer.write(chunk)
        await writer.drain()
    writer.close()


async def converse(port: int, number: int, steps: int) -> int:
    """Exchange bytes with an echo server; return how many."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    total = 0
    for step in range(steps):
        sent = body(number, 1 + step * 997)
        writer.write(sent)
        assert await reader.readexactly(len(sent)) == sent
        total += len(sent)
    writer.close()
    await writer.wait_closed()
    return total


async def run_program(number: int) -> bytes:
    """Run a program and return what it printed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", f"print({number} * 2)", stdout=asyncio.subprocess.PIPE
    )
    return (await process.communicate())[0]


def on_own_loop(main):
    """In a child: run a coroutine on a new loop; return its result and what the loop left."""
    loop = loops.new_event_loop()
    try:
        result = loop.run_until_complete(asyncio.wait_for(main, 40))
    finally:
        loop.close()
    left = dataclasses.asdict(loop.stats()) if hasattr(loop, "stats") else {}
    return result, left.get("in_flight", 0), left.get("stale", 0)


def job(port: int, number: int):
    """In a child: talk to the parent's server, and run a program of one's own."""

    async def main():
        programs = run_program(number) if number % 5 == 0 else asyncio.sleep(0, b"")
        totals = asyncio.gather(*(converse(port, number, 20) for _ in range(4)))
        return await totals, await programs

    return on_own_loop(main())


def put_job(queue, port: int, number: int) -> None:
    """In a child: do a job and put what came of it into a queue, with who did it."""
    queue.put((os.getpid(), job(port, number)))


def serve(orders, results) -> None:
    """In a child: serve until told to end; tell the port, and what the loop has left."""

    async def main() -> str:
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        results.put(server.sockets[0].getsockname()[1])
        loop = asyncio.get_running_loop()
        order = await loop.run_in_executor(None, orders.get)
        server.close()
        await server.wait_closed()
        return order

    results.put(on_own_loop(main()))
