"""What several tests of guests need."""

from __future__ import annotations

import tempfile

import pytest

from uringcore_cffi.lowlevel import Ring


@pytest.fixture
def ring():
    """Make a ring that this thread runs."""
    with Ring() as made:
        made.enable()
        yield made
        try:
            stats = made.stats()
        except ValueError:  # the test has freed it
            return
        assert stats.stale == 0


@pytest.fixture
def file():
    """Make a file of 100,000 bytes."""
    with tempfile.TemporaryFile() as made:
        made.write(bytes(range(250)) * 400)
        made.flush()
        yield made
