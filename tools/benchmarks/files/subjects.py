"""Who works with files: a way, on a loop."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.files.kinds import Awaited, Fs, InThread, Raw
from benchmarks.load import native_program
from benchmarks.loops import LIBRARIES, OURS, new_event_loop, version
from benchmarks.outcomes import NOT_TRIED, obstacle, read_reasons

BASE = "aiofiles-uvloop"


@dataclass(frozen=True)
class Subject:
    """A way to work with files, on a loop out of ``KNOWN``."""

    name: str
    label: str
    loop: str
    kind: Callable[..., Any]
    """A class of ``kinds``."""
    library: str = ""
    """The module that it imports."""
    backend: str = ""
    """What libuc must run on."""
    program: str = ""
    """The program in C that it starts."""

    foreign = False
    """Whoever fails here is a failure: nothing of this comes from far away."""

    @property
    def version(self) -> str:
        """Of a library that has one of its own, and is here."""
        return version(LIBRARIES.get(self.library, ""))

    @property
    def obstacle(self) -> str | None:
        """Why it cannot be measured here, or None."""
        if self.program and native_program(self.program) is None:
            return f"{self.program} is not built"
        if self.library in LIBRARIES and importlib.util.find_spec(self.library) is None:
            return read_reasons(Path(sys.prefix)).get(self.library, NOT_TRIED)
        return obstacle(self.loop)

    def can(self, method: str) -> bool:
        """Whether it takes part in a workload."""
        return hasattr(self.kind, method)

    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        """Make a loop."""
        return new_event_loop(self.loop)

    def enter(self) -> Any:
        """The way itself; this process serves nobody else from now on."""
        if self.backend:
            os.environ["UC_BACKEND"] = self.backend
        return self.kind(self.library) if self.library else self.kind()


_FS = "uringcore_cffi.fs"

SUBJECTS = (
    Subject("ours", "fs, uringcore-cffi", OURS, Fs, _FS, "uring"),
    Subject("ours-epoll", "fs, uringcore-cffi on epoll", OURS, Fs, _FS, "epoll"),
    Subject("ours-asyncio", "fs, asyncio", "asyncio", Fs, _FS, "uring"),
    Subject(BASE, "aiofiles, uvloop", "uvloop", Awaited, "aiofiles"),
    Subject("aiofiles-asyncio", "aiofiles, asyncio", "asyncio", Awaited, "aiofiles"),
    Subject("thread", "a plain loop in a thread, uvloop", "uvloop", InThread),
    Subject("raw-uring", "raw io_uring (C)", "asyncio", Raw, program="raw_file_read"),
)
