"""One-shot operations of a ring: splice and cancel."""

from __future__ import annotations

import errno
import os
import tempfile

import pytest

from uringcore_cffi._handles.events import OPERATION
from uringcore_cffi._handles.ring import OFFSET_CURRENT, Ring

SECOND = 1_000_000_000


@pytest.fixture
def pipe():
    """Make a pipe, its read end first."""
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


@pytest.fixture
def file():
    """Make a file of 100,000 bytes."""
    with tempfile.TemporaryFile() as made:
        made.write(bytes(range(250)) * 400)
        made.seek(0)
        yield made


def outcome(ring, cookie):
    """Wait for the one record that is due; return its result."""
    ((kind, result, flags, _, given),) = ring.records(ring.wait(5 * SECOND))
    ring.taken()
    assert (kind, flags, given) == (OPERATION, 0, cookie)
    return result


def test_a_file_is_spliced_into_a_socket(ring, pipe, pair, file):
    """Offsets count in the file; a pipe and a socket have none; the end is 0."""
    reader, writer = pipe
    one, other = pair
    assert ring.splice(file.fileno(), 95_000, writer, OFFSET_CURRENT, 60_000, 7) > 0
    assert outcome(ring, 7) == 5_000
    assert ring.splice(reader, OFFSET_CURRENT, one.fileno(), OFFSET_CURRENT, 60_000, 8) > 0
    assert outcome(ring, 8) == 5_000
    assert other.recv(60_000) == (bytes(range(250)) * 400)[95_000:]
    assert ring.splice(file.fileno(), 100_000, writer, OFFSET_CURRENT, 1, 9) > 0
    assert outcome(ring, 9) == 0


def test_the_current_offset_is_the_files_own(ring, pipe, file):
    """OFFSET_CURRENT is libuc's constant: the position is used and moved."""
    reader, writer = pipe
    os.lseek(file.fileno(), 250, os.SEEK_SET)
    assert ring.splice(file.fileno(), OFFSET_CURRENT, writer, OFFSET_CURRENT, 10, 1) > 0
    assert outcome(ring, 1) == 10
    assert os.read(reader, 100) == bytes(range(10))
    assert os.lseek(file.fileno(), 0, os.SEEK_CUR) == 260


def test_a_splice_that_waits_is_cancelled_by_its_name(ring, pipe, pair):
    """Each operation has a name of its own; one that has ended is stale."""
    reader, _ = pipe
    to = pair[0].fileno()
    first = ring.splice(reader, OFFSET_CURRENT, to, OFFSET_CURRENT, 10, 1)
    second = ring.splice(reader, OFFSET_CURRENT, to, OFFSET_CURRENT, 10, 2)
    assert first != second
    assert ring.wait(0) == 0
    for op, cookie in ((second, 2), (first, 1)):
        assert ring.cancel(op) == 0
        assert outcome(ring, cookie) == -errno.ECANCELED
        assert ring.cancel(op) == -errno.ESTALE


def test_refusals_are_numbers(ring, pipe):
    """Neither method raises: both return what libuc answers."""
    reader, writer = pipe
    assert ring.splice(reader, OFFSET_CURRENT, writer, OFFSET_CURRENT, 0, 1) == -errno.EINVAL
    assert ring.splice(-1, OFFSET_CURRENT, writer, OFFSET_CURRENT, 1, 1) == -errno.EBADF
    assert ring.cancel(0) == -errno.ESTALE
    freed = Ring()
    freed.free()
    assert freed.splice(reader, OFFSET_CURRENT, writer, OFFSET_CURRENT, 1, 1) == -errno.EINVAL
    assert freed.cancel(1) == -errno.EINVAL


def test_a_child_may_not_splice_with_the_parents_ring(ring, pipe, fork):
    """After fork both answer ECHILD."""
    reader, writer = pipe

    def child():
        answer = ring.splice(reader, OFFSET_CURRENT, writer, OFFSET_CURRENT, 1, 1)
        assert answer == -errno.ECHILD
        assert ring.cancel(1) == -errno.ECHILD

    fork(child).join()
