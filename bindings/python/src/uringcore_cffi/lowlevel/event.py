"""What turn() returns: the records of a ring, with names."""

from __future__ import annotations

import os
from enum import IntEnum, IntFlag
from typing import TYPE_CHECKING, Any

from uringcore_cffi._handles import events, files, names
from uringcore_cffi._handles.lease import COUNTED, Lease
from uringcore_cffi.lowlevel.addresses import decode

if TYPE_CHECKING:
    from uringcore_cffi.lowlevel.fd import Fd
    from uringcore_cffi.lowlevel.operation import Operation
    from uringcore_cffi.lowlevel.ring import Ring

_GONE = (
    "the payload was taken back by the ring: call data() or keep() before the next turn(), which "
    "takes back what the one before has returned"
)
_GIVEN_BACK = "the payload was kept, and given back with the release of its lease"


def _error(result: int) -> OSError:
    return OSError(-result, os.strerror(-result))


class EventKind(IntEnum):
    """What an event is about: enum uc_event_kind of include/uc/event.h."""

    RECV = events.RECV
    DATAGRAM = events.DATAGRAM
    ACCEPT = events.ACCEPT
    CONNECT = events.CONNECT
    SENT = events.SENT
    SEND_FAILED = events.SEND_FAILED
    SHUTDOWN = events.SHUTDOWN
    POLL = events.POLL
    CLOSED = events.CLOSED
    OPERATION = events.OPERATION


class EventFlag(IntFlag):
    """The bits of Event.flags: enum uc_event_flag of include/uc/event.h."""

    PAYLOAD = events.PAYLOAD
    LOW_WATER = events.LOW_WATER
    ENDED = events.ENDED
    TRUNCATED = events.TRUNCATED


_RECEIVED = (EventKind.RECV, EventKind.DATAGRAM)
_KINDS = {int(kind): kind for kind in EventKind}
# Above them stands the length of a datagram's address.
_FLAG_BITS = 0xFFFF


class Event:
    """Something that has happened.

    ``kind`` is one of EventKind, ``result`` a count or a negative errno, as said there in
    ``include/uc/event.h``. ``fd`` is the Fd that it is about and ``operation`` the Operation; one
    of both is None. ``cookie`` is what was given to attach() or to the operation.
    """

    __slots__ = (
        "_bits",
        "_is_kept",
        "_offset",
        "_position",
        "_ring",
        "_settled",
        "_turn",
        "cookie",
        "fd",
        "kind",
        "operation",
        "result",
    )

    def __init__(
        self,
        ring: Ring,
        position: int,
        record: events.Record,
        fd: Fd | None,
        operation: Operation | None,
    ) -> None:
        """Made by turn()."""
        kind, self.result, self._bits, self._offset, _ = record
        self.kind = _KINDS[kind]
        self.fd = fd
        self.operation = operation
        about: Any = fd or operation
        self.cookie: Any = about and about.cookie
        self._ring = ring
        self._turn = ring._turns
        self._position = position
        self._settled = False
        self._is_kept = False

    @property
    def flags(self) -> EventFlag:
        """What is to be known beside the result."""
        return EventFlag(self._bits & _FLAG_BITS)

    def check(self) -> int:
        """Return the result, or raise the OSError that a negative one stands for."""
        if self.result < 0:
            raise _error(self.result)
        return self.result

    def data(self) -> bytes:
        """Return a copy of the bytes that have come; empty where there are none.

        What a descriptor has received must be copied before the next turn(), and before a lease
        of it is released: ValueError afterwards. What a read() or statx() has brought is the
        operation's and stays.
        """
        if self.result < 0:
            return b""
        if self.operation is not None:
            return self.operation._data(self.result)
        if self.result == 0 or self.kind not in _RECEIVED:
            return b""
        return self._memory(self._offset, self.result)

    def keep(self) -> Lease:
        """Return what has been received as a lease: where it lies, for as long as it is needed.

        To be called before the next turn(), once for each event. What libuc has put together
        out of several buffers (attach() with ``gather``), or cut (recv_once()), is a copy, and so
        is everything on PyPy.
        """
        if self.kind not in _RECEIVED:
            raise ValueError(f"an event of kind {self.kind.name} has nothing to keep")
        self.check()
        if not self._bits & events.PAYLOAD or not self.result:
            return Lease(self.data())
        self._check_current()
        if self._is_kept:
            raise ValueError("the payload is kept already: use that lease, or slices of it")
        if COUNTED:
            lease = self._ring._keep(self._position, self._offset, self.result)
        else:
            lease = Lease(self.data())
        self._is_kept = True
        return lease

    def address(self) -> Any:
        """Return who has sent a datagram, as socket.recvfrom() does; None if that is not known.

        To be called before the next turn(), as data().
        """
        if self.kind is not EventKind.DATAGRAM:
            raise ValueError(f"an event of kind {self.kind.name} has no address: datagrams have")
        length = self._bits >> 16
        if not length:
            return None
        return decode(self._memory(self._offset - events.DATAGRAM_ADDRESS_BYTES, length))

    def stat(self) -> os.stat_result:
        """Return what a statx() has told, as os.stat() would."""
        return files.stat_result(self._written_by("statx"))

    def statvfs(self) -> os.statvfs_result:
        """Return what a statvfs() has told, as os.statvfs() would."""
        return names.statvfs_result(self._written_by("statvfs"))

    def entries(self) -> list[tuple[str, int, int]]:
        """Return what a list() has read: name, type (DT_* of readdir(3)) and inode of each entry.

        "." and ".." are among them.
        """
        data = self._written_by("list").view[: self.result]
        return [(os.fsdecode(name), kind, inode) for name, kind, inode in names.entries(data)]

    def parts(self) -> list[bytes | OSError]:
        """Return what each part of a read_many() has read, or the error that it ended with."""
        results = self._written_by("read_many").results()
        return [data if result >= 0 else _error(result) for result, data in results]

    def _written_by(self, name: str) -> Any:
        """Return what the kernel has written to; raise if the operation has failed."""
        operation = self.operation
        if operation is None or operation.name != name:
            raise ValueError(f"this is not an event of {name}()")
        self.check()
        return operation._written

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__} {self.kind.name} of cookie {self.cookie!r}, "
            f"result {self.result}>"
        )

    def _memory(self, offset: int, count: int) -> bytes:
        self._check_current()
        if self._is_kept and not self._ring._holds(self._position):
            raise ValueError(_GIVEN_BACK)
        memory: bytes = self._ring._ring.pool.memory[offset : offset + count]
        return memory

    def _check_current(self) -> None:
        if self._turn != self._ring._turns:
            raise ValueError(_GONE)

    def _settle(self) -> None:
        """Do what the record means for us, once: at worst memory is kept for longer."""
        if self._settled:
            return
        self._settled = True
        if self.operation is not None:
            self._ring._operations.pop(self.operation._number, None)
            self.operation._end(self.result)
        elif self.fd is not None:
            self.fd._note(self.kind, self.result)
        if not self._is_for_caller():
            events.drop(self.kind, self.result)

    def _is_for_caller(self) -> bool:
        """Tell whether the caller knows, and still knows, what the event is about."""
        if self.operation is not None:
            return True
        return self.fd is not None and not self.fd._is_freed
