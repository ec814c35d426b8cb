"""Connections whose other end is a plain blocking socket."""

from __future__ import annotations

import socket

from protocols import Sink

HOST = "127.0.0.1"


async def connect(loop, factory=Sink, **arguments):
    """Connect a protocol to a plain blocking socket; return both."""
    with socket.create_server((HOST, 0)) as server:
        _, protocol = await loop.create_connection(factory, *server.getsockname(), **arguments)
        peer, _ = server.accept()
    peer.settimeout(20)
    return protocol, peer


def _pieces(peer):
    """Read up to the end, piece by piece."""
    return iter(lambda: peer.recv(1 << 20), b"")


def read_all(peer) -> bytes:
    """Read up to the end."""
    return b"".join(_pieces(peer))


def read_what_comes(peer) -> bytes:
    """Read up to the end; an end by error is one, too."""
    got = bytearray()
    try:
        for piece in _pieces(peer):
            got += piece
    except ConnectionError:
        pass
    return bytes(got)


async def drain(loop, peer) -> bytes:
    """Read everything that a peer gets, in a thread."""
    return await loop.run_in_executor(None, read_all, peer)
