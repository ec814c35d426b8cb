"""Files that tests send."""

from __future__ import annotations

import contextlib


@contextlib.contextmanager
def opened(path, content: bytes):
    """Make a file and open it to be read."""
    path.write_bytes(content)
    with path.open("rb") as file:
        yield file
