"""What aiofiles.ospath has, under the names of ``os.path``."""

from __future__ import annotations

from uringcore_cffi.fs.names import (
    abspath,
    exists,
    getatime,
    getctime,
    getmtime,
    getsize,
    isdir,
    isfile,
    islink,
    ismount,
    lexists,
    samefile,
    sameopenfile,
)

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
