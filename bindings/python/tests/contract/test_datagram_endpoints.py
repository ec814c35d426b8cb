"""Where datagram endpoints are bound and to whom connected: on asyncio's loop and both ways."""

from __future__ import annotations

import asyncio
import errno
import os
import socket

import pytest
from datagrams import HOST, endpoint, udp_socket


@pytest.fixture
def loop(datagram_loop):
    """Run every test of this file on the three transports."""
    return datagram_loop


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

    loop.run_until_complete(main())
