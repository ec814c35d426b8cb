"""Collecting garbage on any Python."""

from __future__ import annotations

import gc
import sys

import pytest

# PyPy counts no references: it calls finalizers after a collection, and what they held is free
# for the next one.
_ROUNDS = 1 if sys.implementation.name == "cpython" else 3


needs_prompt_deaths = pytest.mark.skipif(
    sys.implementation.name != "cpython", reason="coroutines that are forgotten end late"
)


def collect() -> None:
    """Have everything that nothing refers to finalized and freed on return."""
    for _ in range(_ROUNDS):
        gc.collect()


def set_aside() -> None:
    """Have collections pass over all there is now: modules and tests stay until the end anyway."""
    collect()
    if hasattr(gc, "freeze"):  # CPython
        gc.freeze()
