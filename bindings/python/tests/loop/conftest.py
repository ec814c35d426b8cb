"""What several tests of the loop need."""

from __future__ import annotations

import asyncio
import errno

import pytest

from uringcore_cffi._handles.fd import CLOSE_NOW, Fd


@pytest.fixture
def slow_kernel(monkeypatch):
    """Make a close that is to wait for the kernel wait in vain; return the list of those."""
    close = Fd.close
    slow = []

    def late(self, flags):
        if not flags & CLOSE_NOW:
            return close(self, flags)
        if self in slow:
            return -errno.EALREADY
        slow.append(self)
        asyncio.get_running_loop().call_later(0.01, close, self, flags & ~CLOSE_NOW)
        return -errno.EAGAIN

    monkeypatch.setattr(Fd, "close", late)
    return slow
