"""Seccomp filters, as containers and sandboxes have them; for processes of their own."""

from __future__ import annotations

import ctypes
import errno
import struct

# The same on every architecture but alpha.
IO_URING_SETUP = 425
IO_URING_ENTER = 426
IO_URING_REGISTER = 427

_PR_SET_SECCOMP = 22
_PR_SET_NO_NEW_PRIVS = 38
_SECCOMP_MODE_FILTER = 2
_ALLOW = 0x7FFF0000
_ERRNO = 0x00050000
_KILL_PROCESS = 0x80000000
_LOAD_NUMBER = (0x20, 0, 0, 0)


def _set_up(*instructions: tuple[int, int, int, int]) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    program = b"".join(struct.pack("=HBBI", *instruction) for instruction in instructions)
    buffer = ctypes.create_string_buffer(program, len(program))
    head = struct.pack("@HP", len(instructions), ctypes.addressof(buffer))
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(
        _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, head, 0, 0
    ):
        raise OSError(ctypes.get_errno(), "prctl")


def refuse(number: int, error: int) -> None:
    """From now on the system call with this number is answered with ``error``."""
    _set_up(
        _LOAD_NUMBER,
        (0x15, 0, 1, number),  # another one: skip the next
        (0x06, 0, 0, _ERRNO | error),
        (0x06, 0, 0, _ALLOW),
    )


def refuse_io_uring() -> None:
    """From now on io_uring_setup() is answered with EPERM, as docker's default profile does."""
    refuse(IO_URING_SETUP, errno.EPERM)


def kill_on_io_uring() -> None:
    """From now on any call of io_uring ends the process with SIGSYS."""
    _set_up(
        _LOAD_NUMBER,
        (0x15, 2, 0, IO_URING_SETUP),
        (0x15, 1, 0, IO_URING_ENTER),
        (0x15, 0, 1, IO_URING_REGISTER),
        (0x06, 0, 0, _KILL_PROCESS),
        (0x06, 0, 0, _ALLOW),
    )
