"""Operations in flight, and the end of the ring that they are in."""

from __future__ import annotations

import errno
import os
import time
from typing import TYPE_CHECKING, Any, Callable

from uringcore_cffi._handles import files

if TYPE_CHECKING:
    from uringcore_cffi._handles.pool import Pool
    from uringcore_cffi._handles.ring import Ring

# What does not end by itself is waited for as long, when an engine ends.
_PATIENCE_NS = 1_000_000_000


class Operation:
    """One operation, from its submission to its record.

    ``result`` is what the record says, once ``done``; ``memory`` is what the kernel may touch until
    then. ``late`` is called with the result if nobody waits for it any more. ``closing`` is the
    descriptor that a close() is about: it is closed here if the kernel was kept from that.
    """

    __slots__ = ("abandoned", "closing", "cookie", "done", "late", "memory", "name", "result")

    def __init__(self, cookie: int, memory: Any, late: Callable[[int], Any] | None) -> None:
        self.cookie = cookie
        self.name = 0
        self.memory = memory
        self.late = late
        self.closing = -1
        self.done = False
        self.abandoned = False
        self.result = 0

    def end(self, result: int) -> None:
        """Take the record's result; what nobody waits for is undone."""
        self.result = result
        self.done = True
        self.memory = None
        closing, self.closing = self.closing, -1
        if result == -errno.ECANCELED and closing >= 0:
            os.close(closing)
        if self.abandoned:
            self.undo()

    def undo(self) -> None:
        """Give back what the operation has made."""
        late, self.late = self.late, None
        if late is not None and self.result >= 0:
            late(self.result)


def release(ring: Ring, pool: Pool, pending: dict[int, Operation]) -> None:
    """End what is in flight, and free the ring."""
    if ring.handle == files.NO_RING:
        return
    try:
        _end_pending(ring, pending)
    except (OSError, RuntimeError):
        pass  # in a child, or refused: it ends with the ring
    ring.free()
    pool.free()
    for operation in list(pending.values()):
        if operation.memory is not None:
            _still_the_kernels.append(operation.memory)
        operation.abandoned = False
        operation.closing = -1  # somebody may be closing it
        operation.end(-errno.ECANCELED)
    pending.clear()


def _end_pending(ring: Ring, pending: dict[int, Operation]) -> None:
    """Cancel everything, and wait until the kernel has let go of it, for a while."""
    if not pending and not ring.recover():
        return
    ring.enable()
    for operation in list(pending.values()):
        operation.abandoned = True
        if operation.name:
            files.cancel(ring.handle, operation.name)
    batch = ring.recover()
    deadline = time.monotonic_ns() + _PATIENCE_NS
    while True:
        for _, result, _, _, cookie in batch:
            if cookie in pending:
                pending.pop(cookie).end(result)
        ring.taken()
        left = deadline - time.monotonic_ns()
        if not pending or left <= 0:
            return
        batch = ring.records(ring.wait(left))


# What the kernel has not let go of when its ring went: nobody else may ever have that memory.
_still_the_kernels: list[Any] = []
