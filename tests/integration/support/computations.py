"""What workers compute: in a module that they can import."""

from __future__ import annotations

import hashlib


def square(number: int) -> int:
    """Compute little."""
    return number * number


def add(left: int, right: int) -> int:
    """Combine two results, which other workers may have."""
    return left + right


def make_block(number: int, length: int) -> bytes:
    """Make much, which stays with the worker."""
    return hashlib.sha256(str(number).encode()).digest() * (length // 32)


def digest_of_all(*blocks: bytes) -> str:
    """Take what other workers have made."""
    return hashlib.sha256(b"".join(blocks)).hexdigest()
