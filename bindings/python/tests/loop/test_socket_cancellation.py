"""sock_*: numbers used again, ends that are none, interrupts, several receivers at a time."""

from __future__ import annotations

import asyncio
import errno
import os
import random
import socket
import sys

import pytest
from steps import turns

import uringcore_cffi
from uringcore_cffi._handles.fd import CLOSE_NOW, Fd

HOST = "127.0.0.1"
PATIENCE = 20
PACKAGE = os.path.dirname(os.path.abspath(uringcore_cffi.__file__))


@pytest.fixture
def datagrams():
    """Make two connected sockets of datagrams: ours, non-blocking, and its peer."""
    with (
        socket.socket(type=socket.SOCK_DGRAM) as ours,
        socket.socket(type=socket.SOCK_DGRAM) as peer,
    ):
        ours.bind((HOST, 0))
        peer.bind((HOST, 0))
        ours.connect(peer.getsockname())
        peer.connect(ours.getsockname())
        ours.setblocking(False)
        yield ours, peer


async def soon(awaitable):
    """Await something that must not wait for ever."""
    return await asyncio.wait_for(awaitable, PATIENCE)


async def abandon(loop, sock, receive=None) -> None:
    """Begin to receive, submit it, and give up; on return the kernel does not know of that yet."""
    task = asyncio.current_task()

    async def give_up():
        await turns(3)
        task.cancel()

    giving_up = loop.create_task(give_up())
    with pytest.raises(asyncio.CancelledError):
        await (receive or loop.sock_recv)(sock, 10)
    assert giving_up.done()


# The number of a closed socket, used again


async def socket_of_an_abandoned_receive(loop) -> int:
    """Close a socket whose receive was called off and never ended; return its number."""
    ours, peer = socket.socketpair()
    with ours, peer:
        ours.setblocking(False)
        await abandon(loop, ours)
        return ours.fileno()


# In the same turn, so without soon(), which makes a task.
async def connect_by_sock_connect(loop, sock, address):
    await loop.sock_connect(sock, address)


async def connect_by_receiving(loop, sock, address):
    sock.setblocking(True)
    sock.connect(address)
    sock.setblocking(False)
    await abandon(loop, sock)


async def connect_by_transport(loop, sock, address):
    sock.setblocking(True)
    sock.connect(address)
    transport, _ = await loop.create_connection(asyncio.Protocol, sock=sock)
    transport.close()
    await turns(3)


@pytest.mark.parametrize(
    "connect", [connect_by_sock_connect, connect_by_receiving, connect_by_transport]
)
@pytest.mark.parametrize("swept", [False, True])
def test_the_number_of_a_closed_socket_can_be_used_again_at_once(loop, connect, swept):
    """A receive that was called off has no hold on the number any more."""

    async def main():
        with socket.create_server((HOST, 0)) as server:
            for _ in range(20):
                number = await socket_of_an_abandoned_receive(loop)
                if swept:
                    loop._sweep_sockets()
                with socket.socket() as sock:
                    assert sock.fileno() == number
                    sock.setblocking(False)
                    await connect(loop, sock, server.getsockname())
                server.accept()[0].close()

    loop.run_until_complete(main())


@pytest.fixture
def slow_kernel(monkeypatch):
    """Make a close that is to wait for the kernel wait in vain; return the list of those."""
    close = Fd.close
    slow = []

    def late(self, flags):
        if not flags & CLOSE_NOW:
            return close(self, flags)
        if self in slow:
            return -errno.EALREADY
        slow.append(self)
        asyncio.get_running_loop().call_later(0.01, close, self, flags & ~CLOSE_NOW)
        return -errno.EAGAIN

    monkeypatch.setattr(Fd, "close", late)
    return slow


def test_a_number_the_kernel_has_not_let_go_of_is_waited_for(loop, slow_kernel):
    """Two coroutines at a time wait for it; both go on with one attachment."""

    async def main():
        number = await socket_of_an_abandoned_receive(loop)
        ours, peer = socket.socketpair()
        with ours, peer:
            assert ours.fileno() == number
            ours.setblocking(False)
            first = loop.create_task(loop.sock_recv(ours, 3))
            second = loop.create_task(loop.sock_recv(ours, 3))
            await turns(1)
            peer.sendall(b"onetwo")
            assert await soon(first) == b"one"
            assert await soon(second) == b"two"
            await abandon(loop, ours)
        attached = loop.stats().attached
        for _ in range(2):
            loop._sweep_sockets()
        await asyncio.sleep(0.1)
        assert not loop._sockets
        assert loop.stats().attached == attached - 1

    loop.run_until_complete(main())
    assert len(slow_kernel) == 2


def test_waiting_for_a_number_can_be_cancelled(loop, slow_kernel):
    """The next attempt succeeds all the same."""

    async def main():
        number = await socket_of_an_abandoned_receive(loop)
        ours, peer = socket.socketpair()
        with ours, peer:
            assert ours.fileno() == number
            ours.setblocking(False)
            task = loop.create_task(loop.sock_recv(ours, 3))
            loop.call_soon(task.cancel)
            with pytest.raises(asyncio.CancelledError):
                await task
            task = loop.create_task(loop.sock_recv(ours, 3))
            await turns(3)
            peer.sendall(b"one")
            assert await soon(task) == b"one"

    loop.run_until_complete(main())
    assert len(slow_kernel) == 1


# Receiving goes on after what looked like an end


async def receive_into(loop, sock, count):
    """Do as sock_recv(), by way of sock_recv_into()."""
    buffer = bytearray(count)
    return bytes(buffer[: await loop.sock_recv_into(sock, buffer)])


RECEIVERS = {
    "sock_recv": lambda loop: loop.sock_recv,
    "sock_recv_into": lambda loop: lambda sock, count: receive_into(loop, sock, count),
}


@pytest.mark.parametrize("name", RECEIVERS)
def test_an_empty_datagram_is_not_the_end(loop, datagrams, name):
    """What comes after it is waited for and received, also after a cancelled receive."""
    ours, peer = datagrams
    receive = RECEIVERS[name](loop)

    async def main():
        for number in range(5):
            task = loop.create_task(receive(ours, 100))
            await turns(3)
            assert not task.done()
            data = b"later %d" % number if number % 2 else b""
            peer.send(data)
            assert await soon(task) == data
            await abandon(loop, ours, receive)

    loop.run_until_complete(main())


def test_several_receivers_wait_after_an_empty_datagram(loop, datagrams):
    """It is the first's; the others get one datagram each, in order."""
    ours, peer = datagrams

    async def main():
        tasks = [loop.create_task(loop.sock_recv(ours, 100)) for _ in range(4)]
        await turns(3)
        for number, task in enumerate(tasks):
            data = b"%d" % number if number else b""
            peer.send(data)
            assert await soon(task) == data
            await turns(3)
            assert not any(later.done() for later in tasks[number + 1 :])

    loop.run_until_complete(main())


def test_a_refused_datagram_is_an_error_each_time(loop, datagrams):
    """Each receive that waits is told of the refusal; when the peer is there again, data comes."""
    ours, peer = datagrams
    address = peer.getsockname()
    peer.close()

    async def main():
        for _ in range(3):
            task = loop.create_task(loop.sock_recv(ours, 100))
            await turns(3)
            ours.send(b"x")
            with pytest.raises(ConnectionRefusedError):
                await soon(task)
        with socket.socket(type=socket.SOCK_DGRAM) as again:
            again.bind(address)
            task = loop.create_task(loop.sock_recv(ours, 100))
            await turns(3)
            assert not task.done()
            again.sendto(b"here", ours.getsockname())
            assert await soon(task) == b"here"

    loop.run_until_complete(main())


def test_every_receiver_of_a_stream_sees_its_end(loop, pair):
    """Those in the queue, too: the kernel tells libuc only once."""
    ours, peer = pair

    async def main():
        tasks = [loop.create_task(loop.sock_recv(ours, 3)) for _ in range(4)]
        await turns(3)
        peer.sendall(b"last")
        peer.shutdown(socket.SHUT_WR)
        assert await soon(asyncio.gather(*tasks)) == [b"las", b"t", b"", b""]

    loop.run_until_complete(main())


@pytest.mark.parametrize("others", [0, 1])
def test_an_end_told_to_a_cancelled_receiver_is_the_next_ones(loop, datagrams, others):
    """An empty datagram is not lost with the task that it came for."""
    ours, peer = datagrams

    async def main():
        first = loop.create_task(loop.sock_recv(ours, 100))
        tasks = [loop.create_task(loop.sock_recv(ours, 100)) for _ in range(others)]
        await turns(3)
        peer.send(b"")
        loop.call_soon(first.cancel)
        await turns(3)
        assert first.cancelled()
        tasks = tasks or [loop.create_task(loop.sock_recv(ours, 100))]
        assert await soon(tasks[0]) == b""

    loop.run_until_complete(main())


# Interrupts


def handles_record(frame) -> bool:
    """Tell whether a frame of the sockets' code stands below the dispatch of a record."""
    name = os.path.basename(frame.f_code.co_filename)
    if name not in ("sockets.py", "socket_endpoint.py"):
        return False
    while frame is not None and frame.f_code.co_filename.startswith(PACKAGE):
        if frame.f_code.co_name == "on_record":
            return True
        frame = frame.f_back
    return False


class Interrupter:
    """Raises KeyboardInterrupt at the k-th place where the interpreter looks for signals."""

    def __init__(self, at: int) -> None:
        self.left = at
        self.fired = False

    def __call__(self, frame, event, _argument):
        if event in ("call", "c_return") and not self.fired and handles_record(frame):
            self.left -= 1
            if self.left == 0:
                self.fired = True
                raise KeyboardInterrupt


def run_interrupted(loop, task, at: int) -> bool:
    """Run a task to its end with an interrupt on the way; tell whether it came to that."""
    interrupter = Interrupter(at)
    guard = loop.call_later(PATIENCE, loop.stop)
    task.add_done_callback(lambda _: loop.stop())
    interrupts = 0
    while not task.done() and loop.time() < guard.when():
        previous = sys.getprofile()
        sys.setprofile(previous if interrupter.fired else interrupter)
        try:
            loop.run_forever()
        except KeyboardInterrupt:
            interrupts += 1
        finally:
            sys.setprofile(previous)
    guard.cancel()
    assert task.done(), f"waits for ever after an interrupt at place {at}"
    assert interrupts == interrupter.fired
    return interrupter.fired


def interrupt_everywhere(scenario) -> int:
    """Run a scenario with one interrupt, at each place in turn; return how many there were."""
    at = 0
    fired = True
    while fired:
        at += 1
        loop = uringcore_cffi.new_event_loop()
        try:
            task = loop.create_task(scenario(loop))
            fired = run_interrupted(loop, task, at)
            task.result()
        finally:
            for left in asyncio.all_tasks(loop):
                left.cancel()
                loop.run_until_complete(asyncio.gather(left, return_exceptions=True))
            loop.close()
    return at - 1


def test_an_interrupt_in_a_receive_loses_no_byte():
    """Every byte arrives once and in order, and so does the end."""

    async def scenario(loop):
        ours, peer = socket.socketpair()
        with ours, peer:
            ours.setblocking(False)
            received = []

            async def receive(count):
                received.append(await loop.sock_recv(ours, count))

            expected = b""
            for piece in (b"aaabbbcc", b"dddeee", b"f"):
                tasks = [loop.create_task(receive(count)) for count in (9, 3, 3)]
                await turns(3)
                peer.sendall(piece)
                expected += piece
                loop.call_soon(tasks[0].cancel)
                while b"".join(received) != expected:
                    if all(task.done() for task in tasks):
                        tasks.append(loop.create_task(receive(3)))
                    await turns(1)
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
            tasks = [loop.create_task(receive(3)) for _ in range(2)]
            await turns(3)
            peer.shutdown(socket.SHUT_WR)
            await asyncio.gather(*tasks)
            assert b"".join(received) == expected
            assert received[-2:] == [b"", b""]

    assert interrupt_everywhere(scenario) > 8


def test_an_interrupt_in_a_poll_wakes_everyone_who_accepts():
    """Two wait, one connection comes and then another: nobody is forgotten."""

    async def scenario(loop):
        with socket.create_server((HOST, 0)) as server:
            server.setblocking(False)
            tasks = [loop.create_task(loop.sock_accept(server)) for _ in range(2)]
            await turns(3)
            for task in tasks:
                with socket.create_connection(server.getsockname()) as client:
                    conn, address = await task
                    with conn:
                        assert address == client.getsockname()
                await turns(2)

    assert interrupt_everywhere(scenario) > 4


def test_an_interrupt_in_a_poll_wakes_who_receives_and_who_sends():
    """Datagrams, after an empty one: both directions of one socket are waited for at a time."""

    async def scenario(loop):
        ours, peer = socket.socketpair(type=socket.SOCK_DGRAM)
        with ours, peer:
            for sock in (ours, peer):
                sock.setblocking(False)
            receiving = loop.create_task(loop.sock_recv(ours, 10))
            await turns(3)
            peer.send(b"")
            assert await receiving == b""
            receivers = [loop.create_task(loop.sock_recv(ours, 10)) for _ in range(2)]
            await turns(2)
            count = 0
            while True:
                sending = loop.create_task(loop.sock_sendall(ours, b"%d" % count))
                await turns(1)
                if not sending.done():
                    break
                count += 1
            await turns(2)
            peer.send(b"one")
            assert await receivers[0] == b"one"
            assert not sending.done()
            for number in range(count):
                assert peer.recv(10) == b"%d" % number
            await sending
            peer.send(b"two")
            assert await receivers[1] == b"two"

    assert interrupt_everywhere(scenario) > 4


def test_an_interrupt_in_the_end_of_an_attachment_is_made_up_for(slow_kernel):
    """Who waits for the number is woken."""

    async def scenario(loop):
        number = await socket_of_an_abandoned_receive(loop)
        ours, peer = socket.socketpair()
        with ours, peer:
            assert ours.fileno() == number
            ours.setblocking(False)
            task = loop.create_task(loop.sock_recv(ours, 10))
            await turns(3)
            peer.sendall(b"data")
            assert await task == b"data"

    assert interrupt_everywhere(scenario) > 4
    assert len(slow_kernel) > 4


# Several receivers at a time


@pytest.mark.parametrize("count", [1, 3, 100])
def test_what_came_for_a_cancelled_receiver_is_the_next_ones_at_once(loop, pair, count):
    """The next in the queue gets it without more being sent, and nobody overtakes it."""
    ours, peer = pair

    async def main():
        for number in range(50):
            received = []

            async def receive(size, to):
                to.append(await loop.sock_recv(ours, size))

            first = loop.create_task(receive(100, received))
            others = [loop.create_task(receive(count, received)) for _ in range(3)]
            await turns(3)
            piece = b"<%d>" % number
            peer.sendall(piece)
            # Runs when the data has come but before the first receiver does.
            loop.call_soon(first.cancel)
            await soon(asyncio.wait([others[0]]))
            assert first.cancelled()
            assert received[0] == piece[:count]
            peer.sendall(b"more")
            await turns(number % 5)
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)
            while len(b"".join(received)) < len(piece) + 4:
                await soon(receive(100, received))
            assert b"".join(received) == piece + b"more"

    loop.run_until_complete(main())


def test_several_receivers_cancelled_at_random_keep_the_order(loop, pair):
    """What the receivers got, in the order in which they got it, is what was sent."""
    ours, peer = pair
    chance = random.Random(1)
    sent, received = bytearray(), bytearray()

    async def receive(size):
        received.extend(await loop.sock_recv(ours, size))

    async def main():
        tasks = []
        for number in range(5000):
            while len(tasks) < 4:
                tasks.append(loop.create_task(receive(chance.randint(1, 12))))
            await turns(chance.randrange(3))
            if chance.random() < 0.7:
                piece = b"%06d;" % number
                peer.sendall(piece)
                sent.extend(piece)
            for task in chance.sample(tasks, chance.randrange(3)):
                if chance.random() < 0.5:
                    task.cancel()
                else:
                    loop.call_soon(task.cancel)
            await turns(chance.randrange(3))
            tasks = [task for task in tasks if not task.done()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        peer.shutdown(socket.SHUT_WR)
        before = -1
        while len(received) > before:
            before = len(received)
            await soon(receive(1 << 16))

    loop.run_until_complete(main())
    assert received == sent


def test_a_receive_served_from_what_was_kept_leaves_nothing_armed(loop, pair):
    """A later receive that finds data in the socket does not overtake what the ring got."""
    ours, peer = pair

    async def main():
        for number in range(100):
            first = loop.create_task(loop.sock_recv(ours, 100))
            second = loop.create_task(loop.sock_recv(ours, 100))
            await turns(3)
            peer.sendall(b"%03d" % number)
            loop.call_soon(first.cancel)
            assert await soon(second) == b"%03d" % number
            peer.sendall(b"a")
            await turns(number % 3)
            peer.sendall(b"b")
            got = b""
            while len(got) < 2:
                got += await soon(loop.sock_recv(ours, 1))
            assert got == b"ab"

    loop.run_until_complete(main())
