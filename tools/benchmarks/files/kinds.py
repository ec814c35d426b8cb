"""The ways to work with files. A method is a workload; a way that lacks one has no part in it.

Each does a number of operations and returns how long that took; opening is not timed, but for
what is written: there nothing is done before the file is on the disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.files.place import BLOCK, MIB, Place, require
from benchmarks.inside.timing import Watch
from benchmarks.load import native_program

AT_ONCE = 32
MANY = 64
RAW_SECONDS = 0.05


@contextlib.contextmanager
def _removed(path: Path) -> Iterator[Path]:
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


async def _read(file: Any, block: int) -> None:
    await file.seek(block * BLOCK)
    require(await file.read(BLOCK), block)


class Awaited:
    """A library with the interface of ``aiofiles``."""

    def __init__(self, module: str) -> None:
        """Import it."""
        self._library = importlib.import_module(module)

    @contextlib.asynccontextmanager
    async def _opened(self, path: Path, count: int) -> Any:
        """So many file objects of one file: each has a position of its own."""
        async with contextlib.AsyncExitStack() as stack:
            yield [
                await stack.enter_async_context(self._library.open(path, "rb"))
                for _ in range(count)
            ]

    async def read_one(self, place: Place, count: int) -> Watch:
        """One read after the other."""
        blocks = place.blocks(count)
        async with self._opened(place.readable, 1) as [file]:
            with Watch() as watch:
                for block in blocks:
                    await _read(file, block)
        return watch

    async def read_at_once(self, place: Place, count: int) -> Watch:
        """Tasks that share the reads between them."""
        blocks = iter(place.blocks(count))

        async def read_on(file: Any) -> None:
            for block in blocks:
                await _read(file, block)

        async with self._opened(place.readable, AT_ONCE) as files:
            with Watch() as watch:
                await asyncio.gather(*map(read_on, files))
        return watch

    async def read_many(self, place: Place, count: int) -> Watch:
        """Batches: the next begins when all of one have been read."""
        blocks = place.blocks(count)
        async with self._opened(place.readable, MANY) as files:
            with Watch() as watch:
                for start in range(0, count, MANY):
                    await asyncio.gather(*map(_read, files, blocks[start : start + MANY]))
        return watch

    async def write(self, place: Place, count: int) -> Watch:
        """Write a new file from its begin to its end, in so many parts, and have it on the disk."""
        part = os.urandom(MIB)
        with _removed(place.writable(self._library.__name__)) as path, Watch() as watch:
            async with self._library.open(path, "wb", buffering=0) as file:
                for _ in range(count):
                    await file.write(part)
                await self._sync(file)
        return watch

    async def _sync(self, file: Any) -> None:
        """As programs that use it do."""
        await asyncio.get_running_loop().run_in_executor(None, os.fsync, file.fileno())


class Fs(Awaited):
    """``uringcore_cffi.fs``, which has more than ``aiofiles``."""

    async def read_many(self, place: Place, count: int) -> Watch:
        """Batches, each of which is one call."""
        blocks = place.blocks(count)
        read_many = self._library.read_many
        async with self._opened(place.readable, 1) as [file]:
            with Watch() as watch:
                for start in range(0, count, MANY):
                    batch = blocks[start : start + MANY]
                    parts = [(file, block * BLOCK, BLOCK) for block in batch]
                    for block, data in zip(batch, await read_many(parts)):
                        require(data, block)
        return watch

    async def _sync(self, file: Any) -> None:
        await file.fsync()


class InThread:
    """No library: a plain loop in a thread, while the event loop waits for its end."""

    async def write(self, place: Place, count: int) -> Watch:
        """As the others do."""
        part = os.urandom(MIB)

        def write() -> None:
            with path.open("wb", buffering=0) as file:
                for _ in range(count):
                    file.write(part)
                os.fsync(file.fileno())

        with _removed(place.writable("thread")) as path, Watch() as watch:
            await asyncio.get_running_loop().run_in_executor(None, write)
        return watch


class Raw:
    """io_uring in C, without any library in between: a program that times itself."""

    def __init__(self) -> None:
        """Find it."""
        program = native_program("raw_file_read")
        if program is None:
            raise NotImplementedError("raw_file_read is not built")
        self._program = program

    async def read_one(self, place: Place, count: int) -> Watch:
        """One at a time."""
        return self._read(place, count, 1)

    async def read_at_once(self, place: Place, count: int) -> Watch:
        """So many in flight."""
        return self._read(place, count, AT_ONCE)

    async def read_many(self, place: Place, count: int) -> Watch:
        """The same, with more."""
        return self._read(place, count, MANY)

    def _read(self, place: Place, count: int, at_once: int) -> Watch:
        """Its window is its own; what counts is how fast it read."""
        command = [str(self._program), str(place.readable), "--at-once", str(at_once)]
        command += ["--seconds", str(RAW_SECONDS)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise OSError(f"{self._program.name}: {done.stderr.strip()}")
        told = json.loads(done.stdout)
        watch = Watch()
        watch.seconds = count / told["reads_per_second"]
        watch.cpu_seconds = count * told["cpu_ns_per_read"] / 1e9
        return watch
