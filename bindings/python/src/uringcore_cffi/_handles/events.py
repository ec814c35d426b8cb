"""What comes out of a ring: kinds, flags and the layout of a record.

The numbers are those of ``include/uc/event.h``, as plain integers because the dispatcher
compares one for each record.
"""

from __future__ import annotations

import os
import struct
from typing import Final

from uringcore_cffi._ffi.library import lib

RECV: Final = lib.UC_EVENT_RECV
DATAGRAM: Final = lib.UC_EVENT_DATAGRAM
ACCEPT: Final = lib.UC_EVENT_ACCEPT
CONNECT: Final = lib.UC_EVENT_CONNECT
SENT: Final = lib.UC_EVENT_SENT
SEND_FAILED: Final = lib.UC_EVENT_SEND_FAILED
SHUTDOWN: Final = lib.UC_EVENT_SHUTDOWN
POLL: Final = lib.UC_EVENT_POLL
CLOSED: Final = lib.UC_EVENT_CLOSED
OPERATION: Final = lib.UC_EVENT_OPERATION

PAYLOAD: Final = lib.UC_EVENT_PAYLOAD
LOW_WATER: Final = lib.UC_EVENT_LOW_WATER
ENDED: Final = lib.UC_EVENT_ENDED
TRUNCATED: Final = lib.UC_EVENT_TRUNCATED

# Room for the sender's address, in front of the payload of a DATAGRAM.
DATAGRAM_ADDRESS_BYTES: Final = lib.UC_DATAGRAM_ADDRESS_BYTES

# kind, result, flags, offset, cookie. Skipped: the descriptor (its number can be reused within a
# batch, the cookie cannot) and the buffer's name, which only keepers of buffers need: it is the
# last of NUMBERS numbers of 64 bits.
Record = tuple[int, int, int, int, int]
LAYOUT: Final = struct.Struct("=I4xiIQQ8x")
NUMBERS: Final = LAYOUT.size // 8


def drop(kind: int, result: int) -> None:
    """Deal with a record that nobody waits for: close the connection that it may carry."""
    if kind == ACCEPT and result >= 0:
        os.close(result)
