"""What works here, what libuc chooses, and why: uc_probe() of include/uc/probe.h."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from uringcore_cffi._ffi.errors import check_answer
from uringcore_cffi._ffi.library import ffi, lib

BACKENDS = {
    "auto": lib.UC_BACKEND_AUTO,
    "uring": lib.UC_BACKEND_URING,
    "epoll": lib.UC_BACKEND_EPOLL,
}
BACKEND_NAMES = {number: name for name, number in BACKENDS.items()}

FULL = lib.UC_VERDICT_FULL
DEGRADED = lib.UC_VERDICT_DEGRADED
NONE = lib.UC_VERDICT_NONE

_USES = {
    lib.UC_FEATURE_USE_ALWAYS: "always",
    lib.UC_FEATURE_USE_FALLBACK: "fallback",
    lib.UC_FEATURE_USE_REQUEST: "on-request",
}
_SECCOMP_MODES = {0: "none", 1: "strict", 2: "filter"}


@dataclass(frozen=True)
class Feature:
    """A feature of the kernel, and what libuc does without it.

    ``since`` is the first kernel that has it; ``use`` is when libuc uses it; ``works`` says whether
    it does here, ``off`` whether the environment says not to use it.
    """

    name: str
    since: str
    use: str
    works: bool
    off: bool
    purpose: str
    instead: str


@dataclass(frozen=True)
class Change:
    """What to change for full speed: the place, and the exact text."""

    where: str
    what: str


@dataclass(frozen=True)
class Probe:
    """The answer of uc_probe().

    ``error`` is 0, or the negative errno that refuses io_uring; ``error_name`` is its name.
    """

    verdict: int
    error: int
    error_name: str
    reason: str
    kernel: str
    backend: str
    sysctl_disabled: int | None
    seccomp: str
    memlock_bytes: int | None
    memlock_exempt: bool
    memlock_needed: int
    changes: tuple[Change, ...]
    features: tuple[Feature, ...]


def probe() -> Probe:
    """Find out what works here; costs some milliseconds, the answer is not remembered."""
    found = ffi.new("struct uc_probe *")
    found.size = ffi.sizeof("struct uc_probe")
    check_answer(lib.uc_probe(found), "uc_probe")
    sysctl, memlock = found.sysctl_disabled, found.memlock_bytes
    return Probe(
        verdict=found.verdict,
        error=found.error,
        error_name=_text(lib.uc_error_name(found.error)) if found.error else "",
        reason=_text(found.reason),
        kernel=_text(found.kernel),
        backend=BACKEND_NAMES[found.backend] if found.backend else "none",
        sysctl_disabled=None if sysctl < 0 else sysctl,
        seccomp=_SECCOMP_MODES.get(found.seccomp_mode, "unknown"),
        memlock_bytes=None if memlock == 2**64 - 1 else memlock,
        memlock_exempt=bool(found.memlock_exempt),
        memlock_needed=found.memlock_needed,
        changes=_changes(_text(found.remedy)),
        features=_features(found.features, found.features_off),
    )


def _text(chars: Any) -> str:
    text: str = ffi.string(chars).decode(errors="replace")
    return text


def _changes(remedy: str) -> tuple[Change, ...]:
    return tuple(Change(*line.split("\t", 1)) for line in remedy.splitlines())


def _features(works: int, off: int) -> tuple[Feature, ...]:
    found = []
    info = ffi.new("struct uc_feature_info *")
    info.size = ffi.sizeof("struct uc_feature_info")
    bit = 1
    while bit < 2**64 and lib.uc_feature_describe(bit, info) == 0:
        found.append(
            Feature(
                name=_text(info.name),
                since=_text(info.since),
                use=_USES[info.use],
                works=bool(works & bit),
                off=bool(off & bit),
                purpose=_text(info.purpose),
                instead=_text(info.instead),
            )
        )
        bit <<= 1
    return tuple(found)
