"""add_reader() and add_writer(): what asyncio promises of them, on both loops."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import gc
import os
import socket
import tempfile
import weakref

import pytest
from peers import connect
from steps import turns
from watching import ENDS, Calls, pipe_ends, socket_ends

HOST = "127.0.0.1"


@pytest.fixture(params=ENDS)
def ends(request):
    """Make something to read from and something to write to, of each kind."""
    with ENDS[request.param]() as numbers:
        yield numbers


def test_a_reader_is_called_in_every_turn_until_all_is_read(loop, ends):
    """Level-triggered: what is left unread calls again, and silence does not call."""
    reading, writing = ends

    async def main():
        calls = Calls()
        loop.add_reader(reading, calls)
        await turns(5)
        assert calls.count == 0
        os.write(writing, b"abc")
        await calls.wait()
        before = calls.count
        await turns(10)
        assert 9 <= calls.count - before <= 10
        assert os.read(reading, 2) == b"ab"
        await calls.wait(3)
        assert os.read(reading, 2) == b"c"
        before = calls.count
        await turns(10)
        assert calls.count <= before + 1  # once: it may have been made ready before the read
        assert loop.remove_reader(reading) is True

    loop.run_until_complete(main())


# Not a pty: the kernel finds room in a full one, at times.
@pytest.mark.parametrize("ends", ["socket", "pipe"], indirect=True)
def test_a_writer_is_called_as_long_as_there_is_room(loop, ends):
    """Not when full, again when the other side has read."""
    reading, writing = ends
    os.set_blocking(writing, False)

    async def main():
        def fill():
            try:
                while True:
                    os.write(writing, bytes(1 << 16))
            except BlockingIOError:
                pass

        calls = Calls()
        loop.add_writer(writing, calls)
        await calls.wait(3)
        fill()
        await turns(1)
        before = calls.count
        await turns(10)
        assert calls.count == before
        os.set_blocking(reading, False)
        try:
            while os.read(reading, 1 << 16):
                pass
        except BlockingIOError:
            pass
        await calls.wait(3)
        assert loop.remove_writer(writing) is True

    loop.run_until_complete(main())


def test_a_callback_gets_its_arguments(loop):
    """They are kept with the callback."""
    with socket_ends() as (reading, writing):

        async def main():
            future = loop.create_future()
            loop.add_reader(reading, lambda *args: future.done() or future.set_result(args), 1, "b")
            os.write(writing, b"x")
            assert await future == (1, "b")
            loop.remove_reader(reading)

        loop.run_until_complete(main())


def test_reader_and_writer_of_one_descriptor_are_independent(loop):
    """Adding, calling and removing one leaves the other as it is."""
    with socket_ends() as (number, peer):

        async def main():
            reads, writes = Calls(), Calls()
            loop.add_reader(number, reads)
            loop.add_writer(number, writes)
            await writes.wait(3)
            assert reads.count == 0
            assert loop.remove_writer(number) is True
            stopped = writes.count
            os.write(peer, b"x")
            await reads.wait(3)
            assert writes.count == stopped
            loop.add_writer(number, writes)
            assert loop.remove_reader(number) is True
            read = reads.count
            await writes.wait(3)
            assert reads.count == read
            assert loop.remove_writer(number) is True
            assert loop.remove_writer(number) is False

        loop.run_until_complete(main())


def test_removing_within_the_turn_takes_back_a_call_that_is_due(loop):
    """Of two that are ready in one turn the first removes the other, which is never called."""
    with socket_ends() as (one, peer_of_one), socket_ends() as (other, peer_of_other):
        called = []

        def callback(mine, others):
            called.append(mine)
            loop.remove_reader(others)
            loop.remove_writer(others)

        async def main():
            os.write(peer_of_one, b"x")
            os.write(peer_of_other, b"x")
            for mine, others in ((one, other), (other, one)):
                loop.add_reader(mine, callback, mine, others)
            await turns(5)
            assert len(set(called)) == 1
            loop.remove_reader(called[0])
            count = len(called)
            await turns(3)
            assert len(called) == count

        loop.run_until_complete(main())


def test_replacing_a_callback_cancels_the_one_before(loop):
    """Also one that is due in this very turn; removing afterwards finds one, not two."""
    with socket_ends() as (number, peer):

        async def main():
            old, new = Calls(), Calls()
            loop.add_reader(number, old)
            os.write(peer, b"x")
            loop.call_soon(loop.add_reader, number, new)
            await new.wait(3)
            seen = old.count
            await turns(5)
            assert old.count == seen <= 1
            assert loop.remove_reader(number) is True
            assert loop.remove_reader(number) is False

        loop.run_until_complete(main())


def test_a_hang_up_wakes_the_reader_and_the_writer(loop):
    """Whoever waits learns of it, whatever he waits for."""
    ours, peer = socket.socketpair()
    with ours, peer:
        ours.setblocking(False)
        try:
            while True:
                ours.send(bytes(1 << 16))
        except BlockingIOError:
            pass

        async def main():
            reads, writes = Calls(), Calls()
            loop.add_reader(ours, reads)
            loop.add_writer(ours, writes)
            await turns(3)
            assert (reads.count, writes.count) == (0, 0)
            peer.close()
            await asyncio.gather(reads.wait(), writes.wait())
            loop.remove_reader(ours)
            loop.remove_writer(ours)

        loop.run_until_complete(main())


def test_a_pipe_without_readers_wakes_its_writer(loop):
    """EPOLLERR alone, without room to write."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    try:
        while True:
            os.write(writing, bytes(1 << 16))
    except BlockingIOError:
        pass

    async def main():
        writes = Calls()
        loop.add_writer(writing, writes)
        await turns(3)
        assert writes.count == 0
        os.close(reading)
        await writes.wait()
        loop.remove_writer(writing)
        os.close(writing)

    loop.run_until_complete(main())


def test_an_exception_is_reported_and_the_callback_called_again(loop):
    """One failing call neither ends the watching nor the loop."""
    with socket_ends() as (number, peer):

        def fail():
            raise ZeroDivisionError

        async def main():
            calls = Calls(fail)
            loop.add_reader(number, calls)
            os.write(peer, b"x")
            await calls.wait(3)
            loop.remove_reader(number)
            assert len(loop.problems) == calls.count
            assert all(isinstance(p["exception"], ZeroDivisionError) for p in loop.problems)
            loop.problems.clear()

        loop.run_until_complete(main())


def test_a_reader_may_be_added_before_the_loop_runs(loop):
    """It is called once the loop runs, also for what was there before, and between two runs."""
    with pipe_ends() as (reading, writing):
        got = []

        def read():
            got.append(os.read(reading, 10))
            loop.stop()

        loop.add_reader(reading, read)
        os.write(writing, b"first")
        loop.run_forever()
        os.write(writing, b"second")
        loop.run_forever()
        assert got == [b"first", b"second"]
        assert loop.remove_reader(reading) is True


METHODS = ["add_reader", "add_writer", "remove_reader", "remove_writer"]


def call(loop, method, fd):
    """Call one of the four; the callback of add_* must never run."""
    if method.startswith("add"):
        return getattr(loop, method)(fd, pytest.fail)
    return getattr(loop, method)(fd)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("bad", [object(), "x", None, 3.5, b"7"])
def test_what_is_no_file_is_a_value_error(loop, method, bad):
    """The message names it."""
    with pytest.raises(ValueError, match="Invalid file object: "):
        call(loop, method, bad)


@pytest.mark.parametrize("method", METHODS)
def test_a_negative_number_is_a_value_error(loop, method):
    """Also as the fileno() of an object that was closed before it was watched."""
    closed = socket.socket()
    closed.close()
    with pipe_ends() as (reading, _):
        loop.add_reader(reading, print)  # on a loop that watches something already
        for bad in (-1, closed):
            with pytest.raises(ValueError, match="Invalid file descriptor: -1"):
                call(loop, method, bad)
        loop.remove_reader(reading)


def test_a_number_that_is_not_open_is_refused_and_not_kept(loop):
    """OSError with EBADF; nothing is there to be removed."""
    number = fcntl.fcntl(0, fcntl.F_DUPFD, 500)  # not one that the loop might take
    os.close(number)
    for side in ("reader", "writer"):
        with pytest.raises(OSError) as caught:
            call(loop, f"add_{side}", number)
        assert caught.value.errno == errno.EBADF
        assert call(loop, f"remove_{side}", number) is False


def test_a_regular_file_is_refused(loop):
    """It is always ready, so epoll does not watch it: PermissionError."""
    with tempfile.TemporaryFile() as file:
        for side in ("reader", "writer"):
            with pytest.raises(PermissionError):
                call(loop, f"add_{side}", file)
            assert call(loop, f"remove_{side}", file) is False


def test_removing_what_was_never_added_answers_false(loop):
    """On a fresh loop, and for the other direction."""
    with pipe_ends() as (reading, writing):
        assert loop.remove_reader(reading) is False
        assert loop.remove_writer(writing) is False
        loop.add_reader(reading, print)
        assert loop.remove_writer(reading) is False
        assert loop.remove_reader(reading) is True
        assert loop.remove_reader(reading) is False


def test_an_object_and_its_number_mean_the_same(loop):
    """Added by one, removed by the other."""
    ours, peer = socket.socketpair()
    with ours, peer:
        loop.add_reader(ours, print)
        assert loop.remove_reader(ours.fileno()) is True
        loop.add_writer(ours.fileno(), print)
        assert loop.remove_writer(ours) is True


def test_an_object_that_was_closed_can_still_be_removed(loop):
    """It has no number any more, but the loop knows which it had."""
    ours, peer = socket.socketpair()
    with ours, peer:
        loop.add_reader(ours, print)
        ours.close()
        assert loop.remove_reader(ours) is True
        with pytest.raises(ValueError, match="Invalid file descriptor"):
            loop.remove_reader(ours)


class Numbered:
    """A file object of the user's own making."""

    def __init__(self, number: int) -> None:
        self.number = number

    def fileno(self):
        return self.number


def test_a_watched_object_is_kept_until_it_is_removed(loop):
    """Who keeps no reference to his file is called nevertheless: it is not collected and closed."""
    with pipe_ends() as (reading, writing):
        file = Numbered(reading)
        kept = weakref.ref(file)
        loop.add_reader(file, loop.stop)
        del file
        gc.collect()
        assert kept() is not None
        os.write(writing, b"x")
        loop.run_forever()
        assert loop.remove_reader(reading) is True
        gc.collect()
        assert kept() is None


def test_the_descriptor_of_a_transport_is_refused(loop):
    """RuntimeError from all four, by number and by object, until the transport closes."""

    async def main():
        protocol, peer = await connect(loop)
        transport = protocol.transport
        with peer:
            sock = transport.get_extra_info("socket")
            for method in METHODS:
                for fd in (sock, sock.fileno()):
                    with pytest.raises(RuntimeError, match="is used by transport"):
                        call(loop, method, fd)
            transport.close()
            await turns(3)

    loop.run_until_complete(main())


def test_a_closed_loop_refuses_to_watch(loop):
    """RuntimeError for adding; there is nothing to remove."""
    with pipe_ends() as (reading, writing):
        loop.add_reader(reading, print)
        loop.close()
        for side, number in (("reader", reading), ("writer", writing)):
            with pytest.raises(RuntimeError, match="closed"):
                call(loop, f"add_{side}", number)
            assert call(loop, f"remove_{side}", number) is False


def test_in_debug_mode_everything_is_the_same(loop):
    """asyncio's own handles are used there."""
    loop.set_debug(True)
    with socket_ends() as (number, peer):

        async def main():
            old, reads, writes = Calls(), Calls(), Calls()
            loop.add_reader(number, old)
            loop.add_reader(number, reads)
            loop.add_writer(number, writes)
            os.write(peer, b"x")
            await asyncio.gather(reads.wait(3), writes.wait(3))
            assert loop.remove_reader(number) is True
            assert loop.remove_writer(number) is True
            counts = reads.count, writes.count
            await turns(3)
            assert (reads.count, writes.count) == counts
            assert old.count == 0

        loop.run_until_complete(main())
