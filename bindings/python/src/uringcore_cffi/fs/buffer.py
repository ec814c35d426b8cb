"""The buffer of a binary file: reading ahead and writing behind.

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

from uringcore_cffi.fs.common import file_error, to_bytes_view

if TYPE_CHECKING:
    from uringcore_cffi.fs.descriptor import Descriptor

NO_ROOM = "write could not complete without blocking"


class Buffer:
    """What was read ahead or is to be written. Who calls its methods has the turn."""

    def __init__(self, descriptor: Descriptor, buffer_size: int) -> None:
        """Buffer an open descriptor."""
        self._d = descriptor
        self._turn = descriptor.turn
        self._size = buffer_size
        self._buffer = b""
        self._next = 0
        self._pending = bytearray()
        self._taken = 0  # what a cancelled _write() wrote and must not write again

    # Positions

    def _tell(self) -> int:
        if not self._d.seekable:
            raise file_error(-errno.ESPIPE)
        return self._d.tell() - (len(self._buffer) - self._next) + len(self._pending)

    def _rewind(self) -> None:
        """Forget what was read ahead."""
        ahead = len(self._buffer) - self._next
        if self._buffer:
            if ahead and self._d.seekable:
                self._d.position = self._d.tell() - ahead
            self._buffer = b""
            self._next = 0

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
        self._taken = 0
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
            raise BlockingIOError(errno.EAGAIN, NO_ROOM, room) from None
        done = 0
        while count - done > size:
            try:
                piece = flat[done:] if done or type(data) is not bytes else data
                written = await self._d.write(piece)
            except asyncio.CancelledError:
                self._taken = done + self._gone()
                raise
            if written is None:
                pending += flat[done : done + size]
                raise BlockingIOError(errno.EAGAIN, NO_ROOM, done + size)
            done += written
        pending += flat[done:]
        return count

    async def _flush(self) -> None:
        pending, d = self._pending, self._d
        while pending:
            try:
                written = await d.write(bytes(pending))
            except asyncio.CancelledError:
                del pending[: self._gone()]
                raise
            if written is None:
                raise BlockingIOError(errno.EAGAIN, NO_ROOM, 0)
            del pending[:written]

    def _gone(self) -> int:
        """Return how much a cancelled write has written for good.

        What goes to a place is written there again; what has none must not be.
        """
        d = self._d
        if d.seekable and not d.appending:
            return 0
        if d.seekable and d.late_result:
            d.position = None
        return d.late_result

    async def _close(self) -> None:
        d = self._d
        if d.closed:
            return
        if d.engine.inherited:
            self._pending.clear()  # the parent writes it
        try:
            await self._flush()
        finally:
            self._pending.clear()
            await d.close()

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
