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
import stat as stat_bits
from typing import TYPE_CHECKING, Any, AnyStr, Generic

from uringcore_cffi._handles import files, names
from uringcore_cffi.fs.engine import engine_of_running_loop
from uringcore_cffi.fs.opening import open_path, to_path
from uringcore_cffi.fs.raw import file_error

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Callable

_CURRENT = files.AT_FDCWD
_AT_SYMLINK_FOLLOW = 0x400
_LIST_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_DOTS = (b".", b"..")


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


def _name(path: Any, call: str, argument: str = "path", *, number: str = "") -> bytes:
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
        name, at = _name(path, "stat", number=" or integer"), _at(dir_fd)
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
        name, at = _name(path, "statvfs", number=" or integer"), _CURRENT
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
    name = _name(path, "readlink")
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
    old, new = _name(src, "rename", "src"), _name(dst, "rename", "dst")
    await run(names.rename, _at(src_dir_fd), old, _at(dst_dir_fd), new, 0, named=(src, dst))


async def replace(
    src: Any, dst: Any, *, src_dir_fd: int | None = None, dst_dir_fd: int | None = None
) -> None:
    """Give a file another name, which may be taken, as os.replace()."""
    await rename(src, dst, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)


async def unlink(path: Any, *, dir_fd: int | None = None) -> None:
    """Remove a name, as os.unlink()."""
    await run(names.unlink, _at(dir_fd), _name(path, "unlink"), 0, named=(path,))


async def remove(path: Any, *, dir_fd: int | None = None) -> None:
    """Remove a name, as os.remove()."""
    await unlink(path, dir_fd=dir_fd)


async def rmdir(path: Any, *, dir_fd: int | None = None) -> None:
    """Remove an empty directory, as os.rmdir()."""
    name = _name(path, "rmdir")
    await run(names.unlink, _at(dir_fd), name, names.AT_REMOVEDIR, named=(path,))


async def mkdir(path: Any, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
    """Make a directory, as os.mkdir()."""
    name, mode = _name(path, "mkdir"), operator.index(mode)
    late = _removing(os.rmdir, name, dir_fd)
    await run(names.mkdir, _at(dir_fd), name, mode, named=(path,), late=late)


async def symlink(
    src: Any, dst: Any, target_is_directory: bool = False, *, dir_fd: int | None = None
) -> None:
    """Make a symbolic link, as os.symlink()."""
    target, name = _name(src, "symlink", "src"), _name(dst, "symlink", "dst")
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
    old, new = _name(src, "link", "src"), _name(dst, "link", "dst")
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


async def makedirs(name: Any, mode: int = 0o777, exist_ok: bool = False) -> None:
    """Make a directory and those above it that are missing, as os.makedirs()."""
    path = os.fspath(name)
    head, tail = os.path.split(path)
    if not tail:
        head, tail = os.path.split(head)
    if head and tail and not await exists(head):
        try:
            await makedirs(head, exist_ok=exist_ok)
        except FileExistsError:
            pass  # somebody else was faster
        if tail in (os.curdir, os.curdir.encode()):
            return
    try:
        await mkdir(name, mode)
    except OSError:
        if not exist_ok or not await isdir(name):
            raise


async def removedirs(name: Any) -> None:
    """Remove a directory, and those above it that are empty then, as os.removedirs()."""
    await rmdir(name)
    head, tail = os.path.split(os.fspath(name))
    if not tail:
        head, tail = os.path.split(head)
    while head and tail:
        try:
            await rmdir(head)
        except OSError:
            return
        head, tail = os.path.split(head)


async def renames(old: Any, new: Any) -> None:
    """Rename, make the directories that it needs and remove those left empty, as os.renames()."""
    head, tail = os.path.split(os.fspath(new))
    if head and tail and not await exists(head):
        await makedirs(head)
    await rename(old, new)
    head, tail = os.path.split(os.fspath(old))
    if head and tail:
        try:
            await removedirs(head)
        except OSError:
            pass


# Directories


async def _entries(path: Any, call: str) -> list[tuple[bytes, int, int]]:
    if isinstance(path, int):
        # A description of its own: the caller's keeps its position.
        fd = await open_path(b".", _LIST_FLAGS, dir_fd=path, named=path)
    else:
        name = _name(path, call, number=", integer or None")
        fd = await open_path(name, _LIST_FLAGS, named=path)
    found: list[tuple[bytes, int, int]] = []
    block = files.Block(names.LIST_BYTES)
    pointer, count = block.pointer, names.LIST_BYTES
    try:
        # A listing that was cancelled is over before the descriptor is closed.
        while got := await run(names.listing, fd, pointer, count, named=(path,), memory=block):
            found += names.entries(block.view[:got])
    finally:
        os.close(fd)
    return [entry for entry in found if entry[0] not in _DOTS]


async def listdir(path: Any = None) -> list[Any]:
    """Return the names in a directory, as os.listdir()."""
    path = "." if path is None else path
    found = [name for name, _, _ in await _entries(path, "listdir")]
    if not isinstance(path, int) and isinstance(os.fspath(path), bytes):
        return found
    return [os.fsdecode(name) for name in found]


class DirEntry(Generic[AnyStr]):
    """One entry of a directory, with the methods of os.DirEntry.

    As there they make no system call for what the directory says already; stat() makes one, and
    remembers.
    """

    __slots__ = ("_dir_fd", "_inode", "_kind", "_stats", "name", "path")
    name: AnyStr
    path: AnyStr

    def __init__(
        self, name: AnyStr, path: AnyStr, kind: int, inode: int, dir_fd: int | None
    ) -> None:
        """Describe an entry; ``kind`` is a DT_* of getdents64(2)."""
        self.name = name
        self.path = path
        self._kind = kind
        self._inode = inode
        self._dir_fd = dir_fd
        self._stats: dict[bool, os.stat_result] = {}

    def __fspath__(self) -> AnyStr:
        """Return the path."""
        return self.path

    def __repr__(self) -> str:
        """Tell the name."""
        return f"<DirEntry {self.name!r}>"

    def inode(self) -> int:
        """Return the number of the file."""
        return self._inode

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        """Ask about the file."""
        if follow_symlinks not in self._stats:
            self._stats[follow_symlinks] = os.stat(
                self.path, dir_fd=self._dir_fd, follow_symlinks=follow_symlinks
            )
        return self._stats[follow_symlinks]

    def is_symlink(self) -> bool:
        """Tell whether the entry is a symbolic link."""
        return self._is(stat_bits.S_IFLNK, follow_symlinks=False)

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        """Tell whether the entry is a directory, or a link to one."""
        return self._is(stat_bits.S_IFDIR, follow_symlinks=follow_symlinks)

    def is_file(self, *, follow_symlinks: bool = True) -> bool:
        """Tell whether the entry is a regular file, or a link to one."""
        return self._is(stat_bits.S_IFREG, follow_symlinks=follow_symlinks)

    def is_junction(self) -> bool:
        """Tell that there are none here."""
        return False

    def _is(self, kind: int, *, follow_symlinks: bool) -> bool:
        known = self._kind << 12  # DT_* are the upper bits of S_IF*
        if known and (known != stat_bits.S_IFLNK or not follow_symlinks):
            return known == kind
        try:
            found = self.stat(follow_symlinks=follow_symlinks)
        except FileNotFoundError:
            return False
        return stat_bits.S_IFMT(found.st_mode) == kind


class Scan:
    """The entries of a directory, for ``for`` and for ``async for``; each is given out once."""

    def __init__(self, found: list[DirEntry[Any]]) -> None:
        """Hold entries that were read already."""
        self._entries: Iterator[DirEntry[Any]] = iter(found)

    def __iter__(self) -> Scan:
        """Return itself."""
        return self

    def __next__(self) -> DirEntry[Any]:
        """Return the next entry."""
        return next(self._entries)

    def __aiter__(self) -> Scan:
        """Return itself."""
        return self

    async def __anext__(self) -> DirEntry[Any]:
        """Return the next entry."""
        for entry in self._entries:
            return entry
        raise StopAsyncIteration

    def __enter__(self) -> Scan:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Give no more out."""
        self.close()

    async def __aenter__(self) -> Scan:
        """Return itself."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Give no more out."""
        self.close()

    def close(self) -> None:
        """Give no more out."""
        self._entries = iter(())


async def scandir(path: Any = None) -> Scan:
    """Return the entries of a directory, as os.scandir(), all of them read already."""
    path = "." if path is None else path
    is_number = isinstance(path, int)
    entries = await _entries(path, "scandir")
    folder = "." if is_number else os.fspath(path)
    found: list[DirEntry[Any]] = []
    for raw_name, kind, inode in entries:
        name: Any = raw_name if isinstance(folder, bytes) else os.fsdecode(raw_name)
        where = name if is_number else os.path.join(folder, name)
        found.append(DirEntry(name, where, kind, inode, path if is_number else None))
    return Scan(found)


# os.path


async def _mode(path: Any, *, follow_symlinks: bool = True) -> int:
    """Return a path's mode, 0 if there is nothing of that name."""
    try:
        return (await stat(path, follow_symlinks=follow_symlinks)).st_mode
    except (OSError, ValueError):
        return 0


async def exists(path: Any) -> bool:
    """Tell whether a path leads to something, as os.path.exists()."""
    return bool(await _mode(path))


async def lexists(path: Any) -> bool:
    """Tell whether there is such a name, as os.path.lexists()."""
    return bool(await _mode(path, follow_symlinks=False))


async def isfile(path: Any) -> bool:
    """Tell whether a path leads to a regular file."""
    return stat_bits.S_ISREG(await _mode(path))


async def isdir(s: Any) -> bool:
    """Tell whether a path leads to a directory."""
    return stat_bits.S_ISDIR(await _mode(s))


async def islink(path: Any) -> bool:
    """Tell whether a path is a symbolic link."""
    return stat_bits.S_ISLNK(await _mode(path, follow_symlinks=False))


async def ismount(path: Any) -> bool:
    """Tell whether something is mounted on a path, as os.path.ismount()."""
    try:
        here = await lstat(path)
        if stat_bits.S_ISLNK(here.st_mode):
            return False
        folder = os.fspath(path)
        up = b".." if isinstance(folder, bytes) else ".."
        above = await lstat(os.path.join(folder, up))
    except (OSError, ValueError):
        return False
    return here.st_dev != above.st_dev or here.st_ino == above.st_ino


async def getsize(filename: Any) -> int:
    """Return how many bytes a file has."""
    return (await stat(filename)).st_size


async def getmtime(filename: Any) -> float:
    """Return when a file was modified."""
    return (await stat(filename)).st_mtime


async def getatime(filename: Any) -> float:
    """Return when a file was read."""
    return (await stat(filename)).st_atime


async def getctime(filename: Any) -> float:
    """Return when a file was changed, its permissions and names included."""
    return (await stat(filename)).st_ctime


async def samefile(f1: Any, f2: Any) -> bool:
    """Tell whether two paths lead to the same file."""
    return os.path.samestat(await stat(f1), await stat(f2))


async def sameopenfile(fp1: int, fp2: int) -> bool:
    """Tell whether two descriptors are of the same file."""
    return os.path.samestat(await stat(fp1), await stat(fp2))


async def abspath(path: Any) -> Any:
    """Return a path from the root on, as os.path.abspath()."""
    return os.path.abspath(path)  # noqa: ASYNC240  # touches no file
