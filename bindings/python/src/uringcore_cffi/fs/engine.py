"""One file ring for each event loop: which operation is whose, and when its coroutine goes on.

The ring is apart from whatever the loop itself runs on, so that a slow disk never stands in the
network's queue, and the same on every asyncio loop: it is watched through its event descriptor,
with ``add_reader()``.

**At once.** What is in the page cache has been read when the ring has been entered. So begin()
submits, asks the ring without waiting, and mostly finds the record there: no turn of the loop, no
future. Not for ever: after as much as SPENT_MAX in one turn, a coroutine lets the loop run first.

**Records.** A record is consumed once, and an interrupt (KeyboardInterrupt at any bytecode) must
not lose it. A batch lies in the ring until the engine has it, and in ``_batch`` until each record
was given to its operation, which may be done twice.

**Whose memory.** An operation stays in ``_pending`` with all memory that the kernel may touch until
its record, whatever becomes of the coroutine. That table and the ring are what outlives the
engine, if it must: nothing in the table leads back to the loop, so that a forgotten loop is
collected with everything, and the ring is freed then.
"""

from __future__ import annotations

import asyncio
import errno
import itertools
import os
import threading
import types
import weakref
from collections import deque
from typing import TYPE_CHECKING, Any, Callable

from uringcore_cffi._ffi.errors import answer_error
from uringcore_cffi._handles import files, names
from uringcore_cffi._handles.pool import Pool
from uringcore_cffi._handles.ring import Ring
from uringcore_cffi._loop.loop import UringEventLoop
from uringcore_cffi.fs.operation import Operation, release

if TYPE_CHECKING:
    from collections.abc import Generator

    from uringcore_cffi._handles.events import Record

# The file ring receives into no pool, but a ring has one: the smallest.
_POOL_BYTES = 4096
_SQ_ENTRIES = 64
_CQ_ENTRIES = 1024

# How much may be done in one turn of the loop before others get theirs: one for each operation,
# and one for each so many bytes.
SPENT_MAX = 64
_SPENT_SHIFT = 14
# How many calls may be answered out of buffers before others get their turn.
HITS_MAX = 500

# Blocks that wait to be used again: by the bits of their size, and how many of each.
_BLOCK_BITS = (13, 17, 20)
_BLOCKS_KEPT = {13: 64, 17: 16, 20: 4}
# No operation moves more than this; who wants more asks again.
PIECE_MAX = 1 << 20

_EVENT_BYTES = 8


class Engine:
    """The file ring of one loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Make the ring and have the loop watch it. To be called in the loop's thread."""
        backend = loop.info().backend if isinstance(loop, UringEventLoop) else None
        pool = Pool.new(buffer_bytes=_POOL_BYTES, buffer_count=1, buffer_max=1)
        try:
            ring = Ring(sq_entries=_SQ_ENTRIES, cq_entries=_CQ_ENTRIES, pool=pool, backend=backend)
        except BaseException:
            pool.free()
            raise
        self.loop = weakref.ref(loop)
        self.inherited = False
        self.closed = False
        self.spent = 0  # in this turn of the loop
        self.hits = 0
        self._is_counting = False  # it will be set to 0 when the next turn begins
        self._ring = ring
        self._pending: dict[int, Operation] = {}
        self._waiters: dict[int, asyncio.Future[None]] = {}
        self._batch: deque[Record] = deque()
        self._next_cookie = itertools.count(1).__next__
        self._ret_op = files.new_ret_op()
        self._blocks: dict[int, list[files.Block]] = {bits: [] for bits in _BLOCK_BITS}
        self._release = weakref.finalize(self, release, ring, pool, self._pending)
        ring.enable()
        self._event_fd = ring.event_fd()
        loop.add_reader(self._event_fd, self._on_ready)

    # Submitting

    def begin(
        self,
        submit: Callable[..., int],
        *arguments: Any,
        memory: Any = None,
        late: Callable[[int], Any] | None = None,
        deadline_ns: int = 0,
    ) -> Operation:
        """Submit an operation and look once whether it has ended already.

        ``memory`` is kept until the record. If the coroutine is gone or cancelled by then,
        ``late`` gets the result, to give back what was made. After ``deadline_ns`` the kernel
        ends it.
        """
        if not self._is_counting:
            self._count_turn()
        self.spent += 1
        cookie = self._next_cookie()
        operation = Operation(cookie, memory, late)
        ret_op = self._ret_op
        ret_op[0] = 0
        self._pending[cookie] = operation  # before it is: an interrupt may keep the answer from us
        try:
            answer = submit(self._ring.handle, *arguments, cookie, ret_op)
            if answer < 0:
                self._refused(answer, operation, submit, arguments)
            operation.name = ret_op[0]
            if deadline_ns:
                names.set_deadline(self._ring.handle, operation.name, deadline_ns)
            self.look()
        except BaseException:
            operation.name = ret_op[0]
            self._abandon(operation)
            raise
        return operation

    def _abandon(self, operation: Operation) -> None:
        """Give up an operation that nobody will wait for."""
        operation.abandoned = True
        if operation.done:
            operation.undo()
        elif operation.name:
            files.cancel(self._ring.handle, operation.name)
        else:
            self._pending.pop(operation.cookie, None)  # it was never submitted

    def _refused(
        self, answer: int, operation: Operation, submit: Callable[..., int], arguments: Any
    ) -> None:
        """Submit again if the loop runs in another thread now; raise for any other refusal."""
        if answer == -errno.EPERM:
            self._ring.enable()
            answer = submit(self._ring.handle, *arguments, operation.cookie, self._ret_op)
        if answer < 0:
            raise answer_error(answer, "the file ring")

    def look(self) -> None:
        """Enter the ring without waiting, and hand out what has ended."""
        if self._ring.recover() or self._batch:
            self._recover()
        count = self._ring.wait(0)
        while count:
            self._batch.extend(self._records(count))
            self._ring.taken()
            self._hand_out()
            if not self._pending:
                return
            count = self._ring.wait(0)

    def _records(self, count: int) -> list[Record]:
        if count == -errno.EPERM:
            self._ring.enable()
            count = self._ring.wait(0)
        return self._ring.records(count)

    def _recover(self) -> None:
        self._batch.extend(self._ring.recover())
        self._ring.taken()
        self._hand_out()

    def _hand_out(self) -> None:
        batch, pending, waiters = self._batch, self._pending, self._waiters
        while batch:
            _, result, _, _, cookie = batch[0]
            operation = pending.get(cookie)
            if operation is not None:
                operation.end(result)
                waiter = waiters.get(cookie)
                if waiter is not None and not waiter.done():
                    waiter.set_result(None)
                pending.pop(cookie, None)
            batch.popleft()  # the commit point

    def _on_ready(self) -> None:
        """Take what the event descriptor tells of; over epoll there is nothing to read from it."""
        try:
            os.read(self._event_fd, _EVENT_BYTES)
        except OSError:
            pass
        self.look()

    # Waiting

    async def ended(self, operation: Operation) -> int:
        """Wait for an operation; return its result.

        A cancellation asks the kernel to end it, and is raised when the kernel has let go, not
        before. What was made by then is undone; ``operation.result`` tells how far it got.
        """
        try:
            cancelled = await self._wait_for(operation)
        except BaseException:
            self._abandon(operation)  # the coroutine is being closed: nobody will know
            raise
        if cancelled is not None:
            operation.undo()
            raise asyncio.CancelledError(*cancelled)
        return operation.result

    async def _wait_for(self, operation: Operation) -> tuple[Any, ...] | None:
        """Wait for the record; return what a cancellation meanwhile said."""
        # Not the exception itself: one that was kept and is raised again makes CPython 3.9 to 3.11
        # crash in a later collection of garbage.
        cancelled = None
        loop = asyncio.get_running_loop()
        cookie = operation.cookie
        while not operation.done:
            waiter = self._waiters[cookie] = loop.create_future()
            try:
                if not operation.done:  # an interrupt may have let it end meanwhile
                    await waiter
            except asyncio.CancelledError as exc:
                cancelled = exc.args
                self.cancel(operation)
            finally:
                self._waiters.pop(cookie, None)
        return cancelled

    def cancel(self, operation: Operation) -> None:
        """Ask for an operation to end early."""
        if not operation.done and operation.name:
            files.cancel(self._ring.handle, operation.name)
            self.look()

    async def let_run(self) -> None:
        """Let the loop run, until there is something to spend again."""
        while self.spent >= SPENT_MAX:
            self._count_turn()
            await _next_turn()

    async def pause(self) -> None:
        """Let the loop run once, after many calls that needed no operation."""
        self.hits = 0
        await _next_turn()

    def _count_turn(self) -> None:
        loop = self.loop()
        if loop is not None:
            loop.call_soon(self._begin_turn)
            self._is_counting = True

    def _begin_turn(self) -> None:
        self.spent = 0
        self._is_counting = False

    # Memory

    def block(self, count: int) -> files.Block:
        """Return memory for ``count`` bytes, for the kernel to write to."""
        self.spent += count >> _SPENT_SHIFT
        for bits in _BLOCK_BITS:
            if count <= 1 << bits:
                free = self._blocks[bits]
                return free.pop() if free else files.Block(1 << bits)
        return files.Block(count)

    def spend(self, count: int) -> None:
        """Note that so many bytes are moved."""
        self.spent += count >> _SPENT_SHIFT

    def give_back(self, block: files.Block) -> None:
        """Take a block back whose operation has ended."""
        bits = block.size.bit_length() - 1
        free = self._blocks.get(bits)
        if free is not None and block.size == 1 << bits and len(free) < _BLOCKS_KEPT[bits]:
            free.append(block)

    # The end

    def stats(self) -> Any:
        """Return the ring's counters."""
        return self._ring.stats()

    def info(self) -> Any:
        """Return what the ring is made on."""
        return self._ring.info()

    def close(self) -> None:
        """End what is in flight and free the ring. Idempotent; in the loop's thread."""
        if self.closed:
            return
        self.closed = True
        loop = self.loop()
        if loop is not None and not self.inherited and not loop.is_closed():
            loop.remove_reader(self._event_fd)
        self._release()
        for waiter in list(self._waiters.values()):
            _wake(waiter)
        self._waiters.clear()

    def forked(self) -> None:
        """Be of no use from now on: this is a child, just forked, and all this is its parent's."""
        self.inherited = True
        self._batch.clear()
        for operation in self._pending.values():
            operation.late = None  # what it makes, it makes in the parent
            operation.end(-errno.ECHILD)
        self._pending.clear()
        for waiter in self._waiters.values():
            _wake(waiter)


def _wake(waiter: asyncio.Future[None]) -> None:
    try:
        if not waiter.done():
            waiter.set_result(None)
    except RuntimeError:
        pass  # the loop is closed, or was another thread's: nobody will run


@types.coroutine
def _next_turn() -> Generator[None, None, None]:
    yield


# The engine of each loop. It belongs to its loop, which holds it as a reader's callback.
_engines: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, weakref.ref[Engine]] = (
    weakref.WeakKeyDictionary()
)
_lock = threading.Lock()


def engine_of_running_loop() -> Engine:
    """Return the engine of the loop that runs, made at its first use."""
    loop = asyncio.get_running_loop()
    known = _engines.get(loop)
    engine = known() if known is not None else None
    if engine is None or engine.closed:
        close_forgotten()
        engine = Engine(loop)
        with _lock:
            _engines[loop] = weakref.ref(engine)
        if isinstance(loop, UringEventLoop):
            loop._free_with_loop(engine.close)
    return engine


def close_forgotten() -> None:
    """Free the rings of loops that are closed: nobody else tells of that."""
    with _lock:
        known = list(_engines.items())
    for loop, reference in known:
        engine = reference()
        if engine is not None and loop.is_closed():
            engine.close()


def _forget_all() -> None:
    """Use no engine of the parent's in a child."""
    global _lock, _engines
    _lock = threading.Lock()
    engines, _engines = _engines, weakref.WeakKeyDictionary()
    for reference in list(engines.values()):
        engine = reference()
        if engine is not None:
            engine.forked()


os.register_at_fork(after_in_child=_forget_all)
