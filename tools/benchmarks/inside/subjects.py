"""Which loops can be measured from inside."""

from __future__ import annotations

import asyncio
import importlib
import importlib.metadata
import importlib.util
from dataclasses import dataclass

from benchmarks.servers import LOOPS

NAMES = {"uringcore": "ours"}
"""The name on the command line, where it is another than the key of ``LOOPS``."""


@dataclass(frozen=True)
class Subject:
    """A package that makes event loops."""

    name: str
    module: str

    @property
    def label(self) -> str:
        """What tables call it."""
        return self.module.replace("_", "-")

    @property
    def version(self) -> str:
        """Of an installed package; empty for asyncio, which comes with Python."""
        try:
            return importlib.metadata.version(self.module)
        except importlib.metadata.PackageNotFoundError:
            return ""

    @property
    def installed(self) -> bool:
        """Whether it can be imported, without importing it."""
        return importlib.util.find_spec(self.module) is not None

    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        """Make a loop."""
        loop: asyncio.AbstractEventLoop = importlib.import_module(self.module).new_event_loop()
        return loop


SUBJECTS = tuple(Subject(NAMES.get(name, name), module) for name, module in LOOPS.items())
