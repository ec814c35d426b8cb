"""Who may use a file now: tasks take turns, first come, first served."""

from __future__ import annotations

import asyncio
from collections import deque


class Turn:
    """A lock whose free state costs its user one look at an attribute.

    Take it with ``if turn.taken: await turn.wait()`` and then ``turn.taken = True``, with nothing
    awaited in between; give it back with give().
    """

    __slots__ = ("_waiters", "closed", "taken")

    def __init__(self) -> None:
        self.taken = False
        self.closed = False  # the file is: who still waits comes too late
        self._waiters: deque[asyncio.Future[None]] = deque()

    async def wait(self, *, to_close: bool = False) -> None:
        """Wait for the turn; when this returns it is the caller's.

        If the file was closed meanwhile, raise ValueError, but not for who wants to close it too.
        """
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            await waiter
        except BaseException:
            if waiter.done() and not waiter.cancelled():
                self.give()  # it was ours for a moment
            raise
        if self.closed and not to_close:
            self.give()
            raise ValueError("I/O operation on closed file")

    def give(self) -> None:
        """Pass the turn on."""
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                try:
                    waiter.set_result(None)
                except RuntimeError:
                    continue  # its loop was closed: it will never run
                return
        self.taken = False
