"""What the numbers were made on."""

from __future__ import annotations

import os
import platform
import sys
import sysconfig
from pathlib import Path
from typing import Any


def optimised_python() -> bool:
    """Whether this interpreter was built with profile-guided optimisation.

    The distributions' own are, but do not record how; others say so in their configuration.
    """
    if Path(sys.executable).resolve().parent == Path("/usr/bin"):
        return True
    return "--enable-optimizations" in (sysconfig.get_config_var("CONFIG_ARGS") or "")


def _fact(path: str, name: str) -> str:
    """The value behind a name in a file of lines ``name : value``."""
    for line in Path(path).read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return ""


def machine() -> dict[str, Any]:
    """Processor, kernel and Python."""
    return {
        "kernel": platform.release(),
        "cpu": _fact("/proc/cpuinfo", "model name"),
        "cpus": len(os.sched_getaffinity(0)),
        "memory_kib": int(_fact("/proc/meminfo", "MemTotal").split()[0]),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "optimised": optimised_python(),
    }
