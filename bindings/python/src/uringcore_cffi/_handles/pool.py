"""The memory that the kernel receives into."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cache
from typing import Any

from uringcore_cffi._ffi.errors import answer_error
from uringcore_cffi._ffi.library import CData, ffi, lib
from uringcore_cffi._handles.lending import Leases

_HEAP_KEPT_BYTES = 8 << 20
_QUARANTINE_MAX_MS = 86_400_000  # a day


@dataclass(frozen=True)
class PoolStats:
    """The counters of struct uc_pool_stats; include/uc/pool.h says what each means."""

    buffer_bytes: int
    buffers: int
    buffers_max: int
    free: int
    in_flight: int
    completed: int
    leased: int
    quarantine: int
    generation: int
    grown: int
    exhausted: int
    refused: int
    locked_bytes: int
    registered_bytes: int


@cache
def keep_heap() -> None:
    """Have glibc keep freed memory instead of giving it back page by page, once in a process.

    Every payload becomes a bytes object of up to a whole buffer and dies soon after. As long as
    nothing large was ever freed, glibc returns the top of its heap to the kernel at every 128 KiB
    and faults it in again: half of the time of a bulk transfer. Freeing one large block raises
    its limits to that size (mallopt(3), M_MMAP_THRESHOLD: they adjust themselves).
    """
    bytes(_HEAP_KEPT_BYTES)


def _quarantine_ns(milliseconds: float | None) -> int:
    if milliseconds is None:
        return 2**64 - 1  # UC_QUARANTINE_DEFAULT
    if not 0 <= milliseconds <= _QUARANTINE_MAX_MS:
        raise ValueError(
            f"quarantine_ms is {milliseconds!r}: it goes from 0 to {_QUARANTINE_MAX_MS}"
        )
    return int(milliseconds * 1e6)


class Pool:
    """A pool of receive buffers: a ring's own, or one made here to be given to a ring.

    ``memory`` is a cffi buffer over the whole reserved stretch. A slice of it is ``bytes``, so
    ``pool.memory[offset : offset + count]`` copies a payload out. It must not be used after the
    ring, or the pool, was freed: the mapping is gone.
    """

    __slots__ = ("_owned", "buffer_bytes", "handle", "leases", "memory")

    def __init__(self, handle: CData, *, owned: bool) -> None:
        keep_heap()
        self.handle = handle
        self._owned = owned
        self.memory: Any = ffi.buffer(lib.uc_pool_base(handle), lib.uc_pool_reserved(handle))
        self.leases: Leases | None = None  # made when the first is asked for
        self.buffer_bytes = self.stats().buffer_bytes

    @classmethod
    def new(
        cls,
        *,
        buffer_bytes: int = 0,
        buffer_count: int = 0,
        buffer_max: int = 0,
        quarantine_ms: float | None = None,
    ) -> Pool:
        """Make a pool; 0 and None mean libuc's defaults.

        ``buffer_bytes`` is the size of one buffer, ``buffer_count`` how many there are at the
        start, ``buffer_max`` how many the pool may grow to, ``quarantine_ms`` how long a buffer
        rests after a lease of it has ended (5 ms).
        """
        options = ffi.new("struct uc_pool_options *")
        options.size = ffi.sizeof("struct uc_pool_options")
        options.buffer_bytes = buffer_bytes
        options.buffer_count = buffer_count
        options.buffer_max = buffer_max
        options.quarantine_ns = _quarantine_ns(quarantine_ms)
        ret_pool = ffi.new("uc_pool **")
        answer = lib.uc_pool_new(options, ret_pool)
        if answer < 0:
            raise answer_error(answer, "uc_pool_new")
        return cls(ret_pool[0], owned=True)

    def __enter__(self) -> Pool:
        """Return the pool."""
        return self

    def __exit__(self, *_: object) -> None:
        """Free it."""
        self.free()

    def stats(self) -> PoolStats:
        """Return the counters as of now."""
        stats = ffi.new("struct uc_pool_stats *")
        stats.size = ffi.sizeof("struct uc_pool_stats")
        with self.still():
            answer = lib.uc_pool_get_stats(self.handle, stats)
        if answer < 0:
            raise answer_error(answer, "uc_pool_get_stats")
        return PoolStats(**{name: getattr(stats, name) for name in PoolStats.__dataclass_fields__})

    def free(self) -> None:
        """Give the pool up. A ring's own pool goes with its ring; only the view is dropped."""
        self.memory = b""
        handle, self.handle = self.handle, ffi.NULL
        if self._owned:
            with self.still():
                lib.uc_pool_free(handle)

    def still(self) -> AbstractContextManager[None]:
        """Keep other threads, in which leases may end, from the pool meanwhile."""
        return nullcontext() if self.leases is None else self.leases.still()
