"""Threads: who may create, run, wake and close a loop."""

from __future__ import annotations

import asyncio
import socket
import threading

import pytest

import uringcore_cffi


def in_thread(function, *args):
    """Run a function in a thread of its own; return its result or raise what it raised."""
    outcome = []

    def run():
        try:
            outcome.append((function(*args), None))
        except BaseException as exc:
            outcome.append((None, exc))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    result, exc = outcome[0]
    if exc is not None:
        raise exc
    return result


class Echo(asyncio.Protocol):
    """Sends back what comes."""

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data)


class Numbers(asyncio.Protocol):
    """Sends numbered lines, 70 kB at a time, and stops the loop in the middle of each portion."""

    PORTION = 70_000

    def __init__(self, loop, count: int) -> None:
        self.loop = loop
        self.expected = b"".join(b"%06d\n" % i for i in range(count))
        self.sent = 0
        self.received = bytearray()
        self.ended = False

    def connection_made(self, transport):
        self.transport = transport

    def send(self):
        self.transport.write(self.expected[self.sent : self.sent + self.PORTION])
        self.sent = min(self.sent + self.PORTION, len(self.expected))
        self.loop.stop()

    def data_received(self, data):
        self.received += data
        if len(self.received) == len(self.expected):
            self.transport.close()
        elif len(self.received) == self.sent:
            self.send()

    def connection_lost(self, exc):
        assert exc is None
        self.ended = True
        self.loop.stop()


def test_a_loop_made_by_one_thread_runs_in_another():
    """Nothing of a loop belongs to the thread that made it, or to the one that closes it."""
    loop = uringcore_cffi.new_event_loop()

    async def main():
        server = await loop.create_server(Echo, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"hello\n")
        assert await reader.readline() == b"hello\n"
        writer.close()
        await writer.wait_closed()
        server.close()
        await server.wait_closed()
        return threading.get_ident()

    assert in_thread(loop.run_until_complete, main()) != threading.get_ident()
    in_thread(loop.close)
    assert loop.is_closed()


def test_connections_survive_moves_between_threads(loop):
    """An echo stream goes on while one thread after another runs the loop: no byte is lost."""

    async def start():
        server = await loop.create_server(Echo, "127.0.0.1", 0)
        address = server.sockets[0].getsockname()
        _, client = await loop.create_connection(lambda: Numbers(loop, 400_000), *address)
        return server, client

    server, client = loop.run_until_complete(start())
    client.send()
    moves = 0
    while not client.ended:
        in_thread(loop.run_forever)
        moves += 1
        if moves % 3 == 0 and not client.ended:
            loop.run_forever()
    assert client.received == client.expected
    assert moves > 20

    async def end():
        server.close()
        await server.wait_closed()

    loop.run_until_complete(end())


def test_a_loop_with_connections_goes_on_in_another_thread(loop):
    """run_until_complete() here, run_forever() there, a blocking peer in between."""

    async def start():
        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        streams = await asyncio.open_connection(*server.sockets[0].getsockname())
        streams[1].write(b"one\n")
        assert await streams[0].readline() == b"one\n"
        return server, streams

    async def handle(reader, writer):
        while line := await reader.readline():
            writer.write(line)
        writer.close()

    server, (reader, writer) = loop.run_until_complete(start())
    runner = threading.Thread(target=loop.run_forever)
    runner.start()

    async def talk():
        for number in range(100):
            writer.write(b"%d\n" % number)
            assert await reader.readline() == b"%d\n" % number
        writer.close()
        await writer.wait_closed()
        server.close()
        await server.wait_closed()

    asyncio.run_coroutine_threadsafe(talk(), loop).result(30)
    loop.call_soon_threadsafe(loop.stop)
    runner.join()


def test_no_call_from_another_thread_is_lost(loop):
    """Eight threads, two thousand calls each: all arrive, each thread's in order."""
    threads, calls = 8, 2_000
    seen = [[] for _ in range(threads)]
    left = threads * calls

    def note(thread, number):
        nonlocal left
        assert threading.get_ident() == running
        seen[thread].append(number)
        left -= 1
        if left == 0:
            loop.stop()

    def call(thread):
        for number in range(calls):
            loop.call_soon_threadsafe(note, thread, number)

    running = threading.get_ident()
    callers = [threading.Thread(target=call, args=(number,)) for number in range(threads)]
    for caller in callers:
        caller.start()
    loop.run_forever()
    for caller in callers:
        caller.join()
    assert seen == [list(range(calls))] * threads


def test_each_call_from_another_thread_wakes_a_sleeping_loop(loop):
    """A loop with nothing to do comes back for every single call: ping-pong with a thread."""
    rounds = 2_000
    turn = threading.Semaphore(0)
    answered = []

    def answer(number):
        answered.append(number)
        turn.release()

    def call():
        for number in range(rounds):
            loop.call_soon_threadsafe(answer, number)
            assert turn.acquire(timeout=20)
        loop.call_soon_threadsafe(loop.stop)

    caller = threading.Thread(target=call)
    caller.start()
    loop.run_forever()
    caller.join()
    assert answered == list(range(rounds))


def test_a_loop_may_be_closed_while_another_thread_calls_it():
    """The caller is told by RuntimeError; nothing worse happens, however the two interleave."""
    for _ in range(100):
        loop = uringcore_cffi.new_event_loop()
        started = threading.Event()
        errors = []

        def call(loop=loop, started=started, errors=errors):
            try:
                while True:
                    loop.call_soon_threadsafe(int)
                    started.set()
            except BaseException as exc:
                errors.append(exc)

        caller = threading.Thread(target=call)
        caller.start()
        assert started.wait(20)
        loop.close()
        caller.join()
        assert [str(error) for error in errors] == ["Event loop is closed"]
        assert type(errors[0]) is RuntimeError


def test_a_running_loop_is_refused_to_others(loop):
    """Neither this nor another thread can run or close a loop that runs."""

    def intrude():
        for call in (loop.run_forever, loop.close):
            with pytest.raises(RuntimeError):
                call()
        coroutine = asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="already running"):
            loop.run_until_complete(coroutine)
        coroutine.close()

    async def main():
        intrude()
        await loop.run_in_executor(None, intrude)
        assert loop.is_running()

    loop.run_until_complete(main())


def test_loops_in_several_threads_do_not_disturb_each_other():
    """Each thread runs a loop of its own, with a server and clients."""

    async def echo(number):
        loop = asyncio.get_running_loop()
        server = await loop.create_server(Echo, "127.0.0.1", 0)
        address = server.sockets[0].getsockname()
        for round_ in range(50):
            reader, writer = await asyncio.open_connection(*address)
            writer.write(b"%d %d\n" % (number, round_))
            assert await reader.readline() == b"%d %d\n" % (number, round_)
            writer.close()
            await writer.wait_closed()
        server.close()
        await server.wait_closed()
        return number

    results = []
    threads = [
        threading.Thread(target=lambda n=n: results.append(uringcore_cffi.run(echo(n))))
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [0, 1, 2, 3]


def test_the_wrong_thread_is_told_in_debug_mode(loop):
    """call_soon, call_later and call_at from another thread raise RuntimeError."""
    loop.set_debug(True)

    def intrude():
        for call in (
            lambda: loop.call_soon(int),
            lambda: loop.call_later(1, int),
            lambda: loop.call_at(1, int),
        ):
            with pytest.raises(RuntimeError, match=r"[Nn]on-thread-safe"):
                call()

    async def main():
        await loop.run_in_executor(None, intrude)

    loop.run_until_complete(main())


def test_a_loop_that_does_not_run_obeys_every_thread(loop):
    """After a run in one thread, another may write, pause, close and stop serving."""
    transports = []

    class Noting(asyncio.Protocol):
        def connection_made(self, transport):
            transports.append(transport)

        def pause_writing(self):
            pass

    async def connect():
        server = await loop.create_server(Noting, "127.0.0.1", 0)
        client = socket.create_connection(server.sockets[0].getsockname())
        while not transports:
            await asyncio.sleep(0)
        return server, client

    server, client = in_thread(loop.run_until_complete, connect())
    client.settimeout(10)
    (transport,) = transports
    transport.set_write_buffer_limits(high=10)
    transport.pause_reading()
    transport.write(b"x")
    assert client.recv(10) == b"x"
    transport.resume_reading()
    transport.write_eof()
    server.close()
    transport.close()
    loop.run_until_complete(server.wait_closed())
    assert client.recv(10) == b""
    client.close()
    assert transport.get_write_buffer_size() == 0


def test_many_calls_before_the_loop_gets_up_wake_it_once(loop):
    """What a thread schedules while a callback runs is all seen in the next turn."""
    called = []

    def schedule():
        for number in range(1000):
            loop.call_soon_threadsafe(called.append, number)

    def busy():
        in_thread(schedule)
        loop.call_soon(loop.call_soon, loop.stop)

    before = loop.stats().wakeups
    loop.call_soon(busy)
    loop.run_forever()
    assert called == list(range(1000))
    assert loop.stats().wakeups - before == 1


def test_every_wake_up_of_a_sleeping_loop_arrives(loop):
    """A thread waits for its callback each time before it schedules the next."""
    ran = threading.Semaphore(0)

    def schedule():
        for _ in range(3000):
            loop.call_soon_threadsafe(ran.release)
            assert ran.acquire(timeout=20)

    scheduling = loop.run_in_executor(None, schedule)
    loop.run_until_complete(asyncio.wait_for(scheduling, 40))


def test_what_an_interrupt_leaves_does_not_keep_threads_from_waking_the_loop(loop):
    """Cut off between being woken and getting up, the loop begins its next run as asleep."""
    loop.call_soon_threadsafe(loop.stop)
    assert loop._woken
    loop.run_forever()
    loop._woken = True
    called = threading.Event()

    def schedule():
        loop.call_soon_threadsafe(called.set)
        called.wait(20)
        loop.call_soon_threadsafe(loop.stop)

    thread = threading.Thread(target=schedule)
    loop.call_soon(thread.start)
    loop.run_forever()
    thread.join()
    assert called.is_set()
