"""Starting: a loop in a running program, and a program of its own."""

from __future__ import annotations

import asyncio
import subprocess
import sys

from benchmarks.inside.subjects import Subject
from benchmarks.inside.timing import Watch

_IMPORT = """
import time
begin, cpu = time.perf_counter(), time.process_time()
import {module}
{then}
print(time.perf_counter() - begin, time.process_time() - cpu)
"""

_RUN = """
import asyncio
loop = {module}.{factory}()
loop.run_until_complete(asyncio.sleep(0))
loop.close()
"""


def new_loop(subject: Subject, count: int) -> Watch:
    """Make a loop, run it for a turn, close it."""
    subject.new_event_loop().close()
    with Watch() as watch:
        for _ in range(count):
            loop = subject.new_event_loop()
            loop.run_until_complete(asyncio.sleep(0))
            loop.close()
    return watch


def _in_fresh_processes(program: str, count: int) -> Watch:
    """Add up what a program says of itself; the start of Python is not in it."""
    total = Watch()
    for _ in range(count):
        told = subprocess.run(
            [sys.executable, "-c", program], check=True, stdout=subprocess.PIPE, timeout=60
        )
        seconds, cpu_seconds = map(float, told.stdout.split())
        total.seconds += seconds
        total.cpu_seconds += cpu_seconds
    return total


def imported(subject: Subject, count: int) -> Watch:
    """Import the package, and asyncio with it, in a new process."""
    return _in_fresh_processes(_IMPORT.format(module=subject.module, then=""), count)


def started(subject: Subject, count: int) -> Watch:
    """Import the package, make a loop, run it, close it, in a new process."""
    then = _RUN.format(module=subject.module, factory=subject.factory)
    return _in_fresh_processes(_IMPORT.format(module=subject.module, then=then), count)
