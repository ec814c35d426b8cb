"""What PyPy's os lacks of processes."""

from __future__ import annotations

import os
import time
from pathlib import Path


def wait_unreaped(pid: int) -> None:
    """Wait until a child has ended, and leave it to be waited for."""
    if hasattr(os, "waitid"):
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        return
    stat = Path(f"/proc/{pid}/stat")
    while stat.read_text().rpartition(")")[2].split()[0] != "Z":
        time.sleep(0.001)


def last_cpu() -> int:
    """Return the last CPU that this process may run on."""
    status = Path("/proc/self/status").read_text()
    allowed = status.partition("\nCpus_allowed_list:")[2].split()[0]
    return int(allowed.replace("-", ",").rpartition(",")[2])
