"""The surface of the loop: what there is, and what it tells of itself."""

from __future__ import annotations

import asyncio
import os

import pytest
from echoes import echo_to_many
from peers import connect
from steps import until

import uringcore_cffi

HOST = "127.0.0.1"

POKES = {
    "_selector": "add_reader",
    "_csock": "call_soon_threadsafe",
    "_accept_connection": "create_server",
    "_proactor": "sock_",
}


@pytest.mark.parametrize("name", POKES)
def test_poking_at_a_selectors_insides_is_told_the_supported_way(loop, name):
    """AttributeError with the public method to use; hasattr() answers False as ever."""
    assert not hasattr(loop, name)
    with pytest.raises(AttributeError, match=rf"{name}.*{POKES[name]}"):
        getattr(loop, name)


def test_another_missing_attribute_is_refused_as_always(loop):
    """The message is Python's own."""
    with pytest.raises(AttributeError, match=r"'UringEventLoop' object has no attribute 'sing'$"):
        loop.sing()


def test_explaining_what_is_missing_costs_nothing_where_something_is_there():
    """With a __getattr__ in the class, CPython looks up every attribute in full each time."""
    assert not any("__getattr__" in base.__dict__ for base in uringcore_cffi.UringEventLoop.__mro__)


def test_what_asyncio_has_inside_its_own_base_class_stays():
    """The explanations stand behind it in the order of classes."""
    for name in set(dir(asyncio.BaseEventLoop)):
        assert hasattr(uringcore_cffi.UringEventLoop, name), name


def test_every_method_of_asyncio_is_there():
    """No method of AbstractEventLoop is left to its NotImplementedError."""
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
        protocol, peer = await connect(loop)
        with peer:
            assert loop.stats().attached > before.attached
            peer.sendall(b"x")
            await until(lambda: protocol.data)
            protocol.transport.close()
            await protocol.lost

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
    assert info.backend == ("epoll" if os.environ.get("UC_BACKEND") == "epoll" else "uring")
    assert all(type(name) is str for name in info.features + info.features_stripped)
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
