"""LeaseProtocol: what transports do for it."""

from __future__ import annotations

import asyncio
import os
import socket

import pytest
import tls
from certificates import NAME
from leased import A_BUFFER, Holding, Taking, leased, until_leased
from peers import connect, drain, pour
from steps import soon, turns, until

PAYLOAD = bytes(range(256)) * 8000


def test_every_byte_arrives_and_none_is_copied_on_the_way(loop):
    async def main():
        protocol, peer = await connect(loop, Taking)
        await pour(loop, peer, PAYLOAD)
        assert await soon(protocol.lost) is None
        assert protocol.data == PAYLOAD
        assert protocol.from_pool * loop.pool_stats().buffer_bytes >= len(PAYLOAD) * A_BUFFER
        assert protocol.calls == ["made", "eof", "lost"]
        await until_leased(loop, 0)

    loop.run_until_complete(main())


def test_leases_that_are_kept_keep_their_bytes(loop):
    """Many at a time, compared when all has come."""

    async def main():
        protocol, peer = await connect(loop, Holding)
        loop.set_credit(protocol.transport, bytes=1 << 30)
        await pour(loop, peer, PAYLOAD)
        assert await soon(protocol.lost) is None
        assert b"".join(bytes(lease.view) for lease in protocol.leases) == PAYLOAD
        assert leased(loop) == len(protocol.leases) * A_BUFFER

    loop.run_until_complete(main())


def test_nothing_is_delivered_while_reading_is_paused(loop):
    async def main():
        protocol, peer = await connect(loop, Taking)
        with peer:
            for number in range(20):
                protocol.transport.pause_reading()
                peer.sendall(b"%02d" % number)
                await turns(5)
                assert len(protocol.data) == 2 * number
                protocol.transport.resume_reading()
                await until(lambda number=number: len(protocol.data) == 2 * number + 2)
        await soon(protocol.lost)
        assert protocol.data == b"".join(b"%02d" % number for number in range(20))

    loop.run_until_complete(main())


def test_a_protocol_that_pauses_in_every_call_loses_nothing(loop):
    class Pausing(Taking):
        def lease_received(self, lease):
            super().lease_received(lease)
            self.transport.pause_reading()
            self.loop.call_soon(self.transport.resume_reading)

    async def main():
        protocol, peer = await connect(loop, Pausing)
        await pour(loop, peer, PAYLOAD)
        assert await soon(protocol.lost) is None
        assert protocol.data == PAYLOAD

    loop.run_until_complete(main())


def test_what_was_ready_comes_before_what_has_arrived(loop):
    """Then the lease waits for its turn, and is still one of a buffer."""

    async def main():
        protocol, peer = await connect(loop, Taking)
        with peer:
            for _ in range(50):
                peer.sendall(b"x")
                loop.call_soon(loop.call_soon, loop.call_soon, str)
                await turns(1)
            await until(lambda: len(protocol.data) == 50)
        await soon(protocol.lost)
        assert protocol.from_pool >= A_BUFFER

    loop.run_until_complete(main())


def test_an_exception_in_lease_received_ends_the_connection_and_is_told(loop):
    class Failing(Taking):
        def lease_received(self, lease):
            raise RuntimeError("no")

    async def main():
        protocol, peer = await connect(loop, Failing)
        with peer:
            peer.sendall(b"x")
            assert str(await soon(protocol.lost)) == "no"

    loop.run_until_complete(main())
    (problem,) = loop.problems
    assert problem["message"] == "Fatal error: protocol.lease_received() call failed."
    loop.problems.clear()


def test_a_true_answer_to_the_end_keeps_the_connection_open(loop):
    class Answering(Taking):
        def eof_received(self):
            self.transport.write(b"bye")
            self.transport.close()
            return True

    async def main():
        protocol, peer = await connect(loop, Answering)
        with peer:
            peer.sendall(b"x")
            peer.shutdown(socket.SHUT_WR)
            assert await drain(loop, peer) == b"bye"
        await soon(protocol.lost)

    loop.run_until_complete(main())


class _Buffered(asyncio.BufferedProtocol):
    def __init__(self, got, lost):
        self.got, self.lost = got, lost
        self.buffer = bytearray(5000)

    def get_buffer(self, sizehint):
        return self.buffer

    def buffer_updated(self, count):
        self.got(bytes(self.buffer[:count]))

    def connection_lost(self, exc):
        self.lost.set_result(exc)


class _Bytes(asyncio.Protocol):
    def __init__(self, got, lost):
        self.got, self.lost = got, lost

    def data_received(self, data):
        assert data.__class__ is bytes
        self.got(data)

    def connection_lost(self, exc):
        self.lost.set_result(exc)


class _Leases(Taking):
    def __init__(self, got, lost):
        super().__init__()
        self.got, self.lost = got, lost

    def lease_received(self, lease):
        with lease:
            self.got(bytes(lease.view))


@pytest.mark.parametrize("pausing", [False, True])
def test_protocols_of_all_kinds_take_over_from_each_other_and_nothing_is_lost(loop, pausing):
    """At every piece another kind, also while reading is paused and something waits."""
    payload = os.urandom(2_000_000)
    got = bytearray()
    lost = loop.create_future()

    async def main():
        protocol, peer = await connect(loop, Taking)
        transport = protocol.transport
        kinds = [_Leases, _Bytes, _Buffered]

        def arrived(data):
            got.extend(data)
            number = len(got) % 7
            if pausing and number < 3:
                transport.pause_reading()
                loop.call_soon(loop.call_soon, transport.resume_reading)
            transport.set_protocol(kinds[number % 3](arrived, lost))

        transport.set_protocol(_Leases(arrived, lost))
        await pour(loop, peer, payload)
        assert await soon(lost) is None
        await until_leased(loop, 0)

    loop.run_until_complete(main())
    assert got == payload


def test_over_tls_leases_are_of_decrypted_bytes(loop, certificates):
    async def main():
        async with tls.Served(ssl=certificates.server()) as served:
            _, ours = await loop.create_connection(
                Taking, *served.address, ssl=certificates.client(), server_hostname=NAME
            )
            await tls.until(lambda: served.protocols and served.protocols[-1].made.done())
            served.protocols[-1].transport.write(PAYLOAD)
            await until(lambda: len(ours.data) == len(PAYLOAD))
            assert ours.data == PAYLOAD
            assert ours.from_pool == 0
            ours.transport.close()
            await soon(ours.lost)

    loop.run_until_complete(main())


def test_on_another_event_loop_leases_are_of_bytes():
    loop = asyncio.SelectorEventLoop()

    async def main():
        protocol, peer = await connect(loop, Taking)
        await pour(loop, peer, PAYLOAD)
        assert await soon(protocol.lost) is None
        assert protocol.data == PAYLOAD
        assert protocol.from_pool == 0
        assert protocol.calls == ["made", "eof", "lost"]

    try:
        loop.run_until_complete(main())
        loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        loop.close()


def test_a_connection_may_be_aborted_with_leases_that_wait(loop):
    """They go back, whoever has not seen them."""

    async def main():
        protocol, peer = await connect(loop, Taking)
        with peer:
            protocol.transport.pause_reading()
            peer.sendall(PAYLOAD[:100_000])
            await turns(20)
            protocol.transport.abort()
            await soon(protocol.lost)
        await until_leased(loop, 0)
        assert protocol.data == b""

    loop.run_until_complete(main())
