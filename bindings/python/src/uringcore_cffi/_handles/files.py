"""Operations on files and names: what submits them, and the memory that they use.

A function that submits takes the ring's handle, what the operation is about, a cookie and where to
write the operation's identifier, in the order of ``include/uc/op.h``; it returns libuc's number,
negative for a refusal, and raises nothing. The one record comes with the cookie.
"""

from __future__ import annotations

import os
import struct
import sys
from typing import Any, Final

from uringcore_cffi._ffi.library import ffi, lib

# Looked up once: an attribute of an opened library costs as much as a call.
nop = lib.uc_op_nop
read = lib.uc_op_read
write = lib.uc_op_write
fsync = lib.uc_op_fsync
openat = lib.uc_op_openat
close = lib.uc_op_close
statx = lib.uc_op_statx
timeout = lib.uc_op_timeout
splice = lib.uc_op_splice
cancel = lib.uc_op_cancel

# UC_OFFSET_CURRENT of include/uc/op.h: at the file's own position; what pipes and sockets need.
OFFSET_CURRENT: Final = 2**64 - 1
COUNT_MAX: Final = 2**31 - 4096
FSYNC_DATA: Final = lib.UC_FSYNC_DATA
NO_RING: Final = ffi.NULL
AT_FDCWD: Final = -100
AT_EMPTY_PATH: Final = 0x1000
AT_SYMLINK_NOFOLLOW: Final = 0x100
STATX_BASIC_STATS: Final = 0x7FF
STATX_BYTES: Final = 256

# mask, blksize, attributes, nlink, uid, gid, mode, ino, size, blocks, attributes_mask, four times
# of seconds and nanoseconds (access, birth, change, modification), rdev and dev as two halves.
_STATX: Final = struct.Struct("=IIQIIIH2xQQQQ" + "qI4x" * 4 + "IIII")

# CPython's bytes never move, and cffi passes a pointer into them.
_BYTES_STAY = sys.implementation.name == "cpython"
_IS_PYPY = sys.implementation.name == "pypy"
# PyPy lets a bytearray be resized, which moves it, while others have its address.
MEMORY_MOVES: Final = _IS_PYPY
_allocate = ffi.new_allocator(should_clear_after_alloc=False)


def new_ret_op() -> Any:
    """Return where a submitting function may write an operation's identifier."""
    return ffi.new("uint64_t *")


class Block:
    """Memory for the kernel to write into, and to copy from.

    ``pointer`` is passed to what submits, ``view[:count]`` copies out as ``bytes``. A block must
    live, and not be used for anything else, until the record.
    """

    __slots__ = ("pointer", "size", "view")

    def __init__(self, size: int, align: int = 1) -> None:
        memory = _allocate("char[]", size + align - 1)
        self.size = size
        # What points into other memory does not keep it: the view does.
        skip = -int(ffi.cast("uintptr_t", memory)) % align
        self.view: Any = ffi.buffer(memory)
        self.pointer: Any = memory
        if align > 1:
            self.view = _Kept(memory, skip, size)
            self.pointer = memory + skip


class _Kept:
    """A view of aligned memory that keeps all of it."""

    __slots__ = ("_memory", "_view")

    def __init__(self, memory: Any, skip: int, size: int) -> None:
        self._memory = memory
        self._view = ffi.buffer(memory + skip, size)

    def __getitem__(self, key: slice) -> bytes:
        data: bytes = self._view[key]
        return data

    def __setitem__(self, key: slice, data: bytes) -> None:
        self._view[key] = data


def pin(data: Any) -> Any:
    """Return what keeps the memory of ``data`` in its place and can be submitted for reading."""
    return data if _BYTES_STAY and type(data) is bytes else ffi.from_buffer(data)


def pin_writable(memory: Any) -> Any:
    """Return what keeps writable memory in its place and can be submitted to be written to."""
    return ffi.from_buffer(memory, require_writable=True)


def at(pinned: Any, offset: int) -> Any:
    """Return what can be submitted for pinned memory, from ``offset`` on."""
    if not offset:
        return pinned
    return (ffi.from_buffer(pinned) if type(pinned) is bytes else pinned) + offset


def unpin(pinned: Any) -> None:
    """Let go of memory that was pinned, when the record has come."""
    if type(pinned) is not bytes:
        ffi.release(pinned)


def stat_result(block: Block) -> os.stat_result:
    """Make what os.stat() returns out of what statx(2) has written."""
    (
        _,
        blksize,
        _,
        nlink,
        uid,
        gid,
        mode,
        ino,
        size,
        blocks,
        _,
        *times,
        rdev_major,
        rdev_minor,
        dev_major,
        dev_minor,
    ) = _STATX.unpack(block.view[: _STATX.size])
    atime, atime_ns, _, _, ctime, ctime_ns, mtime, mtime_ns = times
    dev = os.makedev(dev_major, dev_minor)
    rest = {
        "st_atime": atime + 1e-9 * atime_ns,
        "st_mtime": mtime + 1e-9 * mtime_ns,
        "st_ctime": ctime + 1e-9 * ctime_ns,
        "st_atime_ns": atime * 1_000_000_000 + atime_ns,
        "st_mtime_ns": mtime * 1_000_000_000 + mtime_ns,
        "st_ctime_ns": ctime * 1_000_000_000 + ctime_ns,
        "st_blksize": blksize,
        "st_blocks": blocks,
        "st_rdev": os.makedev(rdev_major, rdev_minor),
    }
    if _IS_PYPY:  # which makes the times of these; CPython refuses names that it does not know
        rest.update(nsec_atime=atime_ns, nsec_mtime=mtime_ns, nsec_ctime=ctime_ns)
    return os.stat_result((mode, ino, dev, nlink, uid, gid, size, atime, mtime, ctime), rest)
