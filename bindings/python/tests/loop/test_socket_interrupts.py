"""sock_*: an interrupt while a record is handed to those who wait."""

from __future__ import annotations

import asyncio
import os
import socket
import sys

import pytest
from interrupts import PACKAGE, Interrupter
from receives import pair_with_a_used_number
from steps import turns

import uringcore_cffi

HOST = "127.0.0.1"
PATIENCE = 20


def handles_record(frame) -> bool:
    """Tell whether a frame of the sockets' code stands below the dispatch of a record."""
    name = os.path.basename(frame.f_code.co_filename)
    if name not in ("sockets.py", "socket_endpoint.py"):
        return False
    while frame is not None and frame.f_code.co_filename.startswith(PACKAGE):
        if frame.f_code.co_name == "on_record":
            return True
        frame = frame.f_back
    return False


def run_interrupted(loop, task, at: int) -> bool:
    """Run a task to its end with an interrupt on the way; tell whether it came to that."""
    interrupter = Interrupter(at, events=("call", "c_return"), strikes=handles_record)
    guard = loop.call_later(PATIENCE, loop.stop)
    task.add_done_callback(lambda _: loop.stop())
    interrupts = 0
    while not task.done() and loop.time() < guard.when():
        previous = sys.getprofile()
        sys.setprofile(previous if interrupter.fired else interrupter)
        try:
            loop.run_forever()
        except KeyboardInterrupt:
            interrupts += 1
        finally:
            sys.setprofile(previous)
    guard.cancel()
    assert task.done(), f"waits for ever after an interrupt at place {at}"
    assert interrupts == interrupter.fired
    return interrupter.fired


def interrupt_everywhere(scenario) -> int:
    """Run a scenario with one interrupt, at each place in turn; return how many there were."""
    at = 0
    fired = True
    while fired:
        at += 1
        loop = uringcore_cffi.new_event_loop()
        try:
            task = loop.create_task(scenario(loop))
            fired = run_interrupted(loop, task, at)
            task.result()
        finally:
            for left in asyncio.all_tasks(loop):
                left.cancel()
                loop.run_until_complete(asyncio.gather(left, return_exceptions=True))
            loop.close()
    return at - 1


def test_an_interrupt_in_a_receive_loses_no_byte():
    """Every byte arrives once and in order, and so does the end."""

    async def scenario(loop):
        ours, peer = socket.socketpair()
        with ours, peer:
            ours.setblocking(False)
            received = []

            async def receive(count):
                received.append(await loop.sock_recv(ours, count))

            expected = b""
            for piece in (b"aaabbbcc", b"dddeee", b"f"):
                tasks = [loop.create_task(receive(count)) for count in (9, 3, 3)]
                await turns(3)
                peer.sendall(piece)
                expected += piece
                loop.call_soon(tasks[0].cancel)
                while b"".join(received) != expected:
                    if all(task.done() for task in tasks):
                        tasks.append(loop.create_task(receive(3)))
                    await turns(1)
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
            tasks = [loop.create_task(receive(3)) for _ in range(2)]
            await turns(3)
            peer.shutdown(socket.SHUT_WR)
            await asyncio.gather(*tasks)
            assert b"".join(received) == expected
            assert received[-2:] == [b"", b""]

    assert interrupt_everywhere(scenario) > 8


def test_an_interrupt_in_a_poll_wakes_everyone_who_accepts():
    """Two wait, one connection comes and then another: nobody is forgotten."""

    async def scenario(loop):
        with socket.create_server((HOST, 0)) as server:
            server.setblocking(False)
            tasks = [loop.create_task(loop.sock_accept(server)) for _ in range(2)]
            await turns(3)
            for task in tasks:
                with socket.create_connection(server.getsockname()) as client:
                    conn, address = await task
                    with conn:
                        assert address == client.getsockname()
                await turns(2)

    assert interrupt_everywhere(scenario) > 4


@pytest.mark.heavy
def test_an_interrupt_in_a_poll_wakes_who_receives_and_who_sends():
    """Datagrams, after an empty one: both directions of one socket are waited for at a time."""

    async def scenario(loop):
        ours, peer = socket.socketpair(type=socket.SOCK_DGRAM)
        with ours, peer:
            for sock in (ours, peer):
                sock.setblocking(False)
            receiving = loop.create_task(loop.sock_recv(ours, 10))
            await turns(3)
            peer.send(b"")
            assert await receiving == b""
            receivers = [loop.create_task(loop.sock_recv(ours, 10)) for _ in range(2)]
            await turns(2)
            count = 0
            while True:
                sending = loop.create_task(loop.sock_sendall(ours, b"%d" % count))
                await turns(1)
                if not sending.done():
                    break
                count += 1
            await turns(2)
            peer.send(b"one")
            assert await receivers[0] == b"one"
            assert not sending.done()
            for number in range(count):
                assert peer.recv(10) == b"%d" % number
            await sending
            peer.send(b"two")
            assert await receivers[1] == b"two"

    assert interrupt_everywhere(scenario) > 4


def test_an_interrupt_in_the_end_of_an_attachment_is_made_up_for(slow_kernel):
    """Who waits for the number is woken."""

    async def scenario(loop):
        async with pair_with_a_used_number(loop) as (ours, peer):
            task = loop.create_task(loop.sock_recv(ours, 10))
            await turns(3)
            peer.sendall(b"data")
            assert await task == b"data"

    assert interrupt_everywhere(scenario) > 4
    assert len(slow_kernel) > 4
