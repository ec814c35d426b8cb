"""Find libuc, open it, and refuse one that speaks another ABI.

Where it is looked for, in this order:

1. the path in the environment variable ``UC_LIBRARY``, for people who work on libuc;
2. the system's ``libuc.so.0``, when ``URINGCORE_SYSTEM_LIBUC`` is set to 1;
3. ``libuc.so.0`` inside this package, which is where the wheel puts it;
4. the system's, when the package carries none.

ABI-mode cffi believes whatever cdef.h says. The handshake below compares one number; that the
declarations, sizes and offsets are the compiler's is proven by ``tests/abi/test_cdef.py``.
"""

from __future__ import annotations

import os.path
from typing import Any, Protocol, cast

from uringcore_cffi._ffi._generated import ffi as _ffi

SONAME = "libuc.so.0"
# Pointers into C. cffi knows their types, a static checker does not.
CData = Any

ffi: Any = _ffi


class UcLib(Protocol):
    """The functions of libuc as a type checker sees them; nothing here runs."""

    # One line a function, in the order of the headers.
    def uc_version(self, /) -> CData: ...
    def uc_abi_version(self, /) -> int: ...
    def uc_error_name(self, error: int, /) -> CData: ...

    def uc_pool_new(self, options: CData, ret_pool: CData, /) -> int: ...
    def uc_pool_free(self, pool: CData, /) -> CData: ...
    def uc_pool_base(self, pool: CData, /) -> CData: ...
    def uc_pool_reserved(self, pool: CData, /) -> int: ...
    def uc_pool_lease(self, pool: CData, ret_lease: CData, /) -> int: ...
    def uc_pool_keep(self, pool: CData, buffer: int, ret_lease: CData, /) -> int: ...
    def uc_pool_release(self, pool: CData, token: int, /) -> int: ...
    def uc_pool_get_stats(self, pool: CData, ret_stats: CData, /) -> int: ...

    def uc_ring_new(self, options: CData, ret_ring: CData, /) -> int: ...
    def uc_ring_free(self, ring: CData, /) -> CData: ...
    def uc_ring_enable(self, ring: CData, /) -> int: ...
    def uc_ring_wait(self, ring: CData, events: CData, count: int, timeout_ns: int, /) -> int: ...
    def uc_ring_last_count(self, ring: CData, /) -> int: ...
    def uc_ring_flush(self, ring: CData, /) -> int: ...
    def uc_ring_wake(self, ring: CData, /) -> int: ...
    def uc_ring_event_fd(self, ring: CData, /) -> int: ...
    def uc_ring_poll_fd(self, ring: CData, /) -> int: ...
    def uc_ring_pool(self, ring: CData, /) -> CData: ...
    def uc_ring_get_info(self, ring: CData, ret_info: CData, /) -> int: ...
    def uc_ring_get_stats(self, ring: CData, ret_stats: CData, /) -> int: ...
    def uc_ring_reinit(self, ring: CData, /) -> int: ...

    def uc_fd_attach(self, ring: CData, fd: int, options: CData, ret_fd: CData, /) -> int: ...
    def uc_fd_free(self, fd: CData, /) -> CData: ...
    def uc_fd_recv_start(self, fd: CData, /) -> int: ...
    def uc_fd_recv_once(self, fd: CData, max_bytes: int, /) -> int: ...
    def uc_fd_recv_stop(self, fd: CData, /) -> int: ...
    def uc_fd_send(self, fd: CData, data: CData, count: int, flags: int, /) -> int: ...
    def uc_fd_send_to(
        self, fd: CData, data: CData, count: int, address: CData, address_bytes: int, /
    ) -> int: ...
    def uc_fd_shutdown(self, fd: CData, /) -> int: ...
    def uc_fd_accept_start(self, fd: CData, /) -> int: ...
    def uc_fd_connect(self, fd: CData, address: CData, address_bytes: int, /) -> int: ...
    def uc_fd_poll(self, fd: CData, events: int, /) -> int: ...
    def uc_fd_poll_stop(self, fd: CData, /) -> int: ...
    def uc_fd_set_water_marks(self, fd: CData, high: int, low: int, /) -> int: ...
    def uc_fd_set_credit(self, fd: CData, ops: int, count: int, /) -> int: ...
    def uc_fd_set_gather(self, fd: CData, on: int, /) -> int: ...
    def uc_fd_get_status(self, fd: CData, ret_status: CData, /) -> int: ...
    def uc_fd_close(self, fd: CData, flags: int, /) -> int: ...

    def uc_op_nop(self, ring: CData, cookie: int, ret_op: CData, /) -> int: ...
    def uc_op_read(
        self,
        ring: CData,
        fd: int,
        buffer: CData,
        count: int,
        offset: int,
        cookie: int,
        ret_op: CData,
        /,
    ) -> int: ...
    def uc_op_write(
        self,
        ring: CData,
        fd: int,
        buffer: CData,
        count: int,
        offset: int,
        cookie: int,
        ret_op: CData,
        /,
    ) -> int: ...
    def uc_op_fsync(
        self, ring: CData, fd: int, flags: int, cookie: int, ret_op: CData, /
    ) -> int: ...
    def uc_op_openat(
        self,
        ring: CData,
        directory_fd: int,
        path: CData,
        flags: int,
        mode: int,
        cookie: int,
        ret_op: CData,
        /,
    ) -> int: ...
    def uc_op_close(self, ring: CData, fd: int, cookie: int, ret_op: CData, /) -> int: ...
    def uc_op_statx(
        self,
        ring: CData,
        directory_fd: int,
        path: CData,
        flags: int,
        mask: int,
        statx: CData,
        cookie: int,
        ret_op: CData,
        /,
    ) -> int: ...
    def uc_op_timeout(self, ring: CData, ns: int, cookie: int, ret_op: CData, /) -> int: ...
    def uc_op_splice(
        self,
        ring: CData,
        fd_in: int,
        offset_in: int,
        fd_out: int,
        offset_out: int,
        count: int,
        flags: int,
        cookie: int,
        ret_op: CData,
        /,
    ) -> int: ...
    def uc_op_cancel(self, ring: CData, op: int, /) -> int: ...

    def uc_op_truncate(
        self, ring: CData, fd: int, count: int, cookie: int, ret_op: CData, /
    ) -> int: ...
    def uc_op_fallocate(
        self,
        ring: CData,
        fd: int,
        mode: int,
        offset: int,
        count: int,
        cookie: int,
        ret_op: CData,
        /,
    ) -> int: ...
    def uc_op_rename(
        self,
        ring: CData,
        old_directory_fd: int,
        old_path: CData,
        new_directory_fd: int,
        new_path: CData,
        flags: int,
        cookie: int,
        ret_op: CData,
        /,
    ) -> int: ...
    def uc_op_unlink(
        self,
        ring: CData,
        directory_fd: int,
        path: CData,
        flags: int,
        cookie: int,
        ret_op: CData,
        /,
    ) -> int: ...
    def uc_op_mkdir(
        self,
        ring: CData,
        directory_fd: int,
        path: CData,
        mode: int,
        cookie: int,
        ret_op: CData,
        /,
    ) -> int: ...
    def uc_op_symlink(
        self,
        ring: CData,
        target: CData,
        directory_fd: int,
        path: CData,
        cookie: int,
        ret_op: CData,
        /,
    ) -> int: ...
    def uc_op_link(
        self,
        ring: CData,
        old_directory_fd: int,
        old_path: CData,
        new_directory_fd: int,
        new_path: CData,
        flags: int,
        cookie: int,
        ret_op: CData,
        /,
    ) -> int: ...
    def uc_op_readlink(
        self,
        ring: CData,
        directory_fd: int,
        path: CData,
        buffer: CData,
        count: int,
        cookie: int,
        ret_op: CData,
        /,
    ) -> int: ...
    def uc_op_statvfs(
        self,
        ring: CData,
        fd: int,
        path: CData,
        statvfs: CData,
        cookie: int,
        ret_op: CData,
        /,
    ) -> int: ...
    def uc_op_list(
        self, ring: CData, fd: int, buffer: CData, count: int, cookie: int, ret_op: CData, /
    ) -> int: ...
    def uc_op_copy_range(
        self,
        ring: CData,
        fd_in: int,
        offset_in: int,
        fd_out: int,
        offset_out: int,
        count: int,
        flags: int,
        cookie: int,
        ret_op: CData,
        /,
    ) -> int: ...
    def uc_op_read_many(
        self, ring: CData, parts: CData, count: int, cookie: int, ret_op: CData, /
    ) -> int: ...
    def uc_op_set_deadline(self, ring: CData, op: int, ns: int, /) -> int: ...

    def uc_probe(self, ret_probe: CData, /) -> int: ...
    def uc_feature_name(self, feature: int, /) -> CData: ...
    def uc_feature_describe(self, feature: int, ret_info: CData, /) -> int: ...

    # The constants that the package uses.
    UC_ABI_VERSION: int
    UC_BACKEND_AUTO: int
    UC_BACKEND_URING: int
    UC_BACKEND_EPOLL: int
    UC_DATAGRAM_ADDRESS_BYTES: int
    UC_EVENT_RECV: int
    UC_EVENT_DATAGRAM: int
    UC_EVENT_ACCEPT: int
    UC_EVENT_CONNECT: int
    UC_EVENT_SENT: int
    UC_EVENT_SEND_FAILED: int
    UC_EVENT_SHUTDOWN: int
    UC_EVENT_POLL: int
    UC_EVENT_CLOSED: int
    UC_EVENT_OPERATION: int
    UC_EVENT_PAYLOAD: int
    UC_EVENT_LOW_WATER: int
    UC_EVENT_ENDED: int
    UC_EVENT_TRUNCATED: int
    UC_SEND_REFERENCE: int
    UC_FSYNC_DATA: int
    UC_FD_DATAGRAM: int
    UC_FD_GATHER: int
    UC_FD_SHARED: int
    UC_CLOSE_ABORT: int
    UC_CLOSE_KEEP: int
    UC_CLOSE_NOW: int
    UC_FEATURE_USE_ALWAYS: int
    UC_FEATURE_USE_FALLBACK: int
    UC_FEATURE_USE_REQUEST: int
    UC_VERDICT_FULL: int
    UC_VERDICT_DEGRADED: int
    UC_VERDICT_NONE: int
    UC_SQPOLL_OFF: int
    UC_SQPOLL_TRY: int
    UC_SQPOLL_REQUIRE: int
    UC_RESTRICT_NONE: int
    UC_RESTRICT_NETWORK: int


def find_library() -> str:
    """Tell what to open: a path, or the bare name that the dynamic linker resolves."""
    chosen = os.environ.get("UC_LIBRARY", "")
    if chosen:
        return chosen
    # Not by pathlib: importing that takes longer than all of this package's own code.
    package = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
    carried = os.path.join(package, SONAME)
    if os.environ.get("URINGCORE_SYSTEM_LIBUC", "") in ("", "0") and os.path.exists(carried):
        return carried
    return SONAME


def open_library(name: str) -> UcLib:
    """Open one libuc. Raise ImportError when it cannot be opened or speaks another ABI."""
    try:
        opened = cast("UcLib", ffi.dlopen(name))
    except OSError as error:
        raise ImportError(
            f"uringcore_cffi cannot open libuc as {name!r}: {error}. Reinstall the wheel that "
            f"carries it, install libuc on the system, or set UC_LIBRARY to its path."
        ) from error
    try:
        found = opened.uc_abi_version()
    except (AttributeError, ffi.error) as error:
        raise ImportError(f"{name!r} is not libuc: it has no uc_abi_version()") from error
    wanted = opened.UC_ABI_VERSION
    if found != wanted:
        version = ffi.string(opened.uc_version()).decode()
        raise ImportError(
            f"{name!r} is libuc {version} with ABI {found}; this uringcore_cffi needs ABI "
            f"{wanted}. Install versions of both that belong together."
        )
    return opened


LIBRARY_NAME = find_library()
lib = open_library(LIBRARY_NAME)


def library_version() -> str:
    """Return libuc's version, such as "0.1.0"."""
    return cast("str", ffi.string(lib.uc_version()).decode())
