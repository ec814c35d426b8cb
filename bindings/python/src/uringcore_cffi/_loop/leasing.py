"""Leases of what was received, and the credit of each connection."""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import TYPE_CHECKING, Any, Callable

from uringcore_cffi._ffi.errors import check_answer
from uringcore_cffi._handles.events import PAYLOAD
from uringcore_cffi._handles.fd import Fd, FdStatus
from uringcore_cffi._handles.lease import COUNTED, Lease
from uringcore_cffi._handles.lending import Leases
from uringcore_cffi._handles.ring import Ring

if TYPE_CHECKING:
    from uringcore_cffi._loop.socket_endpoint import SocketEndpoint

CREDIT_OPS_MAX = 16


class LeaseMethods:
    """What the loop does with leases."""

    _leases: Leases | None
    _memory: Any
    _ring: Ring
    _thread_id: int | None
    _sockets: dict[int, SocketEndpoint]
    _transports: dict[int, Any]
    _check_closed: Callable[[], None]
    _own_thread: Callable[[], None]
    _attach_now: Callable[[socket.socket], SocketEndpoint]

    def _keep(self, following: int, flags: int, offset: int, count: int) -> Lease:
        """Make a lease of a record's payload; may be done again until the record is committed.

        What libuc put together out of several buffers is copied. So is everything where nobody
        counts references (PyPy): the buffer would come back when garbage is collected, and
        receiving would rest until then.
        """
        if COUNTED and flags & PAYLOAD:
            leases = self._leases
            if leases is None:
                leases = self._ring.lend()
                leases.thread = threading.get_ident()
                self._leases = leases
            lease = leases.keep(self._ring.buffer_name(following - 1), offset, count)
            if lease is not None:
                return lease
        return Lease(self._memory[offset : offset + count])

    def _give_back_now(self) -> None:
        """Give back what has come back, if this thread may."""
        if self._leases is not None and self._thread_id in (None, threading.get_ident()):
            self._leases.take_back()

    def credit(self, connection: socket.socket | asyncio.BaseTransport) -> FdStatus:
        """Tell what a connection may hold and what it holds.

        ``connection`` is a transport of this loop, or a socket from which it has received.
        ``credit_ops`` and ``credit_bytes`` are the budget; ``in_flight`` operations, and
        ``leased_bytes`` plus ``undelivered_bytes``, count against it.
        """
        fd = self._find_fd(connection)
        if fd is None:
            raise ValueError(
                f"{connection!r} is no open connection of this loop: it knows its transports and "
                "the sockets that it has received from"
            )
        self._give_back_now()
        return fd.status()

    def set_credit(
        self,
        connection: socket.socket | asyncio.BaseTransport,
        *,
        ops: int | None = None,
        bytes: int | None = None,  # noqa: A002  # the word for it
    ) -> None:
        """Set what a connection may hold; None leaves it as it is.

        ``ops`` operations may be in flight (1 to 16). Above ``bytes`` (1 or more) that were given
        out in one turn, plus those of leased buffers, each counted in whole, receiving rests; it
        goes on by itself when leases come back, and the peer feels it when its window is full.
        """
        if ops is not None and not 1 <= ops <= CREDIT_OPS_MAX:
            raise ValueError(f"ops is {ops!r}: it goes from 1 to {CREDIT_OPS_MAX}")
        if bytes is not None and not 1 <= bytes < 2**63:
            raise ValueError(f"bytes is {bytes!r}: it is 1 or more")
        fd = self._find_fd(connection)
        if fd is None:
            if isinstance(connection, asyncio.BaseTransport):
                raise ValueError(f"{connection!r} is no open connection of this loop")
            fd = self._attach_now(connection).fd
        self._own_thread()
        now = fd.status()
        answer = fd.set_credit(
            now.credit_ops if ops is None else ops, now.credit_bytes if bytes is None else bytes
        )
        check_answer(answer, "uc_fd_set_credit")

    def _find_fd(self, connection: socket.socket | asyncio.BaseTransport) -> Fd | None:
        self._check_closed()
        if isinstance(connection, asyncio.BaseTransport):
            sock = connection.get_extra_info("socket")
            if sock is None:
                return None
            transport = self._transports.get(sock.fileno())
            return None if transport is None else transport._fd
        endpoint = self._sockets.get(connection.fileno())
        return endpoint.fd if endpoint is not None and endpoint.socket() is connection else None
