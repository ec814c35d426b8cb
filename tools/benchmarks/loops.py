"""The event loops that are measured, and where each comes from."""

from __future__ import annotations

import asyncio
import importlib
import importlib.metadata
import importlib.util
from dataclasses import dataclass


def version(distribution: str) -> str:
    """The installed version of what pip calls so, or an empty text."""
    try:
        return importlib.metadata.version(distribution) if distribution else ""
    except importlib.metadata.PackageNotFoundError:
        return ""


@dataclass(frozen=True)
class Loop:
    """An event loop of asyncio's kind."""

    distribution: str
    """What pip calls it; empty for what comes with Python."""
    module: str
    about: str
    factory: str = "new_event_loop"
    """What in the module makes a loop."""

    @property
    def installed(self) -> bool:
        """Whether its module can be found."""
        return importlib.util.find_spec(self.module) is not None

    @property
    def version(self) -> str:
        """The installed version, or an empty text."""
        return version(self.distribution)


OURS = "uringcore"

KNOWN = {
    OURS: Loop("uringcore-cffi", "uringcore_cffi", "ours"),
    "uvloop": Loop("uvloop", "uvloop", "libuv, in Cython"),
    "asyncio": Loop("", "asyncio", "the selector loop of this Python"),
    "rloop": Loop("rloop", "rloop", "mio, in Rust"),
    "veloxloop": Loop("veloxloop", "veloxloop", "in Rust"),
    "loopmini": Loop("loopmini", "loopmini", "in Rust"),
    "bracio": Loop("bracio", "bracio", "Tokio, in Rust", "BracioLoop"),
    "zloop": Loop("zloop", "zloop", "in Zig"),
    "blazio": Loop("blazio", "blazio", "zio.ev, in Zig"),
    "talyn": Loop("talyn", "talyn", "io_uring, in Zig", "Loop"),
    "zuvloop": Loop("zuvloop", "zuvloop", "libuv, in Zig"),
    "pypi-uringcore": Loop("uringcore", "uringcore", "io_uring, in Rust", "UringEventLoop"),
    "uringio": Loop("uringio", "uringio", "io_uring, in Cython", "UringioLoop"),
    "uringloop": Loop("uringloop", "uringloop", "io_uring, in Python"),
    "rsloop": Loop("rsloop", "rsloop", "in Rust"),
    "lustr": Loop("lustr", "lustr", "PhotonLibOS, in Rust"),
}
"""Name on the command line -> loop. The first three are measured everywhere.

Those that come without wheels, and take minutes to build or to fail, stand at the end.
"""

COMMON = (OURS, "uvloop", "asyncio")

OTHERS = tuple(name for name in KNOWN if name not in COMMON)
"""What ``tools/bench --install-peers`` tries to get."""


LIBRARIES = {"aiofiles": "aiofiles"}
"""Module -> what pip calls it: what else ``--install-peers`` gets, for the suite ``files``."""


def new_event_loop(name: str, **options: object) -> asyncio.AbstractEventLoop:
    """A fresh loop of the kind that ``KNOWN`` names."""
    known = KNOWN[name]
    factory = getattr(importlib.import_module(known.module), known.factory)
    loop: asyncio.AbstractEventLoop = factory(**options)
    return loop
