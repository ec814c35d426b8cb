"""What aiofiles.os has, and the other functions on paths, under the names of ``os``."""

from __future__ import annotations

from uringcore_cffi.fs import ospath as path
from uringcore_cffi.fs.copying import sendfile
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
from uringcore_cffi.fs.scanning import listdir, scandir
from uringcore_cffi.fs.trees import makedirs, removedirs, renames

__all__ = [
    "access",
    "getcwd",
    "link",
    "listdir",
    "lstat",
    "makedirs",
    "mkdir",
    "path",
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
    "unlink",
]
