"""python -m uringcore_cffi doctor: what works here, what the loop makes of it, what to change.

The report is that of libuc's own program uc-probe, with the Python and the package in front.
"""

from __future__ import annotations

import errno
import json
import os
import platform
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TextIO

from uringcore_cffi._ffi.library import LIBRARY_NAME, library_version
from uringcore_cffi._handles.probe import DEGRADED, FULL, NONE, Feature, Probe, probe
from uringcore_cffi._handles.ring import Info, Ring

if TYPE_CHECKING:
    from collections.abc import Iterator

USAGE = """\
usage: python -m uringcore_cffi doctor [--json]
Tells what this kernel, its limits and its policies allow, what the loop chooses, and why.
  --json  as a JSON object
Colours on a terminal, unless NO_COLOR is set. UC_BACKEND and UC_DISABLE are obeyed.
Exit status: 0 full speed, 1 degraded (io_uring with less, or epoll), 2 no loop can be made
"""
EXIT_USAGE = 64

_VERDICTS = {FULL: "full", DEGRADED: "degraded", NONE: "none"}
_SYSCTLS = {
    0: "kernel.io_uring_disabled = 0: everyone may",
    1: "kernel.io_uring_disabled = 1: only root and kernel.io_uring_group may",
    2: "kernel.io_uring_disabled = 2: nobody may",
    None: "no kernel.io_uring_disabled: it came with Linux 6.6",
}
_SECCOMP = {
    "none": "no filter",
    "strict": "strict mode: nothing but read, write and exit",
    "filter": "a filter is in force",
    "unknown": "unknown",
}
_USES = {
    "always": "",
    "fallback": " (where a better one is missing)",
    "on-request": " (on request)",
}


def main(arguments: list[str]) -> int:
    """Do what the command line asks for; return the exit status."""
    if arguments in (["-h"], ["--help"]):
        sys.stdout.write(USAGE)
        return 0
    if arguments not in ([], ["--json"]):
        sys.stderr.write(USAGE)
        return EXIT_USAGE
    found = probe()
    ring = _default_ring() if found.verdict != NONE else None
    if arguments:
        report = json.dumps(_as_dict(found, ring), indent=2)
    else:
        report = "\n".join(_lines(found, ring, _Paint(_wants_colours(sys.stdout))))
    _print(report)
    return found.verdict


def _print(report: str) -> None:
    """Write the report; who reads no more than its head is told no error."""
    try:
        sys.stdout.write(f"{report}\n")
        sys.stdout.flush()
    except BrokenPipeError:
        # The interpreter flushes once more when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _default_ring() -> Info:
    """Tell what a ring with the defaults has."""
    ring = Ring()
    try:
        return ring.info()
    finally:
        ring.free()


def _python() -> str:
    return f"{platform.python_implementation()} {platform.python_version()}"


def _package_version() -> str:
    import uringcore_cffi

    return uringcore_cffi.__version__


def _as_dict(found: Probe, ring: Info | None) -> dict[str, Any]:
    """Make the object that --json prints: the keys of uc-probe's, and three of our own."""
    about_ring = asdict(ring) if ring is not None else None
    if about_ring is not None:
        # Told above; and wishes that a probe has not.
        for name in ("kernel", "sqpoll_cpu", "restriction"):
            del about_ring[name]
    return {
        "uringcore_cffi": _package_version(),
        "python": _python(),
        "library": LIBRARY_NAME,
        "libuc": library_version(),
        "verdict": _VERDICTS[found.verdict],
        "reason": found.reason,
        "kernel": found.kernel,
        "io_uring": found.error == 0,
        "error": found.error_name or None,
        "sysctl_io_uring_disabled": found.sysctl_disabled,
        "seccomp": found.seccomp,
        "memlock_bytes": found.memlock_bytes,
        "memlock_exempt": found.memlock_exempt,
        "memlock_needed": found.memlock_needed,
        "change": [asdict(change) for change in found.changes],
        "features": [asdict(feature) for feature in found.features],
        "ring": about_ring,
    }


def _wants_colours(stream: TextIO) -> bool:
    """Tell whether to colour, as https://no-color.org says."""
    terminal = os.environ.get("TERM", "dumb")
    return stream.isatty() and not os.environ.get("NO_COLOR") and terminal != "dumb"


class _Paint:
    """Puts colours around words, or nothing."""

    def __init__(self, wanted: bool) -> None:
        self._wanted = wanted

    def _around(self, code: int, text: str) -> str:
        return f"\033[{code}m{text}\033[0m" if self._wanted else text

    def title(self, text: str) -> str:
        return self._around(1, text)

    def bad(self, text: str) -> str:
        return self._around(31, text)

    def good(self, text: str) -> str:
        return self._around(32, text)

    def poor(self, text: str) -> str:
        return self._around(33, text)


def _lines(found: Probe, ring: Info | None, paint: _Paint) -> Iterator[str]:
    yield f"python    {_python()}, uringcore_cffi {_package_version()}"
    yield f"library   {LIBRARY_NAME}"
    yield f"libuc     {library_version()}"
    yield f"kernel    {found.kernel}"
    yield f"verdict   {_verdict(found, paint)}"
    if found.reason:
        yield f"because   {found.reason}"
    yield f"io_uring  {_io_uring(found, paint)}"
    yield f"sysctl    {_SYSCTLS[found.sysctl_disabled]}"
    yield f"seccomp   {_SECCOMP[found.seccomp]}"
    yield f"memlock   {_memlock(found)}"
    if found.changes:
        yield ""
        yield paint.title("what to change")
        for change in found.changes:
            yield f"  {change.where}: {change.what}"
    yield ""
    yield paint.title("feature            since  here")
    for feature in found.features:
        yield _feature(feature, found.error == 0, paint)
    if ring is not None:
        yield ""
        yield paint.title("the ring that libuc makes by default")
        yield from _ring(ring)


def _verdict(found: Probe, paint: _Paint) -> str:
    if found.verdict == FULL:
        return paint.good("full speed")
    if found.verdict == NONE:
        return paint.bad("no ring can be made")
    if found.backend == "epoll":
        return paint.poor("degraded: epoll in place of io_uring")
    return paint.poor("degraded: io_uring with less than libuc wants")


def _io_uring(found: Probe, paint: _Paint) -> str:
    if found.error == 0:
        return paint.good("yes")
    if found.error == -errno.ECANCELED:
        return paint.poor("not asked")
    if found.error == -errno.EINVAL:
        return paint.bad("not asked, EINVAL")
    return paint.bad(f"no, {found.error_name}")


def _memlock(found: Probe) -> str:
    limit = "unlimited"
    if found.memlock_bytes is not None:
        limit = f"{found.memlock_bytes // 1024} KiB"
    exempt = ", does not apply (CAP_IPC_LOCK)" if found.memlock_exempt else ""
    charge = "this kernel charges no rings"
    if found.memlock_needed:
        charge = f"a ring takes {found.memlock_needed // 1024} KiB"
    return f"{limit}{exempt}; {charge}"


def _feature(feature: Feature, is_uring: bool, paint: _Paint) -> str:
    if feature.off:
        here = paint.poor("off")
    elif not is_uring:
        here = "-  "
    elif feature.works:
        here = paint.good("yes")
    else:
        here = (paint.bad("no") if feature.use == "always" else "no") + " "
    what = feature.purpose + _USES[feature.use]
    if is_uring and (feature.off or not feature.works):
        what += f"; instead: {feature.instead}"
    return f"{feature.name:<18} {feature.since:<5}  {here}  {what}"


def _ring(ring: Info) -> Iterator[str]:
    yield f"  backend   {ring.backend}"
    yield f"  entries   {ring.sq_entries} to submit, {ring.cq_entries} to complete"
    yield f"  features  {' '.join(ring.features) or 'none'}"
    yield f"  stripped  {' '.join(ring.features_stripped) or 'none'}"
    if ring.halvings or ring.retries:
        yield f"  memory    halved {ring.halvings} times, tried again {ring.retries} times"
