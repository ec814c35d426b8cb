"""Functions on paths: those of ``os``, awaited.

What one of them has made when its cancellation comes too late is removed again, but for a rename:
nobody knows what the old name has come to mean since.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import operator
import os
from typing import TYPE_CHECKING, Any

from uringcore_cffi._handles import files, names
from uringcore_cffi.fs.common import file_error
from uringcore_cffi.fs.engine import engine_of_running_loop
from uringcore_cffi.fs.opening import to_path

if TYPE_CHECKING:
    from typing import Callable

_CURRENT = files.AT_FDCWD
_AT_SYMLINK_FOLLOW = 0x400


async def run(
    submit: Callable[..., int],
    *arguments: Any,
    named: tuple[Any, ...] = (),
    memory: Any = None,
    late: Callable[[int], Any] | None = None,
) -> int:
    """Run one operation; raise what it fails with, with the names that it was asked about."""
    engine = engine_of_running_loop()
    await engine.let_run()
    while True:
        operation = engine.begin(submit, *arguments, memory=memory, late=late)
        result = operation.result if operation.done else await engine.ended(operation)
        if result >= 0:
            return result
        if result != -errno.EINTR:
            raise file_error(result, *named)


def to_name(path: Any, call: str, argument: str = "path", *, number: str = "") -> bytes:
    """Return a path as the kernel takes it; what is none is refused as ``os`` does.

    ``number`` is what else the function takes.
    """
    try:
        return to_path(path)
    except TypeError:
        kinds = "string, bytes" + (", os.PathLike" + number if number else " or os.PathLike")
        name = type(path).__name__
        raise TypeError(f"{call}: {argument} should be {kinds}, not {name}") from None


def _at(dir_fd: int | None) -> int:
    return _CURRENT if dir_fd is None else dir_fd


def _removing(remove: Callable[..., None], path: Any, dir_fd: int | None) -> Callable[[int], None]:
    """Return what takes back a name that was made too late."""

    def take_back(_: int) -> None:
        with contextlib.suppress(OSError):
            remove(path, dir_fd=dir_fd)

    return take_back


# Asking


async def stat(
    path: Any, *, dir_fd: int | None = None, follow_symlinks: bool = True
) -> os.stat_result:
    """Ask about a path or an open descriptor, as os.stat()."""
    flags = 0 if follow_symlinks else files.AT_SYMLINK_NOFOLLOW
    if isinstance(path, int):
        name, at, flags = b"", path, files.AT_EMPTY_PATH
    else:
        name, at = to_name(path, "stat", number=" or integer"), _at(dir_fd)
    block = files.Block(files.STATX_BYTES)
    mask, pointer = files.STATX_BASIC_STATS, block.pointer
    await run(files.statx, at, name, flags, mask, pointer, named=(path,), memory=block)
    return files.stat_result(block)


async def lstat(path: Any, *, dir_fd: int | None = None) -> os.stat_result:
    """Ask about a path itself, as os.lstat()."""
    return await stat(path, dir_fd=dir_fd, follow_symlinks=False)


async def statvfs(path: Any) -> os.statvfs_result:
    """Ask about the file system of a path or an open descriptor, as os.statvfs()."""
    if isinstance(path, int):
        name, at = b"", path
    else:
        name, at = to_name(path, "statvfs", number=" or integer"), _CURRENT
    block = files.Block(names.STATVFS_BYTES)
    await run(names.statvfs, at, name, block.pointer, named=(path,), memory=block)
    return names.statvfs_result(block)


async def access(
    path: Any,
    mode: int,
    *,
    dir_fd: int | None = None,
    effective_ids: bool = False,
    follow_symlinks: bool = True,
) -> bool:
    """Tell whether a path may be used so, as os.access().

    The kernel has no such operation for a ring: it is asked in a thread of the loop's executor.
    """

    def ask() -> bool:
        return os.access(
            path,
            mode,
            dir_fd=dir_fd,
            effective_ids=effective_ids,
            follow_symlinks=follow_symlinks,
        )

    return await asyncio.get_running_loop().run_in_executor(None, ask)


async def readlink(path: Any, *, dir_fd: int | None = None) -> Any:
    """Return what a symbolic link says, as os.readlink()."""
    name = to_name(path, "readlink")
    block = files.Block(names.LINK_BYTES)
    at, count = _at(dir_fd), names.LINK_BYTES
    result = await run(names.readlink, at, name, block.pointer, count, named=(path,), memory=block)
    target = block.view[:result]
    return target if isinstance(os.fspath(path), bytes) else os.fsdecode(target)


async def getcwd() -> str:
    """Return the working directory, as os.getcwd()."""
    return os.getcwd()


# Names


async def rename(
    src: Any, dst: Any, *, src_dir_fd: int | None = None, dst_dir_fd: int | None = None
) -> None:
    """Give a file another name, as os.rename()."""
    old, new = to_name(src, "rename", "src"), to_name(dst, "rename", "dst")
    await run(names.rename, _at(src_dir_fd), old, _at(dst_dir_fd), new, 0, named=(src, dst))


async def replace(
    src: Any, dst: Any, *, src_dir_fd: int | None = None, dst_dir_fd: int | None = None
) -> None:
    """Give a file another name, which may be taken, as os.replace()."""
    await rename(src, dst, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)


async def unlink(path: Any, *, dir_fd: int | None = None) -> None:
    """Remove a name, as os.unlink()."""
    await run(names.unlink, _at(dir_fd), to_name(path, "unlink"), 0, named=(path,))


async def remove(path: Any, *, dir_fd: int | None = None) -> None:
    """Remove a name, as os.remove()."""
    await unlink(path, dir_fd=dir_fd)


async def rmdir(path: Any, *, dir_fd: int | None = None) -> None:
    """Remove an empty directory, as os.rmdir()."""
    name = to_name(path, "rmdir")
    await run(names.unlink, _at(dir_fd), name, names.AT_REMOVEDIR, named=(path,))


async def mkdir(path: Any, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
    """Make a directory, as os.mkdir()."""
    name, mode = to_name(path, "mkdir"), operator.index(mode)
    late = _removing(os.rmdir, name, dir_fd)
    await run(names.mkdir, _at(dir_fd), name, mode, named=(path,), late=late)


async def symlink(
    src: Any, dst: Any, target_is_directory: bool = False, *, dir_fd: int | None = None
) -> None:
    """Make a symbolic link, as os.symlink()."""
    target, name = to_name(src, "symlink", "src"), to_name(dst, "symlink", "dst")
    late = _removing(os.unlink, name, dir_fd)
    await run(names.symlink, target, _at(dir_fd), name, named=(src, dst), late=late)


async def link(
    src: Any,
    dst: Any,
    *,
    src_dir_fd: int | None = None,
    dst_dir_fd: int | None = None,
    follow_symlinks: bool = True,
) -> None:
    """Give a file a second name, as os.link()."""
    # As there: a plain link(2), which follows nothing, unless more is asked for.
    is_plain = src_dir_fd is None and dst_dir_fd is None
    flags = _AT_SYMLINK_FOLLOW if follow_symlinks and not is_plain else 0
    old, new = to_name(src, "link", "src"), to_name(dst, "link", "dst")
    late = _removing(os.unlink, new, dst_dir_fd)
    await run(
        names.link,
        _at(src_dir_fd),
        old,
        _at(dst_dir_fd),
        new,
        flags,
        named=(src, dst),
        late=late,
    )
