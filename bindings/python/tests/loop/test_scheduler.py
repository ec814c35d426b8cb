"""call_soon, timers, contexts, exceptions, debug mode, executors, generators."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import random
import socket
import threading
import time
import weakref

import pytest
from garbage import collect

import uringcore_cffi

VARIABLE = contextvars.ContextVar("variable", default="outside")


def run_turns(loop, count: int = 1) -> None:
    """Take a number of turns."""
    for _ in range(count):
        loop.call_soon(loop.stop)
        loop.run_forever()


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


def test_timers_run_in_the_order_of_their_times(loop):
    """A thousand timers, called in any order; equal times in the order of the calls."""
    rng = random.Random(1)
    now = loop.time()
    times = [now + rng.randrange(50) / 10_000 for _ in range(1000)]
    seen = []
    for number, when in enumerate(times):
        loop.call_at(when, seen.append, (when, number))
    loop.call_at(now + 0.006, loop.stop)
    loop.run_forever()
    assert seen == sorted((when, number) for number, when in enumerate(times))


def test_a_timer_is_never_early(loop):
    """When it runs, its time has come."""
    for delay in (0, 1e-9, 0.0001, 0.001, 0.0105):
        wanted = loop.time() + delay
        loop.call_at(wanted, loop.stop)
        loop.run_forever()
        assert loop.time() >= wanted - loop._clock_resolution


def test_a_timer_knows_its_time(loop):
    """when() is what was asked for."""
    timer = loop.call_at(12345.5, int)
    assert isinstance(timer, asyncio.TimerHandle)
    assert timer.when() == 12345.5
    assert loop.time() < loop.call_later(100, int).when() <= loop.time() + 100


def test_a_delay_must_be_a_number(loop):
    """None is a TypeError at once, not in the loop."""
    with pytest.raises(TypeError):
        loop.call_later(None, int)
    with pytest.raises(TypeError):
        loop.call_at(None, int)


def test_thousands_of_cancelled_timers_take_no_room(loop):
    """Cancelled timers are dropped before their time; those that are wanted stay and run."""
    seen = []
    for number in range(200):
        loop.call_later(0.001, seen.append, number)
    wanted = loop.call_later(1800, int)  # before all that are cancelled
    for _ in range(50):
        for _ in range(200):
            loop.call_later(3600, int).cancel()
        run_turns(loop)
    assert len(loop._scheduled) < 1000
    while len(seen) < 200:
        run_turns(loop)
    assert seen == list(range(200))
    run_turns(loop)
    assert loop._timer_cancelled_count <= len(loop._scheduled)
    assert wanted in [timer[2] for timer in loop._scheduled]


def test_cancelling_drops_what_the_timer_held(loop):
    """The callback and its arguments are let go of at once."""

    class Argument:
        pass

    argument = Argument()
    gone = weakref.ref(argument)
    timer = loop.call_later(3600, print, argument)
    del argument
    timer.cancel()
    timer.cancel()
    collect()
    assert gone() is None
    assert timer.cancelled()


def test_the_count_of_cancelled_timers_is_exact(loop):
    """Whatever is cancelled when, waiting, due or run: the count comes back to 0."""
    rng = random.Random(2)
    timers = []
    for _ in range(300):
        timers.append(loop.call_later(rng.randrange(4) / 2000, lambda: rng.choice(timers).cancel()))
        if rng.random() < 0.5:
            rng.choice(timers).cancel()
        if rng.random() < 0.1:
            run_turns(loop)
    while loop._scheduled:
        run_turns(loop)
    assert loop._timer_cancelled_count == 0


def test_the_time_is_never_cached(loop):
    """Within one callback time goes on: programs measure with it."""
    seen = []

    def look():
        start, seconds = time.perf_counter(), loop.time()
        while time.perf_counter() < start + 0.002:
            pass
        seen.append(loop.time() - seconds)

    loop.call_soon(look)
    run_turns(loop)
    assert seen[0] >= 0.0019


def test_an_idle_loop_does_not_wake_up(loop):
    """A loop with a server, an open connection and one timer enters the kernel once, to sleep."""

    async def main():
        server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
        address = server.sockets[0].getsockname()
        transport, _ = await loop.create_connection(asyncio.Protocol, *address)
        await asyncio.sleep(0.01)
        before = loop.stats().kernel_entries
        await asyncio.sleep(0.5)
        entries = loop.stats().kernel_entries - before
        transport.close()
        server.close()
        await server.wait_closed()
        await asyncio.sleep(0.01)
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


@pytest.mark.parametrize("debug", [False, True])
def test_an_exception_goes_to_the_handler_and_the_loop_goes_on(loop, debug):
    """The context names the callback; the next callback runs."""
    loop.set_debug(debug)
    seen = []

    def fail_on_purpose():
        raise ZeroDivisionError

    handle = loop.call_soon(fail_on_purpose)
    loop.call_later(0, fail_on_purpose)
    loop.call_soon(seen.append, 1)
    while len(loop.problems) < 2:
        run_turns(loop)
    assert seen == [1]
    for problem in loop.problems:
        assert problem["message"].startswith("Exception in callback ")
        assert "fail_on_purpose" in problem["message"]
        assert type(problem["exception"]) is ZeroDivisionError
        assert ("source_traceback" in problem) is debug
    assert loop.problems[0]["handle"] is handle
    loop.problems.clear()


def test_an_exception_without_a_handler_is_logged(loop, caplog):
    """The default handler writes an error with the traceback."""
    loop.set_exception_handler(None)
    loop.call_soon(lambda: 1 / 0)
    with caplog.at_level(logging.ERROR, logger="asyncio"):
        run_turns(loop)
    (record,) = caplog.records
    assert "Exception in callback" in record.getMessage()
    assert record.exc_info[0] is ZeroDivisionError


def test_debug_mode_warns_of_slow_callbacks(loop, caplog):
    """Callback, timer, task and protocol: each is named with its duration."""
    loop.set_debug(True)
    loop.slow_callback_duration = 0.01

    def dawdle(*_):
        end = time.perf_counter() + 0.012
        while time.perf_counter() < end:
            pass

    async def dawdling():
        dawdle()

    with caplog.at_level(logging.WARNING, logger="asyncio"):
        loop.call_soon(dawdle)
        loop.call_later(0, dawdle)
        loop.run_until_complete(dawdling())
        run_turns(loop, 2)
    texts = [record.getMessage() for record in caplog.records]
    assert len(texts) == 3
    assert all(text.startswith("Executing <") and " seconds" in text for text in texts)
    assert sum("dawdling" in text for text in texts) == 1
    assert sum("TimerHandle" in text for text in texts) == 1


def test_debug_mode_warns_of_a_slow_protocol(loop, caplog):
    """A data_received() that blocks is as bad as any callback."""
    loop.set_debug(True)
    loop.slow_callback_duration = 0.01

    class Slow(asyncio.Protocol):
        def data_received(self, data):
            end = time.perf_counter() + 0.012
            while time.perf_counter() < end:
                pass

        def connection_lost(self, exc):
            lost.set_result(None)

    lost = loop.create_future()

    async def main():
        with socket.create_server(("127.0.0.1", 0)) as server:
            await loop.create_connection(Slow, *server.getsockname())
            peer, _ = server.accept()
        with peer:
            peer.sendall(b"x")
        await lost

    with caplog.at_level(logging.WARNING, logger="asyncio"):
        loop.run_until_complete(main())
    texts = [record.getMessage() for record in caplog.records]
    assert any("Executing" in text and " took 0.01" in text for text in texts)


def test_debug_mode_tells_where_a_handle_was_made(loop):
    """The last frame is the caller's, whichever method made the handle."""
    loop.set_debug(True)
    handles = [
        loop.call_soon(int),
        loop.call_soon_threadsafe(int),
        loop.call_later(0, int),
        loop.call_at(0, int),
    ]
    for handle in handles:
        frame = handle._source_traceback[-1]
        assert frame.filename == __file__
        assert "call_" in frame.line
    run_turns(loop)


@pytest.mark.parametrize("wrong", ["text", None])
def test_debug_mode_refuses_what_is_no_callback(loop, wrong):
    """A TypeError at the call instead of in the loop; coroutines too."""
    loop.set_debug(True)

    async def coroutine():
        pass

    for callback in (wrong, coroutine):
        for call in (
            lambda c=callback: loop.call_soon(c),
            lambda c=callback: loop.call_later(0, c),
            lambda c=callback: loop.call_at(0, c),
        ):
            with pytest.raises(TypeError):
                call()


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
