"""Which loop is under test, and what its last counters were: for tests and programs they start."""

from __future__ import annotations

import asyncio
import dataclasses
import importlib
import json
import os

OURS = "uringcore_cffi:new_event_loop"
# The environment's names: MODULE:FACTORY of the loop, and the file that counters are added to.
LOOP = "INTEGRATION_LOOP"
REPORT = "INTEGRATION_REPORT"


def factory_name() -> str:
    """Return MODULE:FACTORY of the loop under test."""
    return os.environ.get(LOOP, OURS)


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Make a loop of the kind under test."""
    module, _, factory = factory_name().partition(":")
    return getattr(importlib.import_module(module), factory)()


class Policy(asyncio.DefaultEventLoopPolicy):
    """For libraries that take no factory: the loop under test, from the policy."""

    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        """Make a loop of the kind under test."""
        return new_event_loop()


def report_closing() -> None:
    """From now on, add the last counters of every closed loop to the file that REPORT names.

    One line a loop, in one write: processes that were forked may share the file.
    """
    from leaks import watch_closing

    def note(stats) -> None:
        line = json.dumps({"pid": os.getpid(), **dataclasses.asdict(stats)})
        with open(os.environ[REPORT], "a", encoding="ascii") as report:
            report.write(line + "\n")

    watch_closing(note)
