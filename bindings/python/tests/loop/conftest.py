"""What several tests of the loop need."""

from __future__ import annotations

import socket

import pytest


@pytest.fixture
def pair():
    """Make two connected sockets: ours, non-blocking, and its blocking peer."""
    ours, peer = socket.socketpair()
    with ours, peer:
        ours.setblocking(False)
        peer.settimeout(20)
        yield ours, peer
