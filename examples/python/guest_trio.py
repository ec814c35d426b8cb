"""A ring inside trio: ``guest_trio.py [FILE...]`` prints the checksum of each file.

The files (this one, if none is named) are read beside each other by the ring, without threads.
"""

from __future__ import annotations

import os
import sys
import zlib
from typing import Any, Callable

import trio

from uringcore_cffi.lowlevel import Event, Ring

PIECE_BYTES = 1 << 16


class Guest:
    """A ring that trio watches; a cookie is what is called with the event."""

    def __init__(self, ring: Ring) -> None:
        """Take a ring; run() is to be started in a nursery."""
        self.ring = ring

    async def run(self) -> None:
        """Take turns whenever the ring has something, until cancelled."""
        while True:
            await trio.lowlevel.wait_readable(self.ring.event_fd())
            self.turn()

    def turn(self) -> None:
        """Submit what was asked for, and handle what has happened, until nothing has."""
        while events := self.ring.turn():
            for event in events:
                event.cookie(event)

    async def ask(self, function: Callable[..., Any], *args: Any) -> Event:
        """Ask for an operation and wait for its event; if cancelled, have it end early."""
        ended = trio.Event()
        events: list[Event] = []

        def end(event: Event) -> None:
            events.append(event)
            ended.set()

        operation = function(*args, cookie=end)
        self.turn()
        try:
            await ended.wait()
        except trio.Cancelled:
            operation.cancel()
            with trio.CancelScope(shield=True):  # the kernel uses the file until the event
                self.turn()
                await ended.wait()
            raise
        return events[0]


async def print_checksum(guest: Guest, path: str) -> None:
    """Read a file piece by piece."""
    ring = guest.ring
    number = (await guest.ask(ring.openat, path, os.O_RDONLY)).check()
    checksum = size = 0
    try:
        while (event := await guest.ask(ring.read, number, PIECE_BYTES)).check():
            checksum = zlib.crc32(event.data(), checksum)
            size += event.result
    finally:
        os.close(number)
    print(f"{checksum:08x} {size} {path}")


async def main(paths: list[str]) -> None:
    """Read all files at the same time."""
    with Ring() as ring:
        guest = Guest(ring)
        async with trio.open_nursery() as background:
            background.start_soon(guest.run)
            async with trio.open_nursery() as readers:
                for path in paths:
                    readers.start_soon(print_checksum, guest, path)
            background.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(main, sys.argv[1:] or [__file__])
