"""How a piece of work is timed, and what a workload is."""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from benchmarks.inside.subjects import Subject


class Watch:
    """A context manager that takes the time of its body: on the clock and on the CPU."""

    seconds = 0.0
    cpu_seconds = 0.0

    def __enter__(self) -> Watch:
        """Begin."""
        self._cpu = time.process_time()
        self._clock = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self.seconds = time.perf_counter() - self._clock
        self.cpu_seconds = time.process_time() - self._cpu


def watch_run(loop: asyncio.AbstractEventLoop, first: Callable[[], object]) -> Watch:
    """Run the loop, beginning with a callback, until it is stopped; take the time of that."""
    loop.call_soon(first)
    with Watch() as watch:
        loop.run_forever()
    return watch


@dataclass(frozen=True)
class Timing:
    """What one window showed, per operation."""

    us: float
    cpu_us: float
    """CPU time of this process; children that it started have their own."""
    count: int
    """How many operations were timed."""


Work = Callable[[Subject, int], Watch]


@dataclass(frozen=True)
class Workload:
    """One kind of operation."""

    name: str
    title: str
    work: Work
    """Does the operation so many times and tells how long that took."""


def on_loop(work: Callable[[asyncio.AbstractEventLoop, int], Watch]) -> Work:
    """Give the work a new loop each time, and close it behind the work."""

    @functools.wraps(work)
    def run(subject: Subject, count: int) -> Watch:
        loop = subject.new_event_loop()
        try:
            return work(loop, count)
        finally:
            loop.run_until_complete(loop.shutdown_default_executor())
            loop.close()

    return run


def in_task(work: Callable[[int], Coroutine[Any, Any, Watch]]) -> Work:
    """Run a coroutine on a new loop each time."""

    @functools.wraps(work)
    def run(loop: asyncio.AbstractEventLoop, count: int) -> Watch:
        return loop.run_until_complete(work(count))

    return on_loop(run)
