"""Datagrams that wait for room: the asyncio contract, over both ways of ours."""

from __future__ import annotations

import asyncio
import errno
import socket
import sys
from asyncio import selector_events

import pytest
from datagrams import Mailbox, endpoint, gated, udp_socket
from steps import until

# Counted for each datagram that waits: by asyncio from 3.13 on, by ours always.
HEADER = 8


# The first 3.13 adds the header when a datagram waits and forgets to take it off again.
MISCOUNTS = sys.version_info[:2] == (3, 13) and not hasattr(
    selector_events._SelectorDatagramTransport, "_header_size"
)


@pytest.fixture
def loop(datagram_loop):
    """Run every test of this file on the three transports."""
    if MISCOUNTS and isinstance(datagram_loop, asyncio.SelectorEventLoop):
        pytest.skip("asyncio counts wrong what waits")
    return datagram_loop


@pytest.fixture
def header(datagram_loop):
    """Return what is counted for a datagram beside its bytes."""
    stock = isinstance(datagram_loop, asyncio.SelectorEventLoop)
    return 0 if stock and sys.version_info < (3, 13) else HEADER


def test_a_full_socket_pauses_and_resumes_in_pairs(loop, header):
    """The size is what waits; pause above high, resume at low; every datagram in order."""

    async def main():
        with udp_socket() as peer:
            ours, sock = await gated(peer)
            transport = ours.transport
            transport.set_write_buffer_limits(high=1000, low=300)
            for round_ in range(1, 6):
                sock.shut = True
                for number in range(12):
                    assert not ours.paused
                    transport.sendto(b"%100d" % number)
                    size = (number + 1) * (100 + header)
                    assert transport.get_write_buffer_size() == size
                    if size > 1000:
                        break
                assert ours.paused
                assert ours.pauses == round_
                transport.sendto(b"%100d" % 99)
                assert ours.pauses == round_
                sock.shut = False
                await until(lambda: not ours.paused)
                assert ours.resumes == round_
                assert transport.get_write_buffer_size() == 0
                got = [int(peer.recv(200)) for _ in range(number + 2)]
                assert got == [*range(number + 1), 99]
            assert await ours.close() is None

    loop.run_until_complete(main())


def test_a_peer_that_does_not_read_is_felt(loop, tmp_path):
    """A real socket that is full: Unix datagrams, of which the kernel keeps a few."""

    async def main():
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as peer:
            peer.settimeout(20)
            peer.bind(str(tmp_path / "peer"))
            ours = await endpoint(remote_addr=str(tmp_path / "peer"), family=socket.AF_UNIX)
            ours.transport.set_write_buffer_limits(high=100)
            sent = 0
            while not ours.paused:
                ours.transport.sendto(b"%100d" % sent)
                sent += 1
            await asyncio.sleep(0)
            for number in range(sent):
                assert int(peer.recv(200)) == number
                if number % 3 == 0:
                    await asyncio.sleep(0)
                if number == sent - 2:
                    await until(lambda: not ours.paused)
            assert (ours.pauses, ours.resumes) == (1, 1)
            await ours.close()

    loop.run_until_complete(main())


def test_what_waits_is_not_overtaken(loop):
    """A datagram sent when there is room again stands behind those that wait."""

    async def main():
        with udp_socket() as peer:
            ours, sock = await gated(peer)
            ours.transport.sendto(b"1")
            ours.transport.sendto(b"2")
            sock.shut = False
            ours.transport.sendto(b"3")
            await until(lambda: not ours.transport.get_write_buffer_size())
            assert [peer.recv(10) for _ in range(3)] == [b"1", b"2", b"3"]
            await ours.close()

    loop.run_until_complete(main())


def test_what_waits_is_a_copy(loop):
    """The caller may change its buffer as soon as sendto() has returned."""

    async def main():
        with udp_socket() as peer:
            ours, sock = await gated(peer)
            buffer = bytearray(b"before")
            ours.transport.sendto(buffer)
            buffer[:] = b"after!"
            sock.shut = False
            await until(lambda: not ours.transport.get_write_buffer_size())
            assert peer.recv(10) == b"before"
            await ours.close()

    loop.run_until_complete(main())


def test_closing_sends_what_waits_then_loses_the_connection(loop):
    """connection_lost(None) comes behind the last datagram, and nothing is received meanwhile."""

    async def main():
        with udp_socket() as peer:
            ours, sock = await gated(peer)
            for number in range(5):
                ours.transport.sendto(b"%d" % number)
            ours.transport.close()
            assert ours.transport.is_closing()
            peer.sendto(b"too late", sock.getsockname())
            seen = sock.attempts
            await until(lambda: sock.attempts > seen + 1)
            assert ours.state == "made"
            assert ours.transport.get_write_buffer_size() >= 5
            sock.shut = False
            assert await asyncio.wait_for(ours.lost, 20) is None
            assert [peer.recv(10) for _ in range(5)] == [b"%d" % number for number in range(5)]
            assert ours.mail.empty()

    loop.run_until_complete(main())


@pytest.mark.parametrize("raises", [False, True])
def test_an_error_of_one_waiting_datagram_does_not_stop_the_others(loop, raises):
    """error_received() is told; the rest is sent, even if it raises."""

    class Failing(Mailbox):
        def error_received(self, exc):
            super().error_received(exc)
            if raises:
                raise ZeroDivisionError

    async def main():
        with udp_socket() as peer:
            ours, sock = await gated(peer, Failing)
            ours.transport.set_write_buffer_limits(high=0)
            for number in range(4):
                ours.transport.sendto(b"%d" % number)
            assert ours.paused
            await asyncio.sleep(0)
            sock.failures = [OSError(errno.ENETUNREACH, "first"), OSError(errno.EPERM, "second")]
            sock.shut = False
            assert (await ours.next_error()).errno == errno.ENETUNREACH
            assert (await ours.next_error()).errno == errno.EPERM
            await until(lambda: not ours.paused)
            assert [peer.recv(10) for _ in range(2)] == [b"2", b"3"]
            assert await ours.close() is None
        if raises:
            assert [type(problem["exception"]) for problem in loop.problems] == [
                ZeroDivisionError
            ] * 2
            loop.problems.clear()

    loop.run_until_complete(main())


@pytest.mark.parametrize("end", ["close", "abort"])
def test_the_protocol_may_end_it_from_error_received(loop, end):
    """In the middle of what waits."""

    class Ending(Mailbox):
        def error_received(self, exc):
            super().error_received(exc)
            getattr(self.transport, end)()

    async def main():
        with udp_socket() as peer:
            ours, sock = await gated(peer, Ending)
            for number in range(4):
                ours.transport.sendto(b"%d" % number)
            await asyncio.sleep(0)
            sock.failures = [OSError(errno.EPERM, "no")]
            sock.shut = False
            assert await asyncio.wait_for(ours.lost, 20) is None
            peer.setblocking(False)
            if end == "close":
                assert [peer.recv(10) for _ in range(3)] == [b"1", b"2", b"3"]
            with pytest.raises(BlockingIOError):
                peer.recv(10)

    loop.run_until_complete(main())


def test_sending_from_resume_writing(loop):
    """A protocol that sends as soon as it may: everything arrives once, in order."""

    class Eager(Mailbox):
        next_number = 0

        def fill(self):
            while not self.paused and self.next_number < 200:
                self.transport.sendto(b"%d" % self.next_number)
                self.next_number += 1

        def resume_writing(self):
            super().resume_writing()
            self.fill()

    async def main():
        with udp_socket() as peer:
            ours, sock = await gated(peer, Eager)
            ours.transport.set_write_buffer_limits(high=20, low=0)
            ours.fill()
            assert ours.paused
            for number in range(200):
                sock.shut = False
                await until(lambda wanted=number: sock.passed > wanted)
                assert int(peer.recv(10)) == number
            await ours.close()
            assert ours.pauses == ours.resumes

    loop.run_until_complete(main())


def test_sending_after_close_reaches_nobody(loop):
    """A connected endpoint drops it, in the end with a warning; nothing raises."""

    async def main():
        with udp_socket() as peer:
            ours = await endpoint(remote_addr=peer.getsockname())
            ours.transport.close()
            for _ in range(10):
                ours.transport.sendto(b"nobody", None)
            assert await asyncio.wait_for(ours.lost, 20) is None
            peer.setblocking(False)
            with pytest.raises(BlockingIOError):
                peer.recv(10)

    loop.run_until_complete(main())
