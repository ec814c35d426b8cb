"""Fork: the parent notices nothing, the child begins anew."""

from __future__ import annotations

import asyncio
import collections
import os
import signal
import socket
import sys

import pytest
from garbage import collect
from protocols import Sink

import uringcore_cffi

HOST = "127.0.0.1"


async def echo(reader, writer):
    """Send back lines until the end."""
    while line := await reader.readline():
        writer.write(line)
    writer.close()


async def talk(address, lines: int, between=None) -> None:
    """Exchange lines with an echo server; call ``between`` after each."""
    reader, writer = await asyncio.open_connection(*address)
    for number in range(lines):
        writer.write(b"%d\n" % number)
        assert await reader.readline() == b"%d\n" % number
        if between is not None:
            between(number)
    writer.close()
    await writer.wait_closed()


async def serve_and_talk(lines: int = 20) -> str:
    """Run a server and a client of one's own."""
    server = await asyncio.start_server(echo, HOST, 0)
    await talk(server.sockets[0].getsockname(), lines)
    server.close()
    await server.wait_closed()
    return "talked"


def test_forks_in_the_middle_of_a_stream_are_not_felt_by_the_parent(loop, fork):
    """Children come and go, and collect garbage, while bytes are in flight: none is lost."""
    payload = os.urandom(8 << 20)
    children = []

    async def main():
        server = await loop.create_server(Sink, HOST, 0)
        accepted = []
        server.close()
        server = await loop.create_server(lambda: accepted.append(Sink()) or accepted[-1], HOST, 0)
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
        streams[1].write(b"before\n")
        assert await streams[0].readline() == b"before\n"
        return server, streams

    server, (reader, writer) = loop.run_until_complete(main())

    def child():
        assert loop.run_until_complete(serve_and_talk()) == "talked"
        assert loop.stats().stale == 0
        loop.close()

    children = [fork(child) for _ in range(3)]

    async def after():
        for number in range(100):
            writer.write(b"%d\n" % number)
            assert await reader.readline() == b"%d\n" % number

    loop.run_until_complete(after())
    for child in children:
        child.join()

    async def end():
        writer.write(b"after\n")
        assert await reader.readline() == b"after\n"
        writer.close()
        await writer.wait_closed()
        server.close()
        await server.wait_closed()

    loop.run_until_complete(end())


def test_inherited_transports_are_dead_in_the_child(loop, fork):
    """Writing, closing and aborting them in the child reaches nobody."""

    async def main():
        with socket.create_server((HOST, 0)) as server:
            _, protocol = await loop.create_connection(Sink, *server.getsockname())
            peer, _ = server.accept()
        return protocol, peer

    protocol, peer = loop.run_until_complete(main())

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
        peer.settimeout(20)
        protocol.transport.write(b"from the parent")
        assert peer.recv(100) == b"from the parent"
        peer.sendall(b"answer")
        peer.close()
        assert loop.run_until_complete(protocol.lost) is None
    assert protocol.data == b"answer"


def test_writing_before_the_childs_first_run_reaches_nobody(loop, fork):
    """Between fork() and the next run the old transport drops what it is given."""

    async def main():
        with socket.create_server((HOST, 0)) as server:
            _, protocol = await loop.create_connection(Sink, *server.getsockname())
            peer, _ = server.accept()
        return protocol, peer

    protocol, peer = loop.run_until_complete(main())

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
        peer.settimeout(20)
        assert peer.recv(100) == b"from the parent"
        loop.run_until_complete(protocol.lost)
        assert peer.recv(100) == b""


def test_a_child_forked_inside_a_callback_may_run_a_new_loop(loop, fork):
    """asyncio's own check says that no loop runs in the child; a new one works."""

    async def main():
        server = await asyncio.start_server(echo, HOST, 0)
        address = server.sockets[0].getsockname()
        children = []

        def forking(number):
            if number % 20 == 0:
                children.append(fork(child))

        await talk(address, 100, forking)
        server.close()
        await server.wait_closed()
        return children

    def child():
        assert uringcore_cffi.run(serve_and_talk()) == "talked"

    if sys.version_info >= (3, 14):
        pytest.skip("3.14 forgets the running loop only in children made by its own means")
    children = loop.run_until_complete(main())
    assert len(children) == 5
    for child_ in children:
        child_.join()


def test_a_child_forked_inside_a_callback_may_go_on_with_the_loop(loop):
    """It comes back from the callback, and the loop begins anew by itself in mid-run."""

    async def work_of_child():
        # asyncio says that no loop runs in the child; the loop's own methods work all the same.
        future = loop.create_future()
        loop.call_later(0.001, future.set_result, None)
        await future
        ours, peer = socket.socketpair()
        ours.setblocking(False)
        receiving = loop.create_task(loop.sock_recv(ours, 100))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        peer.sendall(b"for the child")
        assert await receiving == b"for the child"

    async def main():
        server = await asyncio.start_server(echo, HOST, 0)
        address = server.sockets[0].getsockname()
        await talk(address, 3)
        pid = os.fork()
        if pid == 0:
            try:
                signal.signal(signal.SIGALRM, signal.SIG_DFL)
                signal.alarm(30)
                await work_of_child()
                os._exit(7)
            finally:
                os._exit(1)
        await talk(address, 100)
        server.close()
        await server.wait_closed()
        return pid

    pid = loop.run_until_complete(main())
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7


def test_a_listening_socket_can_be_served_by_the_child(loop, fork):
    """Preload, then fork: the child serves the inherited socket with a loop of its own."""
    with socket.create_server((HOST, 0)) as listener:
        listener.setblocking(False)
        address = listener.getsockname()

        def child():
            async def serve():
                server = await asyncio.start_server(answer, sock=listener)
                await served
                server.close()
                await server.wait_closed()

            async def answer(reader, writer):
                writer.write(await reader.readline())
                writer.close()
                await writer.wait_closed()
                served.set_result(None)

            mine = uringcore_cffi.new_event_loop()
            served = mine.create_future()
            mine.run_until_complete(serve())
            mine.close()

        worker = fork(child)

        async def ask():
            reader, writer = await asyncio.open_connection(*address)
            writer.write(b"who?\n")
            assert await reader.readline() == b"who?\n"
            writer.close()
            await writer.wait_closed()

        loop.run_until_complete(ask())
        worker.join()


EXIT = """
import asyncio, os, socket, sys
import uringcore_cffi
from garbage import collect

class Sink(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport
    def data_received(self, data):
        got.extend(data)

got = bytearray()
loop = uringcore_cffi.new_event_loop()
listener = socket.create_server(("127.0.0.1", 0))

async def connect():
    _, protocol = await loop.create_connection(Sink, *listener.getsockname())
    return protocol

protocol = loop.run_until_complete(connect())
peer, _ = listener.accept()
peer.settimeout(20)
pid = os.fork()
if pid == 0:
    HOW
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 5
protocol.transport.write(b"x" * 300000)
left = 300000
while left:
    left -= len(peer.recv(1 << 20))
peer.sendall(b"y" * 1000)
while len(got) < 1000:
    loop.run_until_complete(asyncio.sleep(0))
protocol.transport.close()
loop.run_until_complete(asyncio.sleep(0.001))
assert peer.recv(10) == b""
peer.close()
listener.close()
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


MULTIPROCESSING = """
import asyncio, multiprocessing, os
import uringcore_cffi

async def echo(reader, writer):
    while line := await reader.readline():
        writer.write(line)
    writer.close()

async def talk(address):
    reader, writer = await asyncio.open_connection(*address)
    for number in range(200):
        writer.write(b"%d\\n" % number)
        assert await reader.readline() == b"%d\\n" % number
    writer.close()
    await writer.wait_closed()

def work(queue, address):
    uringcore_cffi.run(talk(address))
    queue.put(os.getpid())

async def main():
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    address = server.sockets[0].getsockname()
    await talk(address)
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    workers = [context.Process(target=work, args=(queue, address)) for _ in range(4)]
    for worker in workers:
        worker.start()
    await talk(address)
    while any(worker.is_alive() for worker in workers):
        await asyncio.sleep(0.001)
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0, worker.exitcode
    assert sorted(queue.get() for _ in workers) == sorted(worker.pid for worker in workers)
    queue.close()
    await talk(address)
    server.close()
    await server.wait_closed()

if __name__ == "__main__":
    uringcore_cffi.run(main())
    print("done")
"""


def test_multiprocessing_with_fork_works(run_python, tmp_path):
    """Workers forked from a running loop talk to the parent over loops of their own."""
    if sys.version_info >= (3, 14):
        pytest.skip("3.14 forgets the running loop only in children made by its own means")
    script = tmp_path / "program.py"
    script.write_text(MULTIPROCESSING)
    done = run_python(script)
    assert done.stderr == ""
    assert done.stdout == "done\n"
    assert done.returncode == 0


def test_closing_the_inherited_loop_in_the_child_leaves_the_parents_alone(loop, fork):
    """loop.close() in a child frees the child's memory and descriptors, nothing else."""
    loop.run_until_complete(asyncio.sleep(0))

    def child():
        before = len(os.listdir("/proc/self/fd"))
        loop.close()
        assert loop.is_closed()
        assert len(os.listdir("/proc/self/fd")) < before
        with pytest.raises(RuntimeError, match="closed"):
            loop.run_until_complete(None)

    fork(child).join()
    assert loop.run_until_complete(serve_and_talk()) == "talked"


def _serve_a_share(listener, ready):
    async def main():
        ended = asyncio.Event()

        async def answer(reader, writer):
            if await reader.readline() == b"end\n":
                ended.set()
            writer.write(b"%d" % os.getpid())
            writer.close()
            await writer.wait_closed()

        server = await asyncio.start_server(answer, sock=listener)
        os.write(ready, b"r")
        await ended.wait()
        server.close()
        await server.wait_closed()

    uringcore_cffi.run(main())


def test_processes_that_share_a_listening_socket_share_the_connections(fork):
    with socket.create_server((HOST, 0)) as listener:
        ready, far = os.pipe()
        children = [fork(_serve_a_share, listener, far) for _ in range(2)]
        for _ in children:
            assert os.read(ready, 1) == b"r"

        def ask(line):
            with socket.create_connection(listener.getsockname(), timeout=20) as sock:
                sock.sendall(line)
                return int(sock.recv(100))

        answered = collections.Counter(ask(b"who\n") for _ in range(100))
        assert len(answered) == 2
        assert min(answered.values()) >= 10
        assert ask(b"end\n") != ask(b"end\n")  # who has ended accepts no more
        for child in children:
            child.join()
        os.close(ready)
        os.close(far)


class ForkingAtData(asyncio.Protocol):
    """Forks when data comes, while the data of others is still to be handed out."""

    def __init__(self, shared):
        self.shared = shared

    def data_received(self, data):
        self.shared["received"].append(data)
        if self.shared["child"] is None:
            self.shared["child"] = os.fork()
            self.shared["forked"] = len(self.shared["received"])


def test_a_child_forked_by_a_protocol_is_not_handed_the_parents_data(loop):
    """What one wait has brought belongs to the parent, from the fork on."""
    shared = {"received": [], "child": None, "forked": 0}
    pairs = [socket.socketpair() for _ in range(5)]

    async def main():
        transports = []
        for ours, _ in pairs:
            ours.setblocking(False)
            transport, _ = await loop.create_connection(lambda: ForkingAtData(shared), sock=ours)
            transports.append(transport)
        await asyncio.sleep(0)
        for _, peer in pairs:
            peer.send(b"x")
        while len(shared["received"]) < 5 and shared["child"] != 0:
            await asyncio.sleep(0)
        if shared["child"] != 0:
            for transport in transports:
                transport.close()
            await asyncio.sleep(0)

    try:
        loop.run_until_complete(main())
    finally:
        if shared["child"] == 0:
            os._exit(0 if len(shared["received"]) == shared["forked"] else 1)
    for _, peer in pairs:
        peer.close()
    assert shared["forked"] < 5
    _, status = os.waitpid(shared["child"], 0)
    assert os.waitstatus_to_exitcode(status) == 0


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
