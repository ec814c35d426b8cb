"""pause_writing() and resume_writing(), paired exactly as asyncio pairs them.

The sizes are known in C: every send answers with the bytes now queued, and a record with
UC_EVENT_LOW_WATER says that the queue has sunk to the low mark after it was above the high one.
Python only remembers whether the protocol is paused.
"""

from __future__ import annotations

from typing import Any, Callable

from uringcore_cffi._ffi.errors import GONE, check_answer
from uringcore_cffi._loop.compat import FlowControlMixin


class FlowControl(FlowControlMixin):  # type: ignore[misc]
    """asyncio's mix-in, told the size instead of asking for it.

    Class invariant: ``_protocol_paused`` is true from just before pause_writing() to just before
    resume_writing().
    """

    _loop: Any
    _protocol: Any
    _protocol_paused: bool
    _high_water: int
    _low_water: int
    _report: Callable[[BaseException, str], None]
    # Tells C the marks, in bytes.
    _tell_water_marks: Callable[[int, int], int]

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set the marks, in bytes; see asyncio.WriteTransport."""
        self._set_write_buffer_limits(high=high, low=low)
        if self._loop is None:
            return  # the connection is lost
        self._loop._own_thread()
        answer = self._tell_water_marks(self._high_water, self._low_water)
        check_answer(answer, "uc_fd_set_water_marks", *GONE)
        self._pause_protocol_above_high(self.get_write_buffer_size())

    def _pause_protocol_above_high(self, size: int) -> None:
        """Call pause_writing() if ``size`` is above the mark and the protocol is not paused."""
        if size <= self._high_water or self._protocol_paused:
            return
        self._protocol_paused = True
        try:
            self._protocol.pause_writing()
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as exc:
            self._report(exc, "protocol.pause_writing() failed")

    def _resume_protocol(self) -> None:
        """Call resume_writing() if the protocol is paused; may be called twice.

        Not if so much was written since the queue sank that it is above the mark again: then C
        will tell once more.
        """
        if not self._protocol_paused or self._protocol is None:
            return
        if self.get_write_buffer_size() <= self._high_water:
            self._resume_protocol_now()

    def _resume_protocol_now(self) -> None:
        self._protocol_paused = False
        try:
            self._protocol.resume_writing()
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as exc:
            self._report(exc, "protocol.resume_writing() failed")

    def _hand_over_pause(self, protocol: Any) -> None:
        """Pause asyncio's TLS, which insists on it, instead of the protocol above it."""
        self._resume_protocol_now()
        protocol.pause_writing()
        self._protocol_paused = True
