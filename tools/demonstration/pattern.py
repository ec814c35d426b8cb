"""The bytes that the HTTP server serves: the same table as tools/benchmarks/native/pattern.c.

A body is cut from one cyclic table of pseudo-random bytes, from a place on that the request names.
The load generator makes the same table and so knows each byte that must come back.
"""

from __future__ import annotations

PERIOD = 65521


def _make_table() -> bytes:
    table = bytearray(PERIOD)
    x = 1
    for i in range(PERIOD):
        x = (x * 1103515245 + 12345) & 0xFFFFFFFF
        table[i] = x >> 16 & 0xFF
    return bytes(table)


_TABLE = _make_table() * 2


def pattern(key: int, size: int) -> bytes:
    """``size`` bytes from the place ``key`` on."""
    at = key % PERIOD
    if at + size <= len(_TABLE):
        return _TABLE[at : at + size]
    turns = (at + size) // PERIOD + 1
    return (_TABLE[:PERIOD] * turns)[at : at + size]
