"""An attached descriptor."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from uringcore_cffi._ffi.errors import answer_error
from uringcore_cffi._ffi.library import ffi, lib

if TYPE_CHECKING:
    from uringcore_cffi._handles.ring import Ring

SEND_REFERENCE = lib.UC_SEND_REFERENCE
FLAG_DATAGRAM = lib.UC_FD_DATAGRAM
FLAG_GATHER = lib.UC_FD_GATHER
FLAG_SHARED = lib.UC_FD_SHARED
CLOSE_ABORT = lib.UC_CLOSE_ABORT
CLOSE_KEEP = lib.UC_CLOSE_KEEP
CLOSE_NOW = lib.UC_CLOSE_NOW

# Looked up once: an attribute of an opened library costs as much as a call.
send = lib.uc_fd_send
_recv_start = lib.uc_fd_recv_start
_recv_once = lib.uc_fd_recv_once
_recv_stop = lib.uc_fd_recv_stop
_poll = lib.uc_fd_poll
_poll_stop = lib.uc_fd_poll_stop
_close = lib.uc_fd_close
_attach = lib.uc_fd_attach
_free = lib.uc_fd_free

# CPython's bytes never move, and cffi passes a pointer into them.
_BYTES_STAY = sys.implementation.name == "cpython"

# libuc refuses it with a number.
NO_HANDLE = ffi.NULL
_OPTIONS = ffi.typeof("struct uc_fd_options *")
_RET_FD = ffi.typeof("uc_fd **")
_OPTIONS_BYTES = ffi.sizeof("struct uc_fd_options")
# Payloads are copied out if not said otherwise: the larger a record of a stream the better. And who
# knows which other processes accept from a listening socket.
_STREAM = FLAG_GATHER | FLAG_SHARED


@dataclass(frozen=True)
class FdStatus:
    """A snapshot of struct uc_fd_status; include/uc/fd.h says what each number means."""

    state: int
    fd: int
    receiving: int
    in_flight: int
    credit_ops: int
    credit_bytes: int
    undelivered_bytes: int
    queued_bytes: int
    leased_bytes: int
    zero_copy: int


class Fd:
    """One descriptor given to a ring, with its own state machine and send queue in C.

    The methods are thin: they return libuc's number, negative for a refusal, and raise nothing.
    Sending is no method, because every message pays for it: ``send(handle, data, count, flags)``.
    The ring owns the object and frees it with itself.
    """

    __slots__ = ("_ring", "cookie", "handle")

    def __init__(
        self,
        ring: Ring,
        fileno: int,
        cookie: int,
        *,
        datagram: bool = False,
        options: dict[str, int] | None = None,
    ) -> None:
        """Attach ``fileno``; raise when libuc refuses. ``cookie`` comes back in its records.

        With ``datagram`` its messages come one by one, with their addresses. ``options`` are
        members of struct uc_fd_options, for who wants others than the loop's.
        """
        flags = FLAG_DATAGRAM if datagram else _STREAM
        fields = {"size": _OPTIONS_BYTES, "flags": flags, "cookie": cookie}
        fields["credit_bytes"] = ring.credit_bytes
        fields["zero_copy_bytes"] = ring.zero_copy_bytes
        if options is not None:
            fields.update(options)
        ret_fd = ffi.new(_RET_FD)
        answer = _attach(ring.handle, fileno, ffi.new(_OPTIONS, fields), ret_fd)
        if answer < 0:
            raise answer_error(answer, "uc_fd_attach")
        self.handle: Any = ret_fd[0]
        self._ring = ring
        self.cookie = cookie
        ring.fds.add(self)

    def free(self) -> None:
        """Give the handle up; a descriptor still attached is given back without a record."""
        handle, self.handle = self.handle, NO_HANDLE
        self._ring.fds.discard(self)
        _free(handle)

    def free_already(self) -> bool:
        """Tell whether free() was called."""
        return bool(self.handle == NO_HANDLE)

    def recv_start(self) -> int:
        """Receive until told to stop."""
        return _recv_start(self.handle)

    def recv_once(self, max_bytes: int) -> int:
        """Receive one piece of at most ``max_bytes``."""
        return _recv_once(self.handle, max_bytes)

    def recv_stop(self) -> int:
        """Stop receiving or accepting; what has arrived is kept for the next start."""
        return _recv_stop(self.handle)

    def accept_start(self) -> int:
        """Accept connections until told to stop."""
        return lib.uc_fd_accept_start(self.handle)

    def connect(self, address: bytes) -> int:
        """Connect to ``address``, as the kernel writes it."""
        return lib.uc_fd_connect(self.handle, address, len(address))

    def send_to(self, data: Any, count: int, address: bytes | None) -> int:
        """Queue one datagram, to ``address`` as the kernel writes it or to the connected peer."""
        if address is None:
            return lib.uc_fd_send_to(self.handle, data, count, ffi.NULL, 0)
        return lib.uc_fd_send_to(self.handle, data, count, address, len(address))

    def poll(self, events: int) -> int:
        """Wait once for readiness; ``events`` is a mask of select.POLL* bits."""
        return _poll(self.handle, events)

    def poll_stop(self) -> int:
        """Call the poll off."""
        return _poll_stop(self.handle)

    def shutdown(self) -> int:
        """End the write side once everything queued has been sent."""
        return lib.uc_fd_shutdown(self.handle)

    def set_water_marks(self, high: int, low: int) -> int:
        """Set the marks of the send queue, in bytes."""
        return lib.uc_fd_set_water_marks(self.handle, high, low)

    def set_gather(self, on: bool) -> int:
        """Choose between few large records and records that can be kept, from the next one on."""
        return lib.uc_fd_set_gather(self.handle, on)

    def set_credit(self, ops: int, count: int) -> int:
        """Set the budget: operations in flight, and received bytes in a turn plus leased ones."""
        return lib.uc_fd_set_credit(self.handle, ops, count)

    def close(self, flags: int) -> int:
        """Send what is queued, end what is in flight, then close (see CLOSE_*)."""
        return _close(self.handle, flags)

    def queued_bytes(self) -> int:
        """Tell how many bytes wait to be sent, those in flight included; negative: a refusal."""
        status = ffi.new("struct uc_fd_status *")
        status.size = ffi.sizeof("struct uc_fd_status")
        answer = lib.uc_fd_get_status(self.handle, status)
        return answer if answer < 0 else status.queued_bytes

    def status(self) -> FdStatus:
        """Return a snapshot; raise when libuc refuses."""
        status = ffi.new("struct uc_fd_status *")
        status.size = ffi.sizeof("struct uc_fd_status")
        answer = lib.uc_fd_get_status(self.handle, status)
        if answer < 0:
            raise answer_error(answer, "uc_fd_get_status")
        return FdStatus(**{name: getattr(status, name) for name in FdStatus.__dataclass_fields__})


def pin(data: bytes) -> Any:
    """Return what keeps the memory of ``data`` in its place and can be passed to send()."""
    return data if _BYTES_STAY else ffi.from_buffer(data)
