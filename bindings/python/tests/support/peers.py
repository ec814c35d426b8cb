"""Connections whose other end is a plain blocking socket."""

from __future__ import annotations

import contextlib
import socket

from patience import PATIENCE
from protocols import Sink

HOST = "127.0.0.1"


@contextlib.contextmanager
def socket_pair():
    """Make two connected sockets: ours, non-blocking, and its blocking peer."""
    ours, peer = socket.socketpair()
    with ours, peer:
        ours.setblocking(False)
        peer.settimeout(PATIENCE)
        yield ours, peer


def tcp_pair():
    """Return two connected TCP sockets: ours, non-blocking, and its blocking peer."""
    with socket.create_server((HOST, 0)) as listener:
        peer = socket.create_connection(listener.getsockname())
        ours, _ = listener.accept()
    ours.setblocking(False)
    peer.settimeout(PATIENCE)
    return ours, peer


async def connect(loop, factory=Sink, **arguments):
    """Connect a protocol to a plain blocking socket; return both."""
    with socket.create_server((HOST, 0)) as server:
        _, protocol = await loop.create_connection(factory, *server.getsockname(), **arguments)
        peer, _ = server.accept()
    peer.settimeout(PATIENCE)
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


def _send_and_close(peer, payload) -> None:
    with peer:
        peer.sendall(payload)


def pour(loop, peer, payload):
    """Have a peer send everything and close, in a thread; return what to wait for."""
    return loop.run_in_executor(None, _send_and_close, peer, payload)


async def drain(loop, peer) -> bytes:
    """Read everything that a peer gets, in a thread."""
    return await loop.run_in_executor(None, read_all, peer)
