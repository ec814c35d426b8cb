"""The Python servers that are measured: ``python -m benchmarks.servers LOOP SERVICE``.

Prints ``port N`` or ``unix PATH`` once it listens, and ends with its standard input (see
``control``).
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Awaitable

from benchmarks.control import answer_questions
from benchmarks.loops import COMMON, KNOWN, new_event_loop
from benchmarks.services import SERVICES

__all__ = ["LOOPS", "main", "new_event_loop", "run"]

LOOPS = {name: KNOWN[name].module for name in COMMON}
"""The loops that are there everywhere: name on the command line -> module."""


async def _serve(name: str) -> None:
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    service = await SERVICES[name]()
    answer_questions(loop, stopped.set)
    print(service.address, flush=True)
    await stopped.wait()
    service.close()


def run(loop: asyncio.AbstractEventLoop, main: Awaitable[None]) -> None:
    """``asyncio.run`` on a given loop, the same on every Python version."""
    asyncio.set_event_loop(loop)
    try:
        loop.run_until_complete(main)
    finally:
        asyncio.set_event_loop(None)
        loop.close()


def main() -> None:
    """Serves until the input ends."""
    parser = argparse.ArgumentParser(prog="benchmarks.servers", description=__doc__)
    parser.add_argument("loop", choices=sorted(KNOWN))
    parser.add_argument("service", choices=sorted(SERVICES))
    parser.add_argument(
        "--options", type=json.loads, default={}, help="of new_event_loop(), as JSON"
    )
    arguments = parser.parse_args()
    run(new_event_loop(arguments.loop, **arguments.options), _serve(arguments.service))


if __name__ == "__main__":
    main()
