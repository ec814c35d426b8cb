"""True asynchronous files, with the names of the built-in ``open()``, ``os`` and aiofiles.

    import uringcore_cffi.fs as aiofiles

    async with aiofiles.open(path) as f:
        async for line in f:
            ...

No thread waits for the disk where the kernel can wait itself. Works on every asyncio loop that has
``add_reader()``: each gets a ring of its own for files, made at first use and freed with the loop.
"""

from __future__ import annotations

from uringcore_cffi.fs.names import lstat, stat
from uringcore_cffi.fs.opening import open  # noqa: A004  # the built-in's name is the point

__all__ = ["lstat", "open", "stat"]
