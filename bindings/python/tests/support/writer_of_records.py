"""A program that writes records and tells of each that fsync() has returned for.

    python -m writer_of_records FOLDER TASKS BUFFERING

It never ends by itself. A line on its standard output is the number of a task and of a record.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import uringcore_cffi
from uringcore_cffi import fs


def record(task: int, number: int) -> bytes:
    """Make a record of a length of its own."""
    return b"%d %d " % (task, number) + b"x" * (number * 37 % 5000) + b"\n"


async def write(folder: Path, task: int, buffering: int) -> None:
    """Write without end."""
    number = 0
    async with fs.open(folder / str(task), "wb", buffering) as file:
        while True:
            await file.write(record(task, number))
            await (file.fsync() if number % 2 else file.fdatasync())
            os.write(1, b"%d %d\n" % (task, number))
            number += 1


async def main() -> None:
    """See the head of this file."""
    folder, tasks, buffering = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    await asyncio.gather(*(write(folder, task, buffering) for task in range(tasks)))


if __name__ == "__main__":
    uringcore_cffi.run(main())
