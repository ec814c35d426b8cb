"""Interrupts that strike the loop's own code: at a given call, or as a storm of signals."""

from __future__ import annotations

import os
import signal
import sys

from patience import SLOWNESS

import uringcore_cffi

PACKAGE = os.path.dirname(os.path.abspath(uringcore_cffi.__file__))


def is_loops_own(frame) -> bool:
    """Tell whether a frame is the loop's own work.

    It is not when the application called the method: that interrupt is the application's.
    """
    while frame is not None and frame.f_code.co_filename.startswith(PACKAGE):
        if frame.f_code.co_name in ("_run_once", "run_forever"):
            return True
        frame = frame.f_back
    return False


class Interrupter:
    """Raises KeyboardInterrupt at the k-th event in a frame that it is to strike.

    Unless told otherwise, that is the k-th call of a function in the loop's own work.
    """

    def __init__(self, at: int, *, events=("call",), strikes=is_loops_own) -> None:
        self.left = at
        self.events = events
        self.strikes = strikes
        self.fired = False

    def __call__(self, frame, event, _argument):
        if event in self.events and not self.fired and self.strikes(frame):
            self.left -= 1
            if self.left == 0:
                self.fired = True
                raise KeyboardInterrupt


class Tracing:
    """Installs a trace function for the time of a with block."""

    def __init__(self, function) -> None:
        self.function = function

    def __enter__(self):
        self.previous = sys.gettrace()
        sys.settrace(self.function)

    def __exit__(self, *_):
        sys.settrace(self.previous)


# Between two signals a loop has to get something done, also on an emulated machine.
STORM_SECONDS = 0.0003 * SLOWNESS


class Storm:
    """Real signals whose handler interrupts the loop's own code, wherever it is."""

    def __enter__(self):
        self.previous = signal.signal(signal.SIGALRM, self.strike)
        signal.setitimer(signal.ITIMER_REAL, STORM_SECONDS, STORM_SECONDS)

    def strike(self, _signum, frame):
        if is_loops_own(frame):
            raise KeyboardInterrupt

    def __exit__(self, *_):
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, self.previous)
