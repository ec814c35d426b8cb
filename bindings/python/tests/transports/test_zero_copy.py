"""Writes that are not copied: where it is left off, and what it means for the end of a connection.

Everything here is on this machine, where zero-copy is left off; tests that need it ask for it in
any case, in the place of the sends by reference.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import threading

import pytest
from patience import PATIENCE
from peers import connect, drain

import uringcore_cffi
from uringcore_cffi._ffi.library import lib
from uringcore_cffi.transports import writing

LARGE = 256 * 1024
HAS_ZERO_COPY = "send-zero-copy"


@contextlib.contextmanager
def zero_copy_loop(least=65536):
    """Make a loop for one test."""
    loop = uringcore_cffi.new_event_loop(send_zero_copy=least)
    try:
        yield loop
    finally:
        loop.close()


@pytest.fixture
def forced(monkeypatch):
    """Make a loop whose every send by reference is a zero-copy one."""
    monkeypatch.setattr(writing, "SEND_REFERENCE", lib.UC_SEND_ZERO_COPY)
    with zero_copy_loop() as loop:
        if HAS_ZERO_COPY not in loop.info().features:
            pytest.skip("there is no zero-copy send here")
        yield loop


async def stalled(loop):
    """Connect to a peer that does not read, and send it what it does not take."""
    protocol, peer = await connect(loop)
    transport = protocol.transport
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 << 20)
    for number in range(3):
        transport.write(bytes([number]) * LARGE)
    while transport.get_write_buffer_size():
        await asyncio.sleep(0)
    return protocol, peer


def test_to_this_machine_it_is_left_off_and_told():
    """The descriptor's status says why, the counters stay 0."""
    with zero_copy_loop() as loop:

        async def run():
            protocol, peer = await connect(loop)
            fd = protocol.transport._fd
            assert fd.status().zero_copy == lib.UC_ZERO_COPY_OFF
            protocol.transport.write(b"x" * LARGE)
            protocol.transport.close()
            with peer:
                got = await drain(loop, peer)
            assert got == b"x" * LARGE
            state = fd.status().zero_copy if not protocol.lost.done() else None
            await protocol.lost
            return state

        state = loop.run_until_complete(run())
        if HAS_ZERO_COPY in loop.info().features:
            assert state in (None, lib.UC_ZERO_COPY_LOCAL)
        stats = loop.stats()
        assert stats.zero_copy_sends == stats.zero_copy_copied == 0


@pytest.mark.parametrize("least", [None, 0, 16384])
def test_the_gate_is_the_descriptors(least):
    """None and 0 are never; else the first large write looks at the socket."""
    with zero_copy_loop(least) as loop:

        async def run():
            protocol, peer = await connect(loop)
            protocol.transport.write(b"x" * 16384)
            with peer:
                assert len(await loop.run_in_executor(None, peer.recv, 16384))
                state = protocol.transport._fd.status().zero_copy
                protocol.transport.abort()
                await protocol.lost
            return state

        state = loop.run_until_complete(run())
        if not least:
            assert state == lib.UC_ZERO_COPY_OFF
        elif HAS_ZERO_COPY in loop.info().features:
            assert state == lib.UC_ZERO_COPY_LOCAL
        else:
            assert state == lib.UC_ZERO_COPY_UNSUPPORTED


@pytest.mark.parametrize("wrong", [-1, 2**63])
def test_a_number_out_of_range_is_refused(wrong):
    """And the option is named."""
    with pytest.raises(ValueError, match="send_zero_copy"):
        uringcore_cffi.new_event_loop(send_zero_copy=wrong)


@pytest.mark.heavy
def test_every_byte_arrives_although_memory_is_used_again(forced):
    """128 MiB in objects that are gone as soon as they are counted back."""
    total = 128 << 20

    async def run():
        protocol, peer = await connect(forced)
        transport = protocol.transport

        def receive():
            for number in range(total // LARGE):
                piece = bytearray()
                while len(piece) < LARGE:
                    piece += peer.recv(LARGE - len(piece))
                assert piece == bytes([number % 251]) * LARGE, f"wrong bytes in piece {number}"

        received = forced.run_in_executor(None, receive)
        for number in range(total // LARGE):
            while transport.get_write_buffer_size() > 1 << 20:
                assert not received.done()
                await asyncio.sleep(0)
            transport.write(bytes([number % 251]) * LARGE)
        await received
        with peer:
            transport.close()
            await protocol.lost
        assert not transport._references

    forced.run_until_complete(run())
    assert forced.stats().zero_copy_sends > 0


def test_objects_are_kept_until_the_peer_has_taken_them(forced):
    """Though the send queue is empty: the kernel still reads them."""

    async def run():
        protocol, peer = await stalled(forced)
        await asyncio.sleep(0)
        assert len(protocol.transport._references) == 3
        protocol.transport.close()
        with peer:
            got = await drain(forced, peer)
        assert got == b"".join(bytes([number]) * LARGE for number in range(3))
        await protocol.lost
        assert not protocol.transport._references

    forced.run_until_complete(run())


def test_the_peer_sees_the_end_before_it_has_acknowledged(forced):
    """The peer's drain() ends, which is what lets the connection be lost here."""

    async def run():
        protocol, peer = await stalled(forced)
        protocol.transport.close()
        for _ in range(10):
            await asyncio.sleep(0)
        assert not protocol.lost.done()
        with peer:
            assert len(await drain(forced, peer)) == 3 * LARGE
            assert await protocol.lost is None

    forced.run_until_complete(run())


@pytest.mark.parametrize("closed_before", [False, True])
def test_abort_waits_for_no_peer(forced, closed_before):
    """The connection is reset, also when it was being closed."""

    async def run():
        protocol, peer = await stalled(forced)
        if closed_before:
            protocol.transport.close()
            await asyncio.sleep(0)
        protocol.transport.abort()
        assert await asyncio.wait_for(protocol.lost, PATIENCE) is None
        with peer:
            assert peer.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNRESET

    forced.run_until_complete(run())


def test_a_loop_that_is_closed_lets_go_of_everything(forced):
    """What its peer does not take within a second is reset."""
    protocol, peer = forced.run_until_complete(stalled(forced))
    protocol.transport.close()
    forced.close()
    with peer:
        assert forced.stats().in_flight == 0
        assert peer.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNRESET


def test_a_loop_that_is_closed_sends_what_the_kernel_has_taken(forced):
    """A peer that reads gets it all."""
    protocol, peer = forced.run_until_complete(stalled(forced))
    got = []

    def read():
        with peer:
            while data := peer.recv(1 << 20):
                got.append(data)

    protocol.transport.close()
    reader = threading.Thread(target=read)
    reader.start()
    forced.close()
    reader.join()
    assert len(b"".join(got)) == 3 * LARGE


def test_a_server_and_a_client_over_streams(forced):
    """What is written comes back, large and small in turn."""

    async def serve(reader, writer):
        while data := await reader.read(1 << 20):
            writer.write(data)
            await writer.drain()
        writer.close()
        await writer.wait_closed()

    async def run():
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        for size in (10, LARGE, 1, 3 * LARGE, 100, 20000):
            payload = bytes(range(256)) * (size // 256 + 1)
            writer.write(payload)
            assert await reader.readexactly(len(payload)) == payload
        writer.close()
        await writer.wait_closed()
        server.close()
        await server.wait_closed()

    forced.run_until_complete(run())


def test_a_reset_by_the_peer_gives_every_object_back(forced):
    """However much of what was written had not been sent."""

    async def run():
        protocol, peer = await stalled(forced)
        for _ in range(40):
            protocol.transport.write(bytes(LARGE))
        await asyncio.sleep(0)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        peer.close()
        await asyncio.wait_for(protocol.lost, PATIENCE)
        assert not protocol.transport._references

    forced.run_until_complete(run())
