"""One body, two loops: what holds on asyncio's own loop must hold on ours."""

from __future__ import annotations

import asyncio

import pytest
from certificates import Certificates
from checking import checked

import uringcore_cffi


@pytest.fixture(params=["asyncio", "uringcore"])
def loop(request):
    """Make a stock loop and one of ours in turn."""
    if request.param == "asyncio":
        made = asyncio.SelectorEventLoop()
    else:
        made = uringcore_cffi.new_event_loop()
    yield from checked(made)


# Bytes of a receive buffer: with the one a datagram may be cut, so that asyncio's own transport
# is used; with the other every datagram fits, and the ring receives.
DATAGRAM_POOLS = {"readiness": 16_384, "ring": 131_072}


@pytest.fixture(params=["asyncio", *DATAGRAM_POOLS])
def datagram_loop(request):
    """Make a stock loop, then ours with each of its two transports of datagrams."""
    if request.param == "asyncio":
        yield from checked(asyncio.SelectorEventLoop())
        return
    pool = uringcore_cffi.Pool.new(buffer_bytes=DATAGRAM_POOLS[request.param])
    yield from checked(uringcore_cffi.UringEventLoop(pool=pool))
    pool.free()


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    """Make certificates, once for all tests."""
    return Certificates(tmp_path_factory.mktemp("certificates"))
