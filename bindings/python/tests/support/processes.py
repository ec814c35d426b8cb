"""What PyPy's os lacks of processes."""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path

_P_PID = 1
_WEXITED = 4
_WNOWAIT = 0x01000000
_SIGINFO_BYTES = 128


def wait_unreaped(pid: int) -> None:
    """Wait until a child has ended, and leave it to be waited for."""
    libc = ctypes.CDLL(None, use_errno=True)
    information = ctypes.create_string_buffer(_SIGINFO_BYTES)
    while libc.waitid(_P_PID, pid, information, _WEXITED | _WNOWAIT) != 0:
        if ctypes.get_errno() != errno.EINTR:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def last_cpu() -> int:
    """Return the last CPU that this process may run on."""
    status = Path("/proc/self/status").read_text()
    allowed = status.partition("\nCpus_allowed_list:")[2].split()[0]
    return int(allowed.replace("-", ",").rpartition(",")[2])
