"""How many files a process may have open: 10,000 connections are as many on either side."""

from __future__ import annotations

import resource


def allow_files(wanted: int) -> str | None:
    """Lets this process and those that it starts have so many; returns why not, or None."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return None
    if hard == resource.RLIM_INFINITY or hard >= wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        return None
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))
    except (OSError, ValueError):
        return f"takes {wanted:,} open files, and the limit is {hard:,} (ulimit -Hn)"
    return None
