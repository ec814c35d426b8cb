"""A loop in a forked child: what belongs to the parent is left alone, and the loop can begin anew.

From the first moment in the child nothing of the parent's is handed out there, also if the fork
came in the middle of a batch: the loop's endpoints are dead, its own steps that are ready are
cancelled, and who was woken to go on with a socket or a file is cancelled instead. The sockets of
connections stay open, because the child may have been forked to go on with one. The rest is done
when the child runs the loop, if it ever does.

Other threads are not there in the child. A loop that one of them ran does not run any more.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections import deque
from typing import Any, Callable

from uringcore_cffi._handles.events import Record
from uringcore_cffi._handles.lending import Leases
from uringcore_cffi._handles.ring import Info, Ring
from uringcore_cffi._loop.dispatch import discard
from uringcore_cffi._loop.endpoint import Endpoint
from uringcore_cffi._loop.handles import InternalHandle
from uringcore_cffi._loop.readiness import Readiness
from uringcore_cffi._loop.servers import Listener
from uringcore_cffi._loop.signals import SignalWakeup
from uringcore_cffi._loop.socket_endpoint import SocketEndpoint
from uringcore_cffi._loop.sockets import SWEEP_MIN_SOCKETS
from uringcore_cffi._loop.telling import tell_reason
from uringcore_cffi.transports.base import SocketOwner


class ForkMethods:
    """What the loop does in a child."""

    _info: Info
    _ring: Ring
    _leases: Leases | None
    _memory: Any
    _batch: list[Record]
    _cursor: int
    _ready: deque[Any]
    _endpoints: dict[int, Endpoint]
    _inherited: dict[int, Endpoint]
    _transports: dict[int, Any]
    _sockets: dict[int, SocketEndpoint]
    _listeners: dict[int, Any]
    _unix_server_sockets: dict[Any, int]
    _direct_writers: weakref.WeakSet[Any]
    _sweep_at: int
    _signals: SignalWakeup | None
    _readiness: Readiness | None
    _in_turn: bool
    _thread_id: int | None
    _wake_lock: Any
    _default_executor: Any
    _forget_children: Callable[[], None]
    _install_signals: Callable[[], None]

    def _in_child(self) -> None:
        """Do what must be done before anything else runs in a child."""
        self._wake_lock = threading.RLock()  # a thread that is gone may have held it
        self._default_executor = None  # so are its threads
        if self._thread_id not in (None, threading.get_ident()):
            self._thread_id = None
            self._in_turn = False
        if self._leases is not None:
            self._leases.forked()
        self._forget_parent()

    def _forget_parent(self) -> None:
        """Hand out no more of the parent's data, and touch nothing that it goes on with."""
        records, self._batch = self._batch[self._cursor :], []
        self._cursor = 0
        for endpoint in self._endpoints.values():
            endpoint.forked()
        discard(records)
        for handle in self._ready:
            if isinstance(handle, InternalHandle):
                _give_up(handle)
        for transport in self._direct_writers:
            transport._closing = transport._inherited = True
            transport._conn_lost += 1
        self._direct_writers.clear()
        self._inherited.update(self._endpoints)
        self._endpoints.clear()
        self._transports.clear()
        self._sockets.clear()
        self._listeners.clear()
        self._unix_server_sockets.clear()  # the paths are the parent's to remove
        self._sweep_at = SWEEP_MIN_SOCKETS
        self._readiness = None
        self._signals = None
        self._forget_children()

    def _after_fork(self) -> None:
        """Begin anew: what was attached is the parent's business."""
        self._forget_parent()
        self._ring.reinit()
        self._info = self._ring.info()
        tell_reason(self._info, was_asked_for=self._ring.wants_sqpoll)
        self._memory = self._ring.pool.memory
        self._close_copies()
        if self._in_turn:
            self._install_signals()

    def _close_copies(self) -> None:
        """Close the sockets of the parent's connections.

        The transports are kept: tasks of the parent that wait for them would complain of being
        collected.
        """
        for endpoint in self._inherited.values():
            if isinstance(endpoint, SocketOwner):
                endpoint._close_socket()


def _give_up(handle: InternalHandle) -> None:
    """Take a step of the parent's no more; a connection that was to be made is closed."""
    if isinstance(getattr(handle._callback, "__self__", None), Listener):
        for connection in handle._args:
            connection.close()
    handle.cancel()


_loops: weakref.WeakSet[ForkMethods] = weakref.WeakSet()


def forget_at_fork(loop: ForkMethods) -> None:
    """Have a loop forget the parent's data in every child that is forked while it exists."""
    _loops.add(loop)


def _forget_all() -> None:
    for loop in list(_loops):
        loop._in_child()


os.register_at_fork(after_in_child=_forget_all)
