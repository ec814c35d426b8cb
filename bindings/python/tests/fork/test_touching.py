"""What a child asks of the loop it has inherited works, or says what to do; the parent is safe."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading

import pytest
from echoes import echo, end, say
from leaks import open_descriptors
from peers import connect
from protocols import Sink
from steps import soon, turns

import uringcore_cffi

HOST = "127.0.0.1"
WHAT_TO_DO = "make a new loop or run this one"


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("stats", ()),
        ("pool_stats", ()),
        ("add_reader", (0, print)),
        ("add_writer", (0, print)),
    ],
)
def test_what_needs_the_ring_says_what_to_do(loop, fork, name, args):
    loop.run_until_complete(asyncio.sleep(0))

    def child():
        with pytest.raises(ChildProcessError, match=WHAT_TO_DO):
            getattr(loop, name)(*args)

    fork(child).join()


def test_a_signal_handler_is_refused_before_the_childs_first_run(loop, fork):
    """It would write to the wake-up socket of the parent."""
    loop.add_signal_handler(signal.SIGUSR1, print)

    def child():
        with pytest.raises(RuntimeError, match=WHAT_TO_DO):
            loop.add_signal_handler(signal.SIGUSR2, print)
        assert signal.set_wakeup_fd(-1) == -1

    fork(child).join()
    loop.remove_signal_handler(signal.SIGUSR1)


def test_what_needs_no_ring_works_and_is_done_at_the_childs_next_run(loop, fork):
    loop.run_until_complete(asyncio.sleep(0))

    def child():
        called = []
        assert loop.time() > 0
        assert not loop.is_running()
        assert not loop.is_closed()
        assert loop.info().backend
        assert not loop.remove_reader(0)
        assert not loop.remove_writer(0)
        assert not loop.remove_signal_handler(signal.SIGUSR1)
        loop.call_soon(called.append, 1)
        loop.call_soon_threadsafe(called.append, 2)
        loop.call_later(0.001, called.append, 3)
        loop.call_later(0.002, loop.stop)
        loop.run_forever()
        assert called == [1, 2, 3]

    fork(child).join()


def test_a_child_may_close_its_copy_of_a_server_and_the_parent_goes_on(loop, fork):
    server = loop.run_until_complete(loop.create_server(Sink, HOST, 0))
    number = server.sockets[0].fileno()
    address = server.sockets[0].getsockname()

    def child():
        server.close()
        assert str(number) not in open_descriptors()
        loop.run_until_complete(soon(server.wait_closed()))

    fork(child).join()

    async def accepts():
        transport, protocol = await loop.create_connection(Sink, *address)
        transport.close()
        await protocol.lost
        server.close()
        await server.wait_closed()

    loop.run_until_complete(accepts())


def test_a_path_stays_when_a_child_closes_the_server_before_its_first_run(loop, fork, tmp_path):
    path = tmp_path / "socket"
    server = loop.run_until_complete(loop.create_unix_server(Sink, path))
    fork(server.close).join()
    assert path.exists()
    server.close()


@pytest.mark.parametrize("buffer_bytes", [16_384, 131_072])
def test_a_child_sends_no_datagram_in_its_parents_name(fork, udp_pair, buffer_bytes):
    """With either kind of transport."""
    pool = uringcore_cffi.Pool.new(buffer_bytes=buffer_bytes)
    loop = uringcore_cffi.UringEventLoop(pool=pool)
    ours, peer = udp_pair

    def child():
        transport.sendto(b"from the child", peer.getsockname())
        transport.close()
        transport.sendto(b"from the child", peer.getsockname())
        transport.abort()

    transport, _ = loop.run_until_complete(
        loop.create_datagram_endpoint(asyncio.DatagramProtocol, sock=ours)
    )
    fork(child).join()
    transport.sendto(b"from the parent", peer.getsockname())
    assert peer.recv(100) == b"from the parent"
    transport.close()
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    pool.free()


def test_a_child_writes_to_no_pipe_of_its_parents(loop, fork):
    near, far = os.pipe()
    transport, _ = loop.run_until_complete(
        loop.connect_write_pipe(asyncio.Protocol, os.fdopen(far, "wb"))
    )

    def child():
        transport.write(b"from the child")
        transport.close()
        transport.abort()
        assert transport.is_closing()
        loop.run_until_complete(asyncio.sleep(0))

    fork(child).join()
    transport.write(b"from the parent")
    transport.close()
    loop.run_until_complete(asyncio.sleep(0))
    with open(near, "rb") as pipe:
        assert pipe.read() == b"from the parent"


def test_a_child_neither_ends_nor_reaps_its_parents_program(loop, fork):
    async def start():
        return await asyncio.create_subprocess_exec(
            "cat", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )

    process = loop.run_until_complete(start())

    def child():
        process.stdin.write(b"from the child")
        process.stdin.close()
        process.terminate()
        process._transport.close()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()

    fork(child).join()
    told, _ = loop.run_until_complete(process.communicate(b"from the parent"))
    assert told == b"from the parent"
    assert process.returncode == 0


def test_tls_in_a_child_tells_its_parents_peer_nothing(loop, fork, certificates):
    async def main():
        server = await asyncio.start_server(echo, HOST, 0, ssl=certificates.server())
        streams = await asyncio.open_connection(
            *server.sockets[0].getsockname(),
            ssl=certificates.client(),
            server_hostname="server.test",
        )
        await say(streams, b"before\n")
        return server, streams

    server, streams = loop.run_until_complete(main())

    def child():
        streams[1].write(b"from the child\n")
        streams[1].close()
        loop.run_until_complete(turns(10))
        loop.close()

    fork(child).join()
    loop.run_until_complete(say(streams, b"after\n"))
    loop.run_until_complete(end(server, streams))


def test_a_child_of_another_thread_finds_a_loop_that_does_not_run(loop, fork):
    """The thread that ran it is not there: it can be run, and it can be closed."""

    def run():
        assert not loop.is_running()
        assert loop.run_until_complete(asyncio.sleep(0, "ran")) == "ran"
        loop.close()

    def close():
        loop.close()
        assert loop.is_closed()

    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        while not loop.is_running():
            pass
        for child in (run, close):
            fork(child).join()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


def test_a_child_does_not_wait_for_a_thread_that_is_gone(loop, fork):
    """Threads that were waking the loop, or worked for it, when another forked."""
    loop.run_until_complete(loop.run_in_executor(None, int))
    held, done = threading.Event(), threading.Event()

    def wake():
        with loop._wake_lock:  # as call_soon_threadsafe() does
            held.set()
            done.wait()

    def child():
        loop.call_soon_threadsafe(int)
        number = loop.run_until_complete(soon(loop.run_in_executor(None, os.getpid)))
        assert number == os.getpid()
        loop.run_until_complete(soon(loop.shutdown_default_executor()))
        loop.close()

    thread = threading.Thread(target=wake)
    thread.start()
    held.wait()
    try:
        fork(child).join()
    finally:
        done.set()
        thread.join()


def test_signals_of_a_child_call_its_own_handlers_and_nobody_in_the_parent(loop, fork):
    calls = []
    loop.add_signal_handler(signal.SIGUSR1, lambda: calls.append(os.getpid()))
    loop.run_until_complete(asyncio.sleep(0))

    def child():
        os.kill(os.getpid(), signal.SIGUSR1)  # nobody is there to hear of it yet
        asyncio.set_event_loop(loop)
        called = loop.create_future()
        loop.call_soon(lambda: loop.add_signal_handler(signal.SIGUSR2, called.set_result, None))
        loop.call_soon(os.kill, os.getpid(), signal.SIGUSR1)
        loop.call_soon(os.kill, os.getpid(), signal.SIGUSR2)
        loop.run_until_complete(soon(called))
        assert calls == [os.getpid()]

    fork(child).join()

    async def hear():
        os.kill(os.getpid(), signal.SIGUSR1)
        while not calls:
            await asyncio.sleep(0)

    loop.run_until_complete(soon(hear()))
    assert calls == [os.getpid()]
    loop.remove_signal_handler(signal.SIGUSR1)


def test_a_program_started_with_preexec_fn_gets_nothing_of_the_loop(loop):
    """There the child of fork() runs Python before it becomes the program."""

    async def main():
        protocol, peer = await connect(loop)
        process = await asyncio.create_subprocess_exec(
            *("ls", "/proc/self/fd"), preexec_fn=lambda: None, stdout=asyncio.subprocess.PIPE
        )
        listed, _ = await process.communicate()
        assert set(listed.split()) == {b"0", b"1", b"2", b"3"}
        peer.sendall(b"still there")
        peer.close()
        assert await protocol.lost is None
        assert protocol.data == b"still there"

    loop.run_until_complete(main())


def test_a_childs_child_begins_anew_as_well(loop, fork):
    protocol, peer = loop.run_until_complete(connect(loop))

    def grandchild():
        assert loop.run_until_complete(asyncio.sleep(0, 1)) == 1
        loop.close()

    def child():
        fork(grandchild).join()
        near, far = socket.socketpair()
        with near, far:
            near.setblocking(False)
            receiving = loop.create_task(loop.sock_recv(near, 10))
            loop.run_until_complete(asyncio.sleep(0))
            fork(grandchild).join()
            far.send(b"child")
            assert loop.run_until_complete(receiving) == b"child"

    fork(child).join()
    peer.sendall(b"parent")
    peer.close()
    assert loop.run_until_complete(protocol.lost) is None
    assert protocol.data == b"parent"
