"""Receives that were begun and given up."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from peers import socket_pair
from steps import turns


async def abandon(loop, sock, receive=None) -> None:
    """Begin to receive, submit it, and give up; on return the kernel does not know of that yet."""
    task = asyncio.current_task()

    async def give_up():
        await turns(3)
        task.cancel()

    giving_up = loop.create_task(give_up())
    with pytest.raises(asyncio.CancelledError):
        await (receive or loop.sock_recv)(sock, 10)
    assert giving_up.done()


async def socket_of_an_abandoned_receive(loop) -> int:
    """Close a socket whose receive was called off and never ended; return its number."""
    with socket_pair() as (ours, _):
        await abandon(loop, ours)
        return ours.fileno()


@contextlib.asynccontextmanager
async def pair_with_a_used_number(loop):
    """Make two connected sockets; ours, non-blocking, has the number of an abandoned receive."""
    number = await socket_of_an_abandoned_receive(loop)
    with socket_pair() as (ours, peer):
        assert ours.fileno() == number
        yield ours, peer
