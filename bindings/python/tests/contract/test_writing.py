"""Writing, its marks, and what becomes of a queue at the end: the contract, on both loops."""

from __future__ import annotations

import asyncio
import os
import sys

import pytest
from peers import connect, drain
from protocols import Recorder, Strict


def test_pause_and_resume_of_writing_are_paired(loop):
    async def main():
        protocol, peer = await connect(loop, Recorder)
        transport = protocol.transport
        transport.set_write_buffer_limits(high=1000, low=100)
        assert transport.get_write_buffer_limits() == (100, 1000)
        with peer:
            total = 0
            while not protocol.paused:
                transport.write(b"x" * 50_000)
                total += 50_000
            assert transport.get_write_buffer_size() > 1000
            transport.write(b"y" * 10)
            transport.close()
            assert len(await drain(loop, peer)) == total + 10
        await protocol.lost
        assert protocol.calls.count("pause") == 1

    loop.run_until_complete(main())


def test_write_takes_a_copy_of_mutable_data(loop):
    if isinstance(loop, asyncio.SelectorEventLoop) and sys.version_info >= (3, 12):
        pytest.skip("asyncio keeps a view of the caller's memory since 3.12")

    async def main():
        protocol, peer = await connect(loop, Recorder)
        data = bytearray(b"a" * 5_000_000)
        protocol.transport.write(data)
        protocol.transport.write(memoryview(b"end"))
        data[:] = b"b" * len(data)
        protocol.transport.close()
        with peer:
            assert await drain(loop, peer) == b"a" * 5_000_000 + b"end"
        await protocol.lost

    loop.run_until_complete(main())


@pytest.mark.parametrize("wrong", ["text", 5, None, [b"x"]])
def test_write_refuses_what_is_not_bytes(loop, wrong):
    async def main():
        protocol, peer = await connect(loop, Recorder)
        with peer, pytest.raises(TypeError):
            protocol.transport.write(wrong)
        protocol.transport.close()
        await protocol.lost

    loop.run_until_complete(main())


def test_a_write_outside_the_loop_leaves_at_once(loop):
    protocol, peer = loop.run_until_complete(connect(loop, Recorder))
    with peer:
        peer.settimeout(10)
        protocol.transport.write(b"now")
        assert peer.recv(100) == b"now"
        protocol.transport.close()
        loop.run_until_complete(protocol.lost)


def test_write_eof_comes_after_what_was_written(loop):
    async def main():
        protocol, peer = await connect(loop, lambda: Recorder(keep_open=True))
        with peer:
            big = os.urandom(3_000_000)
            protocol.transport.write(big)
            protocol.transport.write_eof()
            with pytest.raises(RuntimeError):
                protocol.transport.write(b"too late")
            assert await drain(loop, peer) == big
            peer.sendall(b"thanks")
        await protocol.ended
        assert bytes(protocol.data) == b"thanks"
        protocol.transport.close()
        await protocol.lost

    loop.run_until_complete(main())


@pytest.mark.parametrize(
    "pieces",
    [
        [b"one ", b"two ", b"three"],
        [bytearray(b"a" * 100_000), memoryview(b"b" * 100_000), b"c"],
        [b"", b"x", b""],
        [b"x" * 100] * 2000,
        [],
    ],
)
def test_writelines_is_one_write_of_all_pieces(loop, pieces):
    """The bytes arrive in order, whatever holds them and however many there are."""
    stock = isinstance(loop, asyncio.SelectorEventLoop)
    if stock and not pieces and sys.version_info >= (3, 12):
        pytest.skip("asyncio stumbles over an empty list since 3.12")

    async def main():
        protocol, peer = await connect(loop, Strict)
        with peer:
            protocol.transport.write(b"before ")
            protocol.transport.writelines(pieces)
            protocol.transport.writelines(iter(pieces))
            protocol.transport.write(b" after")
            protocol.transport.close()
            expected = b"before " + b"".join(pieces) * 2 + b" after"
            assert await drain(loop, peer) == expected
        await protocol.lost

    loop.run_until_complete(main())


def test_writelines_feels_the_water_mark(loop):
    """As write() does: above the high mark the protocol is paused (a former bug of asyncio)."""
    stock = isinstance(loop, asyncio.SelectorEventLoop)
    if stock and sys.version_info[:2] in ((3, 12), (3, 13)):
        pytest.skip("asyncio had it wrong in 3.12 and 3.13, but for the last of them")

    async def main():
        protocol, peer = await connect(loop, Strict)
        with peer:
            while not protocol.paused:
                protocol.transport.writelines([b"x" * 50_000] * 20)
            protocol.transport.abort()
            await protocol.lost

    loop.run_until_complete(main())


def test_pausing_and_resuming_are_paired_over_many_rounds(loop):
    """Paused above the high mark, resumed at or below the low one, strictly in turn."""
    rounds, high, low = 30, 50_000, 10_000
    piece = b"x" * 30_000

    async def main():
        protocol, peer = await connect(loop, Strict)
        transport = protocol.transport
        transport.set_write_buffer_limits(high=high, low=low)
        reading = loop.create_task(drain(loop, peer))
        total = 0
        with peer:
            for _ in range(rounds):
                while not protocol.paused:
                    transport.write(piece)
                    total += len(piece)
                await protocol.can_write.wait()
                assert transport.get_write_buffer_size() <= low
            transport.close()
            assert len(await reading) == total
        assert await protocol.lost is None
        assert protocol.pauses == protocol.resumes == rounds
        assert all(size > high for size in protocol.sizes[::2])
        assert all(size <= low for size in protocol.sizes[1::2])

    loop.run_until_complete(main())


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({}, (16 * 1024, 64 * 1024)),
        ({"high": 0}, (0, 0)),
        ({"high": 4000}, (1000, 4000)),
        ({"low": 100}, (100, 400)),
        ({"high": 10, "low": 10}, (10, 10)),
    ],
)
def test_the_limits_are_asyncios(loop, limits, expected):
    """Defaults, what follows from one mark alone, and a mark of 0."""

    async def main():
        protocol, peer = await connect(loop, Strict)
        with peer:
            protocol.transport.set_write_buffer_limits(**limits)
            assert protocol.transport.get_write_buffer_limits() == expected
            with pytest.raises(ValueError):
                protocol.transport.set_write_buffer_limits(high=5, low=6)
            with pytest.raises(ValueError):
                protocol.transport.set_write_buffer_limits(high=5, low=-1)
            assert protocol.transport.get_write_buffer_limits() == expected
            protocol.transport.close()
            await protocol.lost

    loop.run_until_complete(main())


def test_a_high_mark_of_zero_resumes_when_all_is_sent(loop):
    """With both marks 0 every byte that waits pauses, and none that waits resumes."""

    async def main():
        protocol, peer = await connect(loop, Strict)
        transport = protocol.transport
        transport.set_write_buffer_limits(high=0)
        with peer:
            reading = loop.create_task(drain(loop, peer))
            for _ in range(5):
                while not protocol.paused:
                    transport.write(b"x" * 3_000_000)
                await protocol.can_write.wait()
                assert transport.get_write_buffer_size() == 0
            transport.close()
            await reading
        await protocol.lost
        assert protocol.pauses == protocol.resumes == 5

    loop.run_until_complete(main())


def test_aborting_drops_what_is_queued(loop):
    """connection_lost(None) comes soon, although the peer reads nothing; the rest never arrives."""

    async def main():
        protocol, peer = await connect(loop, Strict)
        with peer:
            size = 64 << 20
            protocol.transport.write(b"x" * size)
            await asyncio.sleep(0)
            protocol.transport.abort()
            assert protocol.transport.is_closing()
            assert await asyncio.wait_for(protocol.lost, 20) is None
            received = 0
            try:
                while piece := peer.recv(1 << 20):
                    received += len(piece)
            except ConnectionResetError:
                pass
            assert received < size

    loop.run_until_complete(main())


def test_closing_sends_everything_to_a_slow_reader(loop):
    """close() with a large queue: the peer gets every byte, then the end, then we are lost."""
    payload = os.urandom(16 << 20)

    async def main():
        protocol, peer = await connect(loop, Strict)
        with peer:
            protocol.transport.write(payload)
            protocol.transport.close()
            await asyncio.sleep(0)
            assert not protocol.lost.done()
            assert await drain(loop, peer) == payload
        assert await protocol.lost is None

    loop.run_until_complete(main())


class HoldingBack(Strict):
    """Writes its last words only when it may."""

    def resume_writing(self):
        super().resume_writing()
        self.transport.write(b"last words")


async def close_while_paused(loop):
    """Write until the protocol pauses, and close the transport; return protocol and peer."""
    protocol, peer = await connect(loop, HoldingBack)
    while not protocol.paused:
        protocol.transport.write(bytes(1 << 20))
        await asyncio.sleep(0)
    protocol.transport.close()
    return protocol, peer


def test_what_a_paused_protocol_holds_back_is_sent_after_close(loop):
    async def main():
        protocol, peer = await close_while_paused(loop)
        with peer:
            assert protocol.transport.is_closing()
            assert not protocol.transport.is_reading()
            assert (await drain(loop, peer)).endswith(b"\0last words")
            assert await protocol.lost is None
        assert protocol.resumes == 1

    loop.run_until_complete(main())


def test_a_connection_closed_while_its_protocol_pauses_can_be_aborted(loop):
    async def main():
        protocol, peer = await close_while_paused(loop)
        with peer:
            protocol.transport.abort()
            assert await protocol.lost is None

    loop.run_until_complete(main())


def test_a_lost_connection_bears_what_is_still_asked_of_it(loop):
    """Its user may not have heard of the end yet."""

    async def main():
        protocol, peer = await connect(loop, Strict)
        peer.close()
        assert await protocol.lost is None
        transport = protocol.transport
        transport.set_write_buffer_limits(high=1000)
        transport.write(b"in vain")
        assert transport.get_write_buffer_size() == 0
        transport.pause_reading()
        transport.resume_reading()
        transport.close()

    loop.run_until_complete(main())
