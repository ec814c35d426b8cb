"""What aiofiles.ospath has, under the names of ``os.path``."""

from __future__ import annotations

import os
import stat as stat_bits
from typing import Any

from uringcore_cffi.fs.names import lstat, stat

__all__ = [
    "abspath",
    "exists",
    "getatime",
    "getctime",
    "getmtime",
    "getsize",
    "isdir",
    "isfile",
    "islink",
    "ismount",
    "lexists",
    "samefile",
    "sameopenfile",
]


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
