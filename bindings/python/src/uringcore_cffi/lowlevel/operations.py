"""What a ring can be asked for once: a method for each function of include/uc/op.h."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any, Callable

from uringcore_cffi._ffi.errors import answer_error
from uringcore_cffi._handles import files
from uringcore_cffi.lowlevel.operation import Operation, steady

if TYPE_CHECKING:
    from uringcore_cffi._handles.names import Parts
    from uringcore_cffi._handles.ring import Ring as Handle

    Path = str | bytes | os.PathLike[str] | os.PathLike[bytes]

_INVALID = {errno.EINVAL: "out of range: 1 to 2**31 - 4096 bytes, and flags that libuc knows"}
_BUSY = {errno.EBUSY: "the descriptor is attached: use close() of its Fd"}


class OperationMethods:
    """The one-shot operations of a ring.

    Each returns an Operation, and its event is of kind OPERATION, with ``cookie``: any object of
    the caller's. The event's result is a count or 0, or a negative errno. Memory is kept until
    then; a descriptor must stay open until then. ``offset`` None means the file's own position.
    """

    _ring: Handle
    _operations: dict[int, Operation]
    _ret_op: Any
    _next_number: Callable[[], int]
    _check_open: Callable[[str], None]

    def nop(self, *, cookie: Any = None) -> Operation:
        """Do nothing, through the kernel."""
        return self._submit(files.nop, "nop", (), cookie)

    def read(
        self, fd: int, count: int, offset: int | None = None, *, cookie: Any = None
    ) -> Operation:
        """Read up to ``count`` bytes of a file; data() of the event returns them."""
        check_count(count)
        written = files.Block(count)
        arguments = (fd, written.pointer, count, offset_of(offset))
        return self._submit(files.read, "read", arguments, cookie, written=written)

    def readinto(
        self, fd: int, buffer: Any, offset: int | None = None, *, cookie: Any = None
    ) -> Operation:
        """Read into the caller's writable buffer; it must not change its size until the event."""
        view = memoryview(buffer)
        count = view.nbytes
        check_count(count)
        if view.readonly:
            raise TypeError(f"a read-write bytes-like object is required, not {buffer!r:.50}")
        if files.MEMORY_MOVES:
            operation = self.read(fd, count, offset, cookie=cookie)
            operation._target = buffer
            return operation
        held = files.pin_writable(buffer)
        arguments = (fd, held, count, offset_of(offset))
        return self._submit(files.read, "read", arguments, cookie, held=held)

    def write(
        self, fd: int, data: Any, offset: int | None = None, *, cookie: Any = None
    ) -> Operation:
        """Write ``data``, which must not change until the event; maybe only the head of it."""
        count = memoryview(data).nbytes
        check_count(count)
        held = files.pin(steady(data))
        arguments = (fd, held, count, offset_of(offset))
        return self._submit(files.write, "write", arguments, cookie, held=held)

    def fsync(self, fd: int, *, data_only: bool = False, cookie: Any = None) -> Operation:
        """Make what was written survive a crash; ``data_only`` is fdatasync(2)."""
        flags = files.FSYNC_DATA if data_only else 0
        return self._submit(files.fsync, "fsync", (fd, flags), cookie)

    def openat(
        self,
        path: Path,
        flags: int,
        mode: int = 0o777,
        *,
        dir_fd: int | None = None,
        cookie: Any = None,
    ) -> Operation:
        """Open a file, as os.open(); the result is the descriptor, not inherited, the caller's."""
        arguments = (directory_of(dir_fd), path_of(path), flags, mode)
        return self._submit(files.openat, "openat", arguments, cookie)

    def close(self, fd: int, *, cookie: Any = None) -> Operation:
        """Close a descriptor that has no operation in flight and is not attached."""
        return self._submit(files.close, "close", (fd,), cookie)

    def statx(
        self,
        path: Path,
        *,
        dir_fd: int | None = None,
        flags: int = 0,
        mask: int = files.STATX_BASIC_STATS,
        cookie: Any = None,
    ) -> Operation:
        """Ask about a file: stat() of the event tells, data() is the struct statx.

        ``flags`` are the AT_* of statx(2); a path of "" with AT_EMPTY_PATH means ``dir_fd`` itself.
        """
        written = files.Block(files.STATX_BYTES, 8)
        arguments = (directory_of(dir_fd), path_of(path), flags, mask, written.pointer)
        return self._submit(files.statx, "statx", arguments, cookie, written=written)

    def timeout(self, seconds: float, *, cookie: Any = None) -> Operation:
        """Be told when a time has passed: the result is -ETIME, or -ECANCELED."""
        return self._submit(files.timeout, "timeout", (to_ns(seconds),), cookie)

    def splice(
        self,
        fd_in: int,
        offset_in: int | None,
        fd_out: int,
        offset_out: int | None,
        count: int,
        *,
        flags: int = 0,
        cookie: Any = None,
    ) -> Operation:
        """Move up to ``count`` bytes between two descriptors, of which one is a pipe.

        Pipes and sockets have no offset: None. ``flags`` are UC_SPLICE_* of include/uc/op.h.
        """
        check_count(count)
        arguments = (fd_in, offset_of(offset_in), fd_out, offset_of(offset_out), count, flags)
        return self._submit(files.splice, "splice", arguments, cookie)

    def cancel(self, operation: Operation) -> bool:
        """Ask for an operation to end early; as its cancel()."""
        self._check_open("uc_op_cancel")
        answer = files.cancel(self._ring.handle, operation._identifier)
        if answer == -errno.ESTALE:
            return False
        if answer < 0:
            raise answer_error(answer, "uc_op_cancel")
        return True

    def _submit(
        self,
        function: Callable[..., int],
        name: str,
        arguments: tuple[Any, ...],
        cookie: Any,
        *,
        held: Any = None,
        written: files.Block | Parts | None = None,
    ) -> Operation:
        """Queue an operation and keep it, with its memory, until the record."""
        call = f"uc_op_{name}"
        self._check_open(call)
        number = self._next_number()
        operation = Operation(self, name, number, cookie, held, written)
        self._operations[number] = operation  # before libuc has it, should an interrupt come
        try:
            answer = function(self._ring.handle, *arguments, number, self._ret_op)
        except (TypeError, OverflowError):  # an argument does not fit into C
            del self._operations[number]
            raise
        if answer < 0:
            del self._operations[number]
            raise answer_error(answer, call, _BUSY if name == "close" else _INVALID)
        operation._identifier = self._ret_op[0]
        return operation


def check_count(count: int) -> None:
    """Refuse a number of bytes that no operation takes."""
    if not 1 <= count <= files.COUNT_MAX:
        raise ValueError(f"an operation is for 1 to {files.COUNT_MAX} bytes, not {count}")


def offset_of(offset: int | None) -> int:
    """Return an offset as libuc has it."""
    if offset is None:
        return files.OFFSET_CURRENT
    if offset < 0:
        raise ValueError(f"an offset is 0 or more, or None for the file's own: not {offset}")
    return offset


def directory_of(dir_fd: int | None) -> int:
    """Return what paths are relative to."""
    return files.AT_FDCWD if dir_fd is None else dir_fd


def path_of(path: Path) -> bytes:
    """Return a path as C has it."""
    raw = os.fsencode(path)
    if b"\0" in raw:
        raise ValueError("embedded null byte")
    return raw


def to_ns(seconds: float) -> int:
    """Return a time from now as libuc counts it."""
    if not 0 <= seconds < 2**33:
        raise ValueError(f"seconds is 0 or more, and less than 2**33: not {seconds!r}")
    return round(seconds * 1e9)
