"""What every kind of file shares: errors, arguments, iteration."""

from __future__ import annotations

import errno
import operator
import os
from typing import TYPE_CHECKING, Any

# O_ACCMODE of fcntl.h, which not every Python has: the bits that say how a file may be used.
ACCESS_BITS = 3


def file_error(result: int, path: Any = None, other: Any = None) -> OSError:
    """Turn a negative result into the OSError that the built-in would raise."""
    code = -result
    if code == errno.ETIME:
        code = errno.ETIMEDOUT  # the deadline of the file
    if code == errno.ECHILD:
        return inherited_error()
    if path is None:
        return OSError(code, os.strerror(code))
    if other is None:
        return OSError(code, os.strerror(code), path)
    return OSError(code, os.strerror(code), path, None, other)


def inherited_error() -> OSError:
    return ChildProcessError(
        errno.ECHILD,
        "the file was opened by another process; after fork(), open it anew in the child",
    )


def to_size(size: Any) -> int:
    """Return a size argument as a number; None means all there is, which is -1."""
    if size is None:
        return -1
    try:
        return operator.index(size)
    except TypeError:
        raise TypeError(
            f"argument should be integer or None, not {type(size).__name__!r}"
        ) from None


def check_part(size: int, offset: int) -> None:
    """Refuse a part of a file that cannot be, as os.pread() does."""
    if operator.index(size) < 0:
        raise ValueError("read length must be non-negative")
    if operator.index(offset) < 0:
        raise file_error(-errno.EINVAL)


def to_bytes_view(data: Any) -> memoryview:
    """Return a view of the bytes of what is to be written."""
    try:
        view = memoryview(data)
    except TypeError:
        name = type(data).__name__
        raise TypeError(f"a bytes-like object is required, not {name!r}") from None
    if not view.c_contiguous:
        raise BufferError("memoryview: underlying buffer is not C-contiguous")
    return view.cast("B")


def to_writable_view(buffer: Any) -> memoryview:
    """Return a view of the bytes of what is to be read into."""
    view = memoryview(buffer)
    if view.readonly:
        name = type(buffer).__name__
        raise TypeError(f"argument must be read-write bytes-like object, not {name}")
    if not view.c_contiguous:
        raise BufferError("memoryview: underlying buffer is not C-contiguous")
    return view.cast("B")


class AsyncFile:
    """What all files have, whatever their layers: iteration, and being a context."""

    def __aiter__(self) -> Any:
        """Return the file itself: it is its own iterator, over lines."""
        return self

    async def __anext__(self) -> Any:
        """Return the next line."""
        line = await self.readline()
        if not line:
            raise StopAsyncIteration
        return line

    async def __aenter__(self) -> Any:
        """Return the file."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the file."""
        await self.close()

    async def aclose(self) -> None:
        """Close the file."""
        await self.close()

    if TYPE_CHECKING:

        async def readline(self, size: int = -1, /) -> Any: ...

        async def close(self) -> None: ...


async def read_lines(file: Any, hint: int | None) -> list[Any]:
    """Read lines of a file until there are ``hint`` bytes or characters."""
    lines = []
    count = 0
    while line := await file.readline():
        lines.append(line)
        count += len(line)
        if hint is not None and 0 < hint < count:
            break
    return lines
