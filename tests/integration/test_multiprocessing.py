"""multiprocessing with fork: children of a loop that serves run loops of their own meanwhile."""

from __future__ import annotations

import asyncio
import dataclasses
import multiprocessing
import os
import signal
import socket
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import resource_tracker

import loops
import pytest
from web_answers import body

FORK = multiprocessing.get_context("fork")


@pytest.fixture(scope="module", autouse=True)
def _tracker():
    """Start the process that multiprocessing keeps, before any test."""
    resource_tracker.ensure_running()


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


EXPECTED = [sum(1 + step * 997 for step in range(20))] * 4


def test_a_pool_of_children_talks_to_its_parents_server(run) -> None:
    async def main():
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        loop = asyncio.get_running_loop()
        with ProcessPoolExecutor(3, mp_context=FORK) as pool:
            jobs = [loop.run_in_executor(pool, job, port, number) for number in range(15)]
            own = await asyncio.gather(*(converse(port, number, 20) for number in range(10)))
            results = await asyncio.gather(*jobs)
        server.close()
        await server.wait_closed()
        return own, results

    own, results = run(main())
    assert own == [EXPECTED[0]] * 10
    for number, result in enumerate(results):
        printed = b"%d\n" % (number * 2) if number % 5 == 0 else b""
        assert result == ((EXPECTED, printed), 0, 0)


def _answer(pipe, port: int, number: int) -> None:
    pipe.send(job(port, number))
    pipe.close()


def test_children_forked_in_callbacks_leave_open_connections_alone(run) -> None:
    async def main():
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        talks = asyncio.gather(*(converse(port, number, 60) for number in range(20)))
        children = []
        for number in range(1, 9):
            near, far = FORK.Pipe()
            child = FORK.Process(target=_answer, args=(far, port, number))
            child.start()  # in the middle of everybody's exchange
            far.close()
            children.append((child, near))
            await asyncio.sleep(0)
        for number, (child, near) in enumerate(children, 1):
            ((totals, printed), *left) = await asyncio.to_thread(near.recv)
            assert (totals, left) == (EXPECTED, [0, 0])
            assert printed == (b"10\n" if number == 5 else b"")
            await asyncio.to_thread(child.join)
            assert child.exitcode == 0
            near.close()
            child.close()
        assert await talks == [sum(1 + step * 997 for step in range(60))] * 20
        server.close()
        await server.wait_closed()

    run(main())


def _serve(listener: socket.socket, pipe) -> None:
    async def name(reader, writer) -> None:
        writer.write(b"%d\n" % os.getpid())
        await echo(reader, writer)

    async def main() -> str:
        loop = asyncio.get_running_loop()
        told = asyncio.Event()
        loop.add_signal_handler(signal.SIGTERM, told.set)
        server = await asyncio.start_server(name, sock=listener)
        pipe.send("ready")
        await told.wait()
        server.close()
        await server.wait_closed()
        return "told"

    pipe.send(on_own_loop(main()))


def test_children_share_a_listening_socket_and_each_gets_connections(run) -> None:
    listener = socket.create_server(("127.0.0.1", 0), backlog=100)
    port = listener.getsockname()[1]

    async def main():
        children = []
        for _ in range(2):
            near, far = FORK.Pipe()
            child = FORK.Process(target=_serve, args=(listener, far))
            child.start()
            far.close()
            children.append((child, near))
        for _, near in children:
            assert await asyncio.to_thread(near.recv) == "ready"
        served: dict[int, int] = {}
        for number in range(200):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            pid = int(await reader.readline())
            served[pid] = served.get(pid, 0) + 1
            sent = body(number, 10_000)
            writer.write(sent)
            assert await reader.readexactly(len(sent)) == sent
            writer.close()
            await writer.wait_closed()
        for child, near in children:
            os.kill(child.pid, signal.SIGTERM)
            assert await asyncio.to_thread(near.recv) == ("told", 0, 0)
            await asyncio.to_thread(child.join)
            assert child.exitcode == 0
        assert set(served) == {child.pid for child, _ in children}
        assert sum(served.values()) == 200
        for child, near in children:
            near.close()
            child.close()

    run(main())
    listener.close()
