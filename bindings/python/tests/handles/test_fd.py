"""Fd: attached, refused, given back, inherited."""

from __future__ import annotations

import errno
import os
import select

import pytest

from uringcore_cffi._handles.events import CLOSED, RECV
from uringcore_cffi._handles.fd import CLOSE_ABORT, CLOSE_KEEP, SEND_REFERENCE, Fd, pin, send

SECOND = 1_000_000_000


def take(ring):
    """Wait for records and take them."""
    records = ring.records(ring.wait(5 * SECOND))
    ring.taken()
    return records


def test_a_closed_descriptor_is_refused(ring):
    """Attaching what is not open raises OSError with EBADF."""
    number = os.dup(0)
    os.close(number)
    for wrong in (number, -1):
        with pytest.raises(OSError) as caught:
            Fd(ring, wrong, 1)
        assert caught.value.errno == errno.EBADF
    assert ring.fds == set()


def test_a_descriptor_is_attached_once(ring, pair):
    """The second attachment is refused, the first is not disturbed."""
    one, other = pair
    fd = Fd(ring, one.fileno(), 1)
    with pytest.raises(OSError) as caught:
        Fd(ring, one.fileno(), 2)
    assert caught.value.errno == errno.EBUSY
    fd.recv_start()
    other.sendall(b"x")
    assert take(ring)[0][-1] == 1
    fd.free()


def test_a_freed_handle_refuses_everything_and_its_socket_lives_on(ring, pair):
    """free() gives the descriptor back: everything answers -EINVAL, the socket works."""
    one, other = pair
    fd = Fd(ring, one.fileno(), 1)
    fd.recv_start()
    assert not fd.free_already()
    fd.free()
    fd.free()
    assert fd.free_already()
    assert ring.fds == set()
    for call in (fd.recv_start, fd.recv_stop, fd.accept_start, fd.shutdown, fd.poll_stop):
        assert call() == -errno.EINVAL
    assert send(fd.handle, b"x", 1, 0) == -errno.EINVAL
    assert fd.close(CLOSE_KEEP) == -errno.EINVAL
    assert fd.queued_bytes() == -errno.EINVAL
    with pytest.raises(ValueError, match="uc_fd_get_status"):
        fd.status()
    other.sendall(b"back")
    one.settimeout(5)
    assert one.recv(10) == b"back"
    Fd(ring, one.fileno(), 2).free()


def test_a_close_sends_what_is_queued_and_keeps_the_socket(ring, pair):
    """CLOSE_KEEP ends with a CLOSED record; the bytes are at the peer, the number is still ours."""
    one, other = pair
    fd = Fd(ring, one.fileno(), 9)
    assert send(fd.handle, b"hello ", 6, 0) == 6
    data = b"world" * 10_000
    pinned = pin(data)
    assert send(fd.handle, pinned, len(data), SEND_REFERENCE) == 6 + len(data)
    assert fd.queued_bytes() == fd.status().queued_bytes == 6 + len(data)
    assert fd.close(CLOSE_KEEP) == 0
    received = bytearray()
    kinds = []
    while CLOSED not in kinds:
        kinds += [record[0] for record in take(ring)]
        while select.select([other], [], [], 0)[0]:
            received += other.recv(1 << 20)
    assert bytes(received) == b"hello " + data
    fd.free()
    assert one.fileno() >= 0
    one.send(b"!")
    assert other.recv(10) == b"!"


def test_status_tells_what_is_in_flight(ring, pair):
    """The snapshot has the members of struct uc_fd_status."""
    one, _ = pair
    fd = Fd(ring, one.fileno(), 1)
    assert fd.status().in_flight == 0
    fd.recv_start()
    ring.flush()
    status = fd.status()
    assert (status.fd, status.receiving, status.in_flight) == (one.fileno(), 1, 1)
    fd.close(CLOSE_KEEP | CLOSE_ABORT)
    assert [record[0] for record in take(ring)] == [CLOSED]
    fd.free()


def test_what_comes_after_a_stop_is_kept_for_the_next_start(ring, pair):
    """Stopping loses nothing, whenever the bytes arrive."""
    one, other = pair
    fd = Fd(ring, one.fileno(), 1)
    fd.recv_start()
    ring.flush()
    other.sendall(b"early")
    fd.recv_stop()
    assert ring.wait(0) == 0
    other.sendall(b" late")
    fd.recv_start()
    data = b""
    while len(data) < 10:
        for kind, result, _, offset, _ in ring.records(ring.wait(5 * SECOND)):
            assert kind == RECV
            data += ring.pool.memory[offset : offset + result]
        ring.taken()
    assert data == b"early late"
    fd.free()


def test_a_child_is_refused_by_every_method(ring, pair, fork):
    """In a child nothing reaches the parent's connection, not even a free()."""
    one, other = pair
    fd = Fd(ring, one.fileno(), 1)
    fd.recv_start()
    ring.flush()

    def child():
        for call in (fd.recv_start, fd.recv_stop, fd.accept_start, fd.shutdown, fd.poll_stop):
            assert call() == -errno.ECHILD
        assert fd.recv_once(1) == -errno.ECHILD
        assert fd.poll(select.POLLIN) == -errno.ECHILD
        assert send(fd.handle, b"child", 5, 0) == -errno.ECHILD
        assert fd.close(CLOSE_KEEP | CLOSE_ABORT) == -errno.ECHILD
        assert fd.queued_bytes() == -errno.ECHILD
        with pytest.raises(ChildProcessError):
            fd.status()
        with pytest.raises(ChildProcessError):
            Fd(ring, one.fileno(), 2)
        fd.free()

    fork(child).join()
    send(fd.handle, b"parent", 6, 0)
    ring.flush()
    assert other.recv(100) == b"parent"
    other.sendall(b"answer")
    assert any(record[0] == RECV and record[1] == 6 for record in take(ring))
    fd.free()
