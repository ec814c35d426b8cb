"""Datagram endpoints: the asyncio contract, on asyncio's loop and over both ways of ours."""

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


def test_ipv6_addresses_have_four_parts(loop):
    """Address, port, flow and scope, in both directions."""

    async def main():
        with udp_socket(socket.AF_INET6, "::1") as peer:
            ours = await endpoint(local_addr=("::1", 0))
            here = ours.transport.get_extra_info("sockname")
            assert len(here) == 4
            peer.sendto(b"six", here)
            data, sender = await ours.next_mail()
            assert (data, sender) == (b"six", peer.getsockname())
            ours.transport.sendto(b"back", sender)
            assert peer.recvfrom(100) == (b"back", here)
            await ours.close()

    loop.run_until_complete(main())


def test_ipv4_over_an_ipv6_socket_has_a_mapped_address(loop):
    """The address is written as recvfrom() writes it, and can be answered."""

    async def main():
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock, udp_socket() as peer:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            sock.bind(("::", 0))
            ours = await endpoint(sock=sock)
            peer.sendto(b"mapped", (HOST, sock.getsockname()[1]))
            data, sender = await ours.next_mail()
            assert data == b"mapped"
            assert sender == (f"::ffff:{HOST}", peer.getsockname()[1], 0, 0)
            ours.transport.sendto(b"back", sender)
            assert peer.recv(100) == b"back"
            await ours.close()

    loop.run_until_complete(main())


def test_broadcasting_needs_to_be_allowed(loop):
    """allow_broadcast sets the option; without it the kernel's refusal is error_received()'s."""

    async def main():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
            listener.bind(("", 0))
            listener.settimeout(20)
            target = ("127.255.255.255", listener.getsockname()[1])
            allowed = await endpoint(local_addr=(HOST, 0), allow_broadcast=True)
            sock = allowed.transport.get_extra_info("socket")
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST) == 1
            allowed.transport.sendto(b"to all", target)
            assert listener.recvfrom(100) == (b"to all", sock.getsockname())
            await allowed.close()
            refused = await endpoint()
            refused.transport.sendto(b"to nobody", target)
            assert (await refused.next_error()).errno == errno.EACCES
            await refused.close()

    loop.run_until_complete(main())


def test_a_remote_address_of_broadcasts_is_not_connected(loop):
    """With allow_broadcast answers come from anybody, and all is sent to remote_addr."""

    async def main():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
            listener.bind(("", 0))
            listener.settimeout(20)
            target = ("127.255.255.255", listener.getsockname()[1])
            ours = await endpoint(local_addr=(HOST, 0), remote_addr=target, allow_broadcast=True)
            ours.transport.sendto(b"anybody?")
            data, sender = listener.recvfrom(100)
            assert data == b"anybody?"
            listener.sendto(b"me", sender)
            data, sender = await ours.next_mail()
            assert (data, sender[1]) == (b"me", target[1])
            with pytest.raises(ValueError, match="Invalid address"):
                ours.transport.sendto(b"x", (HOST, 9))
            await ours.close()

    loop.run_until_complete(main())


@pytest.mark.parametrize("name", ["path", "abstract"])
def test_unix_datagrams_go_both_ways(loop, name, tmp_path):
    """A path and an abstract name; the sender's address is a string or bytes, as recvfrom()'s."""

    async def main():
        def address(who):
            if name == "path":
                return str(tmp_path / who)
            return f"\0{tmp_path}/{who}"

        ours = await endpoint(local_addr=address("ours"), family=socket.AF_UNIX)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as peer:
            peer.settimeout(20)
            peer.bind(address("peer"))
            peer.sendto(b"in", address("ours"))
            data, sender = await ours.next_mail()
            assert (data, sender) == (b"in", peer.getsockname())
            ours.transport.sendto(b"out", sender)
            assert peer.recvfrom(100) == (b"out", ours.transport.get_extra_info("sockname"))
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as nameless:
            nameless.sendto(b"who am I", address("ours"))
            assert await ours.next_mail() == (b"who am I", None)
        await ours.close()

    loop.run_until_complete(main())


def test_connected_unix_datagrams(loop, tmp_path):
    """remote_addr is a path; a datagram may be larger than UDP has them."""

    async def main():
        path = str(tmp_path / "peer")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as peer:
            peer.settimeout(20)
            peer.bind(path)
            ours = await endpoint(remote_addr=path, family=socket.AF_UNIX)
            payload = os.urandom(150_000)
            ours.transport.sendto(payload)
            assert peer.recv(1 << 20) == payload
            await ours.close()

    loop.run_until_complete(main())


def test_a_stale_unix_path_is_replaced(loop, tmp_path):
    """A socket file that was left over is no hindrance; another file is."""

    async def main():
        stale, plain = tmp_path / "stale", tmp_path / "plain"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.bind(str(stale))
        plain.write_text("not a socket")
        ours = await endpoint(local_addr=str(stale), family=socket.AF_UNIX)
        await ours.close()
        with pytest.raises(OSError) as caught:
            await endpoint(local_addr=str(plain), family=socket.AF_UNIX)
        assert caught.value.errno == errno.EADDRINUSE
        assert plain.read_text() == "not a socket"

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
        assert isinstance(lost, (TypeError, OverflowError))
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


def test_a_socket_can_be_given(loop):
    """sock=: bound by its owner, what lies in it arrives, and close() closes it."""

    async def main():
        sock = udp_socket()
        with udp_socket() as peer:
            peer.sendto(b"was there before", sock.getsockname())
            ours = await endpoint(sock=sock)
            assert sock.gettimeout() == 0
            assert (await ours.next_mail())[0] == b"was there before"
            await ours.close()
        assert sock.fileno() == -1

    loop.run_until_complete(main())


def test_a_connected_socket_can_be_given(loop):
    """sendto() without an address goes to the socket's peer."""

    async def main():
        sock = udp_socket()
        with udp_socket() as peer:
            sock.connect(peer.getsockname())
            ours = await endpoint(sock=sock)
            ours.transport.sendto(b"to the peer")
            assert peer.recvfrom(100) == (b"to the peer", sock.getsockname())
            await ours.close()

    loop.run_until_complete(main())


def test_endpoints_share_a_port(loop):
    """reuse_port: the kernel gives each datagram to one of them, none is lost."""

    async def main():
        first = await endpoint(local_addr=(HOST, 0), reuse_port=True)
        here = first.transport.get_extra_info("sockname")
        others = [await endpoint(local_addr=here, reuse_port=True) for _ in range(3)]
        with pytest.raises(OSError) as caught:
            await endpoint(local_addr=here)
        assert caught.value.errno == errno.EADDRINUSE
        socks = [udp_socket() for _ in range(40)]
        for number, sock in enumerate(socks):
            sock.sendto(b"%d" % number, here)
        received = []
        while len(received) < len(socks):
            for one in (first, *others):
                while not one.mail.empty():
                    received.append(one.mail.get_nowait())
            await asyncio.sleep(0)
        assert sorted(received) == sorted(
            (b"%d" % number, sock.getsockname()) for number, sock in enumerate(socks)
        )
        for sock in socks:
            sock.close()
        for one in (first, *others):
            await one.close()

    loop.run_until_complete(asyncio.wait_for(main(), 20))


def test_the_transport_tells_of_itself(loop):
    """Extra information, also after the end; the repr tells the state."""

    async def main():
        ours = await endpoint()
        transport = ours.transport
        sock = transport.get_extra_info("socket")
        assert sock.type == socket.SOCK_DGRAM
        assert transport.get_extra_info("sockname") == sock.getsockname()
        assert transport.get_extra_info("nothing", "default") == "default"
        assert transport.get_write_buffer_size() == 0
        assert transport.get_write_buffer_limits() == (16_384, 65_536)
        assert f"fd={sock.fileno()}" in repr(transport)
        await ours.close()
        assert transport.get_extra_info("sockname")[0] == HOST
        assert "closed" in repr(transport)

    if sys.version_info < (3, 11) and isinstance(loop, asyncio.SelectorEventLoop):
        pytest.skip("asyncio has get_write_buffer_limits() from 3.10 on, not for all")
    loop.run_until_complete(main())
