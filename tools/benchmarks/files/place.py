"""The files that are read and written."""

from __future__ import annotations

import contextlib
import os
import random
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

BLOCK = 4096
MIB = 1 << 20
READ_BYTES = 256 * MIB
_STAMP_BYTES = 8


@dataclass(frozen=True)
class Place:
    """A folder with a file to read; what is written is removed again."""

    folder: Path
    read_bytes: int = READ_BYTES

    @property
    def readable(self) -> Path:
        """The file that is there: every block begins and ends with its number."""
        return self.folder / "read"

    def writable(self, name: str) -> Path:
        """A file of somebody's own."""
        return self.folder / f"written-{name}"

    def blocks(self, count: int) -> list[int]:
        """Numbers of blocks in an order that nobody reads ahead: the same ones each time."""
        dice = random.Random(count)
        return [dice.randrange(self.read_bytes // BLOCK) for _ in range(count)]


def _stamp(block: int) -> bytes:
    return block.to_bytes(_STAMP_BYTES, "little")


def require(data: bytes, block: int) -> None:
    """Raise ValueError unless these are the bytes of that block."""
    stamp = _stamp(block)
    if len(data) != BLOCK or data[:_STAMP_BYTES] != stamp or data[-_STAMP_BYTES:] != stamp:
        raise ValueError(f"{len(data)} bytes, which are not those of block {block}")


@contextlib.contextmanager
def made(parent: Path, read_bytes: int = READ_BYTES) -> Iterator[Place]:
    """A place below ``parent``, its file in the page cache and on the disk; removed behind."""
    middle = bytes(BLOCK - 2 * _STAMP_BYTES)
    with tempfile.TemporaryDirectory(prefix="bench-files-", dir=parent) as folder:
        place = Place(Path(folder), read_bytes)
        with place.readable.open("wb") as file:
            for block in range(read_bytes // BLOCK):
                file.write(_stamp(block) + middle + _stamp(block))
            file.flush()
            os.fsync(file.fileno())
        yield place
