"""Buffered binary files: what io.BufferedReader, BufferedWriter and BufferedRandom do, awaited.

A file has read ahead (``_buffer``, of which ``_next`` is the first byte not given out) or has
something to write (``_pending``), never both. What was read ahead ends at the descriptor's
position, what is to be written begins there.

A call that fails or is cancelled half way puts what it has read back in front of the buffer.
"""

from __future__ import annotations

import asyncio
import errno
import io
import operator
import os
from typing import TYPE_CHECKING, Any

from uringcore_cffi._handles import files
from uringcore_cffi.fs.engine import HITS_MAX
from uringcore_cffi.fs.raw import (
    AsyncFile,
    Descriptor,
    RawFile,
    check_part,
    file_error,
    read_lines,
    to_bytes_view,
    to_size,
    to_writable_view,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

_WHENCES = (os.SEEK_SET, os.SEEK_CUR, os.SEEK_END, os.SEEK_DATA, os.SEEK_HOLE)
_NO_ROOM = "write could not complete without blocking"


class BufferedFile(AsyncFile):
    """What all buffered files have; what one cannot do raises UnsupportedOperation."""

    def __init__(self, descriptor: Descriptor, buffer_size: int) -> None:
        """Buffer an open descriptor."""
        self._d = descriptor
        self._turn = descriptor.turn
        self._size = buffer_size
        self._buffer = b""
        self._next = 0
        self._pending = bytearray()
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
        """Return the descriptor."""
        self._check_open()
        return self._d.fd

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

    def _tell(self) -> int:
        if not self._d.seekable:
            raise file_error(-errno.ESPIPE)
        return self._d.tell() - (len(self._buffer) - self._next) + len(self._pending)

    async def tell(self) -> int:
        """Return the position."""
        self._check_open()
        return self._tell()

    def _rewind(self) -> None:
        """Forget what was read ahead."""
        ahead = len(self._buffer) - self._next
        if self._buffer:
            if ahead and self._d.seekable:
                self._d.position = self._d.tell() - ahead
            self._buffer = b""
            self._next = 0

    async def seek(self, target: int, whence: int = os.SEEK_SET, /) -> int:
        """Move the position; return it. What was read ahead is kept if the new one is within."""
        d, turn = self._d, self._turn
        if whence not in _WHENCES:
            raise ValueError(f"whence value {whence} unsupported")
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

    async def _seek(self, target: int, whence: int) -> int:
        d = self._d
        if not d.seekable:
            raise io.UnsupportedOperation("File or stream is not seekable.")
        target = operator.index(target)
        if not -1 << 63 <= target < 1 << 63:
            raise ValueError("cannot fit 'int' into an offset-sized integer")
        if self._pending:
            await self._flush()
        if whence == 1:
            target += self._tell()
            whence = 0
        if whence == 0 and self._buffer:
            index = target - d.tell() + len(self._buffer)
            if 0 <= index <= len(self._buffer):
                self._next = index
                return target
        position = d.seek(target, whence)
        self._buffer = b""
        self._next = 0
        return position

    # Reading; the turn is the caller's

    async def _fill(self) -> int | None:
        """Read ahead, behind a buffer that was given out; return how much came."""
        data = await self._d.read(self._size)
        if data is None:
            return None
        self._buffer = data
        self._next = 0
        return len(data)

    def _put_back(self, parts: list[bytes]) -> None:
        self._buffer = b"".join(parts) + self._buffer[self._next :]
        self._next = 0

    async def _read(self, size: int) -> bytes | None:
        if self._pending:
            await self._flush()
        if size < 0:
            return await self._read_all()
        start, end = self._next, self._next + size
        if end <= len(self._buffer):
            self._next = end
            return self._buffer[start:end]
        if start == len(self._buffer):
            # Nothing is left: what is asked for and what is read ahead come in one piece.
            data = await self._d.read(-(-size // self._size) * self._size)
            if data is None:
                return None
            if len(data) >= size or not data:
                self._buffer = data
                self._next = min(size, len(data))
                return data if len(data) == size else data[:size]
            return await self._read_rest([data], size - len(data))
        parts = [self._buffer[start:]]
        return await self._read_rest(parts, size - len(parts[0]))

    async def _read_rest(self, parts: list[bytes], left: int) -> bytes:
        """Read what is still missing, up to the end or until nothing is there."""
        self._buffer = b""
        self._next = 0
        try:
            while left > 0:
                data = await self._d.read(-(-left // self._size) * self._size)
                if not data:
                    break
                if len(data) > left:
                    self._buffer = data
                    self._next = left
                    data = data[:left]
                parts.append(data)
                left -= len(data)
        except BaseException:
            self._put_back(parts)
            raise
        return b"".join(parts)

    async def _read_all(self) -> bytes | None:
        have = self._buffer[self._next :]
        rest = await self._d.readall()
        self._buffer = b""
        self._next = 0
        if rest is None:
            return have or None
        return have + rest if have else rest

    async def _read1(self, size: int) -> bytes:
        if self._pending:
            await self._flush()
        if size < 0:
            size = self._size
        start = self._next
        if start == len(self._buffer) and size:
            data = await self._d.read(size)
            self._buffer = b""
            self._next = 0
            return data or b""
        self._next = min(start + size, len(self._buffer))
        return self._buffer[start : self._next]

    async def _readline(self, limit: int) -> bytes:
        if self._pending:
            await self._flush()
        parts: list[bytes] = []
        left = limit
        try:
            while left:
                start, buffer = self._next, self._buffer
                found = buffer.find(b"\n", start)
                end = found + 1 if found >= 0 else len(buffer)
                if 0 <= left < end - start:
                    end = start + left
                self._next = end
                parts.append(buffer[start:end])
                if left > 0:
                    left -= end - start
                if (found >= 0 and end == found + 1) or left == 0:
                    break
                if not await self._fill():
                    break
        except BaseException:
            self._put_back(parts)
            raise
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def _readinto(self, memory: memoryview, *, once: bool) -> int | None:
        if self._pending:
            await self._flush()
        done = 0
        try:
            while done < len(memory):
                if self._next < len(self._buffer):
                    piece = self._buffer[self._next : self._next + len(memory) - done]
                    memory[done : done + len(piece)] = piece
                    done += len(piece)
                    self._next += len(piece)
                elif once and done:
                    break
                else:
                    got = await self._more_into(memory[done:], once=once)
                    if got is None and not done:
                        return None
                    if not got:
                        break
                    done += max(got, 0)
        except BaseException:
            self._put_back([bytes(memory[:done])])
            raise
        return done

    async def _more_into(self, memory: Any, *, once: bool) -> int | None:
        """Read into memory or, where little is missing, ahead (then return -1); 0 at the end."""
        if len(memory) <= self._size and not once:
            got = await self._fill()
            return -1 if got else got
        got = await self._d.read_into(memory)
        self._buffer = b""
        self._next = 0
        return got

    # Writing; the turn is the caller's

    async def _write(self, data: Any) -> int:
        flat = to_bytes_view(data)
        self._rewind()
        count, pending, size = len(flat), self._pending, self._size
        if count <= size - len(pending):
            pending += flat
            return count
        try:
            if pending:
                await self._flush()
        except BlockingIOError:
            room = size - len(pending)
            pending += flat[:room]
            if count <= room:
                return count
            raise BlockingIOError(errno.EAGAIN, _NO_ROOM, room) from None
        done = 0
        while count - done > size:
            written = await self._d.write(flat[done:] if done or type(data) is not bytes else data)
            if written is None:
                pending += flat[done : done + size]
                raise BlockingIOError(errno.EAGAIN, _NO_ROOM, done + size)
            done += written
        pending += flat[done:]
        return count

    async def _flush(self) -> None:
        pending, d = self._pending, self._d
        while pending:
            try:
                written = await d.write(bytes(pending))
            except asyncio.CancelledError:
                # What goes to a place is written there again; what has none must not be.
                if d.appending or not d.seekable:
                    del pending[: d.late_result]
                    if d.seekable and d.late_result:
                        d.position = None
                raise
            if written is None:
                raise BlockingIOError(errno.EAGAIN, _NO_ROOM, 0)
            del pending[:written]

    def flush_now(self) -> None:
        """Write what is pending without a ring, for who cannot wait."""
        pending, d = self._pending, self._d
        while pending and not d.engine.inherited:
            if d.seekable and not d.appending:
                written = os.pwrite(d.fd, pending, d.tell())
                d.seek(written, 1)
            else:
                written = os.write(d.fd, pending)
            del pending[:written]

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
        finally:
            turn.give()

    async def close(self) -> None:
        """Write what is pending and close the file, also if the first fails. Idempotent."""
        turn, d = self._turn, self._d
        if self.closed:
            return
        if turn.taken:
            await turn.wait()
        turn.taken = True
        try:
            if d.closed:
                return
            if d.engine.inherited:
                self._pending.clear()  # the parent writes it
            try:
                await self._flush()
            finally:
                self._pending.clear()
                await d.close()
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
                    raise BlockingIOError(errno.EAGAIN, _NO_ROOM, done)
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
        turn = self._turn
        if self._d.closed:
            raise ValueError("read of closed file")
        size = to_size(size)
        if size < -1:
            raise ValueError("read length must be non-negative or -1")
        engine = self._d.engine
        engine.hits += 1
        if engine.hits > HITS_MAX:
            await engine.pause()
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
        turn = self._turn
        if self._d.closed:
            raise ValueError("readline of closed file")
        limit = to_size(size)
        engine = self._d.engine
        engine.hits += 1
        if engine.hits > HITS_MAX:
            await engine.pause()
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
        turn = self._turn
        if type(data) is not bytes:
            data = to_bytes_view(data)
        if self._d.closed:
            raise ValueError("write to closed file")
        engine = self._d.engine
        engine.hits += 1
        if engine.hits > HITS_MAX:
            await engine.pause()
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
