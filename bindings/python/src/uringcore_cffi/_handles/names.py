"""What ``include/uc/file.h`` adds to files.py: names, directories, many reads, deadlines.

The functions have the form of those in files.py; what the kernel has written is read here.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Sequence
from typing import Any, Final

from uringcore_cffi._ffi.library import ffi, lib
from uringcore_cffi._handles.files import Block

truncate = lib.uc_op_truncate
fallocate = lib.uc_op_fallocate
rename = lib.uc_op_rename
unlink = lib.uc_op_unlink
mkdir = lib.uc_op_mkdir
symlink = lib.uc_op_symlink
link = lib.uc_op_link
readlink = lib.uc_op_readlink
statvfs = lib.uc_op_statvfs
listing = lib.uc_op_list
copy_range = lib.uc_op_copy_range
read_many = lib.uc_op_read_many
set_deadline = lib.uc_op_set_deadline

AT_REMOVEDIR: Final = 0x200
READ_MANY_MAX: Final = 1024
LINK_BYTES: Final = 4096  # PATH_MAX: no link says more
LIST_BYTES: Final = 32768
STATVFS_BYTES: Final = 256  # with room to grow

# bsize, frsize, blocks, bfree, bavail, files, ffree, favail, fsid, flag, namemax
_STATVFS: Final = struct.Struct("@LLQQQQQQLLL")
# ino, off, reclen, type; the name follows, with a zero behind it
_ENTRY: Final = struct.Struct("=QqHB")


def statvfs_result(block: Block) -> os.statvfs_result:
    """Make what os.statvfs() returns out of what statvfs(3) has written."""
    *numbers, fsid, flag, namemax = _STATVFS.unpack(block.view[: _STATVFS.size])
    return os.statvfs_result((*numbers, flag, namemax, fsid))


def entries(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Take what getdents64(2) has written apart: name, type (DT_*) and inode of each entry."""
    position = 0
    while position < len(data):
        inode, _, length, kind = _ENTRY.unpack_from(data, position)
        name = data[position + _ENTRY.size : position + length]
        yield name.partition(b"\0")[0], kind, inode
        position += length


class Parts:
    """The reads of one uc_op_read_many(), with the memory that they use."""

    __slots__ = ("_blocks", "count", "pointer")

    def __init__(self, reads: Sequence[tuple[int, int, int]]) -> None:
        """Each read is a descriptor, a number of bytes, and an offset."""
        self.count = len(reads)
        self.pointer: Any = ffi.new("struct uc_read_part[]", self.count)
        self._blocks = [Block(count) for _, count, _ in reads]
        for number, (fd, count, offset) in enumerate(reads):
            part = self.pointer[number]
            part.fd, part.bytes, part.offset = fd, count, offset
            part.buffer = self._blocks[number].pointer

    def results(self) -> list[tuple[int, bytes]]:
        """Return what became of each: its result, and its bytes."""
        found = []
        for number, block in enumerate(self._blocks):
            result = self.pointer[number].result
            found.append((result, block.view[: max(0, result)]))
        return found
