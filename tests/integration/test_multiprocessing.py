"""multiprocessing: children of a loop that serves run loops of their own meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import signal
import socket
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import forkserver, resource_tracker

import computations
import loops
import pytest
from conversations import converse, echo, job, on_own_loop, put_job, serve
from web_answers import body

METHODS = ("fork", "forkserver", "spawn")
FORK = multiprocessing.get_context("fork")


@pytest.fixture(scope="module", autouse=True)
def _keepers():
    """Start the processes that multiprocessing keeps, before any test; the server is ended."""
    resource_tracker.ensure_running()
    forkserver.set_forkserver_preload(["asyncio", loops.factory_name().partition(":")[0]])
    forkserver.ensure_running()
    yield
    forkserver._forkserver._stop()


EXPECTED = [sum(1 + step * 997 for step in range(20))] * 4


@pytest.mark.parametrize("method", METHODS)
def test_a_pool_of_children_talks_to_its_parents_server(run, method) -> None:
    context = multiprocessing.get_context(method)

    async def main():
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        loop = asyncio.get_running_loop()
        with ProcessPoolExecutor(3, mp_context=context) as pool:
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


@contextlib.asynccontextmanager
async def conversations(count: int):
    """Have many converse with an echo server meanwhile, and check all that they were told."""
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    talks = asyncio.gather(*(converse(port, number, 60) for number in range(count)))
    yield port
    assert await talks == [sum(1 + step * 997 for step in range(60))] * count
    server.close()
    await server.wait_closed()


def _answer(pipe, port: int, number: int) -> None:
    pipe.send(job(port, number))
    pipe.close()


def test_children_forked_in_callbacks_leave_open_connections_alone(run) -> None:
    async def main():
        async with conversations(20) as port:
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

    run(main())


@pytest.mark.parametrize("method", METHODS)
def test_children_and_their_queue_serve_a_running_loop(run, method) -> None:
    """Processes are started in the middle of exchanges, and a queue brings what they have done."""
    context = multiprocessing.get_context(method)

    async def main():
        async with conversations(10) as port:
            queue = context.Queue()
            children = []
            for number in range(1, 5):
                children.append(context.Process(target=put_job, args=(queue, port, number)))
                children[-1].start()
                await asyncio.sleep(0)
            done = [await asyncio.to_thread(queue.get, timeout=40) for _ in children]
            for child in children:
                await asyncio.to_thread(child.join)
                assert child.exitcode == 0
            assert {pid for pid, _ in done} == {child.pid for child in children}
            assert [result for _, result in done] == [((EXPECTED, b""), 0, 0)] * len(children)
            for child in children:
                child.close()
            queue.close()
            queue.join_thread()

    run(main())


@pytest.mark.parametrize("method", METHODS)
def test_a_pool_computes_for_a_running_loop(run, method) -> None:
    context = multiprocessing.get_context(method)

    async def main():
        loop = asyncio.get_running_loop()
        with context.Pool(2) as pool:
            futures = []
            for number in range(20):
                future = loop.create_future()
                futures.append(future)

                def done(result, future=future):
                    loop.call_soon_threadsafe(future.set_result, result)

                pool.apply_async(computations.square, (number,), callback=done)
            assert await asyncio.gather(*futures) == [number**2 for number in range(20)]
            blocks = await asyncio.to_thread(
                pool.starmap, computations.make_block, [(number, 100_000) for number in range(8)]
            )
            pool.close()
            await asyncio.to_thread(pool.join)
        assert blocks == [computations.make_block(number, 100_000) for number in range(8)]

    run(main())


@pytest.mark.parametrize("method", METHODS)
def test_a_child_serves_its_parent(run, method) -> None:
    """The other direction: the child's loop serves, and the parent's asks."""
    context = multiprocessing.get_context(method)

    async def main():
        orders, results = context.Queue(), context.Queue()
        child = context.Process(target=serve, args=(orders, results))
        child.start()
        port = await asyncio.to_thread(results.get, timeout=40)
        totals = await asyncio.gather(*(converse(port, number, 20) for number in range(10)))
        assert totals == [EXPECTED[0]] * 10
        orders.put("end")
        assert await asyncio.to_thread(results.get, timeout=40) == ("end", 0, 0)
        await asyncio.to_thread(child.join)
        assert child.exitcode == 0
        child.close()
        for queue in (orders, results):
            queue.close()
            queue.join_thread()

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
