"""Leases of a guest: what has been received stays where it lies."""

from __future__ import annotations

import select
import socket
import threading

import pytest
from garbage import collect
from leased import needs_buffers
from patience import PATIENCE
from taking import one

from uringcore_cffi._handles import lending
from uringcore_cffi._handles import pool as pool_module
from uringcore_cffi._handles import ring as ring_module
from uringcore_cffi.lowlevel import Lease, Pool, Ring


@pytest.fixture
def small_pool():
    """Make a pool of eight buffers of 4 KiB, whose leases need no rest."""
    with Pool.new(buffer_bytes=4096, buffer_count=8, buffer_max=8, quarantine_ms=0) as made:
        yield made


def test_a_lease_outlives_the_turn(ring, pair):
    """Its bytes are those that came, however many come later."""
    fd = ring.attach(pair[0])
    fd.recv_start()
    leases = []
    for number in range(10):
        pair[1].sendall(bytes([number]) * 1000)
        event = one(ring)
        leases.append(event.keep())
        with pytest.raises(ValueError, match="kept already"):
            event.keep()
    assert all(isinstance(lease, Lease) for lease in leases)
    for number, lease in enumerate(leases):
        assert bytes(lease.view) == bytes([number]) * 1000
        lease.release()
        with pytest.raises(ValueError, match="released"):
            lease.view  # noqa: B018


@needs_buffers
def test_leased_buffers_are_counted_and_come_back(small_pool):
    """In the pool, and against the credit of the descriptor."""
    ours, peer = socket.socketpair()
    with ours, peer, Ring(pool=small_pool) as ring:
        fd = ring.attach(ours)
        fd.recv_start()
        peer.sendall(b"x" * 100)
        with one(ring).keep() as lease:
            assert small_pool.stats().leased == 1
            assert fd.status().leased_bytes == 4096
            assert len(lease) == 100
        ring.turn()
        assert small_pool.stats().leased == 0
        assert fd.status().leased_bytes == 0


@needs_buffers
def test_who_keeps_too_much_stands_still_until_it_lets_go(small_pool):
    """The peer waits; a slice that dies in another thread makes the event descriptor readable."""
    ours, peer = socket.socketpair()
    with ours, peer, Ring(pool=small_pool) as ring:
        number = ring.event_fd()
        fd = ring.attach(ours, credit_bytes=2 * 4096)
        fd.recv_start()
        slices = []
        for _ in range(2):
            peer.sendall(b"x" * 4096)
            with one(ring).keep() as lease:
                slices.append(lease.view[:])
        assert ring.turn() == []
        peer.sendall(b"waits")
        assert ring.turn(0.02) == []
        while ring.turn():
            pass
        assert not select.select([number], [], [], 0)[0]

        def let_go():
            slices.clear()
            collect()

        thread = threading.Thread(target=let_go)
        thread.start()
        thread.join()
        assert select.select([number], [], [], PATIENCE)[0]
        assert one(ring).data() == b"waits"


def test_a_slice_keeps_the_buffer_and_the_end_of_the_ring_does_not_take_it(small_pool):
    """Whatever is released, closed or freed before it."""
    ours, peer = socket.socketpair()
    with ours, peer:
        with Ring(pool=small_pool) as ring:
            fd = ring.attach(ours)
            fd.recv_start()
            peer.sendall(b"to be kept")
            lease = one(ring).keep()
            kept = lease.view[6:]
            lease.release()
        assert kept == b"kept"
        small_pool.free()
        assert kept == b"kept"


def test_what_is_kept_without_a_buffer_is_a_copy(ring, pair):
    """A part of what has come, and the end, which is empty and false."""
    fd = ring.attach(pair[0])
    pair[1].sendall(b"0123456789")
    fd.recv_start()
    one(ring).keep().release()
    fd.recv_stop()
    pair[1].sendall(b"0123456789")
    fd.recv_once(4)
    with one(ring).keep() as lease:
        assert bytes(lease) == b"0123"
    fd.recv_start()
    with one(ring).keep() as lease:
        assert bytes(lease) == b"456789"
    pair[1].shutdown(socket.SHUT_WR)
    end = one(ring).keep()
    assert not end
    assert ring.pool.stats().leased == 0


def test_a_lease_of_the_parents_is_the_childs_own_copy(ring, pair, fork):
    """Freeing the inherited ring takes nothing from it."""
    fd = ring.attach(pair[0])
    fd.recv_start()
    pair[1].sendall(b"inherited")
    lease = one(ring).keep()
    view = lease.view

    def child():
        ring.free()
        assert view == b"inherited"
        assert bytes(lease) == b"inherited"
        lease.release()

    fork(child).join()
    assert view == b"inherited"
    lease.release()


@needs_buffers
def test_an_event_is_kept_once(small_pool):
    """A second lease would be of what the first gives back."""
    ours, peer = socket.socketpair()
    with ours, peer, Ring(pool=small_pool) as ring:
        ring.attach(ours).recv_start()
        peer.sendall(b"data")
        event = one(ring)
        lease = event.keep()
        assert event.data() == b"data"
        with pytest.raises(ValueError, match="kept already"):
            event.keep()
        assert lease.view == b"data"
        lease.release()
        del lease
        with pytest.raises(ValueError, match="kept already"):
            event.keep()
        assert small_pool.stats().refused == 0


@needs_buffers
@pytest.mark.parametrize("end", [Ring.turn, Ring.free])
def test_an_interrupt_of_keep_forgets_no_buffer(small_pool, monkeypatch, end):
    """It can be asked for again; what was not comes back with the next turn, or the end."""
    ours, peer = socket.socketpair()
    keep = lending._keep

    def keep_interrupted(*arguments):
        keep(*arguments)
        raise KeyboardInterrupt

    with ours, peer, Ring(pool=small_pool) as ring:
        ring.attach(ours).recv_start()
        for again in (True, False):
            peer.sendall(b"data")
            event = one(ring)
            with monkeypatch.context() as patched:
                patched.setattr(lending, "_keep", keep_interrupted)
                with pytest.raises(KeyboardInterrupt):
                    event.keep()
            assert small_pool.stats().leased == 1
            if again:
                with event.keep() as lease:
                    assert bytes(lease) == b"data"
                assert small_pool.stats().leased == 0
        end(ring)
    assert small_pool.stats().leased == 0
    assert small_pool.stats().refused == 1  # for having asked again


@needs_buffers
def test_what_was_given_back_in_the_same_turn_is_not_read_any_more(small_pool):
    """Neither bytes nor an address; a slice that somebody has keeps both."""
    ours = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with ours, peer, Ring(pool=small_pool) as ring:
        ours.bind(("127.0.0.1", 0))
        peer.bind(("127.0.0.1", 0))
        ring.attach(ours, datagram=True).recv_start()
        peer.sendto(b"data", ours.getsockname())
        event = one(ring)
        with event.keep() as lease:
            part = lease.view[1:]
        assert event.data() == b"data"
        assert event.address() == peer.getsockname()
        del part
        peer.sendto(b"more", ours.getsockname())
        event = one(ring)
        event.keep().release()
        for read in (event.data, event.address):
            with pytest.raises(ValueError, match="release of its lease"):
                read()


@needs_buffers
def test_only_the_thread_that_runs_the_ring_keeps(ring, pair, fork):
    ring.attach(pair[0]).recv_start()
    pair[1].sendall(b"data")
    event = one(ring)
    errors = []

    def keep():
        try:
            event.keep()
        except RuntimeError as error:
            errors.append(error)

    thread = threading.Thread(target=keep)
    thread.start()
    thread.join()
    assert len(errors) == 1

    def child():
        with pytest.raises(ChildProcessError):
            event.keep()

    fork(child).join()
    with event.keep() as lease:
        assert lease.view == b"data"


@needs_buffers
def test_once_a_ring_has_moved_its_old_thread_gives_nothing_back(small_pool):
    """It only notes it: the ring may be at work in its new thread."""
    ours, peer = socket.socketpair()
    with ours, peer, Ring(pool=small_pool) as ring:
        ring.attach(ours).recv_start()
        peer.sendall(b"data")
        lease = one(ring).keep()
        thread = threading.Thread(target=ring.enable)
        thread.start()
        thread.join()
        lease.release()
        assert small_pool.stats().leased == 1
        ring.enable()
        ring.turn()
        assert small_pool.stats().leased == 0


class _Meanwhile:
    """The library, with something that happens in another thread while one function is called."""

    def __init__(self, library, name, happens):
        self.library, self.name, self.happens = library, name, happens

    def __getattr__(self, name):
        function = getattr(self.library, name)
        if name != self.name:
            return function

        def call(*arguments):
            thread = threading.Thread(target=self.happens)
            thread.start()
            thread.join()
            return function(*arguments)

        return call


def _make_a_ring(pool):
    Ring(pool=pool).free()


@needs_buffers
@pytest.mark.parametrize(
    ("name", "use"),
    [("uc_pool_get_stats", Pool.stats), ("uc_pool_free", Pool.free), ("uc_ring_new", _make_a_ring)],
)
def test_who_uses_a_pool_without_a_ring_is_alone_with_it(small_pool, monkeypatch, name, use):
    """A lease that another thread ends meanwhile is given back behind."""
    ours, peer = socket.socketpair()
    with ours, peer, Ring(pool=small_pool) as ring:
        ring.attach(ours).recv_start()
        peer.sendall(b"data")
        views = [one(ring).keep().view]
    leases = small_pool.leases
    waiting = []

    def end():
        views.clear()
        collect()
        waiting.append(len(leases._returned))

    for module in (pool_module, ring_module):
        monkeypatch.setattr(module, "lib", _Meanwhile(module.lib, name, end))
    use(small_pool)
    assert waiting[0] == 1
    assert not leases
