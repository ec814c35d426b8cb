"""call_soon, contexts, the turn, executors, generators."""

from __future__ import annotations

import asyncio
import contextvars
import socket
import threading

import pytest
from garbage import collect
from protocols import Made, Strict
from steps import run_turns, turns, until

import uringcore_cffi

VARIABLE = contextvars.ContextVar("variable", default="outside")


def test_callbacks_run_in_the_order_of_their_calls(loop):
    """First come, first served; what a callback adds runs in the next turn."""
    seen = []

    def first():
        seen.append(1)
        loop.call_soon(seen.append, 3)

    loop.call_soon(first)
    loop.call_soon(seen.append, 2)
    run_turns(loop)
    assert seen == [1, 2]
    run_turns(loop)
    assert seen == [1, 2, 3]


def test_a_cancelled_callback_does_not_run(loop):
    """Neither from call_soon() nor from call_soon_threadsafe()."""
    seen = []
    handles = [loop.call_soon(seen.append, 1), loop.call_soon_threadsafe(seen.append, 2)]
    for handle in handles:
        assert isinstance(handle, asyncio.Handle)
        assert not handle.cancelled()
        handle.cancel()
        handle.cancel()
        assert handle.cancelled()
    loop.call_soon(seen.append, 3)
    run_turns(loop)
    assert seen == [3]


def test_a_callback_cancelled_by_one_before_it_does_not_run(loop):
    """A cancellation works up to the last moment, in the same turn."""
    seen = []

    def cancel():
        handles[0].cancel()

    loop.call_soon(cancel)
    handles = [loop.call_soon(seen.append, 1)]
    run_turns(loop)
    assert seen == []


def test_handles_can_be_shown(loop):
    """repr() of lean handles works: pending, run and cancelled."""
    handles = [loop.call_soon(int), loop.call_later(1000, int), loop.call_soon(int, 1)]
    handles[2].cancel()
    for handle in handles:
        assert "Handle" in repr(handle)
    assert "cancelled" in repr(handles[2])
    handles[1].cancel()
    assert "cancelled" in repr(handles[1])


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize("way", ["call_soon", "call_soon_threadsafe", "call_later", "call_at"])
def test_a_callback_runs_in_its_context(loop, way, debug):
    """The context of the call, or the one that was passed; changes stay inside it."""
    loop.set_debug(debug)
    seen = []
    given = contextvars.copy_context()
    given.run(VARIABLE.set, "given")
    early = (loop.time(),) if way == "call_at" else (0,) if way == "call_later" else ()

    def look():
        seen.append(VARIABLE.get())
        VARIABLE.set("changed")

    def call():
        VARIABLE.set("inside")
        getattr(loop, way)(*early, look)
        VARIABLE.set("after")

    contextvars.copy_context().run(call)
    getattr(loop, way)(*early, look, context=given)
    while len(seen) < 2:
        run_turns(loop)
    assert seen == ["inside", "given"]
    assert given[VARIABLE] == "changed"
    assert VARIABLE.get() == "outside"


def test_an_idle_loop_does_not_wake_up(loop):
    """A loop with a server, an open connection and one timer enters the kernel once, to sleep."""

    async def main():
        served = Made(Strict)
        server = await loop.create_server(served, "127.0.0.1", 0)
        address = server.sockets[0].getsockname()
        transport, protocol = await loop.create_connection(Strict, *address)
        await until(lambda: served)
        await served[0].made
        await turns(3)
        before = loop.stats().kernel_entries
        await asyncio.sleep(0.5)
        entries = loop.stats().kernel_entries - before
        transport.close()
        await protocol.lost
        await served[0].lost
        server.close()
        await server.wait_closed()
        return entries

    assert loop.run_until_complete(main()) <= 2


def test_a_loop_without_timers_sleeps_until_it_is_woken(loop):
    """It does not look around now and then: one entry to sleep, few to be woken."""
    loop.run_until_complete(asyncio.sleep(0))
    before = loop.stats().kernel_entries
    waker = threading.Timer(0.3, loop.call_soon_threadsafe, [loop.stop])
    waker.start()
    loop.run_forever()
    waker.join()
    assert loop.stats().kernel_entries - before <= 4


def test_one_turn_enters_the_kernel_once(loop):
    """A thousand turns with nothing to wait for cost a thousand entries at most."""

    async def main():
        before = loop.stats().kernel_entries
        for _ in range(1000):
            await asyncio.sleep(0)
        return loop.stats().kernel_entries - before

    assert loop.run_until_complete(main()) <= 1001


def test_a_closed_loop_refuses_callbacks():
    """Every way in is a RuntimeError; closing twice is allowed."""
    loop = uringcore_cffi.new_event_loop()
    loop.close()
    loop.close()
    assert loop.is_closed()
    coroutine = asyncio.sleep(0)
    for call in (
        lambda: loop.call_soon(int),
        lambda: loop.call_soon_threadsafe(int),
        lambda: loop.call_later(0, int),
        lambda: loop.call_at(0, int),
        lambda: loop.run_in_executor(None, int),
        lambda: loop.run_until_complete(coroutine),
        loop.run_forever,
        loop.pool_stats,
    ):
        with pytest.raises(RuntimeError, match="closed"):
            call()
    coroutine.close()
    loop.set_debug(True)
    loop.set_debug(False)
    with pytest.raises(RuntimeError, match="closed"):
        loop.call_soon(int)


def test_an_executor_runs_beside_the_loop(loop):
    """run_in_executor() returns what the function returns and raises what it raises."""

    async def main():
        me = threading.get_ident()
        assert await loop.run_in_executor(None, threading.get_ident) != me
        with pytest.raises(ZeroDivisionError):
            await loop.run_in_executor(None, lambda: 1 / 0)
        results = await asyncio.gather(*(loop.run_in_executor(None, pow, n, 2) for n in range(200)))
        assert results == [n * n for n in range(200)]
        return await asyncio.to_thread(VARIABLE.get)

    assert loop.run_until_complete(main()) == "outside"


def test_async_generators_are_shut_down(loop):
    """shutdown_asyncgens() closes what nobody has finished."""
    closed = []

    async def generator():
        try:
            yield 1
            yield 2
        finally:
            await asyncio.sleep(0)
            closed.append(True)

    async def main():
        kept.append(generator())
        assert await kept[0].__anext__() == 1

    kept = []
    loop.run_until_complete(main())
    assert closed == []
    loop.run_until_complete(loop.shutdown_asyncgens())
    assert closed == [True]


def test_an_abandoned_async_generator_is_closed_by_the_loop(loop):
    """The loop's hooks are installed while it runs."""

    async def generator(closed):
        try:
            yield 1
        finally:
            closed.set()

    async def main():
        closed = asyncio.Event()
        async for _ in generator(closed):
            break
        collect()
        await asyncio.wait_for(closed.wait(), 20)

    loop.run_until_complete(main())


def test_names_are_resolved(loop):
    """getaddrinfo() and getnameinfo() answer as the socket module does."""

    async def main():
        found = await loop.getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM)
        assert found == socket.getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM)
        assert await loop.getnameinfo(
            ("127.0.0.1", 80), socket.NI_NUMERICHOST | socket.NI_NUMERICSERV
        ) == ("127.0.0.1", "80")

    loop.run_until_complete(main())


def test_stop_ends_the_loop_after_the_turn(loop):
    """What is ready already runs, what it adds waits for the next run; as in asyncio."""
    seen = []
    loop.call_soon(loop.stop)
    loop.call_soon(lambda: loop.call_soon(seen.append, "later"))
    loop.call_soon(seen.append, "now")
    loop.run_forever()
    assert seen == ["now"]
    run_turns(loop)
    assert seen == ["now", "later"]


def test_futures_and_tasks_are_the_interpreters_own(loop):
    """They are the C implementation where there is one, and eager factories work."""
    assert type(loop.create_future()) is asyncio.Future
    coroutine = asyncio.sleep(0)
    task = loop.create_task(coroutine)
    assert type(task) is asyncio.Task
    loop.run_until_complete(task)


def test_a_deep_chain_of_callbacks_starves_nobody(loop):
    """A callback that calls itself again for ever leaves room for timers and sockets."""

    async def main():
        stop = False

        def again():
            if not stop:
                loop.call_soon(again)

        again()
        ours, peer = socket.socketpair()
        with ours, peer:
            ours.setblocking(False)
            peer.sendall(b"x")
            assert await loop.sock_recv(ours, 1) == b"x"
            receiving = loop.create_task(loop.sock_recv(ours, 1))
            await asyncio.sleep(0.001)
            peer.sendall(b"y")
            assert await receiving == b"y"
        stop = True

    loop.run_until_complete(main())


def test_wait_for_and_shield_and_timeouts_work(loop):
    """A few of asyncio's own tools, which lean on timers and cancellation."""

    async def main():
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(asyncio.sleep(60), 0.001)
        assert await asyncio.wait_for(asyncio.sleep(0, "done"), 60) == "done"
        event = asyncio.Event()
        loop.call_later(0.001, event.set)
        await event.wait()
        done, pending = await asyncio.wait(
            [loop.create_task(asyncio.sleep(0.001)), loop.create_task(asyncio.sleep(60))],
            return_when=asyncio.FIRST_COMPLETED,
        )
        assert (len(done), len(pending)) == (1, 1)
        pending.pop().cancel()
        await asyncio.sleep(0)

    loop.run_until_complete(main())
