"""What tests of add_reader() and add_writer() take: files of every kind, and callbacks."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pty
import socket
import tty

from patience import PATIENCE


class Calls:
    """A callback that counts its calls, does what it was told to, and can be waited for."""

    def __init__(self, action=None) -> None:
        self.count = 0
        self.action = action
        self._called = asyncio.Event()

    def __call__(self):
        self.count += 1
        self._called.set()
        if self.action is not None:
            self.action()

    async def wait(self, more: int = 1) -> None:
        """Wait until it has been called so many times more."""
        goal = self.count + more
        while self.count < goal:
            self._called.clear()
            await asyncio.wait_for(self._called.wait(), PATIENCE)


@contextlib.contextmanager
def socket_ends():
    """Yield the reading and the writing number of a socket pair."""
    one, other = socket.socketpair()
    with one, other:
        yield one.fileno(), other.fileno()


def _numbers(make):
    @contextlib.contextmanager
    def ends():
        numbers = make()
        try:
            yield numbers
        finally:
            for number in numbers:
                os.close(number)

    return ends


def _raw_pty():
    master, slave = pty.openpty()
    tty.setraw(slave)
    return master, slave


pipe_ends = _numbers(os.pipe)
pty_ends = _numbers(_raw_pty)

ENDS = {"socket": socket_ends, "pipe": pipe_ends, "pty": pty_ends}
