"""Files without a buffer: what io.FileIO does, awaited."""

from __future__ import annotations

import errno
import io
import operator
import os
from typing import TYPE_CHECKING, Any

from uringcore_cffi._handles import files
from uringcore_cffi.fs.common import (
    AsyncFile,
    check_part,
    file_error,
    read_lines,
    to_bytes_view,
    to_size,
    to_writable_view,
)

if TYPE_CHECKING:
    from uringcore_cffi.fs.descriptor import Descriptor


class RawFile(AsyncFile):
    """A file without a buffer: what ``open(..., "rb", buffering=0)`` gives.

    As ``io.FileIO``, awaited.
    """

    def __init__(self, descriptor: Descriptor) -> None:
        """Use an open descriptor."""
        self._d = descriptor

    def __repr__(self) -> str:
        """Tell what is open."""
        return repr(self._d)

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

    @property
    def closefd(self) -> bool:
        """Whether close() closes the descriptor too."""
        return self._d.closefd

    def fileno(self) -> int:
        """Return the descriptor; its position in the kernel is that of the file now."""
        return self._d.number()

    def readable(self) -> bool:
        """Tell whether the file was opened for reading."""
        self._d.check_open()
        return self._d.readable

    async def writable(self) -> bool:
        """Tell whether the file was opened for writing."""
        self._d.check_open()
        return self._d.writable

    async def seekable(self) -> bool:
        """Tell whether the file has positions."""
        self._d.check_open()
        return self._d.seekable

    async def isatty(self) -> bool:
        """Tell whether the file is a terminal."""
        self._d.check_open()
        return os.isatty(self._d.fd)

    async def tell(self) -> int:
        """Return the position."""
        self._d.check_open()
        if not self._d.seekable:
            raise file_error(-errno.ESPIPE)
        return self._d.tell()

    async def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Move the position; return it."""
        d = self._d
        d.check_open()
        if d.turn.taken:
            await d.turn.wait()
            try:
                return d.seek(operator.index(offset), whence)
            finally:
                d.turn.give()
        return d.seek(operator.index(offset), whence)

    def _check_readable(self) -> None:
        self._d.check_open()
        if not self._d.readable:
            raise io.UnsupportedOperation("File not open for reading")

    def _check_writable(self) -> None:
        self._d.check_open()
        if not self._d.writable:
            raise io.UnsupportedOperation("File not open for writing")

    async def read(self, size: int | None = -1, /) -> bytes | None:
        """Read up to ``size`` bytes with one operation; all there is if ``size`` is negative."""
        size = to_size(size)
        self._check_readable()
        if size < 0:
            return await self.readall()
        turn = self._d.turn
        if turn.taken:
            await turn.wait()
        turn.taken = True
        try:
            return await self._d.read(size)
        finally:
            turn.give()

    async def readall(self) -> bytes | None:
        """Read up to the end."""
        self._d.check_open()
        turn = self._d.turn
        if turn.taken:
            await turn.wait()
        turn.taken = True
        try:
            return await self._d.readall()
        finally:
            turn.give()

    async def readinto(self, buffer: Any, /) -> int | None:
        """Read into ``buffer``; return how many bytes came."""
        memory = to_writable_view(buffer)
        self._check_readable()
        turn = self._d.turn
        if turn.taken:
            await turn.wait()
        turn.taken = True
        try:
            return await self._d.read_into(memory)
        finally:
            turn.give()

    async def readline(self, size: int | None = -1, /) -> bytes:
        """Read one line, byte by byte: there is no buffer to keep more in."""
        limit = to_size(size)
        line = bytearray()
        while limit < 0 or len(line) < limit:
            data = await self.read(1)
            if not data:
                break
            line += data
            if data == b"\n":
                break
        return bytes(line)

    async def readlines(self, hint: int | None = -1, /) -> list[bytes]:
        """Read lines, of about ``hint`` bytes together; all if it is not positive."""
        self._d.check_open(".")
        return await read_lines(self, hint)

    async def write(self, data: Any, /) -> int | None:
        """Write with one operation; return how many bytes were written."""
        flat = data if type(data) is bytes else to_bytes_view(data)
        self._check_writable()
        turn = self._d.turn
        if turn.taken:
            await turn.wait()
        turn.taken = True
        try:
            return await self._d.write(flat)
        finally:
            turn.give()

    async def writelines(self, lines: Any, /) -> None:
        """Write each of ``lines``."""
        self._d.check_open(".")
        for line in lines:
            await self.write(line)

    async def truncate(self, size: int | None = None, /) -> int:
        """Make the file ``size`` bytes long, or end it at the position."""
        self._check_writable()
        size = self._d.tell() if size is None else operator.index(size)
        if size >= 1 << 63:
            raise OverflowError("Python int too large to convert to C long")
        await self._d.truncate(size)
        return size

    async def flush(self) -> None:
        """Have who else uses the descriptor find the position there: there is no buffer."""
        self._d.check_open(".")
        if self._d.shared:
            self._d.hand_over()

    async def close(self) -> None:
        """Close the file. Idempotent."""
        turn = self._d.turn
        if turn.taken:
            await turn.wait(to_close=True)
        turn.taken = True
        try:
            await self._d.close()
        finally:
            turn.give()

    async def pread(self, size: int, offset: int, /) -> bytes | None:
        """Read up to ``size`` bytes at ``offset``; the position stays where it is."""
        self._check_readable()
        check_part(size, offset)
        return await self._d.pread(size, offset)

    async def pwrite(self, data: Any, offset: int, /) -> int | None:
        """Write ``data`` at ``offset``; the position stays where it is."""
        flat = to_bytes_view(data)
        self._check_writable()
        check_part(0, offset)
        return await self._d.pwrite(flat, offset)

    async def fsync(self) -> None:
        """Have what was written survive a crash."""
        self._d.check_open()
        await self._d.sync()

    async def fdatasync(self) -> None:
        """As fsync(), but of the rest only what is needed to read it again."""
        self._d.check_open()
        await self._d.sync(files.FSYNC_DATA)

    async def fallocate(self, offset: int, length: int, mode: int = 0) -> None:
        """Reserve the space of a part of the file; ``mode`` is of FALLOC_FL_*."""
        self._check_writable()
        await self._d.fallocate(offset, length, mode)
