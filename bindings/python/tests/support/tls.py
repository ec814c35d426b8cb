"""TLS servers on the loop, and connections to them."""

from __future__ import annotations

import asyncio

import steps
from certificates import NAME
from protocols import Made, Strict
from steps import soon, turns

HOST = "127.0.0.1"


async def until(condition) -> None:
    """Wait until something is so; the loop sleeps in between."""
    await steps.until(condition, 0.001)


class Served:
    """A TLS server on the loop that keeps the protocols of its connections."""

    def __init__(self, factory=Strict, **arguments) -> None:
        self.protocols = Made(factory)
        self._arguments = arguments

    async def __aenter__(self):
        loop = asyncio.get_running_loop()
        self.server = await loop.create_server(self.protocols, HOST, 0, **self._arguments)
        self.address = self.server.sockets[0].getsockname()
        return self

    async def __aexit__(self, *_):
        self.server.close()
        for protocol in self.protocols:
            if protocol.transport is not None:
                protocol.transport.abort()
        await soon(self.server.wait_closed())
        await turns(5)


async def connect(served, context, factory=Strict, **arguments):
    """Connect to a server with TLS; return the client's and the server's protocol."""
    loop = asyncio.get_running_loop()
    _, ours = await soon(
        loop.create_connection(
            factory, *served.address, ssl=context, **{"server_hostname": NAME, **arguments}
        )
    )
    await until(lambda: served.protocols and served.protocols[-1].made.done())
    return ours, served.protocols[-1]


async def close(protocol):
    """Close a connection and wait for its end."""
    protocol.transport.close()
    return await soon(protocol.lost)
