"""What a kernel complains of, as its console has it.

Emulation makes one complaint of its own: clocks that stand still while the machine waits for a
processor, which the kernel's watchdogs of clocks report.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_COMPLAINT = re.compile(
    r"WARNING: |BUG: |Oops|Kernel panic|general protection fault|Call Trace:|"
    r"blocked for more than \d+ seconds|detected stalls|self-detected stall|hung_task|"
    r"Out of memory|KASAN|UBSAN|refcount_t|list_(?:add|del) corruption"
)
_OF_EMULATION = re.compile(r"clocksource|[Tt]imekeeping watchdog")
_STAMP = re.compile(r"^\[ *(\d+\.\d+)\](?:\[ *[TC]\d+\])? ")
# what comes so soon after a complaint belongs to it
_TOGETHER_SECONDS = 2.0
_LINES_MAX = 60


@dataclass(frozen=True)
class Complaint:
    """A warning of the kernel, with what was said along with it."""

    title: str
    text: str


def complaints(console: str) -> list[Complaint]:
    """Everything in a console's output that a sound kernel does not say."""
    found: list[list[str]] = []
    last = float("-inf")
    for line in console.replace("\r", "").splitlines():
        stamp = _STAMP.match(line)
        if stamp is None:
            continue
        seconds, text = float(stamp[1]), line[stamp.end() :]
        together = bool(found) and seconds - last <= _TOGETHER_SECONDS
        if _COMPLAINT.search(text) and not _OF_EMULATION.search(text):
            if not together:
                found.append([])
            last = seconds
            together = True
        if together and len(found[-1]) < _LINES_MAX:
            found[-1].append(text)
    return [Complaint(lines[0], "\n".join(lines)) for lines in found]
