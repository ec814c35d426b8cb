"""sock_*: the number of a closed socket, used again."""

from __future__ import annotations

import asyncio
import socket

import pytest
from receives import abandon, pair_with_a_used_number, socket_of_an_abandoned_receive
from steps import soon, turns, until

HOST = "127.0.0.1"


# In the same turn, so without soon(), which makes a task.
async def connect_by_sock_connect(loop, sock, address):
    await loop.sock_connect(sock, address)


async def connect_by_receiving(loop, sock, address):
    sock.setblocking(True)
    sock.connect(address)
    sock.setblocking(False)
    await abandon(loop, sock)


async def connect_by_transport(loop, sock, address):
    sock.setblocking(True)
    sock.connect(address)
    transport, _ = await loop.create_connection(asyncio.Protocol, sock=sock)
    transport.close()
    await turns(3)


@pytest.mark.parametrize(
    "connect", [connect_by_sock_connect, connect_by_receiving, connect_by_transport]
)
@pytest.mark.parametrize("swept", [False, True])
def test_the_number_of_a_closed_socket_can_be_used_again_at_once(loop, connect, swept):
    """A receive that was called off has no hold on the number any more."""

    async def main():
        with socket.create_server((HOST, 0)) as server:
            for _ in range(20):
                number = await socket_of_an_abandoned_receive(loop)
                if swept:
                    loop._sweep_sockets()
                with socket.socket() as sock:
                    assert sock.fileno() == number
                    sock.setblocking(False)
                    await connect(loop, sock, server.getsockname())
                server.accept()[0].close()

    loop.run_until_complete(main())


def test_a_number_the_kernel_has_not_let_go_of_is_waited_for(loop, slow_kernel):
    """Two coroutines at a time wait for it; both go on with one attachment."""

    async def main():
        async with pair_with_a_used_number(loop) as (ours, peer):
            first = loop.create_task(loop.sock_recv(ours, 3))
            second = loop.create_task(loop.sock_recv(ours, 3))
            await turns(1)
            peer.sendall(b"onetwo")
            assert await soon(first) == b"one"
            assert await soon(second) == b"two"
            await abandon(loop, ours)
        attached = loop.stats().attached
        for _ in range(2):
            loop._sweep_sockets()
        await until(lambda: not loop._sockets)
        assert loop.stats().attached == attached - 1

    loop.run_until_complete(main())
    assert len(slow_kernel) == 2


def test_waiting_for_a_number_can_be_cancelled(loop, slow_kernel):
    """The next attempt succeeds all the same."""

    async def main():
        async with pair_with_a_used_number(loop) as (ours, peer):
            task = loop.create_task(loop.sock_recv(ours, 3))
            loop.call_soon(task.cancel)
            with pytest.raises(asyncio.CancelledError):
                await task
            task = loop.create_task(loop.sock_recv(ours, 3))
            await turns(3)
            peer.sendall(b"one")
            assert await soon(task) == b"one"

    loop.run_until_complete(main())
    assert len(slow_kernel) == 1
