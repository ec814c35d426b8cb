"""What was ready before comes before what has arrived."""

from __future__ import annotations

import asyncio
import socket

import pytest

HOST = "127.0.0.1"


class Plain(asyncio.Protocol):
    """Notes that data came."""

    def __init__(self, order):
        self.order = order
        self.came = asyncio.Event()

    def data_received(self, data):
        self.order.append(bytes(data))
        self.came.set()


class Buffered(asyncio.BufferedProtocol):
    """Notes that data came into its own buffer."""

    def __init__(self, order):
        self.order = order
        self.came = asyncio.Event()
        self.buffer = bytearray(100)

    def get_buffer(self, sizehint):
        return self.buffer

    def buffer_updated(self, nbytes):
        self.order.append(bytes(self.buffer[:nbytes]))
        self.came.set()


class Datagrams(Plain, asyncio.DatagramProtocol):
    """Notes that a datagram came."""

    def datagram_received(self, data, addr):
        self.data_received(data)


@pytest.mark.parametrize("protocol", [Plain, Buffered])
def test_callbacks_that_were_ready_run_before_data_is_received(loop, pair, protocol):
    ours, peer = pair
    order = []

    async def main():
        transport, made = await loop.create_connection(lambda: protocol(order), sock=ours)
        for piece in (b"first", b"second"):
            await asyncio.sleep(0)
            made.came.clear()
            peer.send(piece)
            loop.call_soon(order.append, "ready")
            await made.came.wait()
        transport.close()
        await asyncio.sleep(0)

    loop.run_until_complete(main())
    assert order == ["ready", b"first", "ready", b"second"]


def test_callbacks_that_were_ready_run_before_a_datagram_is_received(loop):
    order = []

    async def main():
        transport, made = await loop.create_datagram_endpoint(
            lambda: Datagrams(order), local_addr=(HOST, 0)
        )
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
            await asyncio.sleep(0)
            peer.sendto(b"datagram", transport.get_extra_info("sockname"))
            loop.call_soon(order.append, "ready")
            await made.came.wait()
        transport.close()
        await asyncio.sleep(0)

    loop.run_until_complete(main())
    assert order == ["ready", b"datagram"]


def test_callbacks_that_were_ready_run_before_a_reader(loop, pair):
    ours, peer = pair
    order = []

    async def main():
        came = asyncio.Event()

        def read():
            order.append(ours.recv(100))
            came.set()

        loop.add_reader(ours, read)
        for piece in (b"first", b"second"):
            await asyncio.sleep(0)
            came.clear()
            peer.send(piece)
            loop.call_soon(order.append, "ready")
            await came.wait()
        loop.remove_reader(ours)

    loop.run_until_complete(main())
    assert order == ["ready", b"first", "ready", b"second"]


def test_what_data_makes_ready_runs_behind_what_was_ready(loop, pair):
    ours, peer = pair
    order = []

    class Asking(Plain):
        def data_received(self, data):
            loop.call_soon(order.append, "asked for by data")
            loop.call_soon(self.came.set)

    async def main():
        transport, made = await loop.create_connection(lambda: Asking(order), sock=ours)
        await asyncio.sleep(0)
        peer.send(b"x")
        loop.call_soon(lambda: loop.call_soon(order.append, "asked for before"))
        await made.came.wait()
        transport.close()
        await asyncio.sleep(0)

    loop.run_until_complete(main())
    assert order == ["asked for before", "asked for by data"]
