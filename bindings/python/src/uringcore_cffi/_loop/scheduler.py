"""call_soon, call_at, call_later, call_soon_threadsafe and the running of what is ready."""

from __future__ import annotations

import asyncio
import itertools
import threading
from asyncio.log import logger
from collections import deque
from contextvars import Context, copy_context
from heapq import heappush
from time import monotonic
from typing import Any, Callable

from uringcore_cffi._loop.compat import format_callback
from uringcore_cffi._loop.handles import Handle, InternalHandle, TimerHandle
from uringcore_cffi._loop.timers import (
    Heap,
    drop_cancelled_head,
    is_worth_cleaning,
    move_due,
    without_cancelled,
)

_new: Any = object.__new__
_Callback = Callable[..., Any]


def _trim_traceback(handle: Any, frames: int) -> None:
    """Drop our own frames from where a handle of debug mode says it was made."""
    if handle._source_traceback:
        del handle._source_traceback[-frames:]


class Scheduler(asyncio.BaseEventLoop):
    """The half of the loop that knows no kernel."""

    # Members of BaseEventLoop that a type checker is not told of.
    _ready: deque[Any]
    _scheduled: Heap
    _timer_cancelled_count: int
    _stopping: bool
    _closed: bool
    _debug: bool
    _clock_resolution: float
    _current_handle: Any
    _check_closed: Callable[[], None]
    _check_thread: Callable[[], None]
    _check_callback: Callable[[Any, str], None]

    def __init__(self) -> None:
        self._checking = False  # closed or debugging: take asyncio's own, checking way
        self._wake_lock = threading.RLock()  # re-entrant: a signal handler may come in between
        self._woken = False  # the loop was woken and has not got up yet
        self._next_timer = itertools.count().__next__
        super().__init__()

    # Never a cached time: programs measure with it.
    time = staticmethod(monotonic)

    def set_debug(self, enabled: bool) -> None:
        """Turn debug mode on or off."""
        super().set_debug(enabled)
        self._checking = bool(enabled) or self._closed

    def call_soon(  # type: ignore[override]
        self, callback: _Callback, *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        """Run the callback in the next turn, in order of arrival."""
        if self._checking:
            return self._call_soon_checked(callback, args, context)
        handle: Handle = _new(Handle)
        handle._callback = callback
        handle._args = args
        handle._context = copy_context() if context is None else context
        handle._loop = self
        self._ready.append(handle)
        return handle

    def _call_soon_checked(
        self, callback: _Callback, args: tuple[Any, ...], context: Context | None
    ) -> asyncio.Handle:
        handle: asyncio.Handle = super().call_soon(callback, *args, context=context)
        _trim_traceback(handle, 2)  # this method and the caller's front door
        return handle

    def call_soon_threadsafe(  # type: ignore[override]
        self, callback: _Callback, *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        """Run the callback in the next turn, and wake the loop; any thread may call this."""
        if self._checking:
            handle = super().call_soon_threadsafe(callback, *args, context=context)
            _trim_traceback(handle, 1)
            return handle
        lean: Handle = _new(Handle)
        lean._callback = callback
        lean._args = args
        lean._context = copy_context() if context is None else context
        lean._loop = self
        self._ready.append(lean)
        if not self._woken:
            self._write_to_self()
        return lean

    def _new_handle(self, callback: _Callback, args: tuple[Any, ...]) -> asyncio.Handle:
        """Make a handle that runs as often as its owner puts it into ``_ready``."""
        if self._debug:
            return asyncio.Handle(callback, args, self, None)
        handle: Handle = _new(Handle)
        handle._callback = callback
        handle._args = args
        handle._context = copy_context()
        handle._loop = self
        return handle

    def _internal_handle(
        self, callback: _Callback, args: tuple[Any, ...], context: Context | None
    ) -> InternalHandle:
        """Make a handle that the caller puts into ``_ready`` himself (see InternalHandle)."""
        handle: InternalHandle = _new(InternalHandle)
        handle._callback = callback
        handle._args = args
        handle._context = copy_context() if context is None else context
        handle._loop = self
        return handle

    def _call_internal(
        self, callback: _Callback, *args: Any, context: Context | None = None
    ) -> None:
        """Have the loop take a step of its own work, in order with everything else."""
        self._ready.append(self._internal_handle(callback, args, context))

    def call_later(  # type: ignore[override]
        self, delay: float, callback: _Callback, *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Run the callback ``delay`` seconds from now."""
        if delay is None:
            raise TypeError("delay must not be None")
        if self._checking:
            checked = self.call_at(self.time() + delay, callback, *args, context=context)
            _trim_traceback(checked, 1)
            return checked
        # As call_at(), without the call: it would be a quarter of what a timer costs.
        timer: TimerHandle = _new(TimerHandle)
        timer._callback = callback
        timer._args = args
        timer._context = copy_context() if context is None else context
        timer._loop = self
        timer._when = when = self.time() + delay
        timer._scheduled = True
        heappush(self._scheduled, (when, self._next_timer(), timer))
        return timer

    def call_at(  # type: ignore[override]
        self, when: float, callback: _Callback, *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Run the callback at ``when``, in seconds of loop.time()."""
        if when is None:
            raise TypeError("when cannot be None")
        if self._checking:
            return self._call_at_checked(when, callback, args, context)
        timer: TimerHandle = _new(TimerHandle)
        timer._callback = callback
        timer._args = args
        timer._context = copy_context() if context is None else context
        timer._loop = self
        timer._when = when
        timer._scheduled = True
        heappush(self._scheduled, (when, self._next_timer(), timer))
        return timer

    def _call_at_checked(
        self, when: float, callback: _Callback, args: tuple[Any, ...], context: Context | None
    ) -> asyncio.TimerHandle:
        self._check_closed()
        self._check_thread()
        self._check_callback(callback, "call_at")
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        _trim_traceback(timer, 2)
        timer._scheduled = True  # type: ignore[attr-defined]
        heappush(self._scheduled, (when, self._next_timer(), timer))
        return timer

    def _timer_handle_cancelled(self, handle: Any) -> None:
        if handle._scheduled:
            self._timer_cancelled_count += 1

    def _clean_timers(self) -> None:
        """Drop cancelled timers, all when they are many, else those at the head."""
        if is_worth_cleaning(self._scheduled, self._timer_cancelled_count):
            self._scheduled = without_cancelled(self._scheduled)
            self._timer_cancelled_count = 0
        else:
            self._timer_cancelled_count -= drop_cancelled_head(self._scheduled)

    def _ready_due_timers(self) -> None:
        """Move what is due into the ready queue."""
        end = self.time() + self._clock_resolution
        self._timer_cancelled_count -= move_due(self._scheduled, end, self._ready)

    def _run_ready(self) -> None:
        """Run the handles that are ready now, not those that they add.

        A handle is looked at, removed and run without a call in between, so that an interrupt
        finds it either still queued or running.
        """
        if self._debug:
            self._run_ready_debug()
            return
        ready = self._ready
        for _ in range(len(ready)):
            handle = ready[0]
            del ready[0]
            callback = handle._callback
            if callback is None:
                continue
            args = handle._args
            try:
                if args:
                    handle._context.run(callback, *args)
                else:
                    handle._context.run(callback)
            except (SystemExit, KeyboardInterrupt):
                self._put_back(handle)
                raise
            except BaseException as exc:
                self._callback_failed(exc, handle, callback, args)

    def _run_ready_debug(self) -> None:
        """Run what is ready as asyncio does in debug mode, with warnings of slow callbacks."""
        ready = self._ready
        for _ in range(len(ready)):
            handle = ready[0]
            del ready[0]
            if handle._callback is None:
                continue
            self._current_handle = handle
            start = self.time()
            try:
                handle._run()
            except (SystemExit, KeyboardInterrupt):
                self._put_back(handle)
                raise
            finally:
                self._current_handle = None
            self._warn_if_slow(handle, self.time() - start)

    def _warn_if_slow(self, what: object, seconds: float) -> None:
        """Log what kept the loop busy for longer than slow_callback_duration."""
        if seconds >= self.slow_callback_duration:
            task = getattr(getattr(what, "_callback", None), "__self__", None)
            if isinstance(task, asyncio.Task):
                what = repr(task)
            logger.warning("Executing %s took %.3f seconds", what, seconds)

    def _put_back(self, handle: Any) -> None:
        """Keep a step of our own work that an interrupt has cut short."""
        if getattr(handle, "_retry", False):
            self._ready.appendleft(handle)

    def _callback_failed(
        self, exc: BaseException, handle: Any, callback: Any, args: tuple[Any, ...]
    ) -> None:
        context = {
            "message": f"Exception in callback {format_callback(callback, args)}",
            "exception": exc,
            "handle": handle,
        }
        if handle._source_traceback:
            context["source_traceback"] = handle._source_traceback
        self.call_exception_handler(context)

    def _write_to_self(self) -> None:
        raise NotImplementedError
