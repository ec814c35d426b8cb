"""A reader of which all methods are mixed at random gives the stream, byte for byte."""

from __future__ import annotations

import asyncio
import socket

import pytest
from steps import soon, turns

import uringcore_cffi

hypothesis = pytest.importorskip("hypothesis")
st = hypothesis.strategies

_SIZES = st.one_of(st.integers(1, 40), st.integers(60_000, 200_000))
_STEPS = st.one_of(
    st.tuples(st.just("send"), st.lists(_SIZES, min_size=1, max_size=4)),
    st.tuples(st.just("lease"), st.sampled_from([-1, 5, 5000, 1 << 20])),
    st.tuples(st.just("read"), _SIZES),
    st.tuples(st.just("readexactly"), st.integers(0, 100_000)),
    st.tuples(st.just("readline"), st.just(0)),
    st.tuples(st.just("turns"), st.integers(0, 3)),
)


def _stream(count: int) -> bytes:
    """Make bytes with a newline now and then, of which no two places look the same."""
    line = b"".join(b"%d," % number + b"\n" * (number % 5 == 0) for number in range(count // 4 + 9))
    return line[:count]


async def _take(reader, kind: str, argument, kept) -> bytes:
    try:
        if kind == "lease":
            lease = await reader.read_lease(argument)
            data = bytes(lease)
            assert len(data) <= argument or argument < 0
            if len(data) % 2:
                kept.append((lease.view[:], data))
            lease.release()
            return data
        if kind == "readline":
            return await reader.readline()
        return await getattr(reader, kind)(argument)
    except asyncio.IncompleteReadError as exc:
        return exc.partial


def _comes(kind: str, argument, waiting: bytes) -> bool:
    """Tell whether what is to be read is on its way."""
    if kind == "readline":
        return b"\n" in waiting
    return len(waiting) >= (argument if kind == "readexactly" else 1)


async def _play(steps) -> None:
    stream = _stream(sum(sum(sizes) for kind, sizes in steps if kind == "send"))
    ours, peer = socket.socketpair()
    ours.setblocking(False)
    peer.setblocking(False)
    loop = asyncio.get_running_loop()
    reader, writer = await uringcore_cffi.open_connection(sock=ours, limit=1 << 18)
    got, kept, sent = bytearray(), [], 0
    pieces: asyncio.Queue = asyncio.Queue()

    async def send_all():
        while piece := await pieces.get():
            await loop.sock_sendall(peer, piece)
        peer.shutdown(socket.SHUT_WR)

    sending = loop.create_task(send_all())
    with peer:
        for kind, argument in steps:
            if kind == "send":
                for size in argument:
                    pieces.put_nowait(stream[sent : sent + size])
                    sent += size
            elif kind == "turns":
                await turns(argument)
            elif _comes(kind, argument, stream[len(got) : sent]):
                got += await soon(_take(reader, kind, argument, kept))
        pieces.put_nowait(b"")
        await soon(_rest(reader, got))
        await sending
    assert got == stream
    assert all(part == data for part, data in kept)
    writer.close()
    await writer.wait_closed()


async def _rest(reader, got) -> None:
    while lease := await reader.read_lease():
        got += bytes(lease)
        lease.release()
        got += await reader.read(1000)


@pytest.mark.heavy
def test_any_sequence_of_reads_gives_the_stream(loop):
    @hypothesis.settings(max_examples=150, deadline=None, database=None, derandomize=True)
    @hypothesis.given(st.lists(_STEPS, max_size=25))
    def play(steps):
        loop.run_until_complete(_play(steps))

    play()
