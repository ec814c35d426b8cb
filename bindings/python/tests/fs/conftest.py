"""What tests of files need: a loop of either kind, and a way to run a coroutine on it."""

from __future__ import annotations

import asyncio
import sys

import pytest
from checking import checked

import uringcore_cffi
from uringcore_cffi.fs.engine import close_forgotten

LOOPS = {"ours": uringcore_cffi.new_event_loop, "asyncio": asyncio.SelectorEventLoop}


@pytest.fixture(params=LOOPS)
def any_loop(request):
    """Make a loop of ours, and one of asyncio's: files work on both."""
    yield from checked(LOOPS[request.param]())
    if sys.implementation.name == "pypy":
        close_forgotten()  # a loop of others is forgotten there at some later collection


@pytest.fixture
def run(any_loop):
    """Run a coroutine on either loop."""
    return any_loop.run_until_complete
