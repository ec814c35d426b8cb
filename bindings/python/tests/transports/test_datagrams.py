"""The ring's transport of datagrams: buffers, ends, and which transport a socket gets."""

from __future__ import annotations

import asyncio
import errno
import socket
import warnings

import pytest
from datagrams import HOST, GatedSocket, Mailbox, endpoint, gated, udp_socket
from garbage import collect
from steps import cancel, turns, until

import uringcore_cffi
from uringcore_cffi.transports.datagram import DatagramTransport, ReadinessDatagramTransport

# Bytes of a buffer that holds any datagram, with its sender's address and a head.
ROOMY = 131_072


def ring_loop(**pool_options):
    """Make a loop whose pool holds whole datagrams; return it with its pool."""
    pool = uringcore_cffi.Pool.new(**{"buffer_bytes": ROOMY, **pool_options})
    made = uringcore_cffi.UringEventLoop(pool=pool)
    made.problems = []
    made.set_exception_handler(lambda _, context: made.problems.append(context))
    return made, pool


@pytest.fixture
def loop():
    """Make a loop that receives datagrams by the ring."""
    made, pool = ring_loop()
    yield made
    made.close()
    pool.free()
    assert not made.problems, made.problems


@pytest.mark.parametrize("closing", [False, True])
def test_aborting_drops_what_waits(loop, closing):
    """At once, also when close() is waiting for room."""

    async def main():
        with udp_socket() as peer:
            ours, sock = await gated(peer)
            ours.transport.sendto(b"dropped")
            if closing:
                ours.transport.close()
                await asyncio.sleep(0)
            ours.transport.abort()
            assert ours.transport.get_write_buffer_size() == 0
            sock.shut = False
            assert await asyncio.wait_for(ours.lost, 20) is None
            peer.setblocking(False)
            with pytest.raises(BlockingIOError):
                peer.recv(10)

    loop.run_until_complete(main())


def test_an_error_of_the_last_datagram_does_not_hold_up_close(loop):
    """close() with one datagram waiting that cannot be sent."""

    class Failing(Mailbox):
        def error_received(self, exc):
            super().error_received(exc)
            raise ZeroDivisionError

    async def main():
        with udp_socket() as peer:
            ours, sock = await gated(peer, Failing)
            ours.transport.sendto(b"last")
            ours.transport.close()
            sock.failures = [OSError(errno.EPERM, "no")]
            sock.shut = False
            assert await asyncio.wait_for(ours.lost, 20) is None
            assert ours.errors.qsize() == 1
        assert type(loop.problems.pop()["exception"]) is ZeroDivisionError

    loop.run_until_complete(main())


def test_sending_to_a_full_socket_after_close_raises_nothing(loop):
    """Unconnected: asyncio still tries, and drops what finds no room."""

    async def main():
        sock = GatedSocket()
        ours = await endpoint(sock=sock)
        ours.transport.close()
        ours.transport.sendto(b"nobody", (HOST, 9))
        assert await asyncio.wait_for(ours.lost, 20) is None

    loop.run_until_complete(main())


def kind_of(loop, **arguments):
    """Tell which transport an endpoint gets."""

    async def main():
        ours = await endpoint(**arguments)
        await ours.close()
        return type(ours.transport)

    return loop.run_until_complete(main())


def test_udp_goes_by_the_ring(loop):
    """IPv4 and IPv6, made or given."""
    assert kind_of(loop) is DatagramTransport
    assert kind_of(loop, local_addr=("::1", 0)) is DatagramTransport
    assert kind_of(loop, sock=udp_socket()) is DatagramTransport


def test_what_might_be_cut_goes_by_readiness(loop):
    """Unix datagrams are larger than UDP's; a small pool would cut UDP's too."""
    ours, peer = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with peer:
        assert kind_of(loop, sock=ours) is ReadinessDatagramTransport
    small, pool = ring_loop(buffer_bytes=16_384)
    assert kind_of(small) is ReadinessDatagramTransport
    small.close()
    pool.free()


def test_no_buffer_is_lost(loop):
    """After thousands of datagrams, delivered, dropped by close() and dropped by abort()."""

    async def receive(peer, end):
        ours = await endpoint()
        for burst in range(60):
            for _ in range(20):
                peer.sendto(b"%d" % burst, ours.transport.get_extra_info("sockname"))
            if burst < 59:
                for _ in range(20):
                    await ours.next_mail()
        getattr(ours.transport, end)()
        await ours.lost

    async def main():
        with udp_socket() as peer:
            await receive(peer, "close")
            before = loop.pool_stats()
            for end in ("abort", "close", "abort"):
                await receive(peer, end)
        await until(lambda: loop.pool_stats().free >= before.free)
        assert loop.pool_stats() == before
        assert before.completed == before.leased == 0

    loop.run_until_complete(main())


def test_a_small_pool_serves_many_endpoints():
    """Four buffers, twenty endpoints: every datagram arrives in the end."""
    loop, pool = ring_loop(buffer_count=4, buffer_max=4)

    async def main():
        ours = [await endpoint() for _ in range(20)]
        with udp_socket() as peer:
            for number, one in enumerate(ours):
                for _ in range(5):
                    peer.sendto(b"%d" % number, one.transport.get_extra_info("sockname"))
            for number, one in enumerate(ours):
                for _ in range(5):
                    assert await one.next_mail() == (b"%d" % number, peer.getsockname())
        for one in ours:
            await one.close()

    loop.run_until_complete(main())
    loop.close()
    pool.free()
    assert not loop.problems


def test_a_socket_received_from_before_can_be_given(loop):
    """After sock_recvfrom(), finished or cancelled: the loop knows the socket already."""

    async def main():
        sock = udp_socket()
        sock.setblocking(False)
        with udp_socket() as peer:
            task = asyncio.ensure_future(loop.sock_recvfrom(sock, 100))
            await turns(2)
            peer.sendto(b"one", sock.getsockname())
            assert await task == (b"one", peer.getsockname())
            task = asyncio.ensure_future(loop.sock_recvfrom(sock, 100))
            await turns(2)
            assert await cancel(task)
            ours = await endpoint(sock=sock)
            peer.sendto(b"two", sock.getsockname())
            assert await ours.next_mail() == (b"two", peer.getsockname())
            with pytest.raises(RuntimeError, match="is used by transport"):
                loop.add_reader(sock.fileno(), print)
            await ours.close()

    loop.run_until_complete(main())


def test_a_socket_serves_one_endpoint_at_a_time(loop):
    """A second endpoint is refused and the first goes on."""

    async def main():
        sock = udp_socket()
        ours = await endpoint(sock=sock)
        with pytest.raises(RuntimeError, match="is used by transport"):
            await endpoint(sock=sock)
        with udp_socket() as peer:
            peer.sendto(b"still here", sock.getsockname())
            assert (await ours.next_mail())[0] == b"still here"
        await ours.close()

    loop.run_until_complete(main())


def test_a_number_used_again_never_sees_another_sockets_datagrams(loop):
    """Endpoints come and go under the same number, each with mail on its way."""

    async def main():
        with udp_socket() as peer:
            for number in range(200):
                ours = await endpoint()
                here = ours.transport.get_extra_info("sockname")
                peer.sendto(b"%d" % number, here)
                assert await ours.next_mail() == (b"%d" % number, peer.getsockname())
                peer.sendto(b"late %d" % number, here)
                ours.transport.close()
                if number % 2:
                    await ours.lost

    loop.run_until_complete(main())


def test_an_unclosed_endpoint_is_warned_of(loop):
    """A ResourceWarning that names the transport, once the loop is closed."""

    async def main():
        return (await endpoint()).transport

    transport = loop.run_until_complete(main())
    text = f"unclosed transport <DatagramTransport fd={transport.get_extra_info('socket').fileno()}"
    loop.close()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        del transport
        collect()
    assert any(text in str(warning.message) for warning in caught), caught


def test_an_endpoint_used_after_the_loop_was_closed_does_no_harm(loop):
    """sendto() reaches nobody; close() says that the loop is closed."""

    async def main():
        return await endpoint(remote_addr=(HOST, 9))

    ours = loop.run_until_complete(main())
    loop.close()
    ours.transport.sendto(b"x")
    assert ours.transport.get_write_buffer_size() == 0
    with pytest.raises(RuntimeError, match="closed"):
        ours.transport.close()
    del ours
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        collect()


def test_an_endpoint_whose_creation_is_cancelled_leaves_nothing(loop):
    """The socket is closed; the leak check of every test looks for it."""

    async def main():
        for pauses in range(4):
            task = asyncio.ensure_future(endpoint())
            await turns(pauses)
            if not await cancel(task):
                await task.result().close()
        await turns(3)

    loop.run_until_complete(main())


def test_datagrams_go_on_in_another_run(loop):
    """What comes while the loop does not run is delivered when it runs again."""
    ours = loop.run_until_complete(endpoint())
    with udp_socket() as peer:
        peer.sendto(b"between", ours.transport.get_extra_info("sockname"))
        ours.transport.sendto(b"out", peer.getsockname())
        assert peer.recv(10) == b"out"
        assert loop.run_until_complete(ours.next_mail()) == (b"between", peer.getsockname())
    loop.run_until_complete(ours.close())


def test_a_forked_child_sends_nothing(loop, fork):
    """The child's copy of the transport is dead; the parent's goes on."""
    ours = loop.run_until_complete(endpoint())
    with udp_socket() as peer:
        here = ours.transport.get_extra_info("sockname")

        def child():
            loop.run_until_complete(asyncio.sleep(0))
            ours.transport.sendto(b"from the child", peer.getsockname())
            ours.transport.close()
            ours.transport.abort()
            loop.close()

        fork(child).join()
        peer.sendto(b"for the parent", here)
        assert loop.run_until_complete(ours.next_mail())[0] == b"for the parent"
        ours.transport.sendto(b"from the parent", peer.getsockname())
        assert peer.recv(100) == b"from the parent"
    loop.run_until_complete(ours.close())
