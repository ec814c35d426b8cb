"""Which loops can be measured from inside."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from benchmarks.loops import KNOWN, OTHERS, OURS, new_event_loop
from benchmarks.outcomes import obstacle


@dataclass(frozen=True)
class Subject:
    """A loop out of ``KNOWN``, under the name that the command line has for it."""

    name: str
    loop: str

    @property
    def label(self) -> str:
        """What tables call it."""
        return KNOWN[self.loop].distribution or self.loop

    @property
    def version(self) -> str:
        """Of an installed package; empty for asyncio, which comes with Python."""
        return KNOWN[self.loop].version

    @property
    def module(self) -> str:
        """What to import."""
        return KNOWN[self.loop].module

    @property
    def factory(self) -> str:
        """What in the module makes a loop."""
        return KNOWN[self.loop].factory

    @property
    def foreign(self) -> bool:
        """Whether it comes from elsewhere, so that its failures are no failure of this project."""
        return self.loop in OTHERS

    @property
    def obstacle(self) -> str | None:
        """Why it cannot be measured here, or None."""
        return obstacle(self.loop)

    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        """Make a loop."""
        return new_event_loop(self.loop)


SUBJECTS = tuple(Subject("ours" if loop == OURS else loop, loop) for loop in KNOWN)
