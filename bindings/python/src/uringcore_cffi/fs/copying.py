"""Bytes from one descriptor to another, without a file object: copyfile(), sendfile(), read_many().

copyfile() tries three ways, each where the one before cannot: the kernel copies (and shares the
blocks where the file system can), the kernel moves pages through a pipe, the bytes are read and
written.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import stat
from typing import TYPE_CHECKING, Any

from uringcore_cffi._handles import files, names
from uringcore_cffi._handles.files import OFFSET_CURRENT
from uringcore_cffi.fs.buffered import BufferedFile
from uringcore_cffi.fs.common import file_error
from uringcore_cffi.fs.engine import PIECE_MAX, engine_of_running_loop
from uringcore_cffi.fs.names import lstat, readlink, run, symlink
from uringcore_cffi.fs.names import stat as ask
from uringcore_cffi.fs.opening import open_path
from uringcore_cffi.fs.raw import RawFile

if TYPE_CHECKING:
    from collections.abc import Iterable

    from uringcore_cffi.fs.descriptor import Descriptor

# Small enough that a cancellation is heard soon, large enough that nothing else counts.
_COPY_BYTES = 16 << 20
_PIPE_BYTES = 1 << 20
_F_SETPIPE_SZ = 1031  # fcntl.F_SETPIPE_SZ from Python 3.10 on
_CANNOT = (errno.EXDEV, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS, errno.EBADF)


class _Pipe:
    """A pipe for splices to go through."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            fcntl.fcntl(self.writer, _F_SETPIPE_SZ, _PIPE_BYTES)
        except OSError:
            pass  # smaller pieces then

    def close(self) -> None:
        """Close both ends."""
        os.close(self.reader)
        os.close(self.writer)


async def _splice(source: int, at: int, target: int, to: int, count: int) -> int:
    return await run(files.splice, source, at, target, to, count, 0)


async def copyfile(src: Any, dst: Any, *, follow_symlinks: bool = True) -> Any:
    """Copy the contents of a file to another, as shutil.copyfile(); return ``dst``."""
    await _check_files(src, dst)
    if not follow_symlinks and stat.S_ISLNK((await lstat(src)).st_mode):
        await symlink(await readlink(src), dst)
        return dst
    source = await open_path(src, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if stat.S_ISDIR(os.fstat(source).st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), src)
        target = await open_path(dst, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC)
        try:
            await _copy(source, target)
        finally:
            os.close(target)
    finally:
        os.close(source)
    return dst


async def _check_files(src: Any, dst: Any) -> None:
    """Refuse what shutil.copyfile() refuses."""
    found = []
    for path in (src, dst):
        try:
            status = await ask(path)
        except OSError:
            continue
        found.append(status)
        if stat.S_ISFIFO(status.st_mode):
            raise shutil.SpecialFileError(f"`{os.fspath(path)}` is a named pipe")
    if len(found) == 2 and os.path.samestat(*found):
        raise shutil.SameFileError(f"{src!r} and {dst!r} are the same file")


async def _copy(source: int, target: int) -> None:
    """Copy all of a file, by the best way that there is."""
    done = 0
    for way in (_copy_range, _copy_spliced):
        try:
            while got := await way(source, target, done):
                done += got
        except OSError as exc:
            if exc.errno not in _CANNOT:
                raise
        else:
            if done:
                return
    # What is left, or has no size: files of the kernel's, which are read piece by piece.
    block = files.Block(PIECE_MAX)
    pointer = block.pointer
    while got := await run(files.read, source, pointer, PIECE_MAX, done, memory=block):
        written = 0
        while written < got:
            piece = files.at(pointer, written)
            written += await run(
                files.write, target, piece, got - written, done + written, memory=block
            )
        done += got


async def _copy_range(source: int, target: int, done: int) -> int:
    return await run(names.copy_range, source, done, target, done, _COPY_BYTES, 0)


async def _copy_spliced(source: int, target: int, done: int) -> int:
    pipe = _Pipe()
    try:
        held = await _splice(source, done, pipe.writer, OFFSET_CURRENT, _PIPE_BYTES)
        moved = 0
        while moved < held:
            to = done + moved
            moved += await _splice(pipe.reader, OFFSET_CURRENT, target, to, held - moved)
        return held
    finally:
        pipe.close()


async def sendfile(out_fd: int, in_fd: int, offset: int | None, count: int) -> int:
    """Send up to ``count`` bytes of a file to a descriptor, as os.sendfile(); return how many.

    ``offset`` None means at the file's own position, which then moves. A socket that does not
    block and has no room raises BlockingIOError.
    """
    start = os.lseek(in_fd, 0, os.SEEK_CUR) if offset is None else offset
    sent = 0
    pipe = _Pipe()
    try:
        while sent < count:
            wanted = min(count - sent, _PIPE_BYTES)
            held = await _splice(in_fd, start + sent, pipe.writer, OFFSET_CURRENT, wanted)
            if not held:
                break
            while held:
                moved = await _splice(pipe.reader, OFFSET_CURRENT, out_fd, OFFSET_CURRENT, held)
                held -= moved
                sent += moved
    except BlockingIOError:
        if not sent:
            raise
    finally:
        pipe.close()
        if offset is None and sent:
            os.lseek(in_fd, start + sent, os.SEEK_SET)
    return sent


async def read_many(parts: Iterable[tuple[Any, int, int]]) -> list[bytes]:
    """Read many parts of files with one submission: ``[(file, offset, size), ...]``.

    A file is one of this package's, open for reading, or an open descriptor. Return the bytes of
    each part in the order asked; less than asked for means the end of the file. If parts fail, the
    first one's OSError is raised, when all have ended. Positions stay where they are. What waits in
    a file's buffer is written first.
    """
    wanted = []
    held: list[Descriptor] = []
    try:
        for file, offset, size in parts:
            if size < 0 or offset < 0:
                raise file_error(-errno.EINVAL)
            wanted.append((await _number(file, held), size, offset))
        found: list[bytes] = []
        for first in range(0, len(wanted), names.READ_MANY_MAX):
            found += await _read_batch(wanted[first : first + names.READ_MANY_MAX])
        return found
    finally:
        for descriptor in held:
            descriptor.leave()


async def _read_batch(wanted: list[tuple[int, int, int]]) -> list[bytes]:
    # The kernel refuses to read nothing; it is no part then.
    asked = [part for part in wanted if part[1]]
    results: list[bytes] = []
    if asked:
        parts = names.Parts(asked)
        engine = engine_of_running_loop()
        engine.spend(sum(size for _, size, _ in asked))
        await run(names.read_many, parts.pointer, parts.count, memory=parts)
        for result, data in parts.results():
            if result < 0:
                raise file_error(result)
            results.append(data)
    rest = iter(results)
    return [next(rest) if size else b"" for _, size, _ in wanted]


async def _number(file: Any, held: list[Descriptor]) -> int:
    """Return a file's descriptor, which stays open until it leaves those that are held."""
    if isinstance(file, int):
        return file
    if isinstance(file, BufferedFile) and file._pending:
        await file.flush()
    if isinstance(file, (BufferedFile, RawFile)):
        descriptor = file._d
        descriptor.check_open()
        descriptor.users += 1
        held.append(descriptor)
        return descriptor.fd
    number: int = file.fileno()
    return number
