"""Protocols of both kinds, and one in the place of another: the contract, on both loops."""

from __future__ import annotations

import asyncio
import contextvars
import os
import socket

import pytest
from peers import connect, drain, pour
from protocols import Recorder, Strict


def test_a_new_protocol_gets_what_comes_next(loop):
    async def main():
        protocol, peer = await connect(loop, Recorder)
        with peer:
            peer.sendall(b"first")
            while not protocol.data:
                await asyncio.sleep(0)
            second = Recorder()
            second.calls.append("made")
            protocol.transport.set_protocol(second)
            assert protocol.transport.get_protocol() is second
            peer.sendall(b"second")
            while not second.data:
                await asyncio.sleep(0)
        assert bytes(protocol.data) == b"first"
        assert bytes(second.data) == b"second"
        await second.lost

    loop.run_until_complete(main())


def test_a_protocol_can_be_switched_in_the_middle_of_a_stream(loop):
    """A line-wise handshake, then the rest as bulk: no byte is lost or given to the wrong one."""
    payload = os.urandom(3_000_000)

    class Handshake(Strict):
        def data_received(self, data):
            self.data += data
            line, found, rest = bytes(self.data).partition(b"\n")
            if found:
                second = Strict()
                second.state, second.transport = "made", self.transport
                self.transport.set_protocol(second)
                self.transport.write(b"ready\n")
                if rest:
                    second.data_received(rest)
                switched.set_result((line, second))

    switched = loop.create_future()

    async def main():
        protocol, peer = await connect(loop, Handshake)

        def talk():
            with peer:
                peer.sendall(b"hel")
                peer.sendall(b"lo\n" + payload[:100])
                peer.sendall(payload[100:])
                assert peer.recv(100) == b"ready\n"

        talking = loop.run_in_executor(None, talk)
        line, second = await switched
        assert line == b"hello"
        assert protocol.transport.get_protocol() is second
        assert await second.lost is None
        await talking
        assert second.data == payload
        assert protocol.state == "made"

    loop.run_until_complete(main())


def test_a_buffered_protocol_can_take_over(loop):
    """From a plain protocol to a BufferedProtocol while data is arriving."""
    payload = os.urandom(2_000_000)
    got = bytearray()

    class Buffered(asyncio.BufferedProtocol):
        def __init__(self):
            self.buffer = bytearray(10_000)

        def get_buffer(self, sizehint):
            return self.buffer

        def buffer_updated(self, count):
            got.extend(self.buffer[:count])

        def connection_lost(self, exc):
            lost.set_result(exc)

    class First(Strict):
        def data_received(self, data):
            got.extend(data)
            self.transport.set_protocol(Buffered())

    lost = loop.create_future()

    async def main():
        _, peer = await connect(loop, First)
        await pour(loop, peer, payload)
        assert await lost is None

    loop.run_until_complete(main())
    assert got == payload


class Buffered(asyncio.BufferedProtocol):
    """Receives into a buffer of a given size."""

    def __init__(self, size: int) -> None:
        self.buffer = bytearray(size)
        self.data = bytearray()
        self.transport = None
        self.lost = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        self.transport = transport

    def get_buffer(self, sizehint):
        return self.buffer

    def buffer_updated(self, count):
        assert 0 < count <= len(self.buffer)
        self.data += self.buffer[:count]

    def connection_lost(self, exc):
        self.lost.set_result(exc)


@pytest.mark.parametrize("size", [1, 1000, 1 << 20])
def test_buffered_protocol_gets_every_byte(loop, size):
    payload = os.urandom(2_000 * min(size, 1000))

    async def main():
        protocol, peer = await connect(loop, lambda: Buffered(size))
        await pour(loop, peer, payload)
        assert await protocol.lost is None
        assert protocol.data == payload

    loop.run_until_complete(main())


def test_a_buffered_protocol_is_told_of_the_end(loop):
    """eof_received() once; a true answer keeps the writing side open."""
    calls = []

    class Buffered(asyncio.BufferedProtocol):
        def connection_made(self, transport):
            self.transport = transport

        def get_buffer(self, sizehint):
            return bytearray(100)

        def buffer_updated(self, count):
            calls.append(count)

        def eof_received(self):
            calls.append("eof")
            self.transport.write(b"bye")
            self.transport.close()
            return True

        def connection_lost(self, exc):
            lost.set_result(exc)

    lost = loop.create_future()

    async def main():
        _, peer = await connect(loop, Buffered)
        with peer:
            peer.sendall(b"12345")
            peer.shutdown(socket.SHUT_WR)
            assert await drain(loop, peer) == b"bye"
        assert await lost is None

    loop.run_until_complete(main())
    assert calls == [5, "eof"]


def test_callbacks_run_in_the_context_that_made_the_connection(loop):
    variable = contextvars.ContextVar("variable", default="outside")
    seen = []

    class Looking(Recorder):
        def connection_made(self, transport):
            super().connection_made(transport)
            seen.append(variable.get())

        def data_received(self, data):
            super().data_received(data)
            seen.append(variable.get())

        def eof_received(self):
            seen.append(variable.get())
            return super().eof_received()

        def connection_lost(self, exc):
            seen.append(variable.get())
            super().connection_lost(exc)

    async def main():
        variable.set("inside")
        protocol, peer = await connect(loop, Looking)
        with peer:
            peer.sendall(b"x")
        await protocol.lost

    loop.run_until_complete(main())
    assert set(seen) == {"inside"}
