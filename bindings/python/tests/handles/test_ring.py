"""Ring: made, refused, freed, recovered, inherited."""

from __future__ import annotations

import errno
import os
import resource
import socket
import threading

import pytest

from uringcore_cffi._ffi.library import ffi, lib
from uringcore_cffi._handles import ring as ring_module
from uringcore_cffi._handles.events import LAYOUT, RECV
from uringcore_cffi._handles.fd import Fd
from uringcore_cffi._handles.pool import Pool
from uringcore_cffi._handles.ring import Info, Ring, Stats, feature_names

SECOND = 1_000_000_000


def test_the_layout_of_a_record_is_the_structs():
    """What iter_unpack reads is what C wrote: the members the loop uses, at their offsets."""
    assert LAYOUT.size == ffi.sizeof("struct uc_event")
    event = ffi.new("struct uc_event *")
    event.kind, event.fd, event.result, event.flags = 1, 2, -3, 4
    event.offset, event.cookie, event.buffer = 2**40 + 5, 2**50 + 6, 2**60 + 7
    assert LAYOUT.unpack(ffi.buffer(event)) == (1, -3, 4, 2**40 + 5, 2**50 + 6)


def test_a_freed_ring_refuses_everything_and_may_be_freed_again():
    """free() is final and idempotent; no call afterwards touches memory that is gone."""
    ring = Ring()
    ring.enable()
    ring.free()
    ring.free()
    assert ring.wait(0) == -errno.EINVAL
    assert ring.wake() == -errno.EINVAL
    for call in (ring.enable, ring.flush, ring.stats, ring.info, ring.reinit):
        with pytest.raises(ValueError, match="uc_ring_"):
            call()
    assert ring.pool.memory == b""


def test_a_lost_return_value_loses_no_record(ring, pair):
    """What wait() filled in is found again, until its taker says that it is safe."""
    one, other = pair
    fd = Fd(ring, one.fileno(), 7)
    fd.recv_start()
    other.sendall(b"precious")
    ring.wait(SECOND)  # its answer is lost
    for _ in range(2):
        ((kind, result, _, offset, cookie),) = ring.recover()
        assert (kind, result, cookie) == (RECV, 8, 7)
        assert ring.pool.memory[offset : offset + result] == b"precious"
    ring.taken()
    assert ring.recover() == []
    fd.free()


def test_nothing_is_recovered_that_was_taken(ring, pair):
    """A batch that was handed out is not handed out twice, also after an empty wait."""
    one, other = pair
    fd = Fd(ring, one.fileno(), 7)
    fd.recv_start()
    other.sendall(b"x")
    assert len(ring.records(ring.wait(SECOND))) == 1
    ring.taken()
    assert ring.wait(0) == 0
    assert ring.recover() == []
    fd.free()


def test_another_thread_is_refused_but_may_wake(ring):
    """Only the thread that enabled the ring may use it; the exception names the way out."""
    answers = []

    def use():
        answers.append(ring.wait(0))
        answers.append(ring.wake())
        with pytest.raises(RuntimeError, match="call_soon_threadsafe"):
            ring.records(answers[0])
        with pytest.raises(RuntimeError, match="another thread"):
            ring.flush()

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert answers == [-errno.EPERM, 0]
    assert ring.wait(60 * SECOND) == 0  # woken: it does not wait


def test_a_wait_that_a_signal_ends_is_an_empty_batch(ring):
    """EINTR and ENOMEM mean: take another turn. Every other refusal is raised."""
    assert ring.records(-errno.EINTR) == []
    assert ring.records(-errno.ENOMEM) == []
    assert ring.records(0) == []
    with pytest.raises(ChildProcessError):
        ring.records(-errno.ECHILD)
    with pytest.raises(OSError) as caught:
        ring.records(-errno.EACCES)
    assert caught.value.errno == errno.EACCES


def test_numbers_out_of_range_are_a_value_error():
    """libuc's -EINVAL is told as ValueError, what does not fit into C as OverflowError."""
    cpu_of_nothing = {"sqpoll": "off", "sqpoll_cpu": 0}
    for options in ({"sq_entries": 1 << 20}, {"cq_entries": 1 << 20}, cpu_of_nothing):
        with pytest.raises(ValueError, match="out of range"):
            Ring(**options)
    with pytest.raises(OverflowError):
        Ring(sq_entries=-1)


def test_a_refused_ring_says_why_and_leaves_nothing():
    """Without descriptors there is no ring; the errno arrives and nothing stays open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    probe = os.dup(0)
    os.close(probe)
    resource.setrlimit(resource.RLIMIT_NOFILE, (probe, hard))
    try:
        with pytest.raises(OSError) as caught:
            Ring()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert caught.value.errno == errno.EMFILE
    Ring().free()


def test_info_and_stats_are_plain_values(ring):
    """Every member has the declared type; a feature switched off is not in use."""
    info, stats = ring.info(), ring.stats()
    assert isinstance(info, Info)
    assert info.backend == ("epoll" if os.environ.get("UC_BACKEND") == "epoll" else "uring")
    assert info.kernel == os.uname().release
    assert set(info.features).isdisjoint(info.features_stripped)
    for names in (info.features, info.features_stripped):
        assert all(isinstance(name, str) and name for name in names)
    assert info.sq_entries > 0
    assert info.cq_entries >= info.sq_entries
    assert isinstance(info.reason, str)
    assert isinstance(stats, Stats)
    assert all(isinstance(getattr(stats, name), int) for name in Stats.__dataclass_fields__)


def test_a_feature_that_is_switched_off_is_not_used():
    """features_off reaches libuc."""
    name = feature_names(lib.UC_FEATURE_MULTISHOT_RECV)[0]
    ring = Ring(features_off=lib.UC_FEATURE_MULTISHOT_RECV)
    assert name not in ring.info().features
    ring.free()


def test_every_feature_has_a_name():
    """The names come one a bit, in order, and unknown bits are passed over."""
    names = feature_names(2**64 - 1)
    assert len(names) == len(set(names)) >= 11
    assert feature_names(0) == ()
    assert feature_names(1 << 63) == ()
    assert feature_names(1 << 2) == names[2:3]


def test_freeing_a_ring_gives_its_descriptors_back(pair):
    """Sockets stay open and usable; their handles refuse."""
    one, other = pair
    ring = Ring()
    ring.enable()
    fd = Fd(ring, one.fileno(), 1)
    fd.recv_start()
    ring.flush()
    ring.free()
    assert ring.fds == set()
    assert fd.recv_start() == -errno.EINVAL
    other.sendall(b"still mine")
    one.settimeout(5)
    assert one.recv(100) == b"still mine"


def test_a_child_is_refused_and_the_parent_goes_on(ring, pair, fork):
    """After fork every call answers ChildProcessError; what the parent has in flight stays so."""
    one, other = pair
    fd = Fd(ring, one.fileno(), 1)
    fd.recv_start()
    ring.flush()

    def child():
        assert ring.wait(0) == -errno.ECHILD
        assert ring.wake() == -errno.ECHILD
        for call in (ring.enable, ring.flush, ring.stats, ring.info):
            with pytest.raises(ChildProcessError, match="another process"):
                call()
        ring.free()

    fork(child).join()
    other.sendall(b"for the parent")
    ((_, result, _, offset, _),) = ring.records(ring.wait(SECOND))
    assert ring.pool.memory[offset : offset + result] == b"for the parent"
    ring.taken()
    fd.free()


def test_an_inherited_ring_works_again_after_reinit(ring, pair, fork):
    """It is empty then: the parent's descriptors are gone from it, new ones can be attached."""
    one, other = pair
    Fd(ring, one.fileno(), 1).recv_start()
    ring.flush()

    def child():
        ring.reinit()
        assert ring.fds == set()
        assert ring.recover() == []
        mine, peer = socket.socketpair()
        fd = Fd(ring, mine.fileno(), 2)
        assert fd.recv_start() == 0
        peer.sendall(b"for the child")
        ((_, result, _, offset, cookie),) = ring.records(ring.wait(SECOND))
        assert cookie == 2
        assert ring.pool.memory[offset : offset + result] == b"for the child"
        ring.free()

    fork(child).join()
    other.sendall(b"p")
    assert ring.wait(SECOND) == 1
    ring.taken()


def test_a_batch_of_the_parent_is_not_recovered_by_a_child(ring, pair, fork):
    """What the parent had not taken when it forked is the parent's alone."""
    one, other = pair
    Fd(ring, one.fileno(), 1).recv_start()
    other.sendall(b"x")
    assert ring.wait(SECOND) == 1

    def child():
        ring.reinit()
        assert ring.recover() == []

    fork(child).join()
    assert len(ring.recover()) == 1
    ring.taken()


def test_more_records_than_fit_wait_in_c(ring):
    """A batch is never larger than the array; the rest comes with the next wait."""
    count = ring_module.RECORDS_MAX + 10
    pairs = [socket.socketpair() for _ in range(count)]
    try:
        for number, (one, other) in enumerate(pairs):
            other.sendall(b"x")
            assert Fd(ring, one.fileno(), number).recv_once(100) == 0
        seen = []
        while len(seen) < count:
            records = ring.records(ring.wait(SECOND))
            assert 0 < len(records) <= ring_module.RECORDS_MAX
            seen += [record[-1] for record in records]
            ring.taken()
        assert sorted(seen) == list(range(count))
    finally:
        ring.free()
        for pair in pairs:
            for sock in pair:
                sock.close()


def test_a_pool_serves_one_ring_at_a_time():
    """The second ring is refused; after the first is freed, another may have the pool."""
    pool = Pool.new(buffer_bytes=4096, buffer_count=4, buffer_max=4)
    first = Ring(pool=pool)
    with pytest.raises(OSError) as caught:
        Ring(pool=pool)
    assert caught.value.errno == errno.EBUSY
    first.free()
    Ring(pool=pool).free()
    pool.free()
