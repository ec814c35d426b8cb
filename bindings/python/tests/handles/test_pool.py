"""Pool: made, used by a ring, freed, inherited."""

from __future__ import annotations

import socket

import pytest

from uringcore_cffi._handles.fd import Fd
from uringcore_cffi._handles.pool import Pool, PoolStats
from uringcore_cffi._handles.ring import Ring


@pytest.fixture
def pool():
    """Make a pool of four small buffers that does not grow."""
    made = Pool.new(buffer_bytes=4096, buffer_count=4, buffer_max=4)
    yield made
    made.free()


def test_a_pool_is_as_large_as_asked_for(pool):
    """The numbers arrive in C, and the view spans every buffer there can be."""
    stats = pool.stats()
    assert isinstance(stats, PoolStats)
    assert (stats.buffer_bytes, stats.buffers, stats.buffers_max) == (4096, 4, 4)
    assert stats.free == 4
    assert len(pool.memory) >= 4 * 4096


@pytest.mark.parametrize(
    "wrong", [{"buffer_bytes": 1 << 30}, {"buffer_count": 1 << 20}, {"buffer_bytes": 1}]
)
def test_a_size_out_of_range_is_a_value_error(wrong):
    """libuc's -EINVAL is told as ValueError that names the function."""
    with pytest.raises(ValueError, match="uc_pool_new"):
        Pool.new(**wrong)


def test_a_freed_pool_refuses_and_may_be_freed_again(pool):
    """free() is final and idempotent; the view is gone with the memory."""
    pool.free()
    pool.free()
    assert pool.memory == b""
    with pytest.raises(ValueError, match="uc_pool_get_stats"):
        pool.stats()


def test_a_freed_pool_is_no_rings(pool):
    """The ring would receive into a pool of its own, and hand out nothing."""
    pool.free()
    with pytest.raises(ValueError, match="the pool was freed"):
        Ring(pool=pool)


def test_a_ring_receives_into_the_pool_it_was_given(pool):
    """The payload stands in the pool's own memory; the buffers come back to it."""
    ring = Ring(pool=pool)
    ring.enable()
    one, other = socket.socketpair()
    with one, other:
        fd = Fd(ring, one.fileno(), 1)
        fd.recv_start()
        other.sendall(b"into the pool")
        ((_, result, _, offset, _),) = ring.records(ring.wait(1_000_000_000))
        assert pool.memory[offset : offset + result] == b"into the pool"
        assert pool.stats().completed == 1
        ring.taken()
        fd.free()
    ring.free()
    stats = pool.stats()
    assert stats.free == stats.buffers == 4


def test_the_pool_of_a_ring_goes_with_the_ring():
    """free() of a ring's own pool only drops the view."""
    ring = Ring()
    pool = ring.pool
    assert len(pool.memory) > 0
    pool.free()
    assert pool.memory == b""
    assert ring.stats().in_flight == 0
    ring.free()


def test_a_pool_is_refused_in_a_child_and_can_be_freed_there(pool, fork):
    """The child's copy answers ChildProcessError, the parent's goes on as before."""

    def child():
        with pytest.raises(ChildProcessError, match="another process"):
            pool.stats()
        pool.free()

    before = pool.stats()
    fork(child).join()
    assert pool.stats() == before


def test_the_generation_rises_in_a_child(fork):
    """Leases of the parent are refused by the child's pool: it is another life."""
    ring = Ring()
    ring.enable()
    before = ring.pool.stats().generation

    def child():
        ring.reinit()
        assert ring.pool.stats().generation > before

    fork(child).join()
    assert ring.pool.stats().generation == before
    ring.free()
