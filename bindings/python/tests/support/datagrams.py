"""What the tests of datagrams share: a protocol that keeps everything, and endpoints."""

from __future__ import annotations

import asyncio
import socket

from patience import PATIENCE
from protocols import Pausing

HOST = "127.0.0.1"


class Mailbox(Pausing, asyncio.DatagramProtocol):
    """Keeps every datagram with its sender, and every error; checks the order of the calls."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.transport = None
        self.state = "new"
        self.mail: asyncio.Queue = asyncio.Queue()
        self.errors: asyncio.Queue = asyncio.Queue()
        self.lost: asyncio.Future = loop.create_future()

    def connection_made(self, transport):
        assert self.state == "new"
        self.state = "made"
        self.transport = transport

    def datagram_received(self, data, addr):
        assert self.state == "made"
        assert type(data) is bytes
        self.mail.put_nowait((data, addr))

    def error_received(self, exc):
        assert self.state == "made"
        self.errors.put_nowait(exc)

    def connection_lost(self, exc):
        assert self.state == "made"
        self.state = "lost"
        self.lost.set_result(exc)

    async def next_mail(self):
        """Wait for the next datagram."""
        return await asyncio.wait_for(self.mail.get(), PATIENCE)

    async def next_error(self):
        """Wait for the next error."""
        return await asyncio.wait_for(self.errors.get(), PATIENCE)

    async def close(self):
        """Close the transport and wait for the end."""
        self.transport.close()
        return await asyncio.wait_for(self.lost, PATIENCE)


async def endpoint(factory=Mailbox, **arguments):
    """Make a datagram endpoint; return its protocol. Bound to any port unless told otherwise."""
    if not arguments:
        arguments = {"local_addr": (HOST, 0)}
    loop = asyncio.get_running_loop()
    _, protocol = await loop.create_datagram_endpoint(factory, **arguments)
    return protocol


def udp_socket(family=socket.AF_INET, host=HOST):
    """Make a bound, blocking UDP socket: the other end."""
    sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.bind((host, 0))
    sock.settimeout(PATIENCE)
    return sock


class GatedSocket(socket.socket):
    """A UDP socket that has no room while its gate is shut, and may fail instead of sending.

    UDP over the loopback device never runs out of room by itself.
    """

    def __init__(self) -> None:
        super().__init__(socket.AF_INET, socket.SOCK_DGRAM)
        self.bind((HOST, 0))
        self.shut = True
        self.attempts = self.passed = 0
        self.failures: list[BaseException] = []

    def _pass(self) -> None:
        self.attempts += 1
        if self.shut:
            raise BlockingIOError
        if self.failures:
            raise self.failures.pop(0)
        self.passed += 1

    def send(self, *args):
        self._pass()
        return super().send(*args)

    def sendto(self, *args):
        self._pass()
        return super().sendto(*args)


async def gated(peer, factory=Mailbox):
    """Make an endpoint, connected to ``peer``, whose socket has no room; return both."""
    sock = GatedSocket()
    sock.connect(peer.getsockname())
    return await endpoint(factory, sock=sock), sock
