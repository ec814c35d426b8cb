"""A ring for programs that run another loop: stock asyncio, trio, or one of their own.

    with Ring() as ring:
        loop.add_reader(ring.event_fd(), handle_events)
        ring.read(file.fileno(), 4096, 0, cookie=...)
        handle_events()                                 # what was asked for leaves in a turn

    def handle_events():
        while events := ring.turn():
            for event in events:
                ...

The classes are those of libuc, method for function, with Python's exceptions; there is no policy
here. ``docs/howto/embedding.md`` says how a ring lives in another loop; the headers in
``include/uc`` say what each function does.

What is asked for is queued. It goes to the kernel in the next turn(), or with flush(). A guest
calls turn() until it returns nothing: whenever event_fd() is readable, and after it has asked for
something outside of that.

One thread runs a ring; others get RuntimeError, and may only wake() it. In a forked child
everything but free() and reinit() raises ChildProcessError. What was freed raises ValueError, but
for free(), which may be repeated.
"""

from __future__ import annotations

from uringcore_cffi._handles.lease import Lease
from uringcore_cffi._handles.pool import Pool, PoolStats
from uringcore_cffi._handles.ring import Info, Stats
from uringcore_cffi.lowlevel.event import Event, EventFlag, EventKind
from uringcore_cffi.lowlevel.fd import Fd, FdStatus
from uringcore_cffi.lowlevel.operation import Operation
from uringcore_cffi.lowlevel.ring import Ring

__all__ = [
    "Event",
    "EventFlag",
    "EventKind",
    "Fd",
    "FdStatus",
    "Info",
    "Lease",
    "Operation",
    "Pool",
    "PoolStats",
    "Ring",
    "Stats",
]
