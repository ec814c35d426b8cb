"""Negative numbers from libuc become the exceptions that the standard library would raise.

Two kinds of numbers arrive here. An *answer* is what a libuc function returned: a caller's
mistake, or a refusal. A *result* is what a record carries: the kernel's own errno of a send, a
receive, a connect.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from types import MappingProxyType

from uringcore_cffi._ffi.library import ffi, lib

_MEANINGS = {
    errno.ECHILD: "the handle was made by another process; after fork(), make a new loop or run "
    "this one, which then begins anew; a Ring does so with reinit()",
    errno.ESTALE: "closed, or the ring or loop it belonged to is gone",
    errno.EBADF: "the descriptor is not open",
    errno.ERANGE: "the descriptor number is too high for libuc (2**24 or more)",
    errno.EBUSY: "in use already; one descriptor can serve one transport, socket or Fd at a time",
    errno.ENOBUFS: "the buffer pool is exhausted and may not grow",
    errno.EALREADY: "that is so already",
    errno.ESHUTDOWN: "the write side is shut down or closing",
    errno.EOPNOTSUPP: "this kernel has no such operation",
    errno.EACCES: "the ring is restricted to other operations, or the kernel refuses to go on with "
    "it and it can only be closed",
}
# Answers that mean: there is nothing left to do this to.
GONE = (errno.ESTALE, errno.ECHILD)
# Refusals of a new ring on which uc_probe() has a sentence.
_EXPLAINED = (
    errno.EPERM,
    errno.EACCES,
    errno.ENOSYS,
    errno.ENOMEM,
    errno.EOPNOTSUPP,
    errno.EINVAL,
)
_NOT_WITH_IT = {  # where rings as such work
    errno.EINVAL: "out of range: sq_entries goes up to 32768, cq_entries from sq_entries to 65536, "
    "busy_poll_us up to 1000; sqpoll_cpu needs sqpoll, and a CPU that this process may use",
    errno.EOPNOTSUPP: "the kernel refuses SQPOLL or the restriction, or epoll was asked for, which "
    "has neither; see UC_BACKEND and backend=",
}


def result_error(result: int) -> OSError:
    """Turn a record's negative result into an OSError, which picks the right subclass itself.

    A cancelled operation is nothing the user asked for or can act on: it is told as an aborted
    connection.
    """
    code = -result
    if code == errno.ECANCELED:
        code = errno.ECONNABORTED
    return OSError(code, os.strerror(code))


def answer_error(
    answer: int, call: str, meanings: Mapping[int, str] = MappingProxyType({})
) -> Exception:
    """Turn a function's negative answer into an exception.

    ``call`` is the function's name. -EPERM means another thread and becomes RuntimeError, -EINVAL
    becomes ValueError, -ENOMEM becomes MemoryError, the rest OSError or its subclass. ``meanings``
    says by errno what is meant here, where that is more than what is usually meant.
    """
    code = -answer
    if code == errno.EPERM:
        return RuntimeError(
            f"{call}: another thread runs this loop or ring; use loop.call_soon_threadsafe(), or "
            "leave the work to that thread and wake it with ring.wake()"
        )
    if code == errno.EINVAL:
        return ValueError(f"{call}: {meanings.get(code, 'invalid argument')}")
    if code == errno.ENOMEM:
        return MemoryError(f"{call}: out of memory")
    meaning = meanings.get(code) or _MEANINGS.get(code) or os.strerror(code)
    return OSError(code, f"{call}: {meaning}")


def refusal_error(answer: int, call: str) -> Exception:
    """Turn the answer of a call that enters the kernel into an exception.

    But for a wrong process, thread or handle it means that the kernel refuses to go on.
    """
    if answer in (-errno.ECHILD, -errno.EPERM, -errno.EINVAL, -errno.ENOMEM):
        return answer_error(answer, call)
    return OSError(
        -answer,
        "io_uring is refused to this process since the loop was made "
        f"({os.strerror(-answer)}; a seccomp filter?): the loop can only be closed; "
        'make the next one with backend="epoll" or UC_BACKEND=epoll',
    )


def check_answer(answer: int, call: str, *harmless: int) -> None:
    """Raise the exception of a negative answer, unless its errno is among ``harmless``."""
    if answer < 0 and -answer not in harmless:
        raise answer_error(answer, call)


def creation_error(answer: int) -> Exception:
    """Turn uc_ring_new()'s refusal into an exception that says which knob refused.

    That is a ValueError when a number is out of range or a variable of the environment has an
    unknown value, else an OSError.
    """
    code = -answer
    reason = ""
    if code in _EXPLAINED:
        probe = ffi.new("struct uc_probe *", {"size": ffi.sizeof("struct uc_probe")})
        if lib.uc_probe(probe) == 0 and probe.error == answer:
            reason = ffi.string(probe.reason).decode(errors="replace")
    reason = reason or _NOT_WITH_IT.get(code, "")
    if code == errno.EINVAL:
        return ValueError(reason)
    return OSError(code, f"cannot make a ring: {reason or os.strerror(code)}")
