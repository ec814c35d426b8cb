"""A drop-in asyncio event loop on io_uring, in pure Python over libuc.

    asyncio.run(main(), loop_factory=uringcore_cffi.new_event_loop)   # Python 3.12 and later
    uringcore_cffi.run(main())                                        # any Python

``python -m uringcore_cffi program.py`` runs an unmodified program on it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from uringcore_cffi._handles.fd import FdStatus
from uringcore_cffi._handles.lease import Lease
from uringcore_cffi._handles.pool import Pool, PoolStats
from uringcore_cffi._handles.ring import Info, Stats
from uringcore_cffi._loop.loop import UringEventLoop
from uringcore_cffi.policy import EventLoopPolicy, install
from uringcore_cffi.runners import new_event_loop, run
from uringcore_cffi.streams import (
    StreamReader,
    open_connection,
    open_unix_connection,
    start_server,
    start_unix_server,
)
from uringcore_cffi.transports.lease_protocol import LeaseProtocol

if TYPE_CHECKING:
    from typing import Any

    from uringcore_cffi.lowlevel import Fd, Ring

    __version__: str

__all__ = [
    "EventLoopPolicy",
    "Fd",
    "FdStatus",
    "Info",
    "Lease",
    "LeaseProtocol",
    "Pool",
    "PoolStats",
    "Ring",
    "Stats",
    "StreamReader",
    "UringEventLoop",
    "install",
    "new_event_loop",
    "open_connection",
    "open_unix_connection",
    "run",
    "start_server",
    "start_unix_server",
]


_LOWLEVEL = ("Fd", "Ring")


def __getattr__(name: str) -> Any:
    if name in _LOWLEVEL:  # most programs need only the loop
        from uringcore_cffi import lowlevel

        found = globals()[name] = getattr(lowlevel, name)
        return found
    if name == "__version__":
        from importlib.metadata import version

        return version("uringcore-cffi")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
