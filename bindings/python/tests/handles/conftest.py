"""What several tests of the handles need."""

from __future__ import annotations

import socket

import pytest

from uringcore_cffi._handles.ring import Ring


@pytest.fixture
def ring():
    """Make a ring that this thread runs."""
    made = Ring()
    made.enable()
    yield made
    made.free()


@pytest.fixture
def pair():
    """Make a pair of connected sockets, the first of them non-blocking."""
    one, other = socket.socketpair()
    with one, other:
        one.setblocking(False)
        other.settimeout(5)
        yield one, other
