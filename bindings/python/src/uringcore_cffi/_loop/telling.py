"""One line in the log when a loop runs on less than it could: never a silent fallback."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from uringcore_cffi._handles.ring import Info

logger = logging.getLogger("uringcore_cffi")

# What was told, and how loud, by process: a forked child tells its own.
_told: dict[tuple[int, str], int] = {}


def tell_reason(info: Info, *, was_asked_for: bool) -> None:
    """Log why something is not in use, once in a process for each reason; again if it is a warning.

    ``was_asked_for``: the program has asked for what only io_uring can do, so a warning it is.
    """
    told = (os.getpid(), info.reason)
    level = logging.WARNING if was_asked_for else logging.INFO
    if not info.reason or _told.get(told, logging.NOTSET) >= level:
        return
    _told[told] = level
    logger.log(level, "the loop runs on %s: %s", info.backend, info.reason)
