"""Several directories at once: makedirs(), removedirs(), renames(), and removing a whole tree."""

from __future__ import annotations

import os
from typing import Any

from uringcore_cffi.fs.names import mkdir, rename, rmdir, unlink
from uringcore_cffi.fs.ospath import exists, isdir
from uringcore_cffi.fs.scanning import scandir


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


async def remove_tree(path: Any) -> None:
    """Remove a directory with all that is in it, whatever their permissions."""
    try:
        found = await scandir(path)
    except FileNotFoundError:
        return
    except PermissionError:
        os.chmod(path, 0o700)
        found = await scandir(path)
    for entry in found:
        if entry.is_dir(follow_symlinks=False):
            await remove_tree(entry.path)
            continue
        try:
            await unlink(entry.path)
        except PermissionError:
            os.chmod(path, 0o700)
            await unlink(entry.path)
    await rmdir(path)
