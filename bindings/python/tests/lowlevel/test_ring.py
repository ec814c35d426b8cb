"""A ring of the caller's: its life, its turns, its thread."""

from __future__ import annotations

import errno
import gc
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import warnings

import pytest
from patience import PATIENCE
from taking import one, some

import uringcore_cffi
from uringcore_cffi import lowlevel
from uringcore_cffi._handles import ring as ring_module
from uringcore_cffi.lowlevel import Event, Info, Pool, Ring, Stats


def readable(fd, seconds=PATIENCE):
    """Wait for a descriptor to be readable; tell whether it is."""
    return bool(select.select([fd], [], [], seconds)[0])


def test_the_package_has_the_same_classes():
    """Ring and Fd are imported when they are asked for; the pool is the loop's."""
    assert uringcore_cffi.Ring is Ring
    assert uringcore_cffi.Fd is lowlevel.Fd
    assert uringcore_cffi.Pool is Pool
    assert uringcore_cffi.Lease is lowlevel.Lease
    assert list(lowlevel.__all__) == sorted(lowlevel.__all__)


def test_everything_public_is_documented():
    """Classes and their methods have a docstring."""
    for name in lowlevel.__all__:
        thing = getattr(lowlevel, name)
        assert thing.__doc__, name
        for member, value in vars(thing).items():
            if callable(value) and not member.startswith("_"):
                assert value.__doc__, f"{name}.{member}"


def test_one_pool_serves_a_ring_or_a_loop():
    """What Pool.new() makes can be given to either, to one at a time."""
    with Pool.new(buffer_bytes=4096, buffer_count=4, buffer_max=4) as pool:
        with Ring(pool=pool) as ring:
            assert ring.pool is pool
            with pytest.raises(OSError) as caught:
                Ring(pool=pool)
            assert caught.value.errno == errno.EBUSY
        loop = uringcore_cffi.new_event_loop(pool=pool)
        assert loop.pool_stats().buffer_bytes == 4096
        loop.close()
    with pytest.raises(ValueError, match="uc_pool_get_stats"):
        pool.stats()


def test_a_freed_ring_refuses_and_may_be_freed_again(pair):
    """ValueError everywhere, from the ring, its pool, its descriptors and its operations."""
    ring = Ring()
    fd = ring.attach(pair[0])
    operation = ring.nop()
    ring.free()
    ring.free()
    for call in (
        ring.turn,
        ring.flush,
        ring.enable,
        ring.wake,
        ring.event_fd,
        ring.poll_fd,
        ring.stats,
        ring.info,
        ring.reinit,
        ring.nop,
        operation.cancel,
        lambda: ring.attach(pair[0]),
    ):
        with pytest.raises(ValueError, match="the ring was freed"):
            call()
    with pytest.raises(ValueError, match="uc_pool_get_stats"):
        ring.pool.stats()
    with pytest.raises(ValueError, match="closed or given back"):
        fd.recv_start()
    fd.free()


def test_a_ring_that_is_forgotten_is_freed_with_a_warning():
    """As a socket or a file; what it had in flight touches no memory afterwards."""
    reader, writer = os.pipe()
    ring = Ring()
    ring.readinto(reader, bytearray(4096))
    ring.flush()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        del ring
        for _ in range(3):
            gc.collect()
    assert [warning.category for warning in told] == [ResourceWarning]
    assert "unclosed ring" in str(told[0].message)
    os.close(reader)
    os.close(writer)


def test_what_cannot_be_made_says_why():
    """The checks are those of every ring."""
    with pytest.raises(ValueError, match="known are"):
        Ring(backend="kqueue")
    with pytest.raises(ValueError, match="out of range"):
        Ring(sq_entries=1 << 20)
    with pytest.raises(TypeError):
        Ring(no_such_option=1)


def test_info_and_stats_are_those_of_libuc(ring):
    """Plain values; what was asked for is counted."""
    assert isinstance(ring.info(), Info)
    before = ring.stats()
    assert isinstance(before, Stats)
    ring.nop()
    one(ring)
    assert ring.stats().events == before.events + 1


def test_a_turn_waits_as_long_as_it_is_told_to(ring):
    """Not at all, for a time, or for ever."""
    assert ring.turn() == []
    start = time.monotonic()
    assert ring.turn(0.02) == []
    assert time.monotonic() - start >= 0.02
    ring.timeout(0.02)
    (event,) = ring.turn(None)
    assert event.result == -errno.ETIME
    for wrong in (-1, float("nan")):
        with pytest.raises(ValueError, match="timeout is 0 or more"):
            ring.turn(wrong)
    ring.nop()
    assert len(ring.turn(float("inf"))) == 1


def test_more_events_than_fit_come_in_the_next_turn(ring):
    """A guest goes on until nothing is returned."""
    count = ring_module.RECORDS_MAX + 10
    for number in range(count):
        ring.nop(cookie=number)
    seen = []
    while len(seen) < count:
        events = some(ring)
        assert len(events) <= ring_module.RECORDS_MAX
        seen += [event.cookie for event in events]
    assert sorted(seen) == list(range(count))
    assert ring.turn() == []


def test_the_event_descriptor_tells_and_a_turn_quiets_it(ring):
    """Readable when something has happened, not any more when everything was returned."""
    number = ring.event_fd()
    assert ring.event_fd() == number
    assert ring.turn() == []
    assert not readable(number, 0)
    for _ in range(3):
        ring.timeout(0.001)
        assert ring.turn() == []
        assert readable(number)
        assert len(some(ring)) == 1
        while ring.turn():
            pass
        assert not readable(number, 0)


def test_the_rings_own_descriptor_can_be_asked(ring, pair):
    """It is readable when there is something to take."""
    fd = ring.attach(pair[0])
    fd.recv_start()
    ring.turn()
    number = ring.poll_fd()
    pair[1].sendall(b"x")
    assert readable(number)
    assert one(ring).data() == b"x"


def test_another_thread_wakes_and_may_do_nothing_else(ring):
    """RuntimeError that says what to do instead; a wait ends, and the descriptor tells."""
    number = ring.event_fd()
    operation = ring.timeout(1000)
    ring.turn()
    problems = []

    def other():
        for call in (
            ring.turn,
            ring.flush,
            ring.nop,
            operation.cancel,
            ring.event_fd,
        ):
            try:
                call()
            except RuntimeError as error:
                problems.append(str(error))
        ring.wake()

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    assert len(problems) == 5
    assert all("ring.wake()" in problem for problem in problems)
    assert readable(number)  # the refused turn has not drained it
    assert ring.turn(PATIENCE) == []
    assert operation.cancel()
    one(ring)


def test_a_ring_moves_to_the_thread_that_enables_it(ring, pair):
    """What is attached moves along; the first thread is another one then."""
    fd = ring.attach(pair[0])
    fd.recv_start()
    ring.turn()
    received = []

    def other():
        ring.enable()
        pair[1].sendall(b"moved")
        received.append(one(ring).data())

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    assert received == [b"moved"]
    with pytest.raises(RuntimeError, match="another thread"):
        ring.turn()
    ring.enable()
    assert ring.turn() == []


def test_a_ring_may_be_freed_by_another_thread(pair):
    """With something in flight of either kind."""
    ring = Ring()
    ring.attach(pair[0]).recv_start()
    ring.timeout(1000)
    ring.turn()
    thread = threading.Thread(target=ring.free)
    thread.start()
    thread.join()
    with pytest.raises(ValueError, match="freed"):
        ring.turn()
    pair[1].sendall(b"open")
    assert pair[0].recv(10) == b"open"


def test_a_signal_ends_a_wait(ring):
    """Its handler runs, and may wake the ring; the list is empty."""
    called = []

    def handler(*_):
        called.append(1)
        ring.wake()

    previous = signal.signal(signal.SIGUSR1, handler)
    try:
        main = threading.get_ident()
        timer = threading.Timer(0.05, lambda: signal.pthread_kill(main, signal.SIGUSR1))
        timer.start()
        assert ring.turn(PATIENCE) == []
        timer.join()
    finally:
        signal.signal(signal.SIGUSR1, previous)
    assert called == [1]


def test_an_interrupt_inside_a_turn_loses_no_event(pair):
    """Wherever it falls: the next turn returns what this one had taken, once."""
    struck = 0
    for at in range(1, 200):
        with Ring() as ring:
            ring.enable()
            fd = ring.attach(pair[0], cookie="fd")
            fd.recv_start()
            ring.nop(cookie="nop")
            ring.flush()
            pair[1].sendall(b"data")
            fired = _strike(ring, at, seen := [])
            deadline = time.monotonic() + PATIENCE
            while len(seen) < 2 and time.monotonic() < deadline:
                seen += [(event.cookie, event.data()) for event in ring.turn(0.1)]
            assert sorted(seen) == [("fd", b"data"), ("nop", b"")], at
            fd.close(abort=True, keep=True)
            assert [event.cookie for event in some(ring)] == ["fd"]
            struck += fired
            if not fired:
                break
    assert struck > 5


def _strike(ring, at, seen):
    """Take a turn, interrupted at the at-th call in it; tell whether it was."""
    left = at

    def trace(frame, event, _):
        nonlocal left
        if event == "call" and "lowlevel" in frame.f_code.co_filename:
            # turn() itself is the caller's: what it returns is lost there, if anywhere
            left -= frame.f_code.co_name != "turn"
            if left == 0:
                left = -1
                raise KeyboardInterrupt

    previous = sys.gettrace()
    sys.settrace(trace)
    try:
        events = ring.turn(PATIENCE)
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(previous)
    seen += [(event.cookie, event.data()) for event in events]
    return False


def test_a_child_is_refused_and_the_parent_goes_on(ring, pair, fork):
    """ChildProcessError from everything; free() is the child's own and harmless."""
    fd = ring.attach(pair[0])
    fd.recv_start()
    operation = ring.timeout(1000)
    number = ring.event_fd()
    ring.turn()
    ring.wake()

    def child():
        for call in (
            ring.turn,
            ring.flush,
            ring.enable,
            ring.wake,
            ring.event_fd,
            ring.poll_fd,
            ring.stats,
            ring.info,
            ring.nop,
            operation.cancel,
            fd.recv_stop,
            fd.status,
            fd.shutdown,
            fd.close,
            lambda: fd.send(b"x"),
            lambda: ring.attach(pair[0]),
        ):
            with pytest.raises(ChildProcessError, match="another process"):
                call()
        fd.free()
        ring.free()

    fork(child).join()
    assert readable(number)  # the child's refused turn has not drained it
    pair[1].sendall(b"for the parent")
    assert one(ring).data() == b"for the parent"
    fd.send(b"from the parent")
    ring.flush()
    assert pair[1].recv(100) == b"from the parent"


def test_an_inherited_ring_works_again_after_reinit(ring, pair, fork):
    """Empty: nothing is attached or in flight, new things can be."""
    fd = ring.attach(pair[0])
    fd.recv_start()
    ring.timeout(1000)
    ring.event_fd()
    ring.turn()

    def child():
        ring.reinit()
        with pytest.raises(ValueError, match="closed or given back"):
            fd.recv_start()
        ours, peer = socket.socketpair()
        mine = ring.attach(ours, cookie="child's")
        mine.recv_start()
        number = ring.event_fd()
        ring.turn()
        peer.sendall(b"new")
        assert readable(number)
        event = one(ring)
        assert (event.cookie, event.data()) == ("child's", b"new")
        ring.free()

    fork(child).join()
    pair[1].sendall(b"old")
    assert one(ring).data() == b"old"


def test_a_program_that_ends_with_a_ring_ends_quietly(run_python):
    """Freed by ``with``, or never: no crash, and only the warning of the latter."""
    program = (
        "import os, sys\n"
        "from uringcore_cffi.lowlevel import Ring\n"
        "reader, writer = os.pipe()\n"
        "ring = Ring()\n"
        "ring.read(reader, 100)\n"
        "ring.turn()\n"
        "if sys.argv[1] == 'free':\n"
        "    ring.free()\n"
    )
    for way in ("free", "forget"):
        done = run_python("-c", program, way)
        assert isinstance(done, subprocess.CompletedProcess)
        assert done.returncode == 0, done.stderr
        assert done.stderr == "" or way == "forget"


def test_events_tell_what_they_are(ring):
    """repr() names the kind, the cookie and the result."""
    ring.nop(cookie="me")
    event = one(ring)
    assert isinstance(event, Event)
    assert repr(event) == "<Event OPERATION of cookie 'me', result 0>"
    assert repr(event.operation) == "<Operation nop of cookie 'me', result 0>"
    with pytest.raises(ValueError, match="OPERATION has no address"):
        event.address()
    with pytest.raises(ValueError, match="OPERATION has nothing to keep"):
        event.keep()
