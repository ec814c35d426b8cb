"""Checksums of all files below a folder, many at a time: ``checksums.py FOLDER REPORT``.

The report is there whole or not at all, also when the power fails: it is written beside its place,
synced, and renamed.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import sys
from collections.abc import AsyncIterator

import uringcore_cffi
from uringcore_cffi import fs

AT_ONCE = 64
PIECE = 1 << 18


async def files_below(folder: str) -> AsyncIterator[str]:
    """Yield the paths of all regular files, and enter no symbolic link."""
    for entry in sorted(await fs.scandir(folder), key=lambda entry: entry.name):
        if entry.is_dir(follow_symlinks=False):
            async for path in files_below(entry.path):
                yield path
        elif entry.is_file(follow_symlinks=False):
            yield entry.path


async def checksum(path: str, room: asyncio.Semaphore) -> str:
    """Sum one file up, piece by piece."""
    whole = hashlib.sha256()
    async with room, fs.open(path, "rb", buffering=0) as file:
        while piece := await file.read(PIECE):
            whole.update(piece)
    return f"{whole.hexdigest()}  {path}\n"


async def write_report(path: str, lines: list[str]) -> None:
    """Replace what is at ``path``, all at once."""
    beside = f"{path}.new"
    async with fs.open(beside, "w") as file:
        await file.writelines(lines)
        await file.fsync()
    await fs.replace(beside, path)


async def main(folder: str, report: str) -> None:
    """Read everything, then write the report."""
    room = asyncio.Semaphore(AT_ONCE)
    paths = [path async for path in files_below(folder)]
    lines = await asyncio.gather(*(checksum(path, room) for path in paths))
    await write_report(report, lines)
    print(f"{len(lines)} files", flush=True)


if __name__ == "__main__":
    if len(sys.argv) != 3 or not os.path.isdir(sys.argv[1]):
        sys.exit(__doc__)
    uringcore_cffi.run(main(sys.argv[1], sys.argv[2]))
