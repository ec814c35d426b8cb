"""One-shot operations of a ring: results, memory, refusals."""

from __future__ import annotations

import array
import errno
import gc
import os
import stat
import sys
import weakref

import pytest
from taking import many, one

from uringcore_cffi.lowlevel import EventKind, Ring

CONTENT = bytes(range(250)) * 400


class Buffer(bytearray):
    """A bytearray whose death is seen."""


def test_a_read_returns_what_is_in_the_file(ring, file):
    """The event names its operation and cookie, and has the bytes, cut to what came."""
    operation = ring.read(file.fileno(), 60_000, 95_000, cookie="mine")
    assert operation.result is None
    event = one(ring)
    assert (event.kind, event.fd, event.operation) == (EventKind.OPERATION, None, operation)
    assert (event.cookie, event.result, operation.result) == ("mine", 5_000, 5_000)
    assert event.check() == 5_000
    assert event.data() == CONTENT[95_000:]
    ring.turn()
    assert event.data() == CONTENT[95_000:]  # it is the operation's, not the pool's
    ring.read(file.fileno(), 1, 100_000)
    assert one(ring).data() == b""


def test_without_an_offset_the_files_own_position_is_used_and_moved(ring, file):
    """As read(2) and write(2) do."""
    os.lseek(file.fileno(), 250, os.SEEK_SET)
    ring.read(file.fileno(), 10)
    assert one(ring).data() == CONTENT[:10]
    ring.write(file.fileno(), b"0123")
    assert one(ring).check() == 4
    assert os.lseek(file.fileno(), 0, os.SEEK_CUR) == 264
    assert os.pread(file.fileno(), 4, 260) == b"0123"


def test_a_buffer_of_the_callers_is_filled(ring, file):
    """Any writable memory; the event has no bytes of its own."""
    numbers = array.array("I", [0] * 25)
    ring.readinto(file.fileno(), numbers, 0)
    event = one(ring)
    assert event.result == 100
    assert event.data() == b""
    assert numbers.tobytes() == CONTENT[:100]
    target = bytearray(100)
    ring.readinto(file.fileno(), memoryview(target)[50:], 5)
    assert one(ring).result == 50
    assert target == bytes(50) + CONTENT[5:55]


def test_memory_lives_until_the_event_and_no_longer(ring):
    """Nobody else holds it: not the buffer, not the operation, not what is written."""
    reader, writer = os.pipe()
    target = Buffer(8)
    gone = weakref.ref(target)
    keeper = memoryview(target)
    ring.readinto(reader, target, cookie=keeper)
    del target, keeper
    payload = bytearray(os.urandom(5000))
    expected = bytes(payload)
    other_reader, other_writer = os.pipe()
    ring.write(other_writer, payload)
    del payload
    ring.flush()
    gc.collect()
    noise = [bytearray(5000) for _ in range(50)]  # would take the place of what was freed
    assert gone() is not None
    os.write(writer, b"12345678")
    events = many(ring, 2)
    assert os.read(other_reader, 10_000) == expected
    (read,) = (event for event in events if event.cookie is not None)
    assert bytes(read.cookie) == b"12345678"
    del events, read, noise
    gc.collect()
    gc.collect()
    gc.collect()
    assert gone() is None
    for end in (reader, writer, other_reader, other_writer):
        os.close(end)


def test_a_buffer_cannot_be_moved_while_the_kernel_writes_to_it(ring):
    """BufferError, as for everything that is viewed. PyPy moves it, and it is filled there."""
    reader, writer = os.pipe()
    target = bytearray(8)
    ring.readinto(reader, target)
    ring.flush()
    if sys.implementation.name == "cpython":
        with pytest.raises(BufferError):
            target.extend(bytes(100_000))
    else:
        target.extend(bytes(100_000))
    os.write(writer, b"12345678")
    one(ring)
    assert target[:8] == b"12345678"
    target.extend(b"more")
    os.close(reader)
    os.close(writer)


def test_a_file_is_opened_asked_about_synced_and_closed(ring, tmp_path):
    """openat(), statx(), fsync() and close() do what those of os do."""
    path = tmp_path / "new"
    ring.openat(path, os.O_RDWR | os.O_CREAT, 0o640)
    number = one(ring).check()
    assert not os.get_inheritable(number)
    ring.write(number, b"0123456789", 0)
    assert one(ring).check() == 10
    for data_only in (False, True):
        ring.fsync(number, data_only=data_only)
        assert one(ring).check() == 0
    ring.statx(os.fsencode(path))
    event = one(ring)
    expected = os.stat(path)
    told = event.stat()
    assert stat.S_ISREG(told.st_mode)
    assert (told.st_size, told.st_ino, told.st_mtime_ns) == (
        10,
        expected.st_ino,
        expected.st_mtime_ns,
    )
    assert len(event.data()) == 256
    ring.close(number)
    assert one(ring).check() == 0
    with pytest.raises(OSError):
        os.fstat(number)


def test_paths_are_relative_to_a_directory(ring, tmp_path):
    """``dir_fd`` as of os.open()."""
    (tmp_path / "here").write_bytes(b"xyz")
    directory = os.open(tmp_path, os.O_RDONLY)
    ring.statx("here", dir_fd=directory)
    assert one(ring).stat().st_size == 3
    os.close(directory)


def test_a_failed_operation_has_an_errno(ring, tmp_path):
    """check() raises what the kernel said; the result has it as a number."""
    ring.openat(tmp_path / "missing", os.O_RDONLY)
    event = one(ring)
    assert event.result == -errno.ENOENT
    with pytest.raises(FileNotFoundError):
        event.check()
    assert event.data() == b""
    ring.statx(tmp_path / "missing")
    with pytest.raises(FileNotFoundError):
        one(ring).stat()


def test_a_nop_and_a_time_that_passes(ring):
    """A timeout's result is -ETIME."""
    ring.nop(cookie=1)
    event = one(ring)
    assert (event.cookie, event.result) == (1, 0)
    ring.timeout(0.001, cookie=2)
    event = one(ring)
    assert (event.cookie, event.result) == (2, -errno.ETIME)
    with pytest.raises(ValueError, match="not an event of statx"):
        event.stat()


def test_an_operation_is_cancelled_once(ring):
    """True while it runs; its own event tells; False afterwards."""
    operation = ring.timeout(1000)
    ring.turn()
    assert operation.cancel()
    event = one(ring)
    assert (event.operation, event.result) == (operation, -errno.ECANCELED)
    assert not operation.cancel()
    assert not ring.cancel(operation)


def test_a_file_is_spliced_into_a_pipe(ring, file):
    """A pipe has no offset."""
    reader, writer = os.pipe()
    ring.splice(file.fileno(), 10, writer, None, 100)
    assert one(ring).check() == 100
    assert os.read(reader, 200) == CONTENT[10:110]
    os.close(reader)
    os.close(writer)


def test_what_cannot_be_is_refused_at_once(ring, file, pair):
    """With the exception that says what to change, and with nothing in flight."""
    number = file.fileno()
    for call in (
        lambda: ring.read(number, 0),
        lambda: ring.read(number, 2**31),
        lambda: ring.write(number, b""),
        lambda: ring.readinto(number, bytearray()),
        lambda: ring.splice(number, 0, number, None, -1),
    ):
        with pytest.raises(ValueError, match="1 to 2147479552 bytes"):
            call()
    with pytest.raises(ValueError, match="an offset is 0 or more"):
        ring.read(number, 1, -1)
    with pytest.raises(ValueError, match="seconds is 0 or more"):
        ring.timeout(-1)
    with pytest.raises(ValueError, match="null byte"):
        ring.openat("a\0b", os.O_RDONLY)
    with pytest.raises(OSError) as caught:
        ring.read(-1, 1)
    assert caught.value.errno == errno.EBADF
    with pytest.raises(TypeError, match="read-write"):
        ring.readinto(number, b"read-only")
    with pytest.raises(TypeError):
        ring.write(number, "text")
    with pytest.raises(TypeError):
        ring.read("text", 1)
    with pytest.raises(OverflowError):
        ring.read(2**40, 1)
    with ring.attach(pair[0]), pytest.raises(OSError, match="use close\\(\\) of its Fd") as caught:
        ring.close(pair[0].fileno())
    assert caught.value.errno == errno.EBUSY
    assert ring.turn() == []
    assert ring.stats().in_flight == 0


def test_a_restricted_ring_has_no_files(file):
    """PermissionError; what is network goes on."""
    try:
        restricted = Ring(restrict="network", backend="uring")
    except OSError as error:
        pytest.skip(str(error))
    with restricted as ring:
        with pytest.raises(PermissionError, match="restricted"):
            ring.read(file.fileno(), 1)
        ring.nop()
        assert one(ring).check() == 0


def test_a_ring_that_is_freed_lets_go_of_what_it_was_asked_for(tmp_path):
    """Operations end, memory is given back, and a file that was opened meanwhile is closed."""
    reader, writer = os.pipe()
    path = tmp_path / "file"
    path.write_bytes(b"x")
    target = Buffer(8)
    gone = weakref.ref(target)
    ring = Ring()
    ring.readinto(reader, target)
    ring.openat(path, os.O_RDONLY)
    ring.flush()
    ring.free()
    del target
    for _ in range(3):
        gc.collect()
    assert gone() is None
    os.close(reader)
    os.close(writer)
