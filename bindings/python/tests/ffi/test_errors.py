"""Negative numbers become the exceptions that the standard library would raise."""

from __future__ import annotations

import errno
import os

import pytest

from uringcore_cffi._ffi.errors import answer_error, creation_error, result_error


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (errno.ECONNRESET, ConnectionResetError),
        (errno.EPIPE, BrokenPipeError),
        (errno.ECONNREFUSED, ConnectionRefusedError),
        (errno.ECONNABORTED, ConnectionAbortedError),
        (errno.ETIMEDOUT, TimeoutError),
        (errno.EHOSTUNREACH, OSError),
        (errno.EMFILE, OSError),
    ],
)
def test_a_result_is_the_oserror_of_its_errno(code, kind):
    """The kernel's errno picks the subclass and the text."""
    exc = result_error(-code)
    assert type(exc) is kind
    assert exc.errno == code
    assert exc.strerror == os.strerror(code)


def test_a_cancelled_operation_is_told_as_an_aborted_connection():
    """ECANCELED never reaches a protocol: nobody there has cancelled anything."""
    exc = result_error(-errno.ECANCELED)
    assert type(exc) is ConnectionAbortedError
    assert exc.errno == errno.ECONNABORTED


@pytest.mark.parametrize(
    ("code", "kind", "word"),
    [
        (errno.EPERM, RuntimeError, "call_soon_threadsafe"),
        (errno.EINVAL, ValueError, "invalid argument"),
        (errno.ENOMEM, MemoryError, "out of memory"),
        (errno.ECHILD, ChildProcessError, "fork()"),
        (errno.ESTALE, OSError, "closed"),
        (errno.EBADF, OSError, "not open"),
        (errno.EBUSY, OSError, "in use"),
        (errno.ENOTCONN, OSError, os.strerror(errno.ENOTCONN)),
    ],
)
def test_an_answer_is_a_fitting_exception_that_names_the_function(code, kind, word):
    """A refusal of libuc says which function refused and what it means."""
    exc = answer_error(-code, "uc_some_function")
    assert type(exc) is kind
    assert "uc_some_function" in str(exc)
    assert word in str(exc)
    if isinstance(exc, OSError):
        assert exc.errno == code


@pytest.mark.parametrize("code", [errno.EMFILE, errno.EPERM, errno.ENOSYS])
def test_a_refused_ring_is_an_oserror_with_its_errno(code):
    """Whatever uc_ring_new() answers, the errno is kept."""
    exc = creation_error(-code)
    assert isinstance(exc, OSError)
    assert exc.errno == code
    assert "cannot make a ring: " in str(exc)
