"""UC_TEST_SQPOLL=1: every loop and ring of the suite has a kernel thread that submits."""

from __future__ import annotations

import os

from uringcore_cffi import UringEventLoop
from uringcore_cffi._handles.ring import Ring

# Short, so that tests see the thread both awake and asleep.
_IDLE_MS = 10


def is_forced() -> bool:
    """Tell whether what a turn submits may not have begun when the turn returns."""
    return bool(os.environ.get("UC_TEST_SQPOLL"))


def force_if_asked() -> None:
    """Change what is meant where nothing is said; what programs of their own do stays as it is."""
    if not is_forced():
        return
    for made in (UringEventLoop, Ring):
        defaults = made.__init__.__kwdefaults__
        assert "sqpoll" in defaults
        defaults.update(sqpoll="try", sqpoll_idle_ms=_IDLE_MS)
