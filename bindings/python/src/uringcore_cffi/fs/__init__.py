"""True asynchronous files, with the names of the built-in ``open()``, ``os`` and aiofiles.

    import uringcore_cffi.fs as aiofiles

    async with aiofiles.open(path) as f:
        async for line in f:
            ...

No thread waits for the disk where the kernel can wait itself. Works on every asyncio loop that has
``add_reader()``: each gets a ring of its own for files, made at first use and freed with the loop.
The ring of a loop that is restricted (``restrict="network"``) stays as it is; the one for files is
beside it and not restricted.

A cancelled call waits until the kernel has let go, which a disk that hangs may put off.
"""

from __future__ import annotations

from uringcore_cffi.fs import os, ospath, tempfile
from uringcore_cffi.fs import ospath as path
from uringcore_cffi.fs.copying import copyfile, read_many, sendfile
from uringcore_cffi.fs.names import (
    access,
    getcwd,
    link,
    lstat,
    mkdir,
    readlink,
    remove,
    rename,
    replace,
    rmdir,
    stat,
    statvfs,
    symlink,
    unlink,
)
from uringcore_cffi.fs.opening import open  # noqa: A004  # the built-in's name is the point
from uringcore_cffi.fs.ospath import exists
from uringcore_cffi.fs.scanning import listdir, scandir
from uringcore_cffi.fs.trees import makedirs, removedirs, renames

__all__ = [
    "access",
    "copyfile",
    "exists",
    "getcwd",
    "link",
    "listdir",
    "lstat",
    "makedirs",
    "mkdir",
    "open",
    "os",
    "ospath",
    "path",
    "read_many",
    "readlink",
    "remove",
    "removedirs",
    "rename",
    "renames",
    "replace",
    "rmdir",
    "scandir",
    "sendfile",
    "stat",
    "statvfs",
    "symlink",
    "tempfile",
    "unlink",
]
