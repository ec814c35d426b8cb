"""One-shot operations on names and directories: a method for each function of include/uc/file.h."""

from __future__ import annotations

import errno
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from uringcore_cffi._ffi.errors import answer_error
from uringcore_cffi._handles import files, names
from uringcore_cffi.lowlevel.operations import (
    OperationMethods,
    check_count,
    directory_of,
    offset_of,
    path_of,
    to_ns,
)

if TYPE_CHECKING:
    from uringcore_cffi.lowlevel.operation import Operation
    from uringcore_cffi.lowlevel.operations import Path

_DEADLINE = {errno.EALREADY: "the operation has a deadline already"}


class NameMethods(OperationMethods):
    """Files and names beyond include/uc/op.h; the form is that of OperationMethods.

    Paths are relative to a directory's descriptor, if one is given.
    """

    def truncate(self, fd: int, length: int, *, cookie: Any = None) -> Operation:
        """Set the length of a file, as os.ftruncate()."""
        if length < 0:
            raise ValueError(f"a length is 0 or more, not {length}")
        return self._submit(names.truncate, "truncate", (fd, length), cookie)

    def fallocate(
        self, fd: int, offset: int, count: int, *, mode: int = 0, cookie: Any = None
    ) -> Operation:
        """Reserve ``count`` bytes of a file, or what ``mode`` says: FALLOC_FL_* of fallocate(2)."""
        if offset < 0 or count < 1:
            raise ValueError(f"an offset is 0 or more, a count 1: not {offset} and {count}")
        return self._submit(names.fallocate, "fallocate", (fd, mode, offset, count), cookie)

    def rename(
        self,
        old: Path,
        new: Path,
        *,
        old_dir_fd: int | None = None,
        new_dir_fd: int | None = None,
        flags: int = 0,
        cookie: Any = None,
    ) -> Operation:
        """Give a file another name; ``flags`` are RENAME_* of renameat2(2)."""
        where = (directory_of(old_dir_fd), path_of(old), directory_of(new_dir_fd), path_of(new))
        return self._submit(names.rename, "rename", (*where, flags), cookie)

    def link(
        self,
        old: Path,
        new: Path,
        *,
        old_dir_fd: int | None = None,
        new_dir_fd: int | None = None,
        flags: int = 0,
        cookie: Any = None,
    ) -> Operation:
        """Give a file a second name; ``flags`` are AT_* of linkat(2)."""
        where = (directory_of(old_dir_fd), path_of(old), directory_of(new_dir_fd), path_of(new))
        return self._submit(names.link, "link", (*where, flags), cookie)

    def symlink(
        self, target: Path, path: Path, *, dir_fd: int | None = None, cookie: Any = None
    ) -> Operation:
        """Make a symbolic link at ``path`` that says ``target``."""
        arguments = (path_of(target), directory_of(dir_fd), path_of(path))
        return self._submit(names.symlink, "symlink", arguments, cookie)

    def readlink(self, path: Path, *, dir_fd: int | None = None, cookie: Any = None) -> Operation:
        """Ask what a symbolic link says: data() of the event."""
        written = files.Block(names.LINK_BYTES)
        arguments = (directory_of(dir_fd), path_of(path), written.pointer, written.size)
        return self._submit(names.readlink, "readlink", arguments, cookie, written=written)

    def unlink(
        self,
        path: Path,
        *,
        directory: bool = False,
        dir_fd: int | None = None,
        cookie: Any = None,
    ) -> Operation:
        """Remove a name; with ``directory``, that of an empty directory."""
        flags = names.AT_REMOVEDIR if directory else 0
        return self._submit(
            names.unlink, "unlink", (directory_of(dir_fd), path_of(path), flags), cookie
        )

    def mkdir(
        self, path: Path, mode: int = 0o777, *, dir_fd: int | None = None, cookie: Any = None
    ) -> Operation:
        """Make a directory, as os.mkdir()."""
        return self._submit(
            names.mkdir, "mkdir", (directory_of(dir_fd), path_of(path), mode), cookie
        )

    def list(self, fd: int, count: int = names.LIST_BYTES, *, cookie: Any = None) -> Operation:
        """Read entries of an open directory, up to ``count`` bytes: entries() of the event.

        The result is 0 at the end. One at a time: each moves the directory's position.
        """
        check_count(count)
        written = files.Block(count, 8)
        arguments = (fd, written.pointer, count)
        return self._submit(names.listing, "list", arguments, cookie, written=written)

    def statvfs(
        self, path: Path = "", *, dir_fd: int | None = None, cookie: Any = None
    ) -> Operation:
        """Ask about the file system of ``path``, or of ``dir_fd``: statvfs() of the event."""
        written = files.Block(names.STATVFS_BYTES, 8)
        arguments = (directory_of(dir_fd), path_of(path), written.pointer)
        return self._submit(names.statvfs, "statvfs", arguments, cookie, written=written)

    def copy_range(
        self,
        fd_in: int,
        offset_in: int | None,
        fd_out: int,
        offset_out: int | None,
        count: int,
        *,
        cookie: Any = None,
    ) -> Operation:
        """Copy up to ``count`` bytes from file to file within the kernel."""
        check_count(count)
        arguments = (fd_in, offset_of(offset_in), fd_out, offset_of(offset_out), count, 0)
        return self._submit(names.copy_range, "copy_range", arguments, cookie)

    def read_many(
        self, reads: Iterable[tuple[int, int, int | None]], *, cookie: Any = None
    ) -> Operation:
        """Read from many places at once: (descriptor, count, offset) each, up to 1024 of them.

        There is one event, when all have ended; its result is how many did not fail, and parts()
        says what became of each.
        """
        wanted = [(fd, count, offset_of(offset)) for fd, count, offset in reads]
        if not 1 <= len(wanted) <= names.READ_MANY_MAX:
            raise ValueError(f"read_many() is for 1 to {names.READ_MANY_MAX} reads")
        for _, count, _ in wanted:
            check_count(count)
        parts = names.Parts(wanted)
        arguments = (parts.pointer, parts.count)
        return self._submit(names.read_many, "read_many", arguments, cookie, written=parts)

    def set_deadline(self, operation: Operation, seconds: float) -> bool:
        """Have an operation end when a time has passed; False if it has ended.

        Its result is then -ETIME, unless it was too late to end it.
        """
        call = "uc_op_set_deadline"
        self._check_open(call)
        answer = names.set_deadline(self._ring.handle, operation._identifier, to_ns(seconds))
        if answer == -errno.ESTALE:
            return False
        if answer < 0:
            raise answer_error(answer, call, _DEADLINE)
        return True
