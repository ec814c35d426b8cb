"""The small writes of a turn: once each, in order, before what comes after them."""

from __future__ import annotations

import asyncio
import socket

import pytest


@pytest.fixture
def connected(loop):
    """A transport on the loop and a blocking socket at its other end."""

    async def connect():
        ours, peer = socket.socketpair()
        ours.setblocking(False)
        peer.settimeout(10)
        transport, _ = await loop.create_connection(asyncio.Protocol, sock=ours)
        return transport, peer

    transport, peer = loop.run_until_complete(connect())
    yield transport, peer
    transport.abort()
    peer.close()
    loop.run_until_complete(asyncio.sleep(0))


def receive(peer, count):
    """Receive ``count`` bytes."""
    data = b""
    while len(data) < count:
        data += peer.recv(count - len(data))
    return data


async def end_turn():
    """Let the turn end and what was written leave."""
    await asyncio.sleep(0)
    await asyncio.sleep(0)


@pytest.mark.parametrize("before", [True, False])
def test_a_write_is_sent_once_when_the_call_is_interrupted(loop, connected, monkeypatch, before):
    """An interrupt just before or just after C has taken the writes, and more writes then."""
    transport, peer = connected
    ring_class = type(loop._ring)
    send = ring_class.send
    interrupts = iter([KeyboardInterrupt])

    def interrupted_send(self, *args):
        interrupt = next(interrupts, None)
        if interrupt and before:
            raise interrupt
        answer = send(self, *args)
        if interrupt:
            raise interrupt
        return answer

    async def write(data):
        for piece in data:
            transport.write(piece)
        await end_turn()

    loop.run_until_complete(write([b"0"]))  # by a call of its own: it asks for the room
    monkeypatch.setattr(ring_class, "send", interrupted_send)
    with pytest.raises(KeyboardInterrupt):
        loop.run_until_complete(write([b"1", b"22", b"333"]))
    loop.run_until_complete(write([b"4444"]))
    assert receive(peer, 11) == b"01223334444"
    transport.write_eof()
    loop.run_until_complete(end_turn())
    assert peer.recv(10) == b""


def test_small_and_large_writes_of_a_turn_keep_their_order(loop, connected):
    """Notes are handed over before anything that goes another way."""
    transport, peer = connected
    pieces = [b"a", b"b" * 100, b"c" * 100_000, b"d", bytearray(b"e" * 50), b"f" * 20_000, b"g"]

    async def write():
        for piece in pieces:
            transport.write(piece)
        transport.close()
        await end_turn()

    reading = loop.run_in_executor(None, receive, peer, sum(map(len, pieces)))
    loop.run_until_complete(write())
    assert loop.run_until_complete(reading) == b"".join(pieces)


def test_the_size_of_the_queue_counts_what_was_only_noted(loop, connected):
    """get_write_buffer_size() and the water marks see every write of the turn."""
    transport, peer = connected

    async def write():
        transport.write(b"x")
        await end_turn()
        transport.write(b"y" * 1000)
        transport.write(b"z" * 1000)
        size = transport.get_write_buffer_size()
        await end_turn()
        return size

    assert loop.run_until_complete(write()) == 2000
    assert len(receive(peer, 2001)) == 2001


def test_a_write_on_the_wrong_thread_is_refused_while_the_loop_sleeps(loop, connected):
    """It is not noted, where nobody would look before the next turn."""
    transport, peer = connected

    async def write():
        transport.write(b"x")  # from here on there is room for notes
        await end_turn()
        with pytest.raises(RuntimeError, match="call_soon_threadsafe"):
            await loop.run_in_executor(None, write_when_asleep)

    def write_when_asleep():
        while loop._outbox.open:
            pass
        transport.write(b"y")

    loop.run_until_complete(write())
    assert receive(peer, 1) == b"x"
