"""Positions in text as numbers: those of io.TextIOWrapper, so that it can go there too.

Bytes have positions, characters have none: between two of them the decoder may hold a part of a
character, a pending carriage return or a byte order. So a position is a place in the file where
the decoder held nothing, its flags there, and how many characters come after it. In nearly all
files nothing comes after, the flags are 0, and the number is the position in bytes.
"""

from __future__ import annotations

import struct
from typing import Any, NamedTuple

# As CPython packs it: an offset, three ints, a byte.
_PACKED = struct.Struct("<qiiib")


class Cookie(NamedTuple):
    """A place in text.

    From byte ``start`` on, with the decoder's ``flags``, decode ``feed`` bytes (and the end of the
    file, if ``at_end``), and skip so many characters.
    """

    start: int
    flags: int = 0
    feed: int = 0
    skip: int = 0
    at_end: bool = False

    def number(self) -> int:
        """Return the place as a number."""
        if not any(self[1:]):
            return self.start
        return int.from_bytes(_PACKED.pack(*self), "little")

    @classmethod
    def parse(cls, number: int) -> Cookie:
        """Return the place that a number means."""
        start, flags, feed, skip, at_end = _PACKED.unpack(number.to_bytes(_PACKED.size, "little"))
        return cls(start, flags, feed, skip, bool(at_end))


def find_place(
    decoder: Any, start: int, flags: int, data: bytes, used: int, ratio: float
) -> Cookie:
    """Return the place ``used`` characters after ``start``, where ``data`` was decoded from.

    ``ratio`` is about how many bytes a character has. The decoder is left as it was found.
    """
    if not used:
        return Cookie(start, flags)
    state = decoder.getstate()
    try:
        return _walk(decoder, start, flags, data, used, ratio)
    finally:
        decoder.setstate(state)


def _walk(decoder: Any, start: int, flags: int, data: bytes, used: int, ratio: float) -> Cookie:
    """Go on byte by byte to the last place before the wanted one where the decoder is empty."""
    safe, skip, flags = _jump(decoder, flags, data, used, ratio)
    index = safe
    decoded = 0
    while decoded < skip:
        if index == len(data):
            if decoded + len(decoder.decode(b"", True)) < skip:
                raise OSError("can't reconstruct logical file position")
            return Cookie(start + safe, flags, index - safe, skip, at_end=True)
        decoded += len(decoder.decode(data[index : index + 1]))
        index += 1
        held, new_flags = decoder.getstate()
        if not held and decoded <= skip:
            safe, flags = index, new_flags
            skip -= decoded
            decoded = 0
    return Cookie(start + safe, flags, index - safe if skip else 0, skip)


def _jump(decoder: Any, flags: int, data: bytes, used: int, ratio: float) -> tuple[int, int, int]:
    """Find a place not behind the wanted one, near where the ratio says that it is.

    Return its index in ``data``, how many characters are left from there, and the flags.
    """
    guess = min(int(ratio * used), len(data))
    back = 1
    while guess > 0:
        decoder.setstate((b"", flags))
        chars = len(decoder.decode(data[:guess]))
        held, new_flags = decoder.getstate()
        if chars <= used and not held:
            return guess, used - chars, new_flags
        if chars <= used:
            guess -= len(held)
            back = 1
        else:
            guess -= back
            back *= 2
    decoder.setstate((b"", flags))
    return 0, used, flags
