"""What several tests of the handles need."""

from __future__ import annotations

import pytest

from uringcore_cffi._handles.ring import Ring


@pytest.fixture
def ring():
    """Make a ring that this thread runs."""
    made = Ring()
    made.enable()
    yield made
    made.free()
