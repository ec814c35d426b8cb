"""The ring: one call per turn, and a list of records.

Records are consumed once. Python can lose a C call's return value: a signal handler may raise
between the call's return and the assignment. So the first record's kind, which C never sets to
0, doubles as the sign that a batch lies in the array and nobody has it yet: ``wait`` fills the
array, ``records`` hands the batch out, its taker says ``taken()`` once the batch is safe, and
``recover()`` hands out what was never taken.
"""

from __future__ import annotations

import errno
import os
import time
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any, Callable

from uringcore_cffi._ffi.errors import answer_error, creation_error, refusal_error
from uringcore_cffi._ffi.library import CData, ffi, lib
from uringcore_cffi._handles.events import LAYOUT, NUMBERS, Record
from uringcore_cffi._handles.fd import CLOSE_ABORT, CLOSE_KEEP, Fd
from uringcore_cffi._handles.lending import Leases
from uringcore_cffi._handles.pool import Pool
from uringcore_cffi._handles.probe import BACKEND_NAMES, BACKENDS

# At most this many records are taken in a turn; the rest waits in C for the next one.
RECORDS_MAX = 256

# How long settle() waits for the kernel to let go of what is in flight, and at a time.
_SETTLE_SECONDS = 1.0
_SETTLE_STEP_NS = 10_000_000

# UC_OFFSET_CURRENT of include/uc/op.h: at the file's own position; what pipes and sockets need.
OFFSET_CURRENT = 2**64 - 1

_SQPOLL = {
    "off": lib.UC_SQPOLL_OFF,
    "try": lib.UC_SQPOLL_TRY,
    "require": lib.UC_SQPOLL_REQUIRE,
}
_RESTRICTIONS = {None: lib.UC_RESTRICT_NONE, "network": lib.UC_RESTRICT_NETWORK}
_RESTRICTION_NAMES = {number: name for name, number in _RESTRICTIONS.items()}

_unpack = LAYOUT.iter_unpack
_RECORD_BYTES = LAYOUT.size


@dataclass(frozen=True)
class Stats:
    """The ring's counters: struct uc_ring_stats of include/uc/ring.h.

    ``stale`` must stay 0; ``kernel_entries`` counts system calls made to submit
    or wait; ``submissions`` and ``completions`` count operations; ``events`` counts records.
    """

    kernel_entries: int
    submissions: int
    completions: int
    events: int
    in_flight: int
    stale: int
    overflows: int
    no_buffers: int
    wakeups: int
    attached: int
    rehomed: int
    busy_polls: int
    busy_poll_hits: int
    zero_copy_sends: int
    zero_copy_copied: int


@dataclass(frozen=True)
class Info:
    """What the ring got from the kernel.

    ``backend`` is "uring" or "epoll", ``kernel`` the kernel's release; ``features`` are in use,
    ``features_stripped`` were refused or are missing; ``sq_entries`` and ``cq_entries`` are the
    sizes of the two queues; ``halvings`` and ``retries`` say how hard it was to get memory;
    ``reason`` is one sentence on what is amiss, empty when nothing is;
    ``sqpoll_cpu`` is the CPU that the kernel thread stays on, None if it stays on none;
    ``restriction`` is "network", or None.
    """

    backend: str
    kernel: str
    features: tuple[str, ...]
    features_stripped: tuple[str, ...]
    sq_entries: int
    cq_entries: int
    halvings: int
    retries: int
    reason: str
    sqpoll_cpu: int | None = None
    restriction: str | None = None


def feature_names(bits: int) -> tuple[str, ...]:
    """Name the features whose bits are set."""
    names = []
    bit = 1
    while (name := lib.uc_feature_name(bit)) != ffi.NULL:
        if bits & bit:
            names.append(ffi.string(name).decode())
        bit <<= 1
    return tuple(names)


def _choose(name: str, value: str | None, choices: dict[Any, int]) -> int:
    """Return libuc's number for a word; ValueError for a word that it does not have."""
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}, not {value!r}")
    return choices[value]


class Ring:
    """Owns a uc_ring, the array its records are written to, and every Fd attached to it."""

    __slots__ = (
        "_head",
        "_numbers",
        "_own_pool",
        "_records",
        "_view",
        "credit_bytes",
        "fds",
        "handle",
        "pool",
        "wait",
        "wants_sqpoll",
        "zero_copy_bytes",
    )

    def __init__(
        self,
        *,
        sq_entries: int = 0,
        cq_entries: int = 0,
        sqpoll: str = "off",
        sqpoll_idle_ms: int = 0,
        sqpoll_cpu: int | None = None,
        restrict: str | None = None,
        features_off: int = 0,
        pool: Pool | None = None,
        backend: str | None = None,
        busy_poll_us: int = 0,
        credit_bytes: int = 0,
        zero_copy_bytes: int = 0,
    ) -> None:
        """Make a ring, not yet bound to a thread; 0 and None mean libuc's defaults.

        Raise OSError with the knob's name when io_uring is refused, ValueError when ``backend`` or
        a variable of the environment has an unknown value.
        """
        if backend is not None and backend not in BACKENDS:
            raise ValueError(f"backend is {backend!r}: known are {', '.join(BACKENDS)}")
        if pool is not None and pool.handle == ffi.NULL:
            raise ValueError("the pool was freed")
        if not 0 <= credit_bytes < 2**63:
            raise ValueError(f"credit_bytes is {credit_bytes!r}: it is a number of bytes, or 0")
        if not 0 <= zero_copy_bytes < 2**63:
            raise ValueError(
                f"send_zero_copy is {zero_copy_bytes!r}: it is a number of bytes, or None"
            )
        self.handle: CData = ffi.NULL
        options = ffi.new("struct uc_ring_options *")
        options.size = ffi.sizeof("struct uc_ring_options")
        options.sq_entries = sq_entries
        options.cq_entries = cq_entries
        options.sqpoll = _choose("sqpoll", sqpoll, _SQPOLL)
        self.wants_sqpoll = sqpoll != "off"
        options.sqpoll_idle_ms = sqpoll_idle_ms
        options.sqpoll_cpu = 0 if sqpoll_cpu is None else sqpoll_cpu + 1
        options.restriction = _choose("restrict", restrict, _RESTRICTIONS)
        options.backend = BACKENDS[backend or "auto"]
        options.features_off = features_off
        options.busy_poll_us = busy_poll_us
        options.pool = ffi.NULL if pool is None else pool.handle
        ret_ring = ffi.new("uc_ring **")
        with nullcontext() if pool is None else pool.still():
            answer = lib.uc_ring_new(options, ret_ring)
        if answer < 0:
            raise creation_error(answer)
        self.handle = ret_ring[0]
        self.fds: set[Fd] = set()
        self._own_pool = pool is None
        self.pool = pool or Pool(lib.uc_ring_pool(self.handle), owned=False)
        self._records: Any = ffi.new("struct uc_event[]", RECORDS_MAX)
        self._view: Any = ffi.buffer(self._records)
        self._head = memoryview(self._view).cast("I")
        self._numbers = memoryview(self._view).cast("Q")
        self.zero_copy_bytes = zero_copy_bytes  # of each descriptor; 0: never
        self.credit_bytes = credit_bytes  # of each descriptor, to begin with; 0: libuc's default
        if self.pool.leases is not None:
            self.lend()  # what was lent out for an earlier ring comes back to this one
        # wait(timeout_ns): submit everything, wait for the first record (0 not at all, negative
        # for ever), return how many there are. Payloads of the batch before are gone.
        self.wait: Callable[[int], int] = partial(
            lib.uc_ring_wait, self.handle, self._records, RECORDS_MAX
        )

    def records(self, count: int) -> list[Record]:
        """Turn what wait() returned into a list of records.

        A signal has ended the wait: an empty list. Raise ChildProcessError after fork,
        RuntimeError on a thread that does not run the ring, OSError when the kernel refuses to
        go on.
        """
        if count > 0:
            return list(_unpack(self._view[: count * _RECORD_BYTES]))
        if count < 0 and count not in (-errno.EINTR, -errno.ENOMEM):
            raise refusal_error(count, "uc_ring_wait")
        return []

    def taken(self) -> None:
        """Note that the last batch is safe with its taker."""
        self._head[0] = 0

    def recover(self) -> list[Record]:
        """Return the batch that wait() got but could not hand over; empty when there is none."""
        if not self._head[0]:
            return []
        return list(_unpack(self._view[: self.last_count() * _RECORD_BYTES]))

    def last_count(self) -> int:
        """Return how many records the last wait() got; raise for who may not run the ring."""
        count = lib.uc_ring_last_count(self.handle)
        if count < 0:
            raise answer_error(count, "uc_ring_last_count")
        return count

    def buffer_name(self, position: int) -> int:
        """Return what names the payload's buffer of a record in the last batch."""
        return self._numbers[NUMBERS * position + NUMBERS - 1]

    def lend(self) -> Leases:
        """Return what keeps payloads and takes them back."""
        pool = self.pool
        if pool.leases is None:
            pool.leases = Leases(pool.handle)
        pool.leases.bind(self)
        return pool.leases

    def enable(self) -> None:
        """Bind the ring to the calling thread; it moves if another thread ran it before."""
        answer = lib.uc_ring_enable(self.handle)
        if answer == -errno.EBUSY:
            raise OSError(
                errno.EBUSY,
                "more is in flight than can move to another thread at once, "
                "or a peer has not acknowledged what was sent without a copy: "
                "have the thread that ran it before go on, or close it",
            )
        if answer < 0:
            raise refusal_error(answer, "uc_ring_enable")

    def flush(self) -> None:
        """Submit everything queued; the kernel then holds what was asked for, also with SQPOLL."""
        answer = lib.uc_ring_flush(self.handle)
        # What the kernel could not take yet goes with the next turn.
        if answer < 0 and answer not in (-errno.EINTR, -errno.EAGAIN):
            raise refusal_error(answer, "uc_ring_flush")

    def hold_files(self) -> None:
        """Make sure that numbers may be closed: the kernel holds the files of what was submitted.

        Without SQPOLL it does so in the turn that submits. To be called when somebody else's
        descriptor is let go of with an operation called off; refusals do not matter then.
        """
        if self.wants_sqpoll:
            lib.uc_ring_flush(self.handle)

    def wake(self) -> int:
        """Make the current or next wait return; any thread, also from a signal handler."""
        return lib.uc_ring_wake(self.handle)

    def splice(
        self, fd_in: int, offset_in: int, fd_out: int, offset_out: int, count: int, cookie: int
    ) -> int:
        """Move up to ``count`` bytes between two descriptors, of which one is a pipe.

        Return what names the operation to cancel(), or a negative number: a refusal. An OPERATION
        record with ``cookie`` tells how many bytes were moved. Until then both must stay open.
        """
        ret_op = ffi.new("uint64_t *")
        answer = lib.uc_op_splice(
            self.handle, fd_in, offset_in, fd_out, offset_out, count, 0, cookie, ret_op
        )
        return answer if answer < 0 else ret_op[0]

    def cancel(self, op: int) -> int:
        """Ask for an operation to end early: its record tells how it did."""
        return lib.uc_op_cancel(self.handle, op)

    def event_fd(self) -> int:
        """Return an eventfd that is written to whenever there may be something to take."""
        answer = lib.uc_ring_event_fd(self.handle)
        if answer < 0:
            raise answer_error(answer, "uc_ring_event_fd")
        return answer

    def poll_fd(self) -> int:
        """Return the ring's own descriptor, to ask whether there is something to take."""
        answer = lib.uc_ring_poll_fd(self.handle)
        if answer < 0:
            raise answer_error(answer, "uc_ring_poll_fd")
        return answer

    def settle(self, drop: Callable[[list[Record]], None]) -> Stats:
        """Take everything back from the kernel, within a second: descriptors and operations.

        What still comes goes to ``drop``. The ring can be freed then. Return the counters: they
        say how much has not ended in time. With zero-copy sends it takes up to a second more,
        because peers are given one to acknowledge them.
        """
        drop(self.recover())
        self.taken()
        self.flush()
        for fd in list(self.fds):
            # An abort would reset what only waits for its peer to acknowledge.
            is_sent = self.zero_copy_bytes and fd.queued_bytes() == 0
            fd.close(CLOSE_KEEP if is_sent else CLOSE_KEEP | CLOSE_ABORT)
        stats = self._wait_until_settled(drop)
        if self.zero_copy_bytes and (stats.attached or stats.in_flight):
            for fd in list(self.fds):
                fd.close(CLOSE_KEEP | CLOSE_ABORT)
            stats = self._wait_until_settled(drop)
        self.taken()
        return stats

    def _wait_until_settled(self, drop: Callable[[list[Record]], None]) -> Stats:
        deadline = time.monotonic() + _SETTLE_SECONDS
        while (stats := self.stats()).attached or stats.in_flight:
            if time.monotonic() >= deadline:
                break
            drop(self.records(self.wait(_SETTLE_STEP_NS)))
        return stats

    def freed(self) -> bool:
        """Tell whether free() was called."""
        return bool(self.handle == ffi.NULL)

    def reinit(self) -> None:
        """Make an inherited ring work in a forked child: empty, with no descriptor attached."""
        self._head[0] = 0
        leases = self.pool.leases
        saved = [] if leases is None else leases.save()
        answer = lib.uc_ring_reinit(self.handle)
        if answer < 0:
            if saved:
                self.handle = ffi.NULL  # never to be freed: the memory is being looked at
            raise answer_error(answer, "uc_ring_reinit")
        if leases is not None:
            leases.restore(saved)
        self._free_fds()
        self.pool.memory = ffi.buffer(
            lib.uc_pool_base(self.pool.handle), lib.uc_pool_reserved(self.pool.handle)
        )

    def stats(self) -> Stats:
        """Return the counters as of now."""
        stats = ffi.new("struct uc_ring_stats *")
        stats.size = ffi.sizeof("struct uc_ring_stats")
        answer = lib.uc_ring_get_stats(self.handle, stats)
        if answer < 0:
            raise answer_error(answer, "uc_ring_get_stats")
        return Stats(**{name: getattr(stats, name) for name in Stats.__dataclass_fields__})

    def info(self) -> Info:
        """Return what the kernel gave."""
        info = ffi.new("struct uc_ring_info *")
        info.size = ffi.sizeof("struct uc_ring_info")
        answer = lib.uc_ring_get_info(self.handle, info)
        if answer < 0:
            raise answer_error(answer, "uc_ring_get_info")
        return Info(
            backend=BACKEND_NAMES[info.backend],
            kernel=os.uname().release,
            features=feature_names(info.features),
            features_stripped=feature_names(info.features_stripped),
            sq_entries=info.sq_entries,
            cq_entries=info.cq_entries,
            halvings=info.halvings,
            retries=info.retries,
            reason=ffi.string(info.reason).decode(),
            sqpoll_cpu=info.sqpoll_cpu - 1 if info.sqpoll_cpu else None,
            restriction=_RESTRICTION_NAMES[info.restriction],
        )

    def free(self, *, inherited: bool = False) -> None:
        """End everything in flight and give the ring up, with every Fd attached to it.

        The descriptors stay open. In a forked child only the child's memory is released; what is
        still leased there stays as well, so the ring has to become the child's own first.
        """
        if inherited and self.pool.leases:
            self.reinit()
        handle, self.handle = self.handle, ffi.NULL
        if handle == ffi.NULL:
            return
        self.wait = partial(lib.uc_ring_wait, ffi.NULL, self._records, RECORDS_MAX)
        leases = self.pool.leases
        if leases is not None:
            leases.before_free()
        if self._own_pool:
            self.pool.free()  # the view and the handle only: the rest goes with the ring
        lib.uc_ring_free(handle)
        if leases is not None:
            leases.after_free()
        self._free_fds()

    def _free_fds(self) -> None:
        for fd in list(self.fds):
            fd.free()
