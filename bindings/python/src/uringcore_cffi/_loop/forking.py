"""A loop in a forked child: what belongs to the parent is left alone, and the loop can begin anew.

From the first moment in the child nothing of the parent's is handed out there, also if the fork
came in the middle of a batch. The rest is done when the child runs the loop, if it ever does.
"""

from __future__ import annotations

import os
import weakref
from typing import Any, Callable

from uringcore_cffi._handles.events import Record
from uringcore_cffi._handles.ring import Info, Ring
from uringcore_cffi._loop.endpoint import Endpoint
from uringcore_cffi._loop.readiness import Readiness
from uringcore_cffi._loop.signals import SignalWakeup
from uringcore_cffi._loop.socket_endpoint import SocketEndpoint
from uringcore_cffi._loop.sockets import SWEEP_MIN_SOCKETS
from uringcore_cffi._loop.telling import tell_reason
from uringcore_cffi.transports.base import SocketOwner


class ForkMethods:
    """What the loop does in a child."""

    _ring: Ring
    _info: Info
    _memory: Any
    _batch: list[Record]
    _cursor: int
    _endpoints: dict[int, Endpoint]
    _inherited: dict[int, Endpoint]
    _transports: dict[int, Any]
    _sockets: dict[int, SocketEndpoint]
    _listeners: dict[int, Any]
    _unix_server_sockets: dict[Any, int]
    _sweep_at: int
    _signals: SignalWakeup | None
    _readiness: Readiness | None
    _leading: Readiness | None
    _in_turn: bool
    _forget_children: Callable[[], None]
    _install_signals: Callable[[], None]

    def _forget_records(self) -> None:
        """Hand out no more of the parent's data."""
        self._batch = []
        self._cursor = 0
        for endpoint in self._endpoints.values():
            if isinstance(endpoint, SocketOwner):
                endpoint._drop_kept()
        self._inherited.update(self._endpoints)
        self._endpoints.clear()
        if self._readiness is not None:
            self._readiness.forked()

    def _after_fork(self) -> None:
        """Begin anew: what was attached is the parent's business."""
        self._forget_records()
        self._ring.reinit()
        self._info = self._ring.info()
        tell_reason(self._info, was_asked_for=False)
        self._memory = self._ring.pool.memory
        self._transports.clear()
        self._sockets.clear()
        self._listeners.clear()
        self._unix_server_sockets.clear()  # the paths are the parent's to remove
        self._sweep_at = SWEEP_MIN_SOCKETS
        # They are kept: tasks of the parent that wait for them would complain of being collected.
        for endpoint in self._inherited.values():
            endpoint.forked()
        self._signals = None
        self._readiness = self._leading = None
        self._forget_children()
        if self._in_turn:
            self._install_signals()


_loops: weakref.WeakSet[ForkMethods] = weakref.WeakSet()


def forget_at_fork(loop: ForkMethods) -> None:
    """Have a loop forget the parent's data in every child that is forked while it exists."""
    _loops.add(loop)


def _forget_all() -> None:
    for loop in list(_loops):
        loop._forget_records()


os.register_at_fork(after_in_child=_forget_all)
