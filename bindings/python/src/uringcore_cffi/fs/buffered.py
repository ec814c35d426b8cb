"""Buffered binary files: what io.BufferedReader, BufferedWriter and BufferedRandom do, awaited."""

from __future__ import annotations

import errno
import io
import operator
import os
from typing import TYPE_CHECKING, Any

from uringcore_cffi._handles import files
from uringcore_cffi.fs.buffer import NO_ROOM, Buffer
from uringcore_cffi.fs.common import (
    AsyncFile,
    check_part,
    read_lines,
    to_bytes_view,
    to_size,
    to_writable_view,
)
from uringcore_cffi.fs.engine import HITS_MAX
from uringcore_cffi.fs.raw import RawFile

if TYPE_CHECKING:
    from collections.abc import Iterable

    from uringcore_cffi.fs.descriptor import Descriptor

# The last two are SEEK_DATA and SEEK_HOLE, which not every Python names.
_WHENCES = range(5)


class BufferedFile(Buffer, AsyncFile):
    """What all buffered files have; what one cannot do raises UnsupportedOperation."""

    def __init__(self, descriptor: Descriptor, buffer_size: int) -> None:
        """Buffer an open descriptor."""
        super().__init__(descriptor, buffer_size)
        self._raw: RawFile | None = None

    def __repr__(self) -> str:
        """Tell what is open."""
        return f"<{type(self).__module__}.{type(self).__name__} name={self._d.name!r}>"

    # What it is

    @property
    def raw(self) -> RawFile:
        """The file without the buffer."""
        if self._raw is None:
            self._raw = RawFile(self._d)
        return self._raw

    @property
    def name(self) -> Any:
        """What was opened: a path or a number."""
        return self._d.name

    @property
    def mode(self) -> str:
        """How it was opened."""
        return self._d.mode

    @property
    def closed(self) -> bool:
        """Whether close() was called."""
        return self._d.closed

    def fileno(self) -> int:
        """Return the descriptor; its position in the kernel is that of the file now.

        As there, what was read ahead or is still pending does not count: flush() first.
        """
        self._check_open()
        return self._d.number()

    def readable(self) -> bool:
        """Tell whether the file can be read."""
        return False

    async def writable(self) -> bool:
        """Tell whether the file can be written."""
        return False

    async def seekable(self) -> bool:
        """Tell whether the file has positions."""
        self._check_open()
        return self._d.seekable

    async def isatty(self) -> bool:
        """Tell whether the file is a terminal."""
        self._check_open()
        return os.isatty(self._d.fd)

    def detach(self) -> RawFile:
        """Give the file without the buffer away; this object can then not be used any more."""
        self._check_open()
        self._rewind()
        self.flush_now()
        raw = self.raw
        self._d = _Detached()  # type: ignore[assignment]
        return raw

    def _check_open(self, doing: str = "I/O operation on closed file") -> None:
        if self._d.closed:
            raise ValueError(doing)

    def _cannot(self, what: str) -> Any:
        raise io.UnsupportedOperation(what)

    # Positions

    async def tell(self) -> int:
        """Return the position."""
        self._check_open()
        return self._tell()

    async def seek(self, target: int, whence: int = os.SEEK_SET, /) -> int:
        """Move the position; return it. What was read ahead is kept if the new one is within."""
        d, turn = self._d, self._turn
        if whence not in _WHENCES:
            raise ValueError(f"whence value {operator.index(whence)} unsupported")
        if d.closed:
            raise ValueError("seek of closed file")
        if turn.taken:
            await turn.wait()
        turn.taken = True
        try:
            if whence == 0 and type(target) is int and target >= 0 and d.seekable:
                end = d.position
                if end is not None and not self._pending and target <= 1 << 40:
                    index = target - end + len(self._buffer)
                    if 0 <= index <= len(self._buffer):
                        self._next = index
                    else:
                        self._buffer = b""
                        self._next = 0
                        d.position = target
                    return target
            return await self._seek(target, whence)
        finally:
            turn.give()

    async def flush(self) -> None:
        """Hand over to the kernel what is pending."""
        what = "flush of closed file" if self._d.writable else "I/O operation on closed file."
        self._check_open(what)
        turn = self._turn
        if turn.taken:
            await turn.wait()
        turn.taken = True
        try:
            if self._d.writable:
                await self._flush()
                self._rewind()
                if self._d.shared:
                    self._d.hand_over()
        finally:
            turn.give()

    async def close(self) -> None:
        """Write what is pending and close the file, also if the first fails. Idempotent."""
        turn = self._turn
        if self.closed:
            return
        if turn.taken:
            await turn.wait(to_close=True)
        turn.taken = True
        try:
            await self._close()
        finally:
            turn.give()

    def __del__(self) -> None:
        """Write what is pending in a file that was never closed; the descriptor warns."""
        try:
            if self._pending and not self._d.closed:
                self.flush_now()
        except (AttributeError, OSError, ValueError):
            pass

    # Beside the position

    async def pread(self, size: int, offset: int, /) -> bytes | None:
        """Read up to ``size`` bytes at ``offset``; the position stays where it is.

        Less comes only at the end of the file. What is pending is written first. Any number of
        tasks may do this at the same time.
        """
        d = self._d
        if d.closed:
            raise ValueError("read of closed file")
        if not d.readable:
            raise io.UnsupportedOperation("read")
        check_part(size, offset)
        if self._pending:
            await self.flush()
        return await d.pread(size, offset)

    async def pwrite(self, data: Any, offset: int, /) -> int:
        """Write ``data`` at ``offset``; the position stays where it is.

        It is with the kernel when this returns. A file that was opened for appending is appended
        to, as by pwrite(2).
        """
        d, turn = self._d, self._turn
        if d.closed:
            raise ValueError("write to closed file")
        if not d.writable:
            raise io.UnsupportedOperation("write")
        check_part(0, offset)
        if turn.taken:
            await turn.wait()
        turn.taken = True
        try:
            await self._flush()
            self._rewind()
            flat = to_bytes_view(data)
            done = 0
            while done < len(flat):
                written = await d.pwrite(flat[done:], offset + done)
                if written is None:
                    raise BlockingIOError(errno.EAGAIN, NO_ROOM, done)
                done += written
            return done
        finally:
            turn.give()

    async def writelines_at(self, lines: Iterable[Any], offset: int, /) -> int:
        """Write all of ``lines`` in a row, beginning at ``offset``; return how many bytes."""
        return await self.pwrite(b"".join(lines), offset)

    async def fsync(self) -> None:
        """Have everything written survive a crash: flush(), and then the kernel's part."""
        await self.flush()
        await self._d.sync()

    async def fdatasync(self) -> None:
        """As fsync(), but of what is not data only what is needed to read it again."""
        await self.flush()
        await self._d.sync(files.FSYNC_DATA)

    async def fallocate(self, offset: int, length: int, mode: int = 0) -> None:
        """Reserve the space of a part of the file; ``mode`` is of FALLOC_FL_*.

        What is pending is written first.
        """
        self._check_open()
        if not self._d.writable:
            raise io.UnsupportedOperation("fallocate")
        await self.flush()
        await self._d.fallocate(offset, length, mode)

    # What not every file can

    async def read(self, size: int | None = -1, /) -> bytes | None:
        """Cannot: the file is not open for reading."""
        return self._cannot("read")  # type: ignore[no-any-return]

    async def read1(self, size: int = -1, /) -> bytes:
        """Cannot: the file is not open for reading."""
        return self._cannot("read1")  # type: ignore[no-any-return]

    async def readinto(self, buffer: Any, /) -> int | None:
        """Cannot: the file is not open for reading."""
        return self._cannot("read")  # type: ignore[no-any-return]

    async def readinto1(self, buffer: Any, /) -> int | None:
        """Cannot: the file is not open for reading."""
        return self._cannot("read1")  # type: ignore[no-any-return]

    async def readline(self, size: int | None = -1, /) -> bytes:
        """Cannot: the file is not open for reading."""
        self._check_open()
        return b"" if size == 0 else self._cannot("read")

    async def readlines(self, hint: int | None = -1, /) -> list[bytes]:
        """Cannot: the file is not open for reading."""
        self._check_open()
        return self._cannot("read")  # type: ignore[no-any-return]

    async def write(self, data: Any, /) -> int:
        """Cannot: the file is not open for writing."""
        return self._cannot("write")  # type: ignore[no-any-return]

    async def writelines(self, lines: Iterable[Any], /) -> None:
        """Write each of ``lines``."""
        self._check_open("I/O operation on closed file.")
        for line in lines:
            await self.write(line)

    async def truncate(self, size: int | None = None, /) -> int:
        """Cannot: the file is not open for writing."""
        self._check_open("truncate of closed file")
        return self._cannot("truncate")  # type: ignore[no-any-return]


class BufferedReader(BufferedFile):
    """A file that is read: what ``open(..., "rb")`` gives."""

    def readable(self) -> bool:
        """Tell whether the file can be read."""
        self._check_open()
        return True

    async def read(self, size: int | None = -1, /) -> bytes | None:
        """Read ``size`` bytes; less only at the end; up to the end if it is negative."""
        engine = self._d.engine
        engine.hits += 1
        if engine.hits > HITS_MAX:
            await engine.pause()
        turn = self._turn
        if self._d.closed:
            raise ValueError("read of closed file")
        size = to_size(size)
        if size < -1:
            raise ValueError("read length must be non-negative or -1")
        if turn.taken:
            await turn.wait()
        turn.taken = True
        try:
            return await self._read(size)
        finally:
            turn.give()

    async def read1(self, size: int = -1, /) -> bytes:
        """Read up to ``size`` bytes, with one operation at most."""
        turn = self._turn
        self._check_open("read of closed file")
        if turn.taken:
            await turn.wait()
        turn.taken = True
        try:
            return await self._read1(operator.index(size))
        finally:
            turn.give()

    async def peek(self, size: int = 0, /) -> bytes:
        """Return what was read ahead, or is read ahead now, without moving the position."""
        turn = self._turn
        self._check_open("peek of closed file")
        if turn.taken:
            await turn.wait()
        turn.taken = True
        try:
            if self._pending:
                await self._flush()
            if self._next == len(self._buffer):
                await self._fill()
            return self._buffer[self._next :]
        finally:
            turn.give()

    async def readinto(self, buffer: Any, /) -> int | None:
        """Fill ``buffer``; return how many bytes came, less than its length only at the end."""
        return await self._read_into(buffer, once=False)

    async def readinto1(self, buffer: Any, /) -> int | None:
        """Read into ``buffer``, with one operation at most; return how many bytes came."""
        return await self._read_into(buffer, once=True)

    async def _read_into(self, buffer: Any, *, once: bool) -> int | None:
        turn = self._turn
        memory = to_writable_view(buffer)
        self._check_open("readinto of closed file")
        if turn.taken:
            await turn.wait()
        turn.taken = True
        try:
            return await self._readinto(memory, once=once)
        finally:
            turn.give()

    async def readline(self, size: int | None = -1, /) -> bytes:
        """Read one line with its end, or ``size`` bytes of it."""
        engine = self._d.engine
        engine.hits += 1
        if engine.hits > HITS_MAX:
            await engine.pause()
        turn = self._turn
        if self._d.closed:
            raise ValueError("readline of closed file")
        limit = to_size(size)
        if turn.taken:
            await turn.wait()
        turn.taken = True
        try:
            return await self._readline(max(limit, -1))
        finally:
            turn.give()

    async def readlines(self, hint: int | None = -1, /) -> list[bytes]:
        """Read lines, of about ``hint`` bytes together; all if it is not positive."""
        self._check_open("I/O operation on closed file.")
        return await read_lines(self, hint)


class BufferedWriter(BufferedFile):
    """A file that is written: what ``open(..., "wb")`` gives."""

    async def writable(self) -> bool:
        """Tell whether the file can be written."""
        self._check_open()
        return True

    async def write(self, data: Any, /) -> int:
        """Write ``data``, to the buffer first; return its length."""
        engine = self._d.engine
        engine.hits += 1
        if engine.hits > HITS_MAX:
            await engine.pause()
        turn = self._turn
        if type(data) is not bytes:
            data = to_bytes_view(data)
        if self._d.closed:
            raise ValueError("write to closed file")
        if turn.taken:
            await turn.wait()
        turn.taken = True
        try:
            pending = self._pending
            if type(data) is bytes and len(pending) + len(data) <= self._size:
                if self._buffer:
                    self._rewind()
                pending += data
                return len(data)
            return await self._write(data)
        finally:
            turn.give()

    async def truncate(self, size: int | None = None, /) -> int:
        """Make the file ``size`` bytes long, or end it at the position, which stays."""
        turn = self._turn
        self._check_open("truncate of closed file")
        if turn.taken:
            await turn.wait()
        turn.taken = True
        try:
            await self._flush()
            self._rewind()
            size = self._tell() if size is None else operator.index(size)
            await self._d.truncate(size)
            return size
        finally:
            turn.give()


class BufferedRandom(BufferedReader, BufferedWriter):
    """A file that is read and written: what ``open(..., "r+b")`` gives."""


class _Detached:
    """What a file has whose descriptor was given away."""

    def __getattr__(self, name: str) -> Any:
        raise ValueError("raw stream has been detached")
