"""A child that goes on with the running loop it was forked in does nothing of the parent's again.

The parent's tasks are there in the child too. Who was woken by something that the parent has
received or may send must not receive or send it there as well.
"""

from __future__ import annotations

import asyncio
import os
import select
import signal
import socket

import pytest
from peers import drain, read_all
from processes import wait_unreaped
from steps import soon, turns

HOST = "127.0.0.1"
_END_AFTER = 8  # turns of the child: enough for whatever it might go on with


class Forks(asyncio.Protocol):
    """Forks when data comes; the child goes on with the loop for some turns, and then ends."""

    def __init__(self, loop) -> None:
        self.loop = loop
        self.parent = os.getpid()
        self.child = -1
        self.forked = loop.create_future()

    def data_received(self, data):
        if self.child >= 0:
            return
        self.forked.set_result(None)
        self.child = os.fork()
        if self.child == 0:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(30)
            self.go_on(_END_AFTER)
        else:  # what the child does, it does first
            wait_unreaped(self.child)

    def go_on(self, turns_left: int) -> None:
        """Take some turns, then end."""
        if turns_left == 0:
            os._exit(0)
        self.loop.call_soon(self.go_on, turns_left - 1)

    def check(self) -> None:
        """In the parent: the child has ended, and well."""
        assert os.getpid() == self.parent
        assert self.child > 0
        assert os.waitstatus_to_exitcode(os.waitpid(self.child, 0)[1]) == 0


@pytest.fixture
def forks(loop):
    """Make a connection that is read last of a batch, and forks then: attached after the others."""
    made = Forks(loop)
    ours, peer = socket.socketpair()
    ours.setblocking(False)

    async def attach():
        transport, _ = await loop.create_connection(lambda: made, sock=ours)
        return transport

    made.attach = attach
    made.peer = peer
    try:
        yield made
    finally:
        if os.getpid() != made.parent:
            os._exit(1)  # the test has come to its end in the child
        peer.close()
        ours.close()
    made.check()


async def _at_once(loop, forks, *happen) -> None:
    """Have several things happen while the loop does not look, the fork's cause last.

    Nothing else is ready then, so the fork comes before those are woken whom the rest concerns.
    """
    transport = await forks.attach()
    await turns(2)
    for function in happen:
        function()
    forks.peer.send(b"fork")
    await forks.forked
    await turns(2 * _END_AFTER)
    transport.close()


def test_a_connection_that_the_parent_has_accepted_is_not_served_by_the_child(loop, forks):
    class Greets(asyncio.Protocol):
        def connection_made(self, transport):
            transport.write(b"from %d" % os.getpid())
            transport.close()

    async def main():
        server = await loop.create_server(Greets, HOST, 0)
        address = server.sockets[0].getsockname()
        clients = []
        await _at_once(
            loop, forks, *[lambda: clients.append(socket.create_connection(address))] * 3
        )
        for client in clients:
            client.settimeout(20)
            assert await drain(loop, client) == b"from %d" % forks.parent
            client.close()
        server.close()
        await server.wait_closed()

    loop.run_until_complete(main())


def test_what_waits_for_room_is_sent_by_the_parent_alone(loop, forks):
    payload = os.urandom(3 << 20)
    ours, peer = socket.socketpair()
    got = bytearray()

    async def main():
        sending = loop.create_task(loop.sock_sendall(ours, payload))
        await turns(2)
        await _at_once(loop, forks, lambda: got.extend(peer.recv(1 << 20)))
        while not sending.done():
            if select.select([peer], [], [], 0)[0]:
                got.extend(peer.recv(1 << 20))
            await asyncio.sleep(0)
        ours.shutdown(socket.SHUT_WR)
        got.extend(read_all(peer))
        assert got == payload

    with ours, peer:
        ours.setblocking(False)
        peer.settimeout(20)
        loop.run_until_complete(main())


def test_what_was_received_for_the_parent_is_answered_by_the_parent_alone(loop, forks, pair):
    ours, peer = pair

    async def answer():
        while question := await loop.sock_recv(ours, 100):
            ours.send(b"%d: %s" % (os.getpid(), question))

    async def main():
        answering = loop.create_task(answer())
        await _at_once(loop, forks, lambda: peer.send(b"question"))
        peer.shutdown(socket.SHUT_WR)
        await answering
        ours.shutdown(socket.SHUT_WR)
        assert read_all(peer) == b"%d: question" % forks.parent

    loop.run_until_complete(main())


def test_a_watched_descriptor_calls_in_the_parent_alone(loop, forks, pair):
    ours, peer = pair
    near, far = os.pipe()

    async def main():
        called = loop.create_future()

        def answer():
            ours.send(b"%d %s" % (os.getpid(), os.read(near, 10)))
            called.set_result(None)

        loop.add_reader(near, answer)
        await _at_once(loop, forks, lambda: os.write(far, b"x"))
        await soon(called)
        loop.remove_reader(near)
        ours.shutdown(socket.SHUT_WR)
        assert read_all(peer) == b"%d x" % forks.parent

    loop.run_until_complete(main())
    os.close(near)
    os.close(far)


def test_a_file_is_sent_by_the_parent_alone_and_its_position_is_the_parents(loop, forks, tmp_path):
    payload = os.urandom(3 << 20)
    path = tmp_path / "file"
    path.write_bytes(payload + b"behind")
    ours, peer = socket.socketpair()
    got = bytearray()

    async def main():
        sending = loop.create_task(loop.sock_sendfile(ours, file, 0, len(payload)))
        while not got:
            await asyncio.sleep(0)
            if select.select([peer], [], [], 0)[0]:
                got.extend(peer.recv(1000))
        await _at_once(loop, forks, lambda: got.extend(peer.recv(1 << 20)))
        while not sending.done():
            if select.select([peer], [], [], 0)[0]:
                got.extend(peer.recv(1 << 20))
            await asyncio.sleep(0)
        assert await sending == len(payload)
        ours.shutdown(socket.SHUT_WR)
        got.extend(read_all(peer))
        assert got == payload
        assert file.read() == b"behind"

    with ours, peer, open(path, "rb") as file:
        ours.setblocking(False)
        peer.settimeout(20)
        loop.run_until_complete(main())


def test_the_position_of_a_file_is_left_alone_by_a_child_that_ends(loop, fork, tmp_path):
    """A child that cancels what it has inherited must not tell the file how far that had come."""
    payload = os.urandom(3 << 20)
    path = tmp_path / "file"
    path.write_bytes(payload)
    ours, peer = socket.socketpair()

    async def main():
        sending = loop.create_task(loop.sock_sendfile(ours, file))
        got = b""
        while not got:
            await asyncio.sleep(0)
            if select.select([peer], [], [], 0)[0]:
                got = peer.recv(1000)
        await turns(10)
        return sending

    with ours, peer, open(path, "rb", buffering=0) as file:
        ours.setblocking(False)
        sending = loop.run_until_complete(main())

        def child():
            sending.cancel()
            with pytest.raises(asyncio.CancelledError):
                loop.run_until_complete(sending)
            loop.close()

        before = file.tell()
        fork(child).join()
        assert file.tell() == before
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            loop.run_until_complete(sending)
        assert file.tell() > 0


def test_a_connection_accepted_but_not_yet_handed_out_is_closed_in_the_child(loop):
    """Nobody in the child knows of it, and while it is open the client is told of no end."""
    near, far = os.pipe()
    children = []

    class ForksFirst(asyncio.Protocol):
        def connection_made(self, transport):
            if not children:
                children.append(os.fork())
                if children[0] == 0:
                    signal.signal(signal.SIGALRM, signal.SIG_DFL)
                    signal.alarm(30)
                    os.close(far)
                    os._exit(len(os.read(near, 1)))  # it lives on until it is told
            transport.close()

    async def main():
        server = await loop.create_server(ForksFirst, HOST, 0)
        address = server.sockets[0].getsockname()
        # The first, in whose making the fork comes, is known to somebody in the child.
        clients = [socket.create_connection(address) for _ in range(8)]
        while not children:
            await asyncio.sleep(0)
        await turns(5)
        for client in clients[1:]:
            client.settimeout(20)
            assert await drain(loop, client) == b""
        for client in clients:
            client.close()
        server.close()
        await server.wait_closed()

    parent = os.getpid()
    try:
        loop.run_until_complete(main())
    finally:
        if os.getpid() != parent:
            os._exit(9)
    os.close(near)
    os.close(far)
    assert os.waitstatus_to_exitcode(os.waitpid(children[0], 0)[1]) == 0
