"""add_reader() and add_writer(): level-triggered, for whatever epoll(7) can watch.

The descriptors stand in an epoll set of the loop's own, and the ring polls the set: one operation
however many descriptors there are. The ring never holds a file of the user's, so a descriptor
that its owner closes is closed at once, and its peer is told; the kernel takes it out of the set
by itself.

What is odd in epoll: the set knows files, not numbers. A file that was closed under one number and
lives on under another, or in a child process, stays in the set, is reported under the old number
and cannot be taken out any more, also when the number has become another file's. The cure is a new
set (see ``_renew``).
"""

from __future__ import annotations

import asyncio
import errno
import os
import select
from typing import TYPE_CHECKING, Any, Callable

from uringcore_cffi._ffi.errors import check_answer
from uringcore_cffi._handles.events import POLL
from uringcore_cffi._loop.endpoint import RecordsOnly

if TYPE_CHECKING:
    from uringcore_cffi._handles.fd import Fd
    from uringcore_cffi._loop.loop import UringEventLoop

_READ = select.EPOLLIN
_WRITE = select.EPOLLOUT
# The ring tells once of each event: it is asked in every turn, so nobody has to read the eventfd.
# The ring's own descriptor would not do: with deferred task work the kernel lets it sleep.
_RING = select.EPOLLIN | select.EPOLLET
# As asyncio's selector has it: an error or a hang-up wakes both.
_WAKES_READER = ~select.EPOLLOUT
_WAKES_WRITER = ~select.EPOLLIN
_LEAD_AFTER = 4
_STEP_DOWN_AFTER = 8


def fileno_of(fd: Any) -> int:
    """Return the number of a descriptor or of an object that has one; else raise ValueError."""
    number = fd
    if not isinstance(number, int):
        try:
            number = int(number.fileno())
        except (AttributeError, TypeError, ValueError):
            raise ValueError(f"Invalid file object: {fd!r}") from None
    if number < 0:
        raise ValueError(f"Invalid file descriptor: {number}")
    return number


class Readiness(RecordsOnly):
    """The epoll set, who is called for which descriptor, and the endpoint of the ring's poll.

    Usually the loop waits in the ring, which polls the set. That makes an event of the set dearer
    than in a loop that waits in the set. So when it is the set alone that wakes the loop, the set
    takes the lead (``loop._leading``): the loop waits in it, and the set watches the ring. When it
    is mostly the ring again, the set steps down. It never leads while the loop does not run.

    Class invariant: while a descriptor is watched, a poll of the set is armed, or its record is
    about to be handed out, or the set leads.
    """

    def __init__(self, loop: UringEventLoop) -> None:
        self._loop = loop
        # By number and event (EPOLLIN or EPOLLOUT): just what the set tells in the common case.
        self._handles: dict[tuple[int, int], Any] = {}
        # What was watched by an object, which may be closed before it is removed.
        self._objects: dict[int, Any] = {}
        # Numbers whose file was closed while watched: should they be reported, it may be of it.
        self._suspects: set[int] = set()
        self._epoll = select.epoll()
        self._fd: Fd = loop._attach_fileno(self._epoll.fileno(), self)
        self._armed = False
        self._alone = 0  # how often in a row the set alone has woken the loop
        self._disturbed = 0  # how much more often than the set the ring has, while the set leads
        self._in_lead = False  # the set watches the ring, and not the other way round
        self._ring_number = -1
        # Ready when the ring is: nothing to be run, the next turn takes what is there.
        self._ring_handle = loop._new_handle(id, ())
        self._ring_handle.cancel()

    def add(self, number: int, event: int, handle: asyncio.Handle) -> None:
        """Have ``handle`` called whenever ``event`` is there, instead of an earlier one."""
        if not self._armed and self._loop._leading is None:
            self._arm()
        known = self._mask_of(number)
        if known:
            try:
                self._epoll.modify(number, known | event)
            except FileNotFoundError:
                # It was closed without being removed, and the number is another file's now.
                self._forget(number)
                self._suspects.add(number)
                self._epoll.register(number, event)
        else:
            try:
                self._epoll.register(number, event)
            except FileExistsError:
                self._epoll.modify(number, event)
        earlier = self._handles.get((number, event))
        self._handles[number, event] = handle
        if earlier is not None:
            earlier.cancel()

    def remove(self, number: int, event: int) -> bool:
        """Call no more for ``event``; tell whether somebody was called for it."""
        handle = self._handles.pop((number, event), None)
        if handle is None:
            return False
        handle.cancel()
        left = self._mask_of(number)
        try:
            if left:
                self._epoll.modify(number, left)
            else:
                self._objects.pop(number, None)
                self._epoll.unregister(number)
        except OSError as exc:
            # Closed without being removed, and perhaps another file's number by now.
            if exc.errno not in (errno.EBADF, errno.ENOENT, errno.EPERM):
                raise
            self._suspects.add(number)
        return True

    def _mask_of(self, number: int) -> int:
        """Return the events that are watched of a number."""
        handles = self._handles
        return (_READ if (number, _READ) in handles else 0) | (
            _WRITE if (number, _WRITE) in handles else 0
        )

    def remember(self, number: int, fd: Any) -> None:
        """Keep the object that a number was told by, as long as the number is watched."""
        self._objects[number] = fd

    def number_of_closed(self, fd: Any) -> int | None:
        """Return the number that an object had when it began to be watched; None: it never did."""
        return next((number for number, known in self._objects.items() if known is fd), None)

    def _forget(self, number: int) -> None:
        self._objects.pop(number, None)
        for event in (_READ, _WRITE):
            handle = self._handles.pop((number, event), None)
            if handle is not None:
                handle.cancel()

    def _arm(self) -> None:
        check_answer(self._fd.poll(select.POLLIN), "uc_fd_poll")
        self._armed = True

    def on_record(self, following: int, kind: int, result: int, flags: int, offset: int) -> None:
        """Make ready who is to be called; may be done again until the commit."""
        if kind != POLL:
            return
        loop = self._loop
        ready = self._find_ready(0)
        self._armed = False
        self._alone = self._alone + 1 if len(loop._batch) == 1 else 0
        if self._alone >= _LEAD_AFTER:
            loop._leading = self
        else:
            self._arm()
        loop._ready += ready
        loop._cursor = following

    def wait(self, timeout_ns: int, records: int) -> None:
        """Wait in the set, not at all if the ring has just brought ``records``."""
        loop = self._loop
        if not self._in_lead and not self._take_lead():
            return
        timeout = timeout_ns / 1e9 if timeout_ns >= 0 else -1
        if records or loop._ready or loop._stopping:
            timeout = 0
        ready = self._find_ready(timeout)
        loop._ready += ready
        # That the ring alone ends the sleep counts with what it then brings, in the next turn.
        if records:
            self._disturbed += 1
        elif ready and ready != [self._ring_handle]:
            self._disturbed = max(0, self._disturbed - 1)
        if self._disturbed > _STEP_DOWN_AFTER or len(self._handles) == 1:
            self.step_down()

    def _take_lead(self) -> bool:
        """May be done again, as step_down(): wherever an interrupt falls, wait() begins anew.

        Return whether it could be done: some kernels need the ring to be made anew for it.
        """
        loop = self._loop
        self._fd.poll_stop()
        self._armed = False
        loop._ring.flush()
        try:
            number = self._ring_number = loop._ring.event_fd()
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            self.step_down()
            return False
        loop._info = loop._ring.info()
        self._handles[number, _READ] = self._ring_handle
        try:
            self._epoll.register(number, _RING)
        except FileExistsError:
            self._epoll.modify(number, _RING)
        self._alone = self._disturbed = 0
        self._in_lead = True
        return True

    def step_down(self) -> None:
        """Have the loop wait in the ring again."""
        self._in_lead = False
        self._handles.pop((self._ring_number, _READ), None)
        try:
            self._epoll.unregister(self._ring_number)
        except (OSError, ValueError):
            pass  # it never led
        self._ring_number = -1  # what was watched next under the number is not the ring
        if self._handles:
            self._arm()
        self._loop._leading = None

    def _find_ready(self, timeout: float) -> list[Any]:
        """Ask the set who is ready, and be sure that it is who has the number now."""
        handles = self._handles
        events = self._epoll.poll(timeout, len(handles) + 1)
        if self._suspects and not self._suspects.isdisjoint([number for number, _ in events]):
            self._renew()
            events = self._epoll.poll(0, len(handles) + 1)
        ready = list(map(handles.get, events))
        return ready if None not in ready else self._find_each(events)

    def _find_each(self, events: list[tuple[int, int]]) -> list[Any]:
        """Find whom events wake that are not just one: both directions, errors, hang-ups."""
        ready = []
        for number, mask in events:
            reader = self._handles.get((number, _READ))
            writer = self._handles.get((number, _WRITE))
            if reader is not None and mask & _WAKES_READER:
                ready.append(reader)
            if writer is not None and mask & _WAKES_WRITER:
                ready.append(writer)
            if reader is None and writer is None:
                self._renew()
        return ready

    def _renew(self) -> None:
        """Put a new set in the old one's place: that reports what nobody watches.

        Under the same number, in one step: wherever an interrupt falls, the set is one of both.
        """
        fresh = select.epoll()
        for number in {number for number, _ in self._handles}:
            try:
                fresh.register(number, self._mask_of(number))
            except OSError:
                self._forget(number)
        self._fd.poll_stop()  # none is armed but after an interrupt; it would be of the old set
        self._armed = self._in_lead = False
        os.dup2(fresh.fileno(), self._epoll.fileno(), inheritable=False)
        fresh.close()
        self._suspects.clear()

    def loop_closed(self) -> None:
        """Close the set; the descriptors are the user's."""
        for number in {number for number, _ in self._handles}:
            self._forget(number)
        self._epoll.close()

    def forked(self) -> None:
        """Close the child's copy at once: what a child changes in the set, it changes for both."""
        self.loop_closed()
        self._in_lead = False
        self._loop._leading = None


class ReadinessMethods:
    """add_reader() and its kin."""

    _readiness: Readiness | None = None
    _check_closed: Callable[[], None]
    _own_thread: Callable[[], None]
    _ensure_fd_no_transport: Callable[[Any], None]
    _new_handle: Callable[..., asyncio.Handle]

    def add_reader(self, fd: Any, callback: Callable[..., Any], *args: Any) -> None:
        """Call ``callback(*args)`` in every turn in which ``fd`` can be read from."""
        self._ensure_fd_no_transport(fd)
        self._add_reader(fd, callback, *args)

    def remove_reader(self, fd: Any) -> bool:
        """Call the reader's callback no more; tell whether there was one."""
        if self._closed_number(fd) is None:
            self._ensure_fd_no_transport(fd)
        return self._remove_reader(fd)

    def add_writer(self, fd: Any, callback: Callable[..., Any], *args: Any) -> None:
        """Call ``callback(*args)`` in every turn in which ``fd`` can be written to."""
        self._ensure_fd_no_transport(fd)
        self._add_writer(fd, callback, *args)

    def remove_writer(self, fd: Any) -> bool:
        """Call the writer's callback no more; tell whether there was one."""
        if self._closed_number(fd) is None:
            self._ensure_fd_no_transport(fd)
        return self._remove_writer(fd)

    # The pipe transports of asyncio.unix_events call these.

    def _add_reader(self, fd: Any, callback: Callable[..., Any], *args: Any) -> asyncio.Handle:
        return self._watch(fd, _READ, callback, args)

    def _remove_reader(self, fd: Any) -> bool:
        return self._unwatch(fd, _READ)

    def _add_writer(self, fd: Any, callback: Callable[..., Any], *args: Any) -> asyncio.Handle:
        return self._watch(fd, _WRITE, callback, args)

    def _remove_writer(self, fd: Any) -> bool:
        return self._unwatch(fd, _WRITE)

    def _watch(
        self, fd: Any, event: int, callback: Callable[..., Any], args: tuple[Any, ...]
    ) -> asyncio.Handle:
        self._check_closed()
        self._own_thread()
        readiness = self._readiness
        if readiness is None:
            readiness = self._readiness = Readiness(self)  # type: ignore[arg-type]
        handle = self._new_handle(callback, args)
        number = fileno_of(fd)
        readiness.add(number, event, handle)
        if number is not fd:
            readiness.remember(number, fd)
        return handle

    def _unwatch(self, fd: Any, event: int) -> bool:
        readiness = self._readiness
        if readiness is None:
            return False
        number = self._closed_number(fd)
        return readiness.remove(fileno_of(fd) if number is None else number, event)

    def _closed_number(self, fd: Any) -> int | None:
        """Return what number a watched object had before it was closed; None: it is not closed."""
        if isinstance(fd, int) or self._readiness is None:
            return None
        try:
            fileno_of(fd)
        except ValueError:
            return self._readiness.number_of_closed(fd)
        return None
