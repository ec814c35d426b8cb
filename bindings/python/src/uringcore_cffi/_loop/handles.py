"""Lean handles: real asyncio.Handle and TimerHandle objects that cost a third.

asyncio's constructor is Python code and sets eight slots. Here a handle is made by
``object.__new__`` and the scheduler sets the four slots that differ; the others are constants of
the class. A cancelled handle is one without a callback, so nothing else needs to be stored.

In debug mode the loop makes asyncio's own handles, which know where they were made.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from contextvars import Context


class Handle(asyncio.Handle):
    """A callback to be run soon. Made by the loop only."""

    __slots__ = ()

    if TYPE_CHECKING:
        # Slots of asyncio.Handle that type checkers are not told of.
        _context: Context
        _loop: Any

    _repr = None
    _source_traceback = None
    # Run again from its start when a KeyboardInterrupt or SystemExit came out of it.
    _retry = False

    @property
    def _cancelled(self) -> bool:  # type: ignore[override]
        return self._callback is None

    def cancelled(self) -> bool:
        """Tell whether cancel() was called."""
        return self._callback is None

    def cancel(self) -> None:
        """Drop the callback and its arguments."""
        self._callback: Any = None
        self._args: Any = None


class TimerHandle(asyncio.TimerHandle):
    """A callback to be run at a given time. Made by the loop only."""

    __slots__ = ()

    if TYPE_CHECKING:
        _context: Context
        _loop: Any
        _when: float
        _scheduled: bool

    _repr = None
    _source_traceback = None
    _retry = False

    @property
    def _cancelled(self) -> bool:  # type: ignore[override]
        return self._callback is None

    def cancelled(self) -> bool:
        """Tell whether cancel() was called."""
        return self._callback is None

    def cancel(self) -> None:
        """Drop the callback and its arguments; the heap is cleaned when it is worth it."""
        if self._callback is not None:
            self._callback: Any = None
            self._args: Any = None
            if self._scheduled:
                self._loop._timer_cancelled_count += 1


class InternalHandle(Handle):
    """A step of the loop's own work.

    Its callback can be run again from the start: when an interrupt comes out of it, the loop
    puts it back, because nobody else would ever finish what it began.
    """

    __slots__ = ()

    _retry = True
