"""Lease: received bytes in the user's hands, where the kernel has put them.

What a view stands on is a small cffi object over the buffer, the *exporter*. Whoever has a view, a
slice of one, or an array made of it, holds the exporter, and only when that dies may the buffer go
back. lending.py sees to it.
"""

from __future__ import annotations

import re
import sys
import threading
from typing import TYPE_CHECKING, Any

from uringcore_cffi._ffi.library import ffi

if TYPE_CHECKING:
    from uringcore_cffi._handles.lending import Leases

_get_ident = threading.get_ident

# Whether the death of what a view stands on is known at once.
COUNTED = hasattr(sys, "getrefcount")
_references: Any = getattr(sys, "getrefcount", id)

_RELEASED = (
    "the lease was released: use .view before that, or keep a slice of it, which keeps the buffer"
)


def _references_of_one_holder() -> int:
    """Tell what release() counts for an exporter that nobody else has; newer Pythons count less."""
    data = ffi.buffer(ffi.new("char[1]"))
    count: int = _references(data)
    return count


_ALONE = _references_of_one_holder()


class Lease:
    """Bytes that were received, where the kernel has put them.

    ``view`` is a read-only memoryview of them. The buffer goes back when the lease was released, or
    forgotten, and the last view, slice or array over it is gone. Until then nobody writes to it.
    Use it in a ``with`` block, or call release(): buffers are few, and who holds too many (see
    set_credit() of the loop) receives nothing more.

    ``len(lease)`` is the number of bytes, also after the release. An empty lease is the end of a
    stream, and false. ``bytes(lease)`` is a copy. From Python 3.12 on a lease can be passed to
    whatever takes a bytes-like object; before, pass ``lease.view``.

    A lease of bytes that lie nowhere else, ``Lease(data)``, has no buffer to give back: such are
    those over TLS, on other event loops, on PyPy, and of pieces that had to be put together.

    It may be used and released in any thread. In a forked child it is the child's own copy.
    """

    __slots__ = ("__weakref__", "_data", "_name", "_owner", "_size", "_start", "_view")

    def __init__(self, data: bytes = b"") -> None:
        """Make a lease of bytes that belong to nobody."""
        self._data: Any = bytes(data)  # the exporter, or bytes; None once released
        self._start = 0
        self._size = len(data)
        self._view: memoryview | None = None
        self._owner: Leases | None = None
        self._name = 0  # the buffer's

    @property
    def view(self) -> memoryview:
        """The bytes, not to be written to; the same object each time."""
        view = self._view
        if view is None:
            data = self._data
            if data is None:
                raise ValueError(_RELEASED)
            view = memoryview(data).toreadonly()
            if self._size != len(view):
                view = view[self._start : self._start + self._size]
            self._view = view
        return view

    @property
    def released(self) -> bool:
        """Whether release() was called."""
        return self._data is None

    def release(self, *_: object) -> None:
        """Let go of the bytes; slices and arrays that somebody has kept stay valid."""
        data, view = self._data, self._view
        if data is None:
            return
        if view is not None:
            self._view = None
            try:
                view.release()
            except BufferError:
                pass  # an array or the like is over it, and keeps it
        self._data = None
        owner = self._owner
        if owner is None or owner.thread != _get_ident():
            return
        if _references(data) - _ALONE == (self._name in owner.fresh):
            owner.end(self._name)

    def __enter__(self) -> Lease:
        """Return the lease."""
        return self

    __exit__ = release

    def __len__(self) -> int:
        """Return the number of bytes."""
        return self._size

    def __bytes__(self) -> bytes:
        """Return a copy."""
        data = self._data
        if data is None:
            raise ValueError(_RELEASED)
        copy: bytes = data[self._start : self._start + self._size]
        return copy

    def __reduce__(self) -> Any:
        """Refuse to be copied or pickled: a buffer is given back once."""
        raise TypeError(
            "a lease cannot be copied or pickled: pass bytes(lease), or a slice of .view"
        )

    def __buffer__(self, flags: int) -> memoryview:
        """Be bytes-like (Python 3.12 and later)."""
        return memoryview(self.view)

    def __repr__(self) -> str:
        state = ", released" if self._data is None else ""
        return f"<{type(self).__name__} of {self._size} bytes{state}>"

    # For the reader of a stream, before anybody has seen a view.

    def _split(self, count: int) -> Lease:
        """Cut ``count`` bytes off the front, as a lease of the same buffer."""
        front: Lease = object.__new__(Lease)
        front._data = self._data
        front._start = self._start
        front._size = count
        front._view = None
        front._owner = self._owner
        front._name = self._name
        self._start += count
        self._size -= count
        return front

    def _take(self, count: int) -> bytes:
        """Copy up to ``count`` bytes off the front."""
        start, count = self._start, min(count, self._size)
        self._start += count
        self._size -= count
        taken: bytes = self._data[start : start + count]
        return taken

    def _find_end(self, separator: bytes) -> int:
        """Tell how many bytes there are up to the end of a separator; 0: it is not found."""
        with memoryview(self._data) as whole, whole[self._start :] as view:
            found = re.search(re.escape(separator), view)
            end = 0 if found is None else found.end()
            del found  # it holds the view
        return end
