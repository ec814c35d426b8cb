"""How connections and loops end when something else happens at the same time."""

from __future__ import annotations

import asyncio
import socket
import struct

import pytest
from peers import tcp_pair
from protocols import Sink
from steps import turns

from uringcore_cffi._handles.fd import CLOSE_KEEP, NO_HANDLE


def reset(sock):
    """Close with RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


class Small(asyncio.BufferedProtocol):
    """Takes what comes in pieces of 1 KiB."""

    def __init__(self):
        self.buffer = bytearray(1024)
        self.received = 0
        self.lost = asyncio.get_running_loop().create_future()

    def get_buffer(self, sizehint):
        return self.buffer

    def buffer_updated(self, nbytes):
        self.received += nbytes

    def connection_lost(self, exc):
        self.lost.set_result(exc)


class Noting(asyncio.Protocol):
    """Notes how its connection ends and when it may write."""

    def __init__(self):
        self.lost = asyncio.get_running_loop().create_future()
        self.notes = []

    def connection_made(self, transport):
        self.transport = transport

    def pause_writing(self):
        self.notes.append("pause")

    def resume_writing(self):
        self.notes.append(self.transport.get_write_buffer_size())

    def connection_lost(self, exc):
        self.lost.set_result(exc)


def test_what_was_received_before_an_error_is_delivered_first(loop):
    """A reset that comes with data takes nothing of the data away."""

    async def main():
        ours, peer = tcp_pair()
        _, protocol = await loop.create_connection(Small, sock=ours)
        peer.sendall(b"x" * 60000)
        reset(peer)
        exc = await protocol.lost
        return protocol.received, exc

    received, exc = loop.run_until_complete(main())
    assert received == 60000
    assert isinstance(exc, ConnectionResetError)


def test_a_connection_accepted_while_the_server_closes_is_served(loop):
    """Another process that accepts from the same socket does not get it any more."""

    class Answering(asyncio.Protocol):
        def connection_made(self, transport):
            transport.write(b"served")
            transport.close()

    async def main():
        answers = []
        for _ in range(20):
            server = await loop.create_server(Answering, "127.0.0.1", 0)
            client = socket.create_connection(server.sockets[0].getsockname())
            client.settimeout(10)
            loop.call_soon(server.close)
            answers.append(await loop.run_in_executor(None, client.recv, 6))
            client.close()
        return answers

    assert loop.run_until_complete(main()) == [b"served"] * 20


MORE_THAN_CAN_MOVE = """
import asyncio, socket, threading, uringcore_cffi

loop = uringcore_cffi.UringEventLoop(sq_entries=8, cq_entries=8)
peers = []

async def connect():
    for _ in range(20):
        ours, peer = socket.socketpair()
        ours.setblocking(False)
        peers.append(peer)
        transport, _ = await loop.create_connection(asyncio.Protocol, sock=ours)
        transport.write(b"x")

thread = threading.Thread(target=lambda: loop.run_until_complete(connect()))
thread.start()
thread.join()
loop.close()
assert loop.is_closed()
for peer in peers:
    peer.settimeout(10)
    assert peer.recv(1) == b"x"
    assert peer.recv(1) == b""
print("ended")
"""


def test_more_in_flight_than_can_move_is_ended_by_close(run_python):
    """close() on another thread, with more operations than the completion queue holds."""
    done = run_python("-W", "ignore", "-c", MORE_THAN_CAN_MOVE)
    assert (done.stdout, done.stderr) == ("ended\n", "")


def test_a_close_on_the_wrong_thread_is_refused_and_changes_nothing(loop):
    """The transport goes on, and the error says what to do."""

    async def main():
        ours, peer = tcp_pair()
        transport, protocol = await loop.create_connection(Noting, sock=ours)
        for end in (transport.close, transport.abort, transport.pause_reading):
            with pytest.raises(RuntimeError, match="call_soon_threadsafe"):
                await loop.run_in_executor(None, end)
        assert not transport.is_closing()
        assert transport.is_reading()
        transport.close()
        assert await protocol.lost is None
        assert peer.recv(1) == b""
        peer.close()

    loop.run_until_complete(main())


def test_writing_is_not_resumed_above_the_high_mark(loop):
    """What was written between the low mark and resume_writing() counts."""

    async def main():
        ours, peer = tcp_pair()
        transport, protocol = await loop.create_connection(Noting, sock=ours)
        transport.set_write_buffer_limits(high=1000)

        def write_more():
            # In the turn in which the resume step is ready but has not run.
            if any(h._callback == transport._resume_protocol for h in loop._ready):
                transport.write(b"y" * 8_000_000)
                written.set_result(None)
            else:
                loop.call_soon(write_more)

        written = loop.create_future()
        transport.write(b"x" * 100_000)
        loop.call_soon(write_more)
        await written
        await asyncio.sleep(0)
        early = list(protocol.notes)
        await loop.run_in_executor(None, receive, peer, 8_100_000)
        while len(protocol.notes) < 2:
            await asyncio.sleep(0)
        transport.close()
        await protocol.lost
        peer.close()
        return early, protocol.notes

    early, notes = loop.run_until_complete(main())
    assert early == ["pause"]
    assert notes[0] == "pause"
    assert all(size <= 1000 for size in notes[1::2])


def receive(sock, count):
    """Receive ``count`` bytes."""
    while count:
        count -= len(sock.recv(min(count, 1 << 20)))


def test_a_socket_serves_one_transport_at_a_time(loop):
    """create_connection(sock=) of another transport's socket is refused."""

    async def main():
        ours, peer = tcp_pair()
        transport, protocol = await loop.create_connection(Noting, sock=ours)
        with pytest.raises(RuntimeError, match="is used by transport"):
            await loop.create_connection(Noting, sock=ours)
        transport.close()
        await protocol.lost
        peer.close()

    loop.run_until_complete(main())


def test_aborting_just_before_the_end_does_no_harm(loop):
    """close(), then abort() in every turn until connection_lost(): it raises nothing."""

    async def main():
        for pauses in range(12):
            ours, peer = tcp_pair()
            with peer:
                transport, protocol = await loop.create_connection(Noting, sock=ours)
                transport.close()
                await turns(pauses)
                transport.abort()
                transport.abort()
                assert await asyncio.wait_for(protocol.lost, 20) is None

    loop.run_until_complete(main())


def test_a_transport_whose_close_was_cut_off_holds_no_handle(loop):
    """An interrupt comes behind the close in C: what is written afterwards reaches nobody."""
    one, other = socket.socketpair()

    async def run():
        transport, protocol = await loop.create_connection(Sink, sock=one)
        assert transport._fd.close(CLOSE_KEEP) == 0
        await protocol.lost
        assert transport._handle == NO_HANDLE
        transport.write(b"to a stranger")
        transport.close()

    loop.run_until_complete(run())
    assert other.recv(100) == b""
    other.close()
