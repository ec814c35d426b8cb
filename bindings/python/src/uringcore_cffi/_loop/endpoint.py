"""What the loop asks of whoever gets records; transports are endpoints too."""

from __future__ import annotations

from contextvars import Context
from typing import Any, Callable, Protocol


class Endpoint(Protocol):
    """Who receives the records of one attached descriptor or operation."""

    _context: Context

    @property
    def receive(self) -> Callable[[bytes], Any] | None:
        """Where a piece of data goes as bytes, within ``_context``; None: to on_record()."""

    @property
    def receive_lease(self) -> Callable[[Any], Any] | None:
        """Where it goes as a lease, if not to receive(); None: to on_record()."""

    def receive_failed(self, exc: BaseException) -> None:
        """Be told that one of them raised."""

    def on_record(self, following: int, kind: int, result: int, flags: int, offset: int) -> None:
        """Handle any other record; ``following`` is the value of the commit."""

    def loop_closed(self) -> None:
        """Let go of everything: the loop is closed and no record will come."""

    def forked(self) -> None:
        """Be dead from now on: this is a child, just forked, and all this is its parent's."""


class RecordsOnly:
    """An endpoint of which every record goes to on_record()."""

    _context: Context  # only receive() would run in it
    receive = None
    receive_lease = None

    def receive_failed(self, exc: BaseException) -> None:
        """Cannot happen: there is no receive()."""
        raise exc
