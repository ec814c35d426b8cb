"""A ring, and what it can be asked for: uc_ring and uc_op of libuc."""

from __future__ import annotations

import itertools
import math
import os
import threading
import warnings
from typing import TYPE_CHECKING, Any, Callable

from uringcore_cffi._ffi.errors import answer_error
from uringcore_cffi._handles import files
from uringcore_cffi._handles.events import Record, drop
from uringcore_cffi._handles.ring import Info, Stats
from uringcore_cffi._handles.ring import Ring as Handle
from uringcore_cffi.lowlevel.event import Event
from uringcore_cffi.lowlevel.fd import Fd
from uringcore_cffi.lowlevel.names import NameMethods

if TYPE_CHECKING:
    import socket
    from types import TracebackType

    from uringcore_cffi._handles.lease import Lease
    from uringcore_cffi._handles.pool import Pool
    from uringcore_cffi.lowlevel.operation import Operation

_FREED = "the ring was freed"
_LONGEST_NS = 2**62
# What the kernel had not let go of when its ring went: never to be freed, for it may write there.
_LOST: list[Any] = []


class Ring(NameMethods):
    """A ring of the calling program's, to be used in a ``with`` block or freed with free().

    The thread that first submits or waits, or calls enable(), runs it.
    """

    def __init__(
        self, *, pool: Pool | None = None, backend: str | None = None, **options: Any
    ) -> None:
        """Make a ring.

        ``pool`` is where to receive into (None: a pool of its own), ``backend`` is "auto", "uring"
        or "epoll"; other options are those of UringEventLoop: ``sq_entries``, ``cq_entries``,
        ``sqpoll``, ``sqpoll_idle_ms``, ``sqpoll_cpu``, ``restrict``, ``features_off``,
        ``busy_poll_us``, ``credit_bytes``.

        Raise OSError with the knob's name where what was asked for is refused.
        """
        self._operations: dict[int, Operation] = {}
        self._fds: dict[int, Fd] = {}
        self._next_number: Callable[[], int] = itertools.count(1).__next__
        self._ret_op = files.new_ret_op()
        # What was taken from libuc and not returned by turn() yet.
        self._batch: list[Event] = []
        self._turns = 0
        self._eventfd = -1  # to be drained
        # wake() may come from any thread, and in a signal handler of the thread that frees.
        self._lock = threading.RLock()
        self._ring = Handle(pool=pool, backend=backend, **options)

    def __enter__(self) -> Ring:
        """Return the ring."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        """Free it."""
        self.free()

    def __del__(self) -> None:
        ring = getattr(self, "_ring", None)  # None: it could not be made
        if ring is not None and not ring.freed():
            told = f"unclosed ring {self!r}"
            self.free()
            warnings.warn(told, ResourceWarning, stacklevel=1, source=self)

    def __repr__(self) -> str:
        about = "freed" if self._ring.freed() else f"{len(self._operations)} operations"
        return f"<{type(self).__name__} {about}, {len(self._fds)} descriptors>"

    # Turns

    def turn(self, timeout: float | None = 0.0) -> list[Event]:
        """Submit everything, wait up to ``timeout`` seconds, return what has happened.

        None waits until something happens or wake() is called. A wait ends early, with an empty
        list, when a signal comes. Payloads that the turn before has returned are taken back.

        At most 256 events come at a time, and handling them usually asks for something: a guest
        goes on until nothing is returned.
        """
        ring = self._ring
        self._check_open("uc_ring_wait")
        ring.last_count()  # before anything is touched: raises in the wrong thread or process
        if not self._batch:
            self._batch = self._take(timeout)
        ring.taken()
        for event in self._batch:
            event._settle()
        events = [event for event in self._batch if event._is_for_caller()]
        self._batch = []
        return events

    def _take(self, timeout: float | None) -> list[Event]:
        """Take a batch of records, without side effects: it may be done again."""
        ring = self._ring
        records = ring.recover()  # an interrupt may have come between taking and keeping
        if not records:
            self._settle_leases()
            self._turns += 1
            if self._eventfd >= 0:
                _drain(self._eventfd)
            records = ring.records(ring.wait(_nanoseconds(timeout)))
        return [self._event(position, record) for position, record in enumerate(records)]

    def _event(self, position: int, record: Record) -> Event:
        number = record[-1]
        fd, operation = self._fds.get(number), self._operations.get(number)
        return Event(self, position, record, fd, operation)

    def _keep(self, position: int, offset: int, count: int) -> Lease:
        """Make a lease of a payload of the last batch."""
        ring = self._ring
        ring.last_count()  # raises in the wrong thread or process
        leases = ring.pool.leases
        if leases is None:
            leases = ring.lend()
        leases.thread = threading.get_ident()
        lease = leases.keep(ring.buffer_name(position), offset, count)
        if lease is None:
            raise ValueError("the payload was taken back by the ring")
        return lease

    def _holds(self, position: int) -> bool:
        """Tell whether a payload of the last batch that was kept has not been given back."""
        leases = self._ring.pool.leases
        return leases is not None and self._ring.buffer_name(position) in leases.fresh

    def _settle_leases(self) -> None:
        """Give back the leases that have ended; those that end from now on wake the ring."""
        leases = self._ring.pool.leases
        if leases:
            leases.thread = threading.get_ident()
            leases.settle()

    def event_fd(self) -> int:
        """Return a descriptor that is readable when turn() has something to return.

        For another loop to watch. turn() drains it; nobody else may read from it.
        """
        self._check_open("uc_ring_event_fd")
        number = self._ring.event_fd()
        if self.info().backend == "uring":  # else there is nothing to be read
            self._eventfd = number
        return number

    def poll_fd(self) -> int:
        """Return the ring's own descriptor: to ask whether it is readable, not to sleep on."""
        self._check_open("uc_ring_poll_fd")
        return self._ring.poll_fd()

    def flush(self) -> None:
        """Submit everything queued without waiting."""
        self._check_open("uc_ring_flush")
        self._ring.flush()

    def enable(self) -> None:
        """Bind the ring to the calling thread, also if another ran it: it then moves here.

        Receives, accepts, polls and sends go on; connects and operations end with -ECANCELED.
        """
        self._check_open("uc_ring_enable")
        self._ring.enable()
        if self._ring.pool.leases is not None:
            self._ring.pool.leases.thread = threading.get_ident()

    def wake(self) -> None:
        """Make the current or next turn() return, and event_fd() readable.

        Any thread may call this, and a signal handler.
        """
        with self._lock:  # the ring is not freed meanwhile
            self._check_open("uc_ring_wake")
            answer = self._ring.wake()
        if answer < 0:
            raise answer_error(answer, "uc_ring_wake")

    # Descriptors

    def attach(self, sock: socket.socket | int, *, cookie: Any = None, **options: Any) -> Fd:
        """Give a socket, or an open descriptor's number, to the ring.

        ``cookie``, any object, comes back in its events. ``datagram``: its messages come one by
        one, with addresses. ``gather``: pieces that arrive together make one event. ``shared``:
        other processes accept from it, too. ``credit_bytes`` and ``credit_ops`` are its budget,
        ``high_water`` and ``low_water`` the marks of its send queue: struct uc_fd_options says
        more, and 0 is its default.
        """
        return Fd(self, sock, cookie=cookie, **options)

    # What it tells of itself

    @property
    def pool(self) -> Pool:
        """The pool that the ring receives into."""
        return self._ring.pool

    def stats(self) -> Stats:
        """Return the counters."""
        self._check_open("uc_ring_get_stats")
        return self._ring.stats()

    def info(self) -> Info:
        """Return the backend and the features in use, and why there are not more."""
        self._check_open("uc_ring_get_info")
        return self._ring.info()

    # The end

    def free(self) -> None:
        """End everything in flight and give the ring up. May be repeated.

        What is attached stays open, unless its close() was asked for. In a forked child only the
        child's memory is released. Any thread may do this while no other uses the ring.
        """
        with self._lock:
            ring = self._ring
            if ring.freed():
                return
            try:
                lost, inherited = self._take_back(), False
            except ChildProcessError:
                lost, inherited = False, True
            ring.free(inherited=inherited)
        self._turns += 1
        self._forget(lost)

    def reinit(self) -> None:
        """Make an inherited ring work in a forked child: empty, with nothing attached."""
        self._check_open("uc_ring_reinit")
        self._ring.reinit()
        self._turns += 1
        self._eventfd = -1
        self._batch = []
        self._forget(lost=False)

    def _take_back(self) -> bool:
        """Have the kernel let go of everything; tell whether it has kept something."""
        ring = self._ring
        batch, self._batch = self._batch, []
        try:
            ring.enable()
            if batch:
                ring.taken()
            for event in batch:
                self._drop_event(event)
            for operation in list(self._operations.values()):
                files.cancel(ring.handle, operation._identifier)
            stats = ring.settle(self._drop)
        except ChildProcessError:
            raise
        except (OSError, MemoryError):
            return True  # too much to move to this thread, or io_uring is refused by now
        return bool(stats.attached or stats.in_flight)

    def _drop(self, records: list[Record]) -> None:
        for position, record in enumerate(records):
            self._drop_event(self._event(position, record))

    def _drop_event(self, event: Event) -> None:
        """Do what an event means that nobody will see; what it has opened is closed."""
        event._settle()
        if not event._is_for_caller():
            return
        operation = event.operation
        if event.fd is not None:
            drop(event.kind, event.result)
        elif operation is not None and operation.name == "openat" and event.result >= 0:
            os.close(event.result)

    def _forget(self, lost: bool) -> None:
        """Let go of memory and sockets; of what the kernel has kept, never."""
        if lost:
            _LOST.extend(self._operations.values())
        self._operations.clear()
        for fd in list(self._fds.values()):
            if lost:
                _LOST.extend(fd._references)
                fd._references.clear()
            fd._let_go()

    def _check_open(self, call: str) -> None:
        if self._ring.freed():
            raise ValueError(f"{call}: {_FREED}")


def _nanoseconds(timeout: float | None) -> int:
    if timeout is None:
        return -1
    if not timeout >= 0:
        raise ValueError(f"timeout is 0 or more seconds, or None for ever: not {timeout!r}")
    return math.ceil(min(timeout * 1e9, _LONGEST_NS))


def _drain(eventfd: int) -> None:
    try:
        os.read(eventfd, 8)
    except BlockingIOError:
        pass  # it was quiet
