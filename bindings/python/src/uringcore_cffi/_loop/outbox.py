"""The small writes of a turn, handed to C in one call at its end.

A foreign call costs more than all else that a small write needs, so within a turn a write is only
noted: two numbers and the bytes. Whatever has to come after it on the same descriptor (a large
write, a close, a question for the size of the queue) has the notes handed over first.

An interrupt may strike between the call and the forgetting of the notes. The call is then made
again with the same sequence number, and C takes only what it did not take before.
"""

from __future__ import annotations

import errno
from array import array
from typing import TYPE_CHECKING

from uringcore_cffi._ffi.errors import check_answer

if TYPE_CHECKING:
    from uringcore_cffi._handles.ring import Ring


class Outbox:
    """What was written in this turn and C does not know of yet."""

    __slots__ = ("_ring", "_sequence", "data", "heads", "open")

    def __init__(self, ring: Ring) -> None:
        self._ring = ring
        self._sequence = 1
        self.open = False  # a turn is on: what is noted will be handed over
        # Two numbers for each write, as struct uc_send has them: the cookie; then the descriptor
        # and the count in one.
        self.heads: list[int] = []
        self.data: list[bytes] = []

    @staticmethod
    def head(fileno: int) -> int:
        """Return the number to which a write on ``fileno`` adds its count."""
        return fileno << 32

    def flush(self) -> None:
        """Hand over what was noted. May be called again after an interrupt."""
        count = len(self.data)
        if not count:
            return
        heads = array("Q", self.heads[: 2 * count])
        answer = self._ring.send(self._sequence, heads, b"".join(self.data[:count]))
        # In a forked child it is the parent's to send.
        check_answer(answer, "uc_ring_send", errno.ECHILD)
        # Next to each other, without a call in between.
        del self.heads[: 2 * count]
        del self.data[:count]
        self._sequence += 1

    def clear(self) -> None:
        """Forget what was noted: it is another process's to send."""
        self.heads = []
        self.data = []
