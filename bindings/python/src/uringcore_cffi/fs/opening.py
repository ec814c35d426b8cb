"""open(): modes, buffering, encoding; the errors are those of the built-in.

What the built-in refuses is refused by the built-in itself: wrong arguments are handed to it with
a file that is always there, so that the exception and its words are those of the Python that runs.
"""

from __future__ import annotations

import asyncio
import builtins
import errno
import functools
import io
import os
import stat
import sys
import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

from uringcore_cffi._handles import files
from uringcore_cffi.fs.buffered import BufferedFile, BufferedRandom, BufferedReader, BufferedWriter
from uringcore_cffi.fs.common import ACCESS_BITS, AsyncFile, file_error
from uringcore_cffi.fs.descriptor import Descriptor
from uringcore_cffi.fs.engine import engine_of_running_loop
from uringcore_cffi.fs.raw import RawFile
from uringcore_cffi.fs.text import TextFile

if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import Callable

_MODE_BITS = 0o666
# What O_DIRECT asks of memory, offsets and lengths: the largest that is usual.
_DIRECT_ALIGN = 4096
_DEADLINE_MAX = 1e9  # seconds: 31 years
# With these open(2) does not wait for a FIFO's other end, or io_uring leaves it to a thread.
_NEVER_WAIT = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_NONBLOCK
_ACTIONS = {
    "r": 0,
    "w": os.O_CREAT | os.O_TRUNC,
    "x": os.O_CREAT | os.O_EXCL,
    "a": os.O_CREAT | os.O_APPEND,
}


class Opening:
    """What open() returns: to be awaited, or used with ``async with``."""

    __slots__ = ("_file", "_start")

    def __init__(self, start: Callable[[], Any]) -> None:
        """Open with ``start()`` when it is awaited."""
        self._start = start
        self._file: Any = None

    def __await__(self) -> Generator[Any, Any, Any]:
        """Open the file and return it; a second time, return the same."""
        if self._file is None:
            self._file = yield from self._start().__await__()
        return self._file

    async def __aenter__(self) -> Any:
        """Open the file and return it."""
        return await self

    async def __aexit__(self, *_: object) -> None:
        """Close the file."""
        file, self._file = self._file, None
        await file.close()


class _Mode(NamedTuple):
    action: str
    updating: bool
    binary: bool

    @property
    def flags(self) -> int:
        """The bits of open(2)."""
        if self.updating:
            access = os.O_RDWR
        else:
            access = os.O_RDONLY if self.action == "r" else os.O_WRONLY
        return access | _ACTIONS[self.action] | os.O_CLOEXEC

    @property
    def raw(self) -> str:
        """As io.FileIO tells it."""
        if self.action == "r":
            return "rb+" if self.updating else "rb"
        if self.action == "w":
            return "rb+" if self.updating else "wb"
        return f"{self.action}b+" if self.updating else f"{self.action}b"


@functools.lru_cache(maxsize=64)
def _parse(mode: str) -> _Mode | None:
    letters = set(mode)
    actions = letters & set("rwxa")
    if letters - set("rwxabt+") or len(letters) != len(mode) or len(actions) != 1:
        return None
    if {"b", "t"} <= letters:
        return None
    return _Mode(actions.pop(), "+" in letters, "b" in letters)


def open(  # noqa: A001  # the built-in's name is the point
    file: Any,
    mode: str = "r",
    buffering: int = -1,
    encoding: str | None = None,
    errors: str | None = None,
    newline: str | None = None,
    closefd: bool = True,
    opener: Callable[[Any, int], int] | None = None,
    *,
    direct: bool = False,
    deadline: float | None = None,
    loop: Any = None,
    executor: Any = None,
) -> Opening:
    """Open a file: ``async with fs.open(path) as f`` or ``f = await fs.open(path)``.

    The arguments of the built-in mean what they mean there. ``direct`` goes past the page cache
    (O_DIRECT): offsets and sizes must then be whole blocks, and ``buffering`` must be 0.
    ``deadline`` is how many seconds one operation on the file may take; then it ends with
    TimeoutError. ``loop`` and ``executor`` are taken for aiofiles' sake and not used.

    An opener is called in the loop's thread.
    """
    return Opening(
        functools.partial(
            _open,
            file,
            mode,
            buffering,
            encoding,
            errors,
            newline,
            closefd,
            opener,
            direct=direct,
            deadline=deadline,
        )
    )


async def _open(
    file: Any,
    mode: str,
    buffering: int,
    encoding: str | None,
    errors: str | None,
    newline: str | None,
    closefd: bool,
    opener: Callable[[Any, int], int] | None,
    *,
    direct: bool,
    deadline: float | None,
) -> AsyncFile:
    if not isinstance(file, int):
        file = os.fspath(file)
    parsed = _check(mode, buffering, encoding, errors, newline)
    if direct and buffering:
        raise ValueError("direct=True needs buffering=0: whole blocks, to and from the disk")
    deadline_ns = 0 if deadline is None else _to_ns(deadline)
    if closefd is False and not isinstance(file, int):
        raise ValueError("Cannot use closefd=False with file name")
    flags = parsed.flags | (os.O_DIRECT if direct else 0)
    fd = await _get_descriptor(file, parsed, flags, opener)
    try:
        descriptor = _describe(fd, file, flags, parsed, closefd)
    except BaseException:
        if closefd or not isinstance(file, int):
            os.close(fd)
        raise
    if direct:
        descriptor.align = _DIRECT_ALIGN
    descriptor.deadline_ns = deadline_ns
    try:
        return _dress(descriptor, mode, parsed, buffering, encoding, errors, newline)
    except BaseException:
        descriptor.close_now()
        raise


def _to_ns(deadline: float) -> int:
    """Return a deadline in nanoseconds; what is longer than a timer can be is none (0)."""
    if not deadline > 0:
        raise ValueError(f"deadline is a number of seconds above 0, not {deadline!r}")
    return max(1, int(deadline * 1e9)) if deadline < _DEADLINE_MAX else 0


def _check(mode: Any, buffering: Any, encoding: Any, errors: Any, newline: Any) -> _Mode:
    """Return the parsed mode; have the built-in raise what it raises for wrong arguments."""
    parsed = _parse(mode) if isinstance(mode, str) else None
    text_arguments = encoding is not None or errors is not None or newline is not None
    is_right = (
        parsed is not None
        and isinstance(buffering, int)
        and not (parsed.binary and text_arguments)
        and (buffering or parsed.binary)
        and newline in (None, "", "\n", "\r", "\r\n")
        and (encoding is None or isinstance(encoding, str))
        and (errors is None or isinstance(errors, str))
    )
    if not is_right:
        with builtins.open(os.devnull, mode, buffering, encoding, errors, newline):
            raise ValueError(f"invalid mode: {mode!r}")
    assert parsed is not None
    return parsed


async def _get_descriptor(
    file: Any, mode: _Mode, flags: int, opener: Callable[[Any, int], int] | None
) -> int:
    if isinstance(file, int):
        if file < 0:
            raise ValueError("negative file descriptor")
        return int(file)
    sys.audit("open", file, mode.raw, flags)
    if opener is not None:
        fd = opener(file, flags)
        if not isinstance(fd, int):
            raise TypeError("expected integer from opener")
        if fd < 0:
            raise ValueError(f"opener returned {fd}")
        os.set_inheritable(fd, False)
        return fd
    return await open_path(file, flags)


def to_path(file: Any) -> bytes:
    """Return a path as the kernel takes it."""
    path = os.fsencode(file)
    if b"\0" in path:
        raise ValueError("embedded null byte")
    return path


async def open_path(
    file: Any,
    flags: int,
    mode: int = _MODE_BITS,
    *,
    dir_fd: int = files.AT_FDCWD,
    named: Any = None,
    late: Callable[[int], Any] = os.close,
) -> int:
    """Open a path; return the descriptor. ``late`` takes one that comes too late.

    An error tells ``named``, or else the path.
    """
    path = to_path(file)
    engine = engine_of_running_loop()
    await engine.let_run()
    while True:
        operation = engine.begin(files.openat, dir_fd, path, flags, mode, late=late)
        at_once = operation.done
        result = operation.result if at_once else await engine.ended(operation)
        if result >= 0:
            if at_once and not flags & _NEVER_WAIT and stat.S_ISFIFO(os.fstat(result).st_mode):
                return await _wait_for_writer(result, flags)
            return result
        if result != -errno.EINTR:
            raise file_error(result, file if named is None else named)


def _close_result(opening: asyncio.Future[int]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        os.close(opening.result())


async def _wait_for_writer(fd: int, flags: int) -> int:
    """Wait as open(2) does until somebody writes to the FIFO that ``fd`` reads from.

    Where io_uring knows the path already, it opens without waiting for anything. Asked to make the
    file if there is none, it lets a thread of the kernel's open it, and that waits. A writer that
    was here and is gone before it begins to wait has left bytes, or an end, which ``fd`` tells.
    """
    loop = asyncio.get_running_loop()
    again = asyncio.ensure_future(open_path(f"/proc/self/fd/{fd}", flags | os.O_CREAT))
    loop.add_reader(fd, again.cancel)
    try:
        await asyncio.wait([again])
    except BaseException as exc:
        loop.remove_reader(fd)
        os.close(fd)
        again.cancel()
        again.add_done_callback(_close_result)
        if isinstance(exc, asyncio.CancelledError):
            await asyncio.wait([again])
        raise
    loop.remove_reader(fd)
    if again.cancelled() or isinstance(again.exception(), FileNotFoundError):  # no /proc
        return fd
    os.close(fd)
    return again.result()


def _describe(fd: int, file: Any, flags: int, mode: _Mode, closefd: bool) -> Descriptor:
    """Take the descriptor over; a directory is refused as the built-in does."""
    try:
        status = os.fstat(fd)
    except OSError as exc:
        raise OSError(exc.errno, exc.strerror, file) from None
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), file)
    descriptor = Descriptor(fd, file, flags, mode.raw, closefd, status)
    if mode.action == "a" and descriptor.seekable:
        descriptor.position = os.lseek(fd, 0, os.SEEK_END)
    return descriptor


def _dress(
    descriptor: Descriptor,
    mode: str,
    parsed: _Mode,
    buffering: int,
    encoding: str | None,
    errors: str | None,
    newline: str | None,
) -> AsyncFile:
    """Put the layers around a descriptor."""
    if buffering == 0:
        return RawFile(descriptor)
    if buffering == 1 and parsed.binary:
        warnings.warn(
            "line buffering (buffering=1) isn't supported in binary mode, "
            "the default buffer size will be used",
            RuntimeWarning,
            stacklevel=2,
        )
    line_buffering = buffering == 1 and not parsed.binary
    if buffering < 0 and os.isatty(descriptor.fd):
        line_buffering = not parsed.binary
    size = buffering if buffering > 1 else default_buffer_size(descriptor.blksize)
    buffer: BufferedFile
    if parsed.updating:
        if not descriptor.seekable:
            raise io.UnsupportedOperation("File or stream is not seekable.")
        buffer = BufferedRandom(descriptor, size)
    elif parsed.action == "r":
        buffer = BufferedReader(descriptor, size)
    else:
        buffer = BufferedWriter(descriptor, size)
    if parsed.binary:
        return buffer
    return make_text(buffer, encoding, errors, newline, line_buffering=line_buffering, mode=mode)


def make_file(
    fd: int,
    name: Any,
    mode: str,
    buffering: int,
    encoding: str | None,
    errors: str | None,
    newline: str | None,
) -> AsyncFile:
    """Make a file of a descriptor that was just opened; it is closed if that fails."""
    try:
        parsed = _check(mode, buffering, encoding, errors, newline)
        flags = parsed.flags & ACCESS_BITS
        descriptor = Descriptor(fd, name, flags, parsed.raw, True, os.fstat(fd))
    except BaseException:
        os.close(fd)
        raise
    try:
        return _dress(descriptor, mode, parsed, buffering, encoding, errors, newline)
    except BaseException:
        descriptor.close_now()
        raise


def default_buffer_size(blksize: int) -> int:
    """Return the size of buffers that the built-in has by default."""
    if sys.version_info >= (3, 14):
        return max(min(blksize, 8 << 20), io.DEFAULT_BUFFER_SIZE)
    return blksize if blksize > 1 else io.DEFAULT_BUFFER_SIZE


def make_text(
    buffer: BufferedFile,
    encoding: str | None,
    errors: str | None,
    newline: str | None,
    *,
    line_buffering: bool,
    mode: str,
) -> TextFile:
    """Put the text layer around a buffered file; the standard library decides on the encoding."""
    known = io.TextIOWrapper(io.BytesIO(), encoding, errors, newline)
    return TextFile(
        buffer,
        known.encoding,
        known.errors or "strict",
        newline,
        line_buffering=line_buffering,
        mode=mode,
    )
