"""What is in a directory: listdir() and scandir()."""

from __future__ import annotations

import os
import stat as stat_bits
from typing import TYPE_CHECKING, Any, AnyStr, Generic

from uringcore_cffi._handles import files, names
from uringcore_cffi.fs.names import run, to_name
from uringcore_cffi.fs.opening import open_path

if TYPE_CHECKING:
    from collections.abc import Iterator

_LIST_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_DOTS = (b".", b"..")


async def _entries(path: Any, call: str) -> list[tuple[bytes, int, int]]:
    if isinstance(path, int):
        # A description of its own: the caller's keeps its position.
        fd = await open_path(b".", _LIST_FLAGS, dir_fd=path, named=path)
    else:
        name = to_name(path, call, number=", integer or None")
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
