"""One open descriptor: its position, and the operations on it at explicit offsets.

The position is the object's and not the kernel's, so seek() makes no system call and an operation
that is cancelled has moved nothing. Two things have no offset: what cannot be seeked (pipes,
terminals) is read and written where it stands, and what is opened for appending is written at the
kernel's position, which tells afterwards where that was.

Who uses a descriptor has its turn (``turn.py``), unless it names an offset of its own. Those are
counted: the number is closed when the last of them has ended, because a worker looks it up late.
"""

from __future__ import annotations

import asyncio
import errno
import os
import stat
import warnings
from typing import TYPE_CHECKING, Any

from uringcore_cffi._handles import files, names
from uringcore_cffi._handles.files import OFFSET_CURRENT
from uringcore_cffi.fs.common import ACCESS_BITS, file_error, inherited_error
from uringcore_cffi.fs.engine import PIECE_MAX, SPENT_MAX, engine_of_running_loop
from uringcore_cffi.fs.turn import Turn

if TYPE_CHECKING:
    from typing import Callable

    from uringcore_cffi.fs.engine import Engine

_get_running_loop = asyncio.get_running_loop
# Positions behind this are asked of the kernel, which knows the file system's own limit.
_SURE_POSITION = 1 << 40
_TRANSIENT = -errno.EINTR
_AGAIN = -errno.EAGAIN


class Descriptor:
    """An open descriptor, its position, and the operations on it."""

    def __init__(
        self, fd: int, name: Any, flags: int, mode: str, closefd: bool, status: os.stat_result
    ) -> None:
        """Take a descriptor over; close it at the end if ``closefd``."""
        self.fd = fd
        self.closed = True  # until all is well: who fails here closes it
        self.turn = Turn()
        self.users = 0  # operations that are under way, or about to be
        self._unused: asyncio.Future[None] | None = None  # who waits for the last of them
        self.name = name
        self.mode = mode
        self.closefd = closefd
        self.readable = flags & ACCESS_BITS != os.O_WRONLY
        self.writable = flags & ACCESS_BITS != os.O_RDONLY
        self.appending = bool(flags & os.O_APPEND)
        self.align = 1
        self.deadline_ns = 0
        self.engine: Engine = engine_of_running_loop()
        # Whether others know the number, and expect the kernel's position there after a flush().
        self.shared = isinstance(name, int)
        # How much a transfer had moved when it was cancelled.
        self.late_result = 0
        # What was read for a coroutine that was cancelled, from what cannot be read again.
        self._kept = b""
        self.position: int | None = None  # None: where the kernel says
        self.is_regular = stat.S_ISREG(status.st_mode)
        self.blksize = status.st_blksize
        try:
            self.position = os.lseek(fd, 0, os.SEEK_CUR)
            self.seekable = True
        except OSError:
            self.seekable = False
        self.closed = False

    # Where

    def check_open(self, end: str = "") -> None:
        """Raise ValueError if the file is closed; some of the built-in's messages have an end."""
        if self.closed:
            raise ValueError("I/O operation on closed file" + end)

    def engine_here(self) -> Engine:
        """Return the engine of the loop that runs; ChildProcessError in a forked child."""
        engine = self.engine
        if engine.inherited:
            raise inherited_error()
        if engine.loop() is not _get_running_loop() or engine.closed:
            engine = self.engine = engine_of_running_loop()
        return engine

    def tell(self) -> int:
        """Return the position."""
        position = self.position
        if position is None:
            position = os.lseek(self.fd, 0, os.SEEK_CUR)
            self.position = position
        return position

    def hand_over(self) -> None:
        """Have the kernel's position be ours: somebody else may use the descriptor now."""
        if self.seekable and self.position is not None and not self.engine.inherited:
            os.lseek(self.fd, self.position, os.SEEK_SET)
            self.position = None

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move the position; return it."""
        if whence == 1 and self.seekable:
            offset += self.tell()
            whence = 0
        if whence == 0 and self.seekable and 0 <= offset <= _SURE_POSITION:
            self.position = offset
        else:
            self.position = os.lseek(self.fd, offset, whence)
        return self.position

    def _offset(self) -> int:
        if not self.seekable:
            return OFFSET_CURRENT
        return self.tell() if self.position is None else self.position

    # Reading

    async def read(self, count: int) -> bytes | None:
        """Read up to ``count`` bytes at the position; None if there is nothing yet."""
        if self._kept:
            kept, self._kept = self._kept[:count], self._kept[count:]
            return kept
        if not self.seekable:
            return await self._read_stream(count)
        offset = self._offset()
        data = await self.pread(count, offset)
        if data:
            self.position = offset + len(data)
        return data

    async def pread(self, count: int, offset: int) -> bytes | None:
        """Read up to ``count`` bytes at ``offset``; less only at the end of the file."""
        if count > PIECE_MAX:
            return await self._read_pieces(count, offset)
        if not count:
            return b""
        engine = self.engine_here()
        self.users += 1
        try:
            return await self._pread(engine, count, offset)
        finally:
            self.leave()

    async def _pread(self, engine: Engine, count: int, offset: int) -> bytes | None:
        if engine.spent >= SPENT_MAX:
            await engine.let_run()
        block = engine.block(count) if self.align == 1 else self._aligned(count)
        while True:
            operation = engine.begin(
                files.read,
                self.fd,
                block.pointer,
                count,
                offset,
                memory=block,
                deadline_ns=self.deadline_ns,
            )
            result = operation.result if operation.done else await engine.ended(operation)
            if result >= 0:
                data: bytes = block.view[:result]
                engine.give_back(block)
                return data
            if result == _AGAIN:
                return None
            if result != _TRANSIENT:
                raise file_error(result)

    def _aligned(self, count: int) -> files.Block:
        return files.Block(count, self.align)

    async def _read_pieces(self, count: int, offset: int) -> bytes | None:
        """Read more than one operation may move."""
        if self.align > 1:
            return await self._read_aligned_pieces(count, offset)
        whole = bytearray(count)
        done = await self._transfer(files.read, files.pin_writable(whole), count, offset)
        return None if done is None else bytes(memoryview(whole)[:done])

    async def _read_aligned_pieces(self, count: int, offset: int) -> bytes | None:
        pieces: list[bytes] = []
        for at in range(0, count, PIECE_MAX):
            wanted = min(count - at, PIECE_MAX)
            data = await self.pread(wanted, offset + at)
            if data is None and not pieces:
                return None
            pieces.append(data or b"")
            if len(pieces[-1]) < wanted:
                break
        return b"".join(pieces)

    async def _read_stream(self, count: int) -> bytes | None:
        """Read where the stream stands; what came for a cancelled reader is the next one's."""
        if not count:
            return b""
        count = min(count, PIECE_MAX)
        engine = self.engine_here()
        if engine.spent >= SPENT_MAX:
            await engine.let_run()
        block = engine.block(count)
        while True:
            operation = engine.begin(
                files.read,
                self.fd,
                block.pointer,
                count,
                OFFSET_CURRENT,
                memory=block,
                deadline_ns=self.deadline_ns,
            )
            try:
                result = operation.result if operation.done else await engine.ended(operation)
            except asyncio.CancelledError:
                if operation.result > 0:
                    self._kept = block.view[: operation.result]
                raise
            if result >= 0:
                data: bytes = block.view[:result]
                engine.give_back(block)
                return data
            if result == _AGAIN:
                return None
            if result != _TRANSIENT:
                raise file_error(result)

    async def read_into(self, memory: Any) -> int | None:
        """Read into ``memory``, which is bytes in a row, at the position."""
        if self._kept or not self.seekable or files.MEMORY_MOVES:
            data = await self.read(len(memory))
            if data is None:
                return None
            memory[: len(data)] = data
            return len(data)
        if not len(memory):
            return 0
        offset = self._offset()
        pinned = files.pin_writable(memory)
        done = await self._transfer(files.read, pinned, len(memory), offset)
        files.unpin(pinned)
        if done:
            self.position = offset + done
        return done

    async def _transfer(
        self, submit: Callable[..., int], pinned: Any, count: int, offset: int
    ) -> int | None:
        """Move bytes between the file and memory, as many as there are or as there is room for.

        Return how many, None if it would have to be waited for; after a cancellation
        ``late_result`` says it.
        """
        self.users += 1
        try:
            return await self._move(submit, pinned, count, offset)
        finally:
            self.leave()

    async def _move(
        self, submit: Callable[..., int], pinned: Any, count: int, offset: int
    ) -> int | None:
        done = 0
        while True:
            engine = self.engine_here()
            self.late_result = done
            if engine.spent >= SPENT_MAX:
                await engine.let_run()
            piece = min(count - done, PIECE_MAX)
            engine.spend(piece)
            operation = engine.begin(
                submit,
                self.fd,
                files.at(pinned, done),
                piece,
                offset if offset == OFFSET_CURRENT else offset + done,
                memory=pinned,
                deadline_ns=self.deadline_ns,
            )
            try:
                result = operation.result if operation.done else await engine.ended(operation)
            except asyncio.CancelledError:
                self.late_result += max(operation.result, 0)
                raise
            if result > 0:
                done += result
            if result == piece and done < count:
                continue
            if result >= 0 or (done and result != _TRANSIENT):
                return done
            if result == _AGAIN:
                return None
            if result != _TRANSIENT:
                raise file_error(result)

    async def readall(self) -> bytes | None:
        """Read up to the end."""
        pieces: list[bytes] = []
        try:
            return await self._read_on(pieces)
        except BaseException:
            data = b"".join(pieces)
            if self.seekable:
                self.position = self._offset() - len(data)
            else:
                self._kept = data + self._kept
            raise

    async def _read_on(self, pieces: list[bytes]) -> bytes | None:
        expected = 0
        if self.seekable and self.is_regular:
            expected = max(os.fstat(self.fd).st_size - self._offset(), 0)
        wanted = expected + 1 if expected else self.blksize
        wanted += -wanted % self.align
        while True:
            data = await self.read(max(wanted, 4096))
            if not data:
                if data is None and not pieces:
                    return None
                break
            pieces.append(data)
            if expected and len(data) == expected:
                break
            expected = 0
            wanted = min(2 * max(len(data), self.blksize), PIECE_MAX)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    # Writing

    async def write(self, data: Any) -> int | None:
        """Write bytes at the position, or at the end if appending; return how many were written."""
        if self.appending or not self.seekable:
            offset = OFFSET_CURRENT
        else:
            offset = self._offset()
        written = await self.pwrite(data, offset)
        if written and self.seekable:
            if offset != OFFSET_CURRENT:
                self.position = offset + written
            elif written == len(data):
                self.position = None
            else:  # an io_uring that ran out of room leaves the kernel's position where it was
                self.position = os.lseek(self.fd, 0, os.SEEK_END)
        return written

    async def pwrite(self, data: Any, offset: int) -> int | None:
        """Write bytes at ``offset``; return how many were written, None if there is no room."""
        count = len(data)
        if not count:
            return 0
        pinned = files.pin(data)
        written = await self._transfer(files.write, pinned, count, offset)
        files.unpin(pinned)
        return written

    async def sync(self, flags: int = 0) -> None:
        """Have what was written survive a crash."""
        await self.run(files.fsync, flags)

    async def run(self, submit: Callable[..., int], *arguments: Any) -> int:
        """Run one operation on the descriptor; raise what it fails with."""
        engine = self.engine_here()
        self.users += 1
        try:
            while True:
                operation = engine.begin(submit, self.fd, *arguments, deadline_ns=self.deadline_ns)
                result = operation.result if operation.done else await engine.ended(operation)
                if result >= 0:
                    return result
                if result != _TRANSIENT:
                    raise file_error(result)
        finally:
            self.leave()

    async def truncate(self, size: int) -> None:
        """Make the file ``size`` bytes long."""
        if size < 0:
            raise file_error(-errno.EINVAL)
        await self.run(names.truncate, size)

    async def fallocate(self, offset: int, length: int, mode: int) -> None:
        """Reserve the space of a part of the file."""
        if offset < 0 or length <= 0 or mode < 0:
            raise file_error(-errno.EINVAL)
        await self.run(names.fallocate, mode, offset, length)

    # The end

    def leave(self) -> None:
        """Be one user less."""
        self.users -= 1
        if not self.users and self._unused is not None and not self._unused.done():
            self._unused.set_result(None)

    def _is_at_work(self) -> bool:
        """Tell whether operations can be under way: with their loop, they have ended."""
        return not self.engine.closed and self.engine.loop() is _get_running_loop()

    async def _be_unused(self) -> bool:
        """Wait for the last user, and for nobody else; tell whether we were cancelled meanwhile."""
        cancelled = False
        while self.users:
            self._unused = _get_running_loop().create_future()
            try:
                await self._unused
            except asyncio.CancelledError:
                cancelled = True
        return cancelled

    async def close(self) -> None:
        """Close the descriptor, when the last operation on it has ended. Idempotent."""
        if self.closed:
            return
        self.closed = self.turn.closed = True
        if self.users and self._is_at_work() and await self._be_unused():
            self._let_go()
            raise asyncio.CancelledError
        fd, self.fd = self.fd, -1
        if not self.closefd:
            self._leave(fd)
            return
        try:
            engine = self.engine_here()
            operation = engine.begin(files.close, fd)
            operation.closing = fd
        except (OSError, RuntimeError):
            os.close(fd)  # no ring any more: a child, or the loop is being closed
            return
        result = operation.result if operation.done else await engine.ended(operation)
        if result < 0 and result != _TRANSIENT:  # it is gone in either case
            raise file_error(result)

    def close_now(self) -> None:
        """Close the descriptor without a ring. Idempotent."""
        if not self.closed:
            self.closed = self.turn.closed = True
            self._let_go()

    def _let_go(self) -> None:
        fd, self.fd = self.fd, -1
        if self.closefd:
            os.close(fd)
        else:
            self._leave(fd)

    def number(self) -> int:
        """Return the descriptor, for others to use: they find the position where ours is."""
        self.check_open()
        self.shared = True
        self.hand_over()
        return self.fd

    def _leave(self, fd: int) -> None:
        """Leave a descriptor to its owner, with the position where we are."""
        if self.seekable and self.position is not None and not self.engine.inherited:
            os.lseek(fd, self.position, os.SEEK_SET)

    def __repr__(self) -> str:
        """Tell what is open."""
        if self.closed:
            return "<uringcore_cffi.fs file [closed]>"
        return (
            f"<uringcore_cffi.fs file name={self.name!r} mode={self.mode!r} closefd={self.closefd}>"
        )

    def __del__(self) -> None:
        """Close what was not closed, with the warning of the built-in."""
        if getattr(self, "closed", True):
            return
        if self.closefd:
            warnings.warn(f"unclosed file {self!r}", ResourceWarning, stacklevel=2, source=self)
        try:
            self.close_now()
        except OSError:
            pass
