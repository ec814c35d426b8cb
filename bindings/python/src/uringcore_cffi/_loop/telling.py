"""One line in the log when a loop runs on less than it could: never a silent fallback."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from uringcore_cffi._handles.ring import Info

logger = logging.getLogger("uringcore_cffi")

# What was told, with the process: a forked child tells its own.
_told: set[tuple[int, str]] = set()


def tell_reason(info: Info, *, was_asked_for: bool) -> None:
    """Log why something is not in use, once in a process for each reason.

    ``was_asked_for``: the program has asked for what only io_uring can do, so a warning it is.
    """
    told = (os.getpid(), info.reason)
    if not info.reason or told in _told:
        return
    _told.add(told)
    level = logging.WARNING if was_asked_for else logging.INFO
    logger.log(level, "the loop runs on %s: %s", info.backend, info.reason)
