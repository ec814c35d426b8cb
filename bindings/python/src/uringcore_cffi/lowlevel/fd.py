"""A descriptor that is given to a ring: uc_fd of include/uc/fd.h."""

from __future__ import annotations

import errno
import socket
from collections import deque
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from uringcore_cffi._ffi.errors import answer_error
from uringcore_cffi._handles import fd as handles
from uringcore_cffi._handles import files
from uringcore_cffi._handles.events import CLOSED, SEND_FAILED, SENT
from uringcore_cffi._handles.fd import FdStatus
from uringcore_cffi._loop.compat import hold_socket, let_go_of_socket
from uringcore_cffi.lowlevel.addresses import encode, family_of
from uringcore_cffi.lowlevel.operation import steady

if TYPE_CHECKING:
    from types import TracebackType

    from uringcore_cffi.lowlevel.ring import Ring

__all__ = ["Fd", "FdStatus"]

_FREED = "the descriptor was closed or given back"
# By function: what a refusal means there, where that is more than what it usually means.
_RECEIVING = {
    errno.EALREADY: "receiving or accepting already; recv_stop() ends that",
    errno.ENOTCONN: "the peer's end, or an error, was reported; nothing more will come",
    errno.EBUSY: "one descriptor either receives or accepts; recv_stop() ends that",
    errno.EINVAL: "max_bytes is 1 or more",
}
_MEANINGS = {
    "uc_fd_recv_start": _RECEIVING,
    "uc_fd_recv_once": _RECEIVING,
    "uc_fd_accept_start": _RECEIVING,
    "uc_fd_recv_stop": {errno.EALREADY: "not receiving or accepting"},
    "uc_fd_send": {
        errno.EINVAL: "1 byte or more, to a stream; datagrams go with send_to()",
        errno.EPIPE: "an earlier send failed",
    },
    "uc_fd_send_to": {
        errno.EINVAL: "up to 65536 bytes, of a descriptor attached with datagram=True"
    },
    "uc_fd_shutdown": {
        errno.EALREADY: "asked for already",
        errno.EINVAL: "streams have a write side, datagrams do not",
        errno.EPIPE: "an earlier send failed",
    },
    "uc_fd_connect": {
        errno.EBUSY: "a connect or send is in flight already, or no credit is left",
    },
    "uc_fd_poll": {errno.EBUSY: "no credit is left: see credit_ops"},
    "uc_fd_poll_stop": {errno.EALREADY: "no poll was asked for"},
    "uc_fd_set_water_marks": {errno.EINVAL: "low is at most high"},
    "uc_fd_set_credit": {errno.EINVAL: "ops is 1 to 16, count 1 or more"},
    "uc_fd_close": {
        errno.EALREADY: "closing already",
        errno.EINVAL: "now=True is for abort=True: what is queued cannot be sent at once",
        errno.EAGAIN: "the kernel did not let go in time; the event CLOSED will tell when it did",
    },
}
_NO_MEANINGS: MappingProxyType[int, str] = MappingProxyType({})


class Fd:
    """A descriptor that belongs to a ring, until its event CLOSED or free().

    Meanwhile nobody else may receive from it, send to it or close it. If it was attached as a
    socket, that stays its owner: a close() of it waits until the ring has let go, and at CLOSED it
    is closed. If it was attached as a number, libuc closes it.

    All methods but free() only ask: events tell how it went.
    """

    __slots__ = (
        "_closes",
        "_fd",
        "_fileno",
        "_is_freed",
        "_number",
        "_references",
        "_ring",
        "_sock",
        "cookie",
    )

    def __init__(
        self,
        ring: Ring,
        sock: socket.socket | int,
        *,
        cookie: Any = None,
        datagram: bool = False,
        gather: bool = False,
        shared: bool = False,
        credit_bytes: int = 0,
        credit_ops: int = 0,
        high_water: int = 0,
        low_water: int = 0,
    ) -> None:
        """Attach; as Ring.attach()."""
        flags = (
            datagram * handles.FLAG_DATAGRAM
            | gather * handles.FLAG_GATHER
            | shared * handles.FLAG_SHARED
        )
        self.cookie = cookie
        self._ring = ring
        self._sock = None if isinstance(sock, int) else sock
        self._fileno = sock if isinstance(sock, int) else sock.fileno()
        self._closes = False
        self._is_freed = False
        self._references: deque[Any] = deque()  # payloads that the kernel may read
        self._number = ring._next_number()
        ring._check_open("uc_fd_attach")
        ring._fds[self._number] = self
        options = {
            "credit_bytes": credit_bytes or ring._ring.credit_bytes,
            "credit_ops": credit_ops,
            "high_water": high_water,
            "low_water": low_water,
            "flags": flags,
        }
        try:
            self._fd = handles.Fd(ring._ring, self._fileno, self._number, options=options)
        except BaseException:
            del ring._fds[self._number]
            raise
        if self._sock is not None:
            hold_socket(self._sock)

    def fileno(self) -> int:
        """Return the descriptor's number; -1 once it does not belong to the ring any more."""
        return -1 if self._fd.free_already() else self._fileno

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.fileno()} of cookie {self.cookie!r}>"

    def __enter__(self) -> Fd:
        """Return the descriptor."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        """Give it back: see free()."""
        self.free()

    # Receiving

    def recv_start(self) -> None:
        """Receive until told to stop: events RECV or DATAGRAM."""
        self._check(self._fd.recv_start(), "uc_fd_recv_start")

    def recv_once(self, max_bytes: int) -> None:
        """Receive one piece of at most ``max_bytes``: one event RECV or DATAGRAM."""
        self._check(self._fd.recv_once(max_bytes), "uc_fd_recv_once")

    def recv_stop(self) -> None:
        """Stop receiving or accepting; what has arrived is kept for the next start."""
        self._check(self._fd.recv_stop(), "uc_fd_recv_stop")

    def accept_start(self) -> None:
        """Accept until told to stop: events ACCEPT, whose result is the connection's number.

        That is the caller's, to close or to make a socket of: ``socket.socket(fileno=result)``.
        """
        self._check(self._fd.accept_start(), "uc_fd_accept_start")

    # Sending

    def connect(self, address: Any) -> None:
        """Connect: event CONNECT. ``address`` is as for socket.connect(), but names no host."""
        self._check(self._fd.connect(self._encode(address)), "uc_fd_connect")

    def send(self, data: Any, *, reference: bool = False) -> int:
        """Queue bytes for sending; they leave together in the next turn() or flush().

        They are copied, unless ``reference`` says to send them from where they are: then they
        must not change until an event SENT counts them, and the ring keeps them until then.

        Return how many bytes are queued now. Above the high-water mark EventFlag.LOW_WATER of an
        event SENT will tell when to go on.
        """
        count = len(data) if type(data) is bytes else memoryview(data).nbytes
        pinned = files.pin(steady(data) if reference else data)
        if not reference:
            try:
                return self._check(handles.send(self._fd.handle, pinned, count, 0), "uc_fd_send")
            finally:
                files.unpin(pinned)
        self._references.append(pinned)  # before the kernel has it, should an interrupt come
        answer = handles.send(self._fd.handle, pinned, count, handles.SEND_REFERENCE)
        if answer < 0:
            files.unpin(self._references.pop())
        return self._check(answer, "uc_fd_send")

    def send_to(self, data: Any, address: Any = None) -> int:
        """Queue one datagram, copied; return how many bytes are queued.

        ``address`` is as for connect(); None is for connected sockets. An event SEND_FAILED tells
        of one that the kernel refuses.
        """
        where = None if address is None else self._encode(address)
        count = len(data) if type(data) is bytes else memoryview(data).nbytes
        pinned = files.pin(data)
        try:
            return self._check(self._fd.send_to(pinned, count, where), "uc_fd_send_to")
        finally:
            files.unpin(pinned)

    def shutdown(self) -> None:
        """End the write side once everything queued was sent: event SHUTDOWN."""
        self._check(self._fd.shutdown(), "uc_fd_shutdown")

    # Readiness

    def poll(self, events: int) -> None:
        """Wait once for readiness: event POLL; ``events`` is a mask of select.POLL* bits."""
        self._check(self._fd.poll(events), "uc_fd_poll")

    def poll_stop(self) -> None:
        """Call the poll off."""
        self._check(self._fd.poll_stop(), "uc_fd_poll_stop")

    # Limits

    def set_water_marks(self, high: int, low: int) -> None:
        """Set the bytes queued above which EventFlag.LOW_WATER is owed, and at which it is paid."""
        self._check(self._fd.set_water_marks(high, low), "uc_fd_set_water_marks")

    def set_gather(self, on: bool) -> None:
        """Choose between fewer, larger events (True) and such that keep() does not copy (False)."""
        self._check(self._fd.set_gather(on), "uc_fd_set_gather")

    def set_credit(self, ops: int, count: int) -> None:
        """Set how many operations may be in flight, and the bytes given out in a turn plus leased.

        At the limit receiving rests until the next turn, or until leases come back.
        """
        self._check(self._fd.set_credit(ops, count), "uc_fd_set_credit")

    def status(self) -> FdStatus:
        """Return a snapshot of struct uc_fd_status."""
        if self._fd.free_already():
            raise ValueError(f"uc_fd_get_status: {_FREED}")
        return self._fd.status()

    # The end

    def close(self, *, abort: bool = False, keep: bool = False, now: bool = False) -> None:
        """Send what is queued, end what is in flight, then close: event CLOSED, the last one.

        With ``abort`` what is queued is dropped. With ``keep`` the descriptor stays open and is
        the caller's again at CLOSED. With ``now``, which needs ``abort``, that is before this
        returns, and no event tells.
        """
        leave = keep or self._sock is not None
        flags = abort * handles.CLOSE_ABORT | leave * handles.CLOSE_KEEP | now * handles.CLOSE_NOW
        answer = self._fd.close(flags)
        if answer in (0, -errno.EAGAIN):
            self._closes = not keep
        self._check(answer, "uc_fd_close")
        if now:
            self._let_go()

    def free(self) -> None:
        """Give the descriptor back at once, open, without an event; what is queued is dropped.

        A close() that was asked for happens. May be repeated.
        """
        answer = self._fd.close(handles.CLOSE_ABORT | handles.CLOSE_KEEP | handles.CLOSE_NOW)
        if answer == -errno.EPERM:
            self._check(answer, "uc_fd_free")
        self._is_freed = True
        if answer not in (-errno.EAGAIN, -errno.EALREADY):  # else CLOSED is still to come
            self._let_go()

    def _note(self, kind: int, result: int) -> None:
        """Do what a record means for the memory and the socket."""
        if kind == SENT:
            for _ in range(min(result, len(self._references))):
                files.unpin(self._references.popleft())
        elif kind == SEND_FAILED:
            self._drop_references()
        elif kind == CLOSED:
            self._let_go()

    def _let_go(self) -> None:
        """Be no part of the ring any more: nothing is in flight. May be repeated."""
        if self._ring._fds.pop(self._number, None) is None:
            return
        self._fd.free()
        self._drop_references()
        if self._sock is not None:
            let_go_of_socket(self._sock)
            if self._closes:
                self._sock.close()

    def _drop_references(self) -> None:
        while self._references:
            files.unpin(self._references.popleft())

    def _encode(self, address: Any) -> bytes:
        if self._fd.free_already():
            raise ValueError(_FREED)
        sock = self._sock
        return encode(family_of(self._fileno) if sock is None else sock.family, address)

    def _check(self, answer: int, call: str) -> int:
        if answer >= 0:
            return answer
        if answer == -errno.EINVAL and self._fd.free_already():
            raise ValueError(f"{call}: {_FREED}")
        raise answer_error(answer, call, _MEANINGS.get(call, _NO_MEANINGS))
