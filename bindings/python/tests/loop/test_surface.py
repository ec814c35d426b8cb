"""The surface of the loop: what it tells of itself, and what is not there yet."""

from __future__ import annotations

import asyncio
import inspect
import socket

import pytest
from echoes import echo_to_many

import uringcore_cffi

HOST = "127.0.0.1"

# Every method that is still to come, with arguments that would be right.
NOT_YET = {
    "add_reader": (0, print),
    "remove_reader": (0,),
    "add_writer": (0, print),
    "remove_writer": (0,),
    "add_signal_handler": (10, print),
    "remove_signal_handler": (10,),
    "sock_recvfrom": (None, 10),
    "sock_recvfrom_into": (None, bytearray(10)),
    "sock_sendto": (None, b"x", (HOST, 1)),
    "sock_sendfile": (None, None),
    "sendfile": (None, None),
    "start_tls": (None, None, None),
    "create_datagram_endpoint": (asyncio.DatagramProtocol,),
    "create_unix_connection": (asyncio.Protocol, "/nowhere"),
    "create_unix_server": (asyncio.Protocol, "/nowhere"),
    "connect_read_pipe": (asyncio.Protocol, None),
    "connect_write_pipe": (asyncio.Protocol, None),
    "subprocess_exec": (asyncio.SubprocessProtocol, "true"),
    "subprocess_shell": (asyncio.SubprocessProtocol, "true"),
}
TLS = {
    "create_connection": (asyncio.Protocol, HOST, 1),
    "create_server": (asyncio.Protocol, HOST, 0),
    "connect_accepted_socket": (asyncio.Protocol, None),
}


def call(loop, name, *arguments, **options):
    """Call a method, and await it if it is a coroutine function."""
    answer = getattr(loop, name)(*arguments, **options)
    if inspect.isawaitable(answer):
        answer = loop.run_until_complete(answer)
    return answer


@pytest.mark.parametrize("name", NOT_YET)
def test_what_is_not_there_yet_says_so_by_name(loop, name):
    """NotImplementedError with the method's name, not a failure somewhere inside."""
    with pytest.raises(NotImplementedError, match=rf"UringEventLoop\.{name}\(\)"):
        call(loop, name, *NOT_YET[name])
    assert getattr(loop, name).__name__ == name


@pytest.mark.parametrize("name", TLS)
def test_tls_is_not_there_yet_and_says_so(loop, name):
    """ssl= is refused with the method's name before anything is opened."""
    with pytest.raises(NotImplementedError, match=rf"UringEventLoop\.{name}\(ssl=\)"):
        call(loop, name, *TLS[name], ssl=True)


def test_every_method_of_asyncio_is_there_or_named():
    """No method of AbstractEventLoop is left to asyncio's nameless NotImplementedError."""
    abstract = asyncio.AbstractEventLoop
    for name in dir(abstract):
        if not name.startswith("_"):
            ours = getattr(uringcore_cffi.UringEventLoop, name)
            assert ours is not getattr(abstract, name), name


def test_stats_count_what_happens(loop):
    """Plain integers; what completes and what is in flight add up to what was submitted."""
    before = loop.stats()
    assert type(before) is uringcore_cffi.Stats

    async def main():
        with socket.create_server((HOST, 0)) as server:
            transport, _ = await loop.create_connection(asyncio.Protocol, *server.getsockname())
            peer, _ = server.accept()
            with peer:
                assert loop.stats().attached > before.attached
                peer.sendall(b"x")
                await asyncio.sleep(0.001)
                transport.close()
                await asyncio.sleep(0.001)

    loop.run_until_complete(main())
    after = loop.stats()
    for name in uringcore_cffi.Stats.__dataclass_fields__:
        assert type(getattr(after, name)) is int
    for name in ("kernel_entries", "submissions", "completions", "events"):
        assert getattr(after, name) > getattr(before, name)
    assert after.submissions == after.completions + after.in_flight
    assert (after.stale, after.overflows) == (0, 0)
    with pytest.raises(AttributeError):
        after.stale = 1


def test_stats_outlive_the_loop(loop):
    """A closed loop still tells its last counters: nothing is in flight."""
    loop.run_until_complete(asyncio.sleep(0))
    entries = loop.stats().kernel_entries
    loop.close()
    stats = loop.stats()
    assert stats.kernel_entries >= entries > 0
    assert stats.in_flight == stats.attached == 0


def test_info_tells_the_backend_and_the_features(loop):
    """Typed, hashable, and the same before and after the loop is closed."""
    info = loop.info()
    assert type(info) is uringcore_cffi.Info
    assert info.backend == "io_uring"
    assert all(type(name) is str for name in info.features + info.stripped)
    assert info.sq_entries == 128
    assert info.cq_entries >= 4096
    loop.close()
    assert loop.info() is info


def test_pool_stats_add_up(loop):
    """Every buffer is in exactly one state."""
    stats = loop.pool_stats()
    assert type(stats) is uringcore_cffi.PoolStats
    states = stats.free + stats.in_flight + stats.completed + stats.leased + stats.quarantine
    assert states == stats.buffers > 0


def test_the_options_of_a_loop_reach_the_ring():
    """Queue sizes and the pool are those that were asked for."""
    pool = uringcore_cffi.Pool.new(buffer_bytes=8192, buffer_count=8, buffer_max=8)
    loop = uringcore_cffi.UringEventLoop(sq_entries=8, cq_entries=64, pool=pool)
    assert (loop.info().sq_entries, loop.info().cq_entries) == (8, 64)
    assert loop.pool_stats().buffer_bytes == 8192
    loop.close()
    pool.free()


def test_a_tiny_ring_serves_many_connections():
    """Queues that overflow lose nothing: every byte of forty connections arrives."""
    loop = uringcore_cffi.UringEventLoop(sq_entries=2, cq_entries=4)

    try:
        loop.run_until_complete(echo_to_many(40, 20_000))
    finally:
        loop.close()


def test_repr_tells_the_state(loop):
    """running, closed, debug, as asyncio's."""
    assert repr(loop).startswith("<UringEventLoop running=False closed=False")
    loop.close()
    assert "closed=True" in repr(loop)


def test_sqpoll_is_reported_when_it_is_tried():
    """A loop with sqpoll=1 works, with the kernel thread or with the reason why not."""
    loop = uringcore_cffi.UringEventLoop(sqpoll=1)
    try:
        info = loop.info()
        assert "SQPOLL" in " ".join(info.features + info.stripped).upper()
        loop.run_until_complete(asyncio.sleep(0))
    finally:
        loop.close()
