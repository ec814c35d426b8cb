"""sock_recvfrom(), sock_recvfrom_into(), sock_sendto(): on both loops (asyncio: since 3.11)."""

from __future__ import annotations

import asyncio
import errno
import socket
import sys

import pytest
from datagrams import HOST, udp_socket
from steps import cancel, turns

SINCE_311 = ("sock_recvfrom", "sock_recvfrom_into", "sock_sendto")


@pytest.fixture(autouse=True)
def _methods_exist(loop):
    if isinstance(loop, asyncio.SelectorEventLoop) and sys.version_info < (3, 11):
        pytest.skip("asyncio has these methods from 3.11 on")


@pytest.mark.parametrize("waits", [False, True])
def test_a_datagram_comes_with_its_sender(loop, udp_pair, waits):
    """Whether it lies there already or is waited for; an empty one is one, too."""
    ours, peer = udp_pair

    async def main():
        for data in (b"one", b"", b"x" * 60_000):
            for into in (False, True):
                buffer = bytearray(70_000)
                if into:
                    call = loop.sock_recvfrom_into(ours, buffer)
                else:
                    call = loop.sock_recvfrom(ours, 70_000)
                task = asyncio.ensure_future(call)
                if waits:
                    await turns(3)
                    assert not task.done()
                peer.sendto(data, ours.getsockname())
                got, sender = await asyncio.wait_for(task, 20)
                assert sender == peer.getsockname()
                assert (buffer[:got] if into else got) == data

    loop.run_until_complete(main())


def test_what_does_not_fit_is_cut(loop, udp_pair):
    """bufsize and nbytes say how much is wanted; the rest of the datagram is gone."""
    ours, peer = udp_pair

    async def main():
        buffer = bytearray(b"." * 10)
        for _ in range(3):
            peer.sendto(b"abcdef", ours.getsockname())
        assert (await loop.sock_recvfrom(ours, 2))[0] == b"ab"
        assert (await loop.sock_recvfrom_into(ours, buffer, 3))[0] == 3
        assert buffer == b"abc......."
        assert (await loop.sock_recvfrom_into(ours, memoryview(buffer)[5:]))[0] == 5
        assert buffer == b"abc..abcde"

    loop.run_until_complete(main())


def test_sending_tells_how_much_was_sent(loop, udp_pair):
    """Every kind of bytes, also none; errors are raised."""
    ours, peer = udp_pair

    async def main():
        for data in (b"bytes", bytearray(b"array"), memoryview(b"view"), b""):
            assert await loop.sock_sendto(ours, data, peer.getsockname()) == len(data)
            assert peer.recvfrom(100) == (bytes(data), ours.getsockname())
        with pytest.raises(OSError) as caught:
            await loop.sock_sendto(ours, b"x" * 70_000, peer.getsockname())
        assert caught.value.errno == errno.EMSGSIZE
        with pytest.raises(TypeError):
            await loop.sock_sendto(ours, "text", peer.getsockname())

    loop.run_until_complete(main())


def test_sending_waits_for_room(loop):
    """A full socket: the datagram is sent as soon as the peer reads, whole and once."""

    async def main():
        sock, peer = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        with sock, peer:
            sock.setblocking(False)
            peer.setblocking(False)
            filled = 0
            try:
                while True:
                    filled += bool(sock.send(b"filler"))
            except BlockingIOError:
                pass
            waiting = asyncio.ensure_future(loop.sock_sendall(sock, b"waited"))
            await turns(3)
            assert not waiting.done()
            for _ in range(filled):
                assert peer.recv(100) == b"filler"
            await asyncio.wait_for(waiting, 20)
            assert peer.recv(100) == b"waited"
            with pytest.raises(BlockingIOError):
                peer.recv(100)

    loop.run_until_complete(main())


def test_sendto_waits_for_room_and_can_be_cancelled(loop, tmp_path):
    """What was cancelled is not sent later."""

    async def main():
        path = str(tmp_path / "peer")
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        peer = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        with sock, peer:
            peer.bind(path)
            peer.setblocking(False)
            sock.setblocking(False)
            filled = 0
            try:
                while True:
                    filled += bool(sock.sendto(b"filler", path))
            except BlockingIOError:
                pass
            cancelled = asyncio.ensure_future(loop.sock_sendto(sock, b"cancelled", path))
            await turns(3)
            assert await cancel(cancelled)
            waiting = asyncio.ensure_future(loop.sock_sendto(sock, b"waited", path))
            await turns(3)
            assert not waiting.done()
            assert [peer.recv(100) for _ in range(filled)] == [b"filler"] * filled
            assert await asyncio.wait_for(waiting, 20) == 6
            assert peer.recv(100) == b"waited"
            with pytest.raises(BlockingIOError):
                peer.recv(100)

    loop.run_until_complete(main())


def test_the_buffer_of_a_cancelled_receive_is_never_written(loop, udp_pair):
    """Not even by a datagram that comes right after."""
    ours, peer = udp_pair

    async def main():
        buffer = bytearray(b"untouched")
        for _ in range(50):
            task = asyncio.ensure_future(loop.sock_recvfrom_into(ours, buffer))
            await turns(2)
            assert await cancel(task)
            peer.sendto(b"XXXXXXXXX", ours.getsockname())
            await turns(2)
            assert buffer == b"untouched"
            assert (await loop.sock_recvfrom(ours, 100))[0] == b"XXXXXXXXX"

    loop.run_until_complete(main())


@pytest.mark.parametrize("method", SINCE_311)
def test_a_blocking_socket_is_refused_in_debug_mode(loop, udp_pair, method):
    """ValueError, before anything is done."""
    _, peer = udp_pair
    loop.set_debug(True)
    arguments = {
        "sock_recvfrom": (10,),
        "sock_recvfrom_into": (bytearray(10),),
        "sock_sendto": (b"x", (HOST, 9)),
    }
    with pytest.raises(ValueError, match="must be non-blocking"):
        loop.run_until_complete(getattr(loop, method)(peer, *arguments[method]))


def test_sock_recv_takes_datagrams_one_by_one(loop, udp_pair):
    """sock_recv() and sock_recv_into() on UDP: one datagram each, cut to what was asked for."""
    ours, peer = udp_pair

    async def main():
        for _ in range(3):
            for call, room in ((loop.sock_recv, 100), (loop.sock_recv_into, bytearray(100))):
                task = asyncio.ensure_future(call(ours, room))
                await turns(2)
                peer.sendto(b"first", ours.getsockname())
                peer.sendto(b"second", ours.getsockname())
                got = await asyncio.wait_for(task, 20)
                assert (got if room == 100 else room[:got]) == b"first"
                assert await loop.sock_recv(ours, 3) == b"sec"
        task = asyncio.ensure_future(loop.sock_recv(ours, 100))
        await turns(2)
        assert await cancel(task)
        peer.sendto(b"third", ours.getsockname())
        assert await loop.sock_recvfrom(ours, 100) == (b"third", peer.getsockname())

    loop.run_until_complete(main())


def test_a_refused_datagram_is_raised(loop, udp_pair):
    """ECONNREFUSED on a connected socket ends the receive that waits; the next one works."""
    ours, _ = udp_pair

    async def main():
        with udp_socket() as gone:
            address = gone.getsockname()
        ours.connect(address)
        task = asyncio.ensure_future(loop.sock_recvfrom(ours, 100))
        await turns(2)
        ours.send(b"anybody?")
        with pytest.raises(ConnectionRefusedError):
            await asyncio.wait_for(task, 20)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as back:
            back.bind(address)
            back.sendto(b"me", ours.getsockname())
            assert await loop.sock_recvfrom(ours, 100) == (b"me", address)

    loop.run_until_complete(main())
