"""Datagrams: the asyncio contract, on asyncio's loop and over both ways of ours."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import sys

import pytest
from datagrams import HOST, Mailbox, endpoint, udp_socket

# What UDP can carry: 65,535 without the headers.
LARGEST = {socket.AF_INET: 65_507, socket.AF_INET6: 65_527}


@pytest.fixture
def loop(datagram_loop):
    """Run every test of this file on the three transports."""
    return datagram_loop


@pytest.fixture
def empty_is_sent(loop):
    """Skip where asyncio itself does not send empty datagrams."""
    if isinstance(loop, asyncio.SelectorEventLoop) and sys.version_info < (3, 13):
        pytest.skip("asyncio sends empty datagrams from 3.13 on")


def test_an_unconnected_endpoint_answers_whoever_writes(loop):
    """Data and address are those of recvfrom()."""

    async def main():
        ours = await endpoint()
        here = ours.transport.get_extra_info("sockname")
        with udp_socket() as one, udp_socket() as other:
            one.sendto(b"one", here)
            assert await ours.next_mail() == (b"one", one.getsockname())
            other.sendto(b"other", here)
            assert await ours.next_mail() == (b"other", other.getsockname())
            ours.transport.sendto(b"to one", one.getsockname())
            ours.transport.sendto(bytearray(b"to other"), other.getsockname())
            assert one.recvfrom(100) == (b"to one", here)
            assert other.recvfrom(100) == (b"to other", here)
        assert ours.transport.get_extra_info("peername") is None
        assert await ours.close() is None

    loop.run_until_complete(main())


def test_a_connected_endpoint_hears_its_peer_alone(loop):
    """Without an address or with the peer's; strangers are not heard."""

    async def main():
        with udp_socket() as peer, udp_socket() as stranger:
            ours = await endpoint(remote_addr=peer.getsockname())
            here = ours.transport.get_extra_info("sockname")
            assert ours.transport.get_extra_info("peername") == peer.getsockname()
            stranger.sendto(b"not for you", here)
            ours.transport.sendto(b"1")
            ours.transport.sendto(memoryview(b"2"), peer.getsockname())
            assert peer.recvfrom(100) == (b"1", here)
            assert peer.recvfrom(100) == (b"2", here)
            peer.sendto(b"yes", here)
            assert await ours.next_mail() == (b"yes", peer.getsockname())
            assert ours.mail.empty()
            await ours.close()

    loop.run_until_complete(main())


def test_an_empty_datagram_is_received_and_is_no_end(loop):
    """b"" with its sender; what comes behind it arrives too."""

    async def main():
        ours = await endpoint()
        here = ours.transport.get_extra_info("sockname")
        with udp_socket() as peer:
            for data in (b"", b"a", b"", b"", b"b"):
                peer.sendto(data, here)
            got = [await ours.next_mail() for _ in range(5)]
            assert [data for data, _ in got] == [b"", b"a", b"", b"", b"b"]
            assert {sender for _, sender in got} == {peer.getsockname()}
        assert not ours.transport.is_closing()
        await ours.close()

    loop.run_until_complete(main())


def test_an_empty_datagram_is_sent(loop, empty_is_sent):
    """Connected and unconnected."""

    async def main():
        with udp_socket() as peer:
            ours = await endpoint()
            ours.transport.sendto(b"", peer.getsockname())
            assert peer.recvfrom(100) == (b"", ours.transport.get_extra_info("sockname"))
            await ours.close()
            connected = await endpoint(remote_addr=peer.getsockname())
            connected.transport.sendto(bytearray())
            assert peer.recv(100) == b""
            await connected.close()

    loop.run_until_complete(main())


@pytest.mark.parametrize("family", LARGEST, ids=["ipv4", "ipv6"])
def test_the_largest_datagram_arrives_whole(loop, family):
    """To the byte, in both directions; one byte more is an error of the sender's."""

    async def main():
        host = HOST if family == socket.AF_INET else "::1"
        payload = os.urandom(LARGEST[family])
        ours = await endpoint(local_addr=(host, 0))
        with udp_socket(family, host) as peer:
            for _ in range(3):
                peer.sendto(payload, ours.transport.get_extra_info("sockname"))
                assert await ours.next_mail() == (payload, peer.getsockname())
                ours.transport.sendto(payload, peer.getsockname())
                assert peer.recv(1 << 17) == payload
            ours.transport.sendto(payload + b"x", peer.getsockname())
            assert (await ours.next_error()).errno == errno.EMSGSIZE
        await ours.close()

    loop.run_until_complete(main())


def test_a_refused_datagram_is_an_error_and_the_transport_lives_on(loop):
    """ECONNREFUSED from the peer's host reaches error_received(), again and again."""

    async def main():
        with udp_socket() as peer:
            address = peer.getsockname()
            ours = await endpoint(remote_addr=address)
        for _ in range(3):
            ours.transport.sendto(b"anybody there?")
            error = await ours.next_error()
            assert type(error) is ConnectionRefusedError
            assert error.errno == errno.ECONNREFUSED
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
            peer.bind(address)
            peer.sendto(b"now", ours.transport.get_extra_info("sockname"))
            assert await ours.next_mail() == (b"now", address)
        assert await ours.close() is None

    loop.run_until_complete(main())


def test_wrong_arguments_of_sendto(loop):
    """Another address than the peer's, data that is none, an address that is none."""

    async def main():
        with udp_socket() as peer:
            connected = await endpoint(remote_addr=peer.getsockname())
            with pytest.raises(ValueError, match="Invalid address"):
                connected.transport.sendto(b"x", (HOST, 9))
            for data in ("text", None, 7, [b"list"]):
                with pytest.raises(TypeError):
                    connected.transport.sendto(data)
            connected.transport.sendto(b"fine")
            assert peer.recv(100) == b"fine"
            await connected.close()

    loop.run_until_complete(main())


@pytest.mark.parametrize("address", [None, "text", (HOST,), (HOST, "port"), (HOST, 1 << 17)])
def test_an_address_that_is_none_ends_the_transport(loop, address):
    """What is no OSError is a fatal error: reported, and connection_lost() is told of it."""

    async def main():
        ours = await endpoint()
        ours.transport.sendto(b"x", address)
        lost = await asyncio.wait_for(ours.lost, 20)
        assert isinstance(lost, (TypeError, OverflowError, ValueError))  # PyPy: ValueError
        problem = loop.problems.pop()
        assert problem["message"] == "Fatal write error on datagram transport"
        assert problem["exception"] is lost

    loop.run_until_complete(main())


def test_datagrams_of_many_senders_each_have_their_address(loop):
    """Thousands, from a hundred sockets; none is mixed up."""

    async def main():
        ours = await endpoint()
        here = ours.transport.get_extra_info("sockname")
        socks = [udp_socket() for _ in range(100)]
        try:
            for burst in range(30):
                for number, sock in enumerate(socks):
                    sock.sendto(b"%d %d" % (burst, number), here)
                for number, sock in enumerate(socks):
                    assert await ours.next_mail() == (
                        b"%d %d" % (burst, number),
                        sock.getsockname(),
                    )
        finally:
            for sock in socks:
                sock.close()
        await ours.close()

    loop.run_until_complete(main())


def test_datagrams_come_in_the_order_of_sending(loop):
    """Between two endpoints of the same loop, of sizes that differ."""

    async def main():
        ours = await endpoint()
        theirs = await endpoint(remote_addr=ours.transport.get_extra_info("sockname"))
        for burst in range(50):
            sent = [b"%d" % number * (number + burst + 1) for number in range(20)]
            for data in sent:
                theirs.transport.sendto(data)
            assert [(await ours.next_mail())[0] for _ in sent] == sent
        await theirs.close()
        await ours.close()

    loop.run_until_complete(main())


def test_sending_in_vain_after_close_does_not_change_how_it_ends(loop):
    """An address is missing, which would end an open transport."""

    async def main():
        ours = await endpoint()
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
        ours.transport.close()
        ours.transport.sendto(b"to nobody")
        assert await asyncio.wait_for(ours.lost, 20) is None

    loop.run_until_complete(main())


def test_nothing_is_delivered_after_close(loop):
    """Neither what has come already nor what comes later; connection_lost(None) comes once."""

    async def main():
        ours = await endpoint()
        here = ours.transport.get_extra_info("sockname")
        with udp_socket() as peer:
            for _ in range(20):
                peer.sendto(b"too late", here)
            ours.transport.close()
            assert ours.transport.is_closing()
            peer.sendto(b"later still", here)
            ours.transport.close()
            ours.transport.abort()
            assert await asyncio.wait_for(ours.lost, 20) is None
        assert ours.mail.empty()

    loop.run_until_complete(main())


def test_closing_in_the_middle_of_a_batch_holds_at_once(loop):
    """Twenty datagrams lie there; the protocol closes at the third and sees no fourth."""

    class Closing(Mailbox):
        def datagram_received(self, data, addr):
            super().datagram_received(data, addr)
            if self.mail.qsize() == 3:
                self.transport.close()

    async def main():
        ours = await endpoint(Closing, local_addr=(HOST, 0))
        with udp_socket() as peer:
            for number in range(20):
                peer.sendto(b"%d" % number, ours.transport.get_extra_info("sockname"))
            assert await asyncio.wait_for(ours.lost, 20) is None
        assert ours.mail.qsize() == 3

    loop.run_until_complete(main())


@pytest.mark.parametrize("method", ["datagram_received", "error_received"])
def test_an_exception_in_the_protocol_is_reported_and_the_transport_lives_on(loop, method):
    """The exception handler is told; the next datagram arrives."""

    class Failing(Mailbox):
        failures = 0

        def datagram_received(self, data, addr):
            if method == "datagram_received" and not self.failures:
                self.failures += 1
                raise ZeroDivisionError(method)
            super().datagram_received(data, addr)

        def error_received(self, exc):
            super().error_received(exc)
            if not self.failures:
                self.failures += 1
                raise ZeroDivisionError(method)

    async def main():
        with udp_socket() as peer:
            address = peer.getsockname()
            ours = await endpoint(Failing, remote_addr=address)
        here = ours.transport.get_extra_info("sockname")
        if method == "error_received":
            ours.transport.sendto(b"to nobody")
            await ours.next_error()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
            peer.bind(address)
            peer.sendto(b"first", here)
            peer.sendto(b"second", here)
            if method == "error_received":
                assert (await ours.next_mail())[0] == b"first"
            assert (await ours.next_mail())[0] == b"second"
        problem = loop.problems.pop()
        assert type(problem["exception"]) is ZeroDivisionError
        assert not loop.problems
        assert await ours.close() is None

    loop.run_until_complete(main())


def test_the_protocol_can_be_switched(loop):
    """set_protocol(): what comes from now on is the new one's, connection_lost() too."""

    async def main():
        ours = await endpoint()
        here = ours.transport.get_extra_info("sockname")
        with udp_socket() as peer:
            peer.sendto(b"first", here)
            assert (await ours.next_mail())[0] == b"first"
            other = Mailbox()
            other.connection_made(ours.transport)
            ours.transport.set_protocol(other)
            assert ours.transport.get_protocol() is other
            peer.sendto(b"second", here)
            assert (await other.next_mail())[0] == b"second"
        assert await other.close() is None
        assert ours.mail.empty()
        assert not ours.lost.done()

    loop.run_until_complete(main())
