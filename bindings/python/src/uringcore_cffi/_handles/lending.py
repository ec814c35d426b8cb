"""Leases: what a pool has lent out, and how it comes back.

The death of an exporter (see lease.py) is the only moment at which a buffer may go back. What is
watched is its *place*, the pointer that the exporter alone holds: the garbage collector tells of an
exporter in a cycle before it calls the __del__ of those who see it, and one may bring it back to
life. Of a pointer, which the collector does not know, it tells when it is gone.

A finalizer may run in any thread, inside any allocation and with any lock held, so it takes no lock
and does one thing that nothing can interrupt: it appends to a deque. The loop gives back what
stands there before its next wait. If it sleeps, a second finalizer, called behind the first, wakes
it: a receiver may rest for want of credit.

Most leases end in the callback that they were made for and need no finalizers. Until the next wait
the exporter is held here (``fresh``), and release() sees that nobody else has it; finalizers are
for those that live on.

Once the ring is gone no loop gives anything back: then whoever ends a lease does, one at a time.
"""

from __future__ import annotations

import threading
import time
import weakref
from bisect import bisect_left
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from uringcore_cffi._ffi.library import CData, ffi, lib
from uringcore_cffi._handles.lease import Lease

if TYPE_CHECKING:
    from collections.abc import Iterator

    from uringcore_cffi._handles.ring import Ring

_new: Any = object.__new__
_buffer = ffi.buffer
_keep = lib.uc_pool_keep

# How long a ring that goes waits for a thread that is just waking it, in seconds.
_PATIENCE = 1.0


class _Ref(weakref.ref):  # type: ignore[type-arg]
    """Notes the death of a place, by going to where the loop looks."""

    __slots__ = ("count", "name", "nudge")

    name: int  # the buffer's
    count: int  # of bytes at the place
    nudge: Any  # the reference whose callback wakes the loop: older, and so called behind this one


# Those that outlive their ring: nobody else may hold them until the last lease has ended.
lingering: set[Leases] = set()


class Leases:
    """What a pool has lent out.

    The methods are for the thread that runs the ring, if not said otherwise.
    """

    __slots__ = (
        "__weakref__",
        "_base",
        "_handle",
        "_keeping",
        "_lent",
        "_lib",
        "_lock",
        "_nudging",
        "_release",
        "_returned",
        "_ring",
        "asleep",
        "fresh",
        "out",
        "thread",
    )

    def __init__(self, handle: CData) -> None:
        """Serve the pool ``handle``."""
        self._lib = lib  # so that it stays open until the last lease has ended
        self._release = lib.uc_pool_release
        self._handle = handle
        self._base = ffi.cast("char *", lib.uc_pool_base(handle))
        self._lent = ffi.new("struct uc_lease *")
        self._keeping = 0
        # By the buffer's name: exporter and place, in the turn in which the lease is made, ...
        self.fresh: dict[int, tuple[Any, CData]] = {}
        # ... and afterwards who notes its death.
        self.out: dict[int, _Ref] = {}
        self._returned: deque[_Ref] = deque()
        self._ring: Ring | None = None
        self._lock = threading.Lock()  # where a finalizer may be, only tried
        self._nudging: deque[None] = deque()  # an item for each thread that is just waking the ring
        self.asleep = False  # the ring sleeps, or will before it looks here again
        self.thread: int | None = None  # which runs the ring

    # Lending

    def keep(self, name: int, offset: int, count: int) -> Lease | None:
        """Make a lease of a record's payload; None if libuc refuses.

        May be done again until the record is committed: a buffer is kept once.
        """
        kept = self.fresh.get(name)
        if kept is None:
            again = self._keeping == name  # an interrupt came in between
            self._keeping = name
            if _keep(self._handle, name, self._lent) < 0 and not again:
                self._keeping = 0
                return None
            place = self._base + offset
            self.fresh[name] = kept = _buffer(place, count), place
            self._keeping = 0
        lease: Lease = _new(Lease)
        lease._data = kept[0]
        lease._start = 0
        lease._size = count
        lease._view = None
        lease._owner = self
        lease._name = name
        return lease

    def end(self, name: int) -> None:
        """Give a buffer back at once: nobody has a view of it."""
        if name in self.fresh:
            self._release(self._handle, name)
            del self.fresh[name]
        elif name in self.out:
            self._release(self._handle, name)
            del self.out[name]

    def __bool__(self) -> bool:
        """Tell whether anything is out, or has come back and was not given back yet."""
        return bool(self.fresh or self.out or self._keeping)

    # Taking back

    def settle(self) -> None:
        """Before a wait: give back what has come back, and be woken by what comes later.

        May be done again after an interrupt.
        """
        self.asleep = True
        if self.fresh or self._keeping:
            self._watch()
        if self._returned:
            self._give_back()

    def _watch(self) -> None:
        """Let go of exporters, and note their deaths from now on."""
        if self._keeping and self._keeping not in self.fresh:
            self._release(self._handle, self._keeping)  # nobody has come back for it
        self._keeping = 0
        out = self.out
        note = self._returned.append
        for name in list(self.fresh):
            memory, place = self.fresh[name]
            if name not in out:
                nudge = weakref.ref(place, self._nudge)
                ref = _Ref(place, note)
                ref.name = name
                ref.count = len(memory)
                ref.nudge = nudge
                out[name] = ref
            del self.fresh[name]
            del memory, place  # nobody else may have them: then they die here

    def take_back(self) -> None:
        """Give back what has come back, between waits."""
        if self._returned:
            self._give_back()

    def _give_back(self) -> None:
        returned = self._returned
        while returned:
            name = returned[0].name
            # Twice, after an interrupt, is refused as stale: the name is of one life of a buffer.
            self._release(self._handle, name)
            self.out.pop(name, None)
            del returned[0]

    def _nudge(self, _: object) -> None:
        """Have what has come back be given back soon; any thread."""
        self._nudging.append(None)  # the ring is not freed meanwhile
        try:
            ring = self._ring
            if ring is None:
                self._give_back_alone()
            elif self.asleep:
                ring.wake()
        finally:
            self._nudging.pop()

    # Whose pool it is

    def bind(self, ring: Ring) -> None:
        """Have the thread of ``ring`` give back from now on."""
        with self._lock:
            self._ring = ring
        lingering.discard(self)

    def before_free(self) -> None:
        """Let nobody wake the ring any more, and wait for those who do."""
        self.thread = None
        self.asleep = False
        deadline = time.monotonic() + _PATIENCE
        while self._nudging and time.monotonic() < deadline:
            time.sleep(0)

    def after_free(self) -> None:
        """The ring is gone: from now on whoever ends a lease gives it back."""
        self._watch()
        if self.out:
            lingering.add(self)
        self._ring = None
        self._give_back_alone()

    def _give_back_alone(self) -> None:
        """Give back what has come back, without a ring; any thread, and only one at a time.

        Whoever finds another at it leaves that to him, who looks again when he is done.
        """
        while self._returned and self._lock.acquire(False):
            try:
                if self._ring is not None:  # another one serves the pool by now
                    return
                self._give_back()
                if not self.out:
                    lingering.discard(self)
            finally:
                self._lock.release()

    @contextmanager
    def still(self) -> Iterator[None]:
        """Have nobody give anything back meanwhile: for who uses the pool when no ring does."""
        try:
            with self._lock:
                yield
        finally:
            self._give_back_alone()  # what was left to us

    # Fork

    def forked(self) -> None:
        """Forget the parent's threads: this is a child, just forked."""
        self._lock = threading.Lock()
        self._nudging.clear()
        self.asleep = False

    def save(self) -> list[tuple[int, CData, bytes]]:
        """In a child, before its pool begins anew: what is still looked at, and where it is."""
        self._watch()
        alive = [(ref(), ref.count) for ref in self.out.values()]
        self.out.clear()
        self._returned.clear()
        base = int(ffi.cast("uintptr_t", self._base))
        return [
            (int(ffi.cast("uintptr_t", place)) - base, place, _buffer(place, count)[:])
            for place, count in alive
            if place is not None
        ]

    def restore(self, saved: list[tuple[int, CData, bytes]]) -> None:
        """Lease the same buffers from the child's new pool, so that nothing is received there.

        The pool gives out any buffer it likes: what is not wanted is given back behind.
        """
        wanted = sorted(saved, key=lambda item: item[0])
        offsets = [offset for offset, _, _ in wanted]
        left, others = len(wanted), []
        while left and lib.uc_pool_lease(self._handle, self._lent) == 0:
            lent = self._lent
            found = bisect_left(offsets, lent.offset)
            if found < len(offsets) and offsets[found] < lent.offset + lent.capacity:
                left -= 1
                _, place, data = wanted[found]
                memory = _buffer(place, len(data))
                memory[:] = data
                self.fresh[lent.token] = memory, place
            else:
                others.append(lent.token)
        for token in others:
            self._release(self._handle, token)
