"""Fork: the parent notices nothing, the child begins anew."""

from __future__ import annotations

import asyncio
import os

import pytest
from echoes import echo, end, say, serve_and_talk
from garbage import collect
from leaks import open_descriptors
from peers import connect
from protocols import Made, Sink

import uringcore_cffi

HOST = "127.0.0.1"


def test_forks_in_the_middle_of_a_stream_are_not_felt_by_the_parent(loop, fork):
    """Children come and go, and collect garbage, while bytes are in flight: none is lost."""
    payload = os.urandom(8 << 20)
    children = []

    async def main():
        accepted = Made(Sink)
        server = await loop.create_server(accepted, HOST, 0)
        _, client = await loop.create_connection(Sink, *server.sockets[0].getsockname())
        for start in range(0, len(payload), 1 << 16):
            client.transport.write(payload[start : start + (1 << 16)])
            if start % (1 << 20) == 0:
                children.append(fork(collect))
            await asyncio.sleep(0)
        client.transport.close()
        assert await client.lost is None
        assert await accepted[0].lost is None
        assert accepted[0].data == payload
        server.close()
        await server.wait_closed()

    loop.run_until_complete(main())
    assert len(children) == 8
    for child in children:
        child.join()


def test_an_inherited_loop_begins_anew_at_its_next_run(loop, fork):
    """In the child it runs servers and connections of its own; the parent's go on."""

    async def main():
        server = await asyncio.start_server(echo, HOST, 0)
        streams = await asyncio.open_connection(*server.sockets[0].getsockname())
        await say(streams, b"before\n")
        return server, streams

    server, streams = loop.run_until_complete(main())

    def child():
        assert loop.run_until_complete(serve_and_talk()) == "talked"
        assert loop.stats().stale == 0
        loop.close()

    children = [fork(child) for _ in range(3)]

    async def after():
        for number in range(100):
            await say(streams, b"%d\n" % number)

    loop.run_until_complete(after())
    for child in children:
        child.join()
    loop.run_until_complete(say(streams, b"after\n"))
    loop.run_until_complete(end(server, streams))


def test_inherited_transports_are_dead_in_the_child(loop, fork):
    """Writing, closing and aborting them in the child reaches nobody."""
    protocol, peer = loop.run_until_complete(connect(loop))

    def child():
        transport = protocol.transport
        loop.run_until_complete(asyncio.sleep(0))
        assert transport.is_closing()
        transport.write(b"from the child")
        transport.close()
        transport.abort()
        assert transport.get_write_buffer_size() == 0
        loop.run_until_complete(asyncio.sleep(0))
        assert not protocol.lost.done()
        loop.close()
        collect()

    with peer:
        fork(child).join()
        protocol.transport.write(b"from the parent")
        assert peer.recv(100) == b"from the parent"
        peer.sendall(b"answer")
        peer.close()
        assert loop.run_until_complete(protocol.lost) is None
    assert protocol.data == b"answer"


def test_writing_before_the_childs_first_run_reaches_nobody(loop, fork):
    """Between fork() and the next run the old transport drops what it is given."""
    protocol, peer = loop.run_until_complete(connect(loop))

    def child():
        try:
            protocol.transport.write(b"from the child")
            protocol.transport.write(b"from the child" * 10_000)
        except ChildProcessError:
            pass

    with peer:
        fork(child).join()
        protocol.transport.write(b"from the parent")
        protocol.transport.close()
        assert peer.recv(100) == b"from the parent"
        loop.run_until_complete(protocol.lost)
        assert peer.recv(100) == b""


EXIT = """
import asyncio, os, sys
import uringcore_cffi
from garbage import collect
from peers import connect

loop = uringcore_cffi.new_event_loop()
protocol, peer = loop.run_until_complete(connect(loop))
pid = os.fork()
if pid == 0:
    HOW
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 5
protocol.transport.write(b"x" * 300000)
left = 300000
while left:
    left -= len(peer.recv(1 << 20))
peer.sendall(b"y" * 1000)
while len(protocol.data) < 1000:
    loop.run_until_complete(asyncio.sleep(0))
protocol.transport.close()
loop.run_until_complete(protocol.lost)
assert peer.recv(10) == b""
peer.close()
loop.close()
print("undisturbed")
"""


@pytest.mark.parametrize(
    "how",
    [
        "sys.exit(5)",
        "del protocol, loop; collect(); sys.exit(5)",
        "loop.close(); sys.exit(5)",
        "loop.run_until_complete(asyncio.sleep(0)); loop.close(); sys.exit(5)",
        "protocol.transport.abort(); sys.exit(5)",
    ],
)
def test_the_end_of_a_child_does_not_touch_the_parents_connections(run_python, how):
    """A whole interpreter ends in the child, in several ways; the parent's connection lives."""
    done = run_python("-W", "ignore", "-c", EXIT.replace("HOW", how))
    assert done.stderr == ""
    assert done.stdout == "undisturbed\n"
    assert done.returncode == 0


def test_closing_the_inherited_loop_in_the_child_leaves_the_parents_alone(fork):
    """loop.close() in a child frees the child's memory and descriptors, nothing else."""
    before = open_descriptors().keys()
    inherited = uringcore_cffi.new_event_loop()
    inherited.run_until_complete(asyncio.sleep(0))
    of_the_loop = open_descriptors().keys() - before
    assert of_the_loop

    def child():
        inherited.close()
        assert inherited.is_closed()
        assert not of_the_loop & open_descriptors().keys()
        with pytest.raises(RuntimeError, match="closed"):
            inherited.run_until_complete(None)

    fork(child).join()
    assert inherited.run_until_complete(serve_and_talk()) == "talked"
    inherited.close()


def test_a_server_that_a_child_closes_keeps_its_path_for_the_parent(loop, fork, tmp_path):
    """The child has no say in the parent's Unix socket; from 3.13 on closing removes the path."""
    path = tmp_path / "socket"
    server = loop.run_until_complete(loop.create_unix_server(Sink, path))

    def child():
        loop.run_until_complete(asyncio.sleep(0))
        server.close()
        loop.close()

    fork(child).join()
    assert path.exists()

    async def connect():
        transport, protocol = await loop.create_unix_connection(Sink, path)
        transport.close()
        await protocol.lost

    loop.run_until_complete(connect())
    server.close()
