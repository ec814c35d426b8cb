"""Functions on paths: those of ``os``, awaited."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any

from uringcore_cffi._handles import files
from uringcore_cffi.fs.engine import engine_of_running_loop
from uringcore_cffi.fs.opening import to_path
from uringcore_cffi.fs.raw import file_error

if TYPE_CHECKING:
    from typing import Callable


async def run(
    submit: Callable[..., int],
    *arguments: Any,
    named: Any = None,
    memory: Any = None,
    late: Callable[[int], Any] | None = None,
) -> int:
    """Run one operation; raise what it fails with, with what it was asked about."""
    engine = engine_of_running_loop()
    while True:
        operation = engine.begin(submit, *arguments, memory=memory, late=late)
        result = operation.result if operation.done else await engine.ended(operation)
        if result >= 0:
            return result
        if result != -errno.EINTR:
            raise file_error(result, named)


async def stat(
    path: Any, *, dir_fd: int | None = None, follow_symlinks: bool = True
) -> os.stat_result:
    """Ask about a path or an open descriptor, as os.stat()."""
    block = files.Block(files.STATX_BYTES)
    flags = 0 if follow_symlinks else files.AT_SYMLINK_NOFOLLOW
    at = files.AT_FDCWD if dir_fd is None else dir_fd
    if isinstance(path, int):
        name, at, flags = b"", path, files.AT_EMPTY_PATH
    else:
        path = os.fspath(path)
        name = to_path(path)
    await run(
        files.statx,
        at,
        name,
        flags,
        files.STATX_BASIC_STATS,
        block.pointer,
        named=path,
        memory=block,
    )
    return files.stat_result(block)


async def lstat(path: Any, *, dir_fd: int | None = None) -> os.stat_result:
    """Ask about a path itself, as os.lstat()."""
    return await stat(path, dir_fd=dir_fd, follow_symlinks=False)
