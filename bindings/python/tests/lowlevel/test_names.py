"""Operations on names and directories, many reads with one event, deadlines."""

from __future__ import annotations

import errno
import gc
import os

import pytest
from taking import one

CONTENT = bytes(range(250)) * 400


def test_names_are_made_changed_and_removed(ring, tmp_path):
    """mkdir(), rename(), link(), symlink(), readlink() and unlink() do what those of os do."""
    folder = tmp_path / "folder"
    ring.mkdir(folder, 0o700)
    assert one(ring).check() == 0
    assert folder.stat().st_mode & 0o777 == 0o700
    directory = os.open(folder, os.O_RDONLY)
    (folder / "a").write_bytes(b"xyz")
    ring.rename("a", "b", old_dir_fd=directory, new_dir_fd=directory)
    assert one(ring).check() == 0
    ring.link(folder / "b", "c", new_dir_fd=directory)
    assert one(ring).check() == 0
    ring.symlink("b", "d", dir_fd=directory)
    assert one(ring).check() == 0
    ring.readlink("d", dir_fd=directory)
    assert one(ring).data() == b"b"
    assert {name: (folder / name).read_bytes() for name in os.listdir(folder)} == {
        "b": b"xyz",
        "c": b"xyz",
        "d": b"xyz",
    }
    for name in "bcd":
        ring.unlink(name, dir_fd=directory)
        assert one(ring).check() == 0
    os.close(directory)
    ring.unlink(folder)
    with pytest.raises((IsADirectoryError, PermissionError)):
        one(ring).check()
    ring.unlink(os.fsencode(folder), directory=True)
    assert one(ring).check() == 0
    assert not folder.exists()


def test_a_directory_is_listed(ring, tmp_path):
    """Piece by piece, up to a result of 0."""
    for number in range(100):
        (tmp_path / f"file{number}").touch()
    directory = os.open(tmp_path, os.O_RDONLY)
    found = []
    while True:
        ring.list(directory, 1000)
        event = one(ring)
        if event.check() == 0:
            break
        found += event.entries()
    os.close(directory)
    by_name = {name: inode for name, _, inode in found}
    assert set(by_name) == {".", "..", *os.listdir(tmp_path)}
    assert by_name["file7"] == (tmp_path / "file7").stat().st_ino


def test_a_file_system_tells_of_itself(ring, tmp_path):
    """By a path, or by a descriptor."""
    expected = os.statvfs(tmp_path)
    directory = os.open(tmp_path, os.O_RDONLY)
    for ask in (lambda: ring.statvfs(tmp_path), lambda: ring.statvfs(dir_fd=directory)):
        ask()
        told = one(ring).statvfs()
        for name in ("f_bsize", "f_frsize", "f_blocks", "f_files", "f_flag", "f_namemax"):
            assert getattr(told, name) == getattr(expected, name), name
    os.close(directory)


def test_space_and_length_are_changed(ring, file):
    """truncate() and fallocate(), and copy_range() from file to file."""
    number = file.fileno()
    ring.truncate(number, 10)
    assert one(ring).check() == 0
    assert os.fstat(number).st_size == 10
    ring.fallocate(number, 0, 5000)
    assert one(ring).result in (0, -errno.EOPNOTSUPP)
    ring.copy_range(number, 5, number, 20_000, 5)
    result = one(ring).result
    assert result in (5, -errno.EXDEV, -errno.EOPNOTSUPP)
    if result == 5:
        assert os.pread(number, 5, 20_000) == CONTENT[5:10]
    for wrong in (lambda: ring.truncate(number, -1), lambda: ring.fallocate(number, 0, 0)):
        with pytest.raises(ValueError, match="or more"):
            wrong()


def test_many_reads_have_one_event(ring, file):
    """Each part has its bytes or its error; the memory is the ring's until then."""
    number = file.fileno()
    reads = [(number, 100, offset) for offset in range(0, 100_000, 1000)]
    reader, writer = os.pipe()
    reads += [(writer, 10, None), (number, 10, 200_000)]
    operation = ring.read_many(iter(reads), cookie="many")
    del reads
    gc.collect()
    event = one(ring)
    os.close(reader)
    os.close(writer)
    assert (event.operation, event.cookie, event.result) == (operation, "many", 101)
    *parts, failed, end = event.parts()
    assert parts == [CONTENT[offset : offset + 100] for offset in range(0, 100_000, 1000)]
    assert isinstance(failed, OSError)
    assert failed.errno == errno.EBADF
    assert end == b""
    assert event.data() == b""
    for wrong in ([], [(number, 1, 0)] * 1025, [(number, 0, 0)]):
        with pytest.raises(ValueError, match="1 to"):
            ring.read_many(wrong)


def test_an_operation_ends_at_its_deadline(ring):
    """With -ETIME; one that has ended needs none."""
    reader, writer = os.pipe()
    operation = ring.read(reader, 10)
    assert ring.set_deadline(operation, 0.01)
    with pytest.raises(OSError, match="has a deadline already"):
        ring.set_deadline(operation, 1)
    assert one(ring).result == -errno.ETIME
    assert not ring.set_deadline(operation, 1)
    with pytest.raises(ValueError, match="seconds is 0 or more"):
        ring.set_deadline(operation, -1)
    os.close(reader)
    os.close(writer)


def test_what_has_failed_raises_where_its_result_is_asked_for(ring, tmp_path):
    """The OSError of the kernel; another operation's result is a ValueError."""
    ring.readlink(tmp_path / "missing")
    event = one(ring)
    assert event.data() == b""
    with pytest.raises(FileNotFoundError):
        event.check()
    for call in (event.stat, event.statvfs, event.entries, event.parts):
        with pytest.raises(ValueError, match="not an event of"):
            call()
    ring.statvfs(tmp_path / "missing")
    with pytest.raises(FileNotFoundError):
        one(ring).statvfs()
