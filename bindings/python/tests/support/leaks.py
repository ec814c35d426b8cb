"""What nothing may leave behind: open descriptors, running threads, operations in flight."""

from __future__ import annotations

import contextlib
import functools
import os
import threading
import warnings
from typing import TYPE_CHECKING, Callable

from garbage import collect

import uringcore_cffi

if TYPE_CHECKING:
    from collections.abc import Iterator


# How long a thread may take from its last effect to its end.
ENDING_SECONDS = 2


def refusal() -> str:
    """Say why no loop can be made, or none on io_uring although it is required; or nothing."""
    try:
        loop = uringcore_cffi.new_event_loop()
    except OSError as error:
        return str(error)
    loop.close()
    required = os.environ.get("UC_REQUIRE_IO_URING") == "1"
    if loop.info().backend == "epoll" and required and os.environ.get("UC_BACKEND") != "epoll":
        return loop.info().reason
    return ""


def open_descriptors() -> dict[str, str]:
    """Return the open descriptors and what they are."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[name] = os.readlink(f"/proc/self/fd/{name}")
        except FileNotFoundError:
            continue  # the listing's own
    return found


def watch_closing(note: Callable[[uringcore_cffi.Stats], None]) -> Callable[[], None]:
    """Call ``note`` with the last counters of every loop that is closed; return the undo."""
    close = uringcore_cffi.UringEventLoop.close

    @functools.wraps(close)
    def noting_close(self):
        was_closed = self.is_closed()
        close(self)
        if not was_closed:
            note(self.stats())

    def undo() -> None:
        uringcore_cffi.UringEventLoop.close = close

    uringcore_cffi.UringEventLoop.close = noting_close
    return undo


@contextlib.contextmanager
def nothing_left() -> Iterator[None]:
    """Fail if the block leaves a descriptor, a thread or an operation behind."""
    closed: list[uringcore_cffi.Stats] = []
    undo = watch_closing(closed.append)
    collect()
    descriptors = open_descriptors()
    threads = set(threading.enumerate())
    try:
        yield
    finally:
        undo()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        collect()
    new = {k: v for k, v in open_descriptors().items() if descriptors.get(k) != v}
    assert not new, f"descriptors left open: {new}"
    left = set(threading.enumerate()) - threads
    for thread in left:
        thread.join(ENDING_SECONDS)  # it may be on its last lines
    left = {thread for thread in left if thread.is_alive()}
    assert not left, f"threads left running: {left}"
    for stats in closed:
        assert stats.in_flight == 0, stats
        assert stats.stale == 0, stats
