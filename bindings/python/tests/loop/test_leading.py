"""The set of watched descriptors may lead: the loop then waits in it, and it watches the ring."""

from __future__ import annotations

import asyncio
import os
import socket
import threading

import pytest

MANY = 300


def answering(peer):
    """Answer every byte from a thread, until the end."""

    def answer():
        while data := peer.recv(1):
            peer.sendall(data)

    thread = threading.Thread(target=answer)
    thread.start()
    return thread


async def exchange(loop, ours, times=MANY):
    """Send a byte and wait for it with add_reader(), again and again."""
    came = asyncio.Event()

    def read():
        assert ours.recv(10) == b"x"
        came.set()

    loop.add_reader(ours, read)
    for _ in range(times):
        came.clear()
        ours.send(b"x")
        await asyncio.wait_for(came.wait(), 20)
    loop.remove_reader(ours)


@pytest.fixture
def exchanging(loop, pair):
    """Exchange bytes until the set leads, go on with what the test asks for, and end."""
    ours, peer = pair
    thread = answering(peer)
    yield ours
    ours.shutdown(socket.SHUT_RDWR)
    thread.join(20)


def test_readers_alone_cost_no_entry_into_the_ring(loop, exchanging):
    if not {"defer-taskrun", "coop-taskrun"} & set(loop.info().features):
        pytest.skip("nothing shows in memory that there is nothing to take")
    loop.run_until_complete(exchange(loop, exchanging))
    before = loop.stats().kernel_entries
    loop.run_until_complete(exchange(loop, exchanging))
    assert loop.stats().kernel_entries - before < MANY / 2


def test_the_ring_is_heard_while_the_set_leads(loop, exchanging):
    """Connections are served and answered between the exchanges, and then alone."""

    async def echo(reader, writer):
        while data := await reader.readline():
            writer.write(data)
        writer.close()

    async def talk(reader, writer, times):
        for number in range(times):
            writer.write(b"%d\n" % number)
            assert await asyncio.wait_for(reader.readline(), 20) == b"%d\n" % number

    async def main():
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        await exchange(loop, exchanging)
        streams = await asyncio.open_connection(*server.sockets[0].getsockname())
        await asyncio.gather(exchange(loop, exchanging), talk(*streams, MANY))
        await talk(*streams, MANY)
        await exchange(loop, exchanging)
        streams[1].close()
        await streams[1].wait_closed()
        server.close()
        await server.wait_closed()

    loop.run_until_complete(main())


def test_other_threads_and_timers_wake_the_loop_while_the_set_leads(loop, exchanging):
    async def main():
        await exchange(loop, exchanging, MANY)
        loop.add_reader(exchanging, lambda: None)  # keeps it in the lead, and is never called
        for _ in range(20):
            woken = asyncio.Event()
            thread = threading.Thread(
                target=lambda event=woken: loop.call_soon_threadsafe(event.set)
            )
            thread.start()
            await asyncio.wait_for(woken.wait(), 20)
            thread.join()
        begin = loop.time()
        await asyncio.sleep(0.02)
        assert loop.time() - begin >= 0.019
        loop.remove_reader(exchanging)

    loop.run_until_complete(main())


def test_a_loop_whose_set_led_may_run_in_another_thread(loop, exchanging):
    """The ring moves, and with it what the set watches."""
    problems = []

    def run():
        try:
            loop.run_until_complete(exchange(loop, exchanging))
        except BaseException as exc:
            problems.append(exc)

    for _ in range(3):
        run()
        thread = threading.Thread(target=run)
        thread.start()
        thread.join(30)
    assert problems == []


def test_a_child_forked_while_the_set_leads_disturbs_nobody(loop, exchanging):
    async def main():
        await exchange(loop, exchanging)
        child = os.fork()
        if child == 0:
            loop.remove_reader(exchanging)
            os._exit(0)
        await exchange(loop, exchanging)
        return os.waitpid(child, 0)[1]

    assert loop.run_until_complete(main()) == 0


class Answers(asyncio.Protocol):
    """Tell when something has come."""

    def __init__(self):
        self.came = asyncio.Event()

    def data_received(self, data):
        self.came.set()


def test_a_connection_ends_the_sleep_in_the_set_and_has_it_step_down(loop, exchanging):
    """The peer answers from outside the loop, which sleeps by then."""

    async def main():
        ours, peer = socket.socketpair()
        ours.setblocking(False)
        thread = answering(peer)
        transport, protocol = await loop.create_connection(Answers, sock=ours)
        await exchange(loop, exchanging)
        loop.add_reader(exchanging, lambda: None)
        assert loop._leading is not None
        for _ in range(30):
            protocol.came.clear()
            transport.write(b"x")
            await asyncio.wait_for(protocol.came.wait(), 5)
        assert loop._leading is None
        loop.remove_reader(exchanging)
        transport.close()
        await asyncio.sleep(0)
        thread.join(20)
        peer.close()

    loop.run_until_complete(main())


def test_every_wake_up_ends_the_sleep_in_the_set(loop, exchanging):
    """Also after one that came too late: what it was for had run already."""

    async def main():
        await exchange(loop, exchanging)
        loop.add_reader(exchanging, lambda: None)
        assert loop._leading is not None
        asked = threading.Semaphore(0)
        woken = asyncio.Event()

        def wake():
            for _ in range(20):
                asked.acquire(timeout=20)
                loop._write_to_self()
                loop.call_soon_threadsafe(woken.set)

        thread = threading.Thread(target=wake)
        thread.start()
        for _ in range(20):
            woken.clear()
            asked.release()
            await asyncio.wait_for(woken.wait(), 5)
        thread.join(20)
        loop.remove_reader(exchanging)

    loop.run_until_complete(main())


def test_a_child_forked_from_a_protocol_while_the_set_leads_goes_on(loop, exchanging):
    class Forks(asyncio.Protocol):
        def data_received(self, data):
            forked.set_result(os.fork())

    async def main():
        ours, peer = socket.socketpair()
        ours.setblocking(False)
        transport, _ = await loop.create_connection(Forks, sock=ours)
        await exchange(loop, exchanging)
        assert loop._leading is not None
        peer.send(b"x")
        child = await asyncio.wait_for(forked, 20)
        if child == 0:
            os._exit(7)
        transport.close()
        peer.close()
        return os.waitpid(child, 0)[1] >> 8

    forked = loop.create_future()
    try:
        assert loop.run_until_complete(main()) == 7
    except ChildProcessError:
        os._exit(1)
