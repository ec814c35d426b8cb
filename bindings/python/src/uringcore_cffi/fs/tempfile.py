"""Temporary files and directories: what aiofiles.tempfile has, as ``tempfile`` does it."""

from __future__ import annotations

import errno
import functools
import io
import os
import secrets
import shutil
import tempfile as plain
import warnings
import weakref
from typing import TYPE_CHECKING, Any

from uringcore_cffi.fs import names
from uringcore_cffi.fs.common import AsyncFile
from uringcore_cffi.fs.opening import Opening, make_file, open_path
from uringcore_cffi.fs.trees import remove_tree
from uringcore_cffi.fs.turn import Turn

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable
    from typing import Callable

__all__ = ["NamedTemporaryFile", "SpooledTemporaryFile", "TemporaryDirectory", "TemporaryFile"]

_FLAGS = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
# PyPy's os lacks it.
_TMPFILE = getattr(os, "O_TMPFILE", 0o20000000 | os.O_DIRECTORY)
_NO_TMPFILE = (errno.EISDIR, errno.EOPNOTSUPP, errno.ENOENT, errno.EINVAL)


def _place(suffix: Any, prefix: Any, folder: Any) -> tuple[Any, Any, Any]:
    """Fill in what was not said, as bytes if something was said in bytes."""
    said = [os.fspath(part) for part in (suffix, prefix, folder) if part is not None]
    if any(isinstance(part, bytes) for part in said):
        if not all(isinstance(part, bytes) for part in said):
            raise TypeError("Can't mix bytes and non-bytes in path components.")
        defaults: tuple[Any, ...] = (b"", plain.gettempprefixb(), plain.gettempdirb())
    else:
        defaults = ("", plain.gettempprefix(), plain.gettempdir())
    given = (suffix, prefix, folder)
    suffix, prefix, folder = (d if g is None else g for g, d in zip(given, defaults))
    return suffix, prefix, os.path.abspath(folder)


def _candidates(suffix: Any, prefix: Any, folder: Any) -> Generator[Any, None, None]:
    for _ in range(plain.TMP_MAX):
        middle: Any = secrets.token_hex(4)
        if isinstance(prefix, bytes):
            middle = middle.encode()
        yield os.path.join(folder, prefix + middle + suffix)
    raise FileExistsError(errno.EEXIST, "No usable temporary file name found")


async def _open_named(suffix: Any, prefix: Any, folder: Any) -> tuple[int, Any]:
    """Make a file that nobody else has; return the descriptor and the path."""
    for path in _candidates(*_place(suffix, prefix, folder)):
        try:
            fd = await open_path(path, _FLAGS, 0o600, late=functools.partial(_undo, path))
        except FileExistsError:
            continue
        return fd, path
    raise AssertionError


def _undo(path: Any, fd: int) -> None:
    os.close(fd)
    os.unlink(path)


async def _open_nameless(suffix: Any, prefix: Any, folder: Any) -> int:
    """Make a file that has no name; return the descriptor."""
    place = _place(suffix, prefix, folder)[2]
    try:
        flags = (_FLAGS | _TMPFILE) & ~os.O_CREAT
        return await open_path(place, flags, 0o600)
    except OSError as exc:
        if exc.errno not in _NO_TMPFILE:
            raise
    fd, path = await _open_named(suffix, prefix, folder)
    await names.unlink(path)
    return fd


def TemporaryFile(  # noqa: N802  # the names of tempfile
    mode: str = "w+b",
    buffering: int = -1,
    encoding: str | None = None,
    newline: str | None = None,
    suffix: Any = None,
    prefix: Any = None,
    dir: Any = None,  # noqa: A002
    loop: Any = None,
    executor: Any = None,
    *,
    errors: str | None = None,
) -> Opening:
    """Open a file without a name, which is gone when it is closed."""

    async def start() -> AsyncFile:
        fd = await _open_nameless(suffix, prefix, dir)
        return make_file(fd, fd, mode, buffering, encoding, errors, newline)

    return Opening(start)


class _NamedOpening(Opening):
    """As Opening; a file that outlives its close() is removed at the end of the block."""

    __slots__ = ()

    async def __aexit__(self, *details: object) -> None:
        file = self._file
        await super().__aexit__(*details)
        await file._remove()


def NamedTemporaryFile(  # noqa: N802
    mode: str = "w+b",
    buffering: int = -1,
    encoding: str | None = None,
    newline: str | None = None,
    suffix: Any = None,
    prefix: Any = None,
    dir: Any = None,  # noqa: A002
    delete: bool = True,
    delete_on_close: bool = True,
    loop: Any = None,
    executor: Any = None,
    *,
    errors: str | None = None,
) -> Opening:
    """Open a file with a name (``name``), which is removed when the file is closed.

    With ``delete_on_close`` False it is removed at the end of the block, or with the object; with
    ``delete`` False it stays.
    """

    async def start() -> AsyncFile:
        fd, path = await _open_named(suffix, prefix, dir)
        try:
            file = make_file(fd, path, mode, buffering, encoding, errors, newline)
        except BaseException:
            os.unlink(path)
            raise
        return NamedFile(file, path, delete=delete, delete_on_close=delete_on_close)

    return _NamedOpening(start)


class NamedFile(AsyncFile):
    """A file and the name that goes with it; everything else is the file's."""

    def __init__(self, file: Any, path: Any, *, delete: bool, delete_on_close: bool) -> None:
        """Take over a file and its name."""
        self.file = file
        self.delete = delete
        self._delete_on_close = delete_on_close
        self._end = weakref.finalize(self, _remove_quietly, path) if delete else None
        self._path = path

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)

    def __repr__(self) -> str:
        """Tell what is open."""
        return repr(self.file)

    async def close(self) -> None:
        """Close the file, and remove its name."""
        try:
            await self.file.close()
        finally:
            if self._delete_on_close:
                await self._remove()

    async def _remove(self) -> None:
        if self._end is not None and self._end.detach() is not None:
            try:
                await names.unlink(self._path)
            except FileNotFoundError:
                pass


def _remove_quietly(path: Any) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass


def SpooledTemporaryFile(  # noqa: N802
    max_size: int = 0,
    mode: str = "w+b",
    buffering: int = -1,
    encoding: str | None = None,
    newline: str | None = None,
    suffix: Any = None,
    prefix: Any = None,
    dir: Any = None,  # noqa: A002
    loop: Any = None,
    executor: Any = None,
    *,
    errors: str | None = None,
) -> Opening:
    """Open a file that is in memory until it is longer than ``max_size`` (0: always in memory)."""

    async def start() -> SpooledFile:
        memory: Any = io.BytesIO()
        if "b" not in mode:
            memory = io.TextIOWrapper(memory, encoding=encoding, errors=errors, newline=newline)
        options = (mode, buffering, encoding, newline, suffix, prefix, dir)
        make = functools.partial(TemporaryFile, *options, errors=errors)
        return SpooledFile(memory, max_size, make, mode)

    return Opening(start)


class SpooledFile(AsyncFile):
    """A file in memory that moves to the disk when it grows, or when its number is asked for."""

    def __init__(self, memory: Any, max_size: int, make: Callable[[], Opening], mode: str) -> None:
        """Begin in memory; ``make()`` opens the file on the disk."""
        self._memory = memory
        self._file: Any = None
        self._max_size = max_size
        self._make = make
        self._mode = mode
        self._turn = Turn()

    @property
    def closed(self) -> bool:
        """Whether close() was called."""
        return bool((self._file or self._memory).closed)

    @property
    def mode(self) -> str:
        """How it was opened."""
        return self._mode

    @property
    def name(self) -> Any:
        """What the file on the disk is called; None in memory."""
        return None if self._file is None else self._file.name

    @property
    def encoding(self) -> Any:
        """The name of the encoding."""
        return (self._file or self._memory).encoding

    @property
    def errors(self) -> Any:
        """What is done about what cannot be decoded or encoded."""
        return (self._file or self._memory).errors

    @property
    def newlines(self) -> Any:
        """The kinds of line ends seen so far."""
        return (self._file or self._memory).newlines

    async def rollover(self) -> None:
        """Move to the disk, if that was not done yet."""
        turn = self._turn
        if turn.taken:
            await turn.wait()
        turn.taken = True
        try:
            if self._file is None:
                await self._move()
        finally:
            turn.give()

    async def _move(self) -> None:
        """Move to the disk; until all is there the file is in memory as it was."""
        memory = self._memory
        memory.flush()
        content = getattr(memory, "buffer", memory).getvalue()
        file = await self._make()
        try:
            # The bytes, as they are: text would have its line ends translated once more.
            await getattr(file, "buffer", file).write(content)
            await file.seek(memory.tell())
        except BaseException:
            await file.close()
            raise
        self._file = file
        memory.close()

    async def _call(self, name: str, *arguments: Any) -> Any:
        turn = self._turn
        if self._file is None and turn.taken:
            await turn.wait()  # it is being moved
            turn.give()
        if self._file is not None:
            return await getattr(self._file, name)(*arguments)
        return getattr(self._memory, name)(*arguments)

    async def _grow(self, name: str, *arguments: Any) -> Any:
        answer = await self._call(name, *arguments)
        if self._file is None and 0 < self._max_size < self._memory.tell():
            await self.rollover()
        return answer

    async def fileno(self) -> int:
        """Return the descriptor, on the disk."""
        await self.rollover()
        number: int = self._file.fileno()
        return number

    async def read(self, size: int = -1, /) -> Any:
        """Read ``size`` bytes or characters, or up to the end."""
        return await self._call("read", size)

    async def readline(self, size: int = -1, /) -> Any:
        """Read one line."""
        return await self._call("readline", size)

    async def readlines(self, hint: int = -1, /) -> Any:
        """Read lines."""
        return await self._call("readlines", hint)

    async def write(self, data: Any, /) -> Any:
        """Write; what becomes too long for memory moves to the disk."""
        return await self._grow("write", data)

    async def writelines(self, lines: Iterable[Any], /) -> None:
        """Write each of ``lines``."""
        await self._grow("writelines", lines)

    async def seek(self, offset: int, whence: int = 0, /) -> Any:
        """Move the position; return it."""
        return await self._call("seek", offset, whence)

    async def tell(self) -> Any:
        """Return the position."""
        return await self._call("tell")

    async def truncate(self, size: int | None = None, /) -> Any:
        """Make the file ``size`` long; beyond ``max_size`` that is on the disk."""
        if size is not None and 0 < self._max_size < size:
            await self.rollover()
        return await self._call("truncate", size)

    async def flush(self) -> None:
        """Hand over to the kernel what is buffered."""
        await self._call("flush")

    async def isatty(self) -> Any:
        """Tell that it is no terminal."""
        return await self._call("isatty")

    async def close(self) -> None:
        """Close the file, which is gone then."""
        await self._call("close")


class TemporaryDirectory:
    """A directory that is removed with all that is in it.

    ``async with TemporaryDirectory() as name`` gives the name; awaited, it gives this object.
    """

    def __init__(
        self,
        suffix: Any = None,
        prefix: Any = None,
        dir: Any = None,  # noqa: A002
        loop: Any = None,
        executor: Any = None,
    ) -> None:
        """Make nothing yet: that is done when it is awaited."""
        self._arguments = (suffix, prefix, dir)
        self.name: Any = None
        self._end: weakref.finalize[Any, Any] | None = None

    def __await__(self) -> Generator[Any, Any, TemporaryDirectory]:
        """Make the directory; return this object."""
        if self.name is None:
            yield from self._make().__await__()
        return self

    async def __aenter__(self) -> Any:
        """Make the directory; return its name."""
        return (await self).name

    async def __aexit__(self, *_: object) -> None:
        """Remove it."""
        await self.cleanup()

    async def _make(self) -> None:
        for path in _candidates(*_place(*self._arguments)):
            try:
                await names.mkdir(path, 0o700)
            except FileExistsError:
                continue
            self._own(path)
            return

    def _own(self, path: Any) -> None:
        self.name = path
        self._end = weakref.finalize(self, _remove_directory, path, repr(self))

    def __repr__(self) -> str:
        """Tell the name."""
        return f"<{type(self).__name__} {self.name!r}>"

    async def cleanup(self) -> None:
        """Remove the directory with all that is in it, if that was not done yet."""
        if self._end is not None and self._end.detach() is not None:
            try:
                await remove_tree(self.name)
            except BaseException:
                self._own(self.name)  # there is something left
                raise

    async def close(self) -> None:
        """Remove the directory with all that is in it, if that was not done yet."""
        await self.cleanup()


def _remove_directory(path: Any, who: str) -> None:
    warnings.warn(f"Implicitly cleaning up {who}", ResourceWarning, stacklevel=2)
    shutil.rmtree(path, ignore_errors=True)
