"""A one-shot operation, and the memory that it uses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from uringcore_cffi._handles import files

if TYPE_CHECKING:
    from uringcore_cffi.lowlevel.operations import OperationMethods

# Whose result is no count.
_WHOLE = ("statx", "statvfs")


def steady(data: Any) -> Any:
    """Return ``data``, or a copy of it where Python might move it."""
    return bytes(data) if files.MEMORY_MOVES and type(data) is not bytes else data


class Operation:
    """Something that a ring was asked for once, and reports once.

    Returned by the methods of Ring. The ring keeps it, and the memory that it uses, until the
    event: nobody else has to.

    ``name`` is the method's, ``cookie`` what it was given; ``result`` is None until turn() has
    returned the event, then the event's result.
    """

    __slots__ = (
        "_held",
        "_identifier",
        "_number",
        "_ring",
        "_target",
        "_written",
        "cookie",
        "name",
        "result",
    )

    def __init__(
        self,
        ring: OperationMethods,
        name: str,
        number: int,
        cookie: object,
        held: Any,
        written: Any,
    ) -> None:
        """Made by the methods of Ring."""
        self._ring = ring
        self._number = number  # libuc's cookie
        self._identifier = 0  # libuc's name for it
        self._held = held  # memory of the caller's, pinned
        self._written: Any = written  # ours, for the kernel to write to
        self._target: Any = None  # of the caller's, to be filled from ours
        self.name = name
        self.cookie = cookie
        self.result: int | None = None

    def cancel(self) -> bool:
        """Ask for an early end; False if it has ended: its event is due, or was returned.

        The operation's own event tells how it ended: with -ECANCELED, or with its result if it was
        too late.
        """
        return self._ring.cancel(self)

    def __repr__(self) -> str:
        state = "in flight" if self.result is None else f"result {self.result}"
        return f"<{type(self).__name__} {self.name} of cookie {self.cookie!r}, {state}>"

    def _end(self, result: int) -> None:
        """Let go of the caller's memory: the record has come. May be done again."""
        self.result = result
        held, self._held = self._held, None
        if held is not None:
            files.unpin(held)
        target, self._target = self._target, None
        if target is not None:
            self._fill(memoryview(target).cast("B"), result)

    def _fill(self, target: memoryview, count: int) -> None:
        written, self._written = self._written, None
        assert written is not None
        fits = max(0, min(count, len(target)))
        target[:fits] = written.view[:fits]

    def _data(self, count: int) -> bytes:
        """Copy what the kernel has written out of our memory; the caller's is the caller's."""
        written = self._written
        if not isinstance(written, files.Block):
            return b""
        data: bytes = written.view[: written.size if self.name in _WHOLE else count]
        return data
