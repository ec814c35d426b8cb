"""What a lease is to who holds it; over a buffer and over bytes alike."""

from __future__ import annotations

import copy
import gc
import hashlib
import json
import os
import pickle
import socket
import struct
import sys

import pytest
from leased import lease_of

from uringcore_cffi import Lease

DATA = b"some bytes that were received"


@pytest.fixture(params=["a buffer", "bytes"])
def lease(request, loop, pair):
    """Make a lease of DATA."""
    if request.param == "bytes":
        return Lease(DATA)
    return loop.run_until_complete(lease_of(loop, *pair, DATA))


def test_the_view_shows_the_bytes_and_is_the_same_each_time(lease):
    assert lease.view == DATA
    assert lease.view is lease.view
    assert lease.view.format == "B"
    assert lease.view.nbytes == len(lease) == len(DATA)
    assert bytes(lease) == DATA


def test_the_view_cannot_be_written_to(lease):
    assert lease.view.readonly
    with pytest.raises(TypeError, match="read-only"):
        lease.view[0] = 1


def test_after_the_release_the_lease_says_what_to_do(lease):
    assert not lease.released
    lease.release()
    assert lease.released
    for use in (lambda: lease.view, lambda: bytes(lease)):
        with pytest.raises(ValueError, match=r"was released: use \.view before .* keep a slice"):
            use()
    assert len(lease) == len(DATA)
    assert "released" in repr(lease)


def test_a_view_that_was_taken_before_is_released_too(lease):
    view = lease.view
    lease.release()
    with pytest.raises(ValueError, match="released memoryview"):
        bytes(view)


def test_release_may_be_called_again(lease):
    lease.release()
    lease.release()


def test_a_with_block_releases(lease):
    with lease as same:
        assert same is lease
    assert lease.released


def test_a_with_block_that_fails_releases(lease):
    with pytest.raises(KeyError), lease:
        raise KeyError
    assert lease.released


def test_a_slice_outlives_the_release(lease):
    part = lease.view[5:10]
    lease.release()
    gc.collect()
    assert part == b"bytes"


def test_something_made_of_the_view_outlives_the_release(lease):
    """Whoever has asked the view for its memory keeps it, so it cannot be taken away."""
    made = memoryview(lease.view)
    numbers = struct.iter_unpack("B", lease.view)
    lease.release()
    assert made == DATA
    assert bytes(number for (number,) in numbers) == DATA


@pytest.mark.parametrize("double", [copy.copy, copy.deepcopy, pickle.dumps])
def test_a_lease_cannot_be_doubled(lease, double):
    """Each would give the buffer back, the first of them under the eyes of the other."""
    with pytest.raises(TypeError, match=r"pass bytes\(lease\)"):
        double(lease)


def test_an_empty_lease_is_false_and_any_other_true(lease):
    assert lease
    assert not Lease(b"")
    assert len(Lease()) == 0


@pytest.mark.skipif(sys.version_info < (3, 12), reason="classes have no buffers before 3.12")
def test_a_lease_is_bytes_like(lease):
    assert memoryview(lease) == DATA
    assert b"".join([lease]) == DATA
    with pytest.raises(BufferError):
        os.readv(0, [lease])
    lease.release()
    with pytest.raises(ValueError, match="was released"):
        memoryview(lease)


def test_others_read_the_view_without_a_copy(lease, tmp_path):
    """struct, hashlib, os.write(), socket.send(), int.from_bytes(), files."""
    view = lease.view
    assert struct.unpack_from("4s", view, 5) == (b"byte",)
    assert hashlib.sha256(view).digest() == hashlib.sha256(DATA).digest()
    assert int.from_bytes(view[:2], "big") == int.from_bytes(DATA[:2], "big")
    with open(tmp_path / "file", "wb", buffering=0) as file:
        assert os.write(file.fileno(), view) == len(DATA)
    assert (tmp_path / "file").read_bytes() == DATA
    ours, peer = socket.socketpair()
    with ours, peer:
        assert ours.send(view) == len(DATA)
        assert peer.recv(100) == DATA


def test_json_is_read_from_text_that_is_made_of_the_view(loop, pair):
    """json.loads() wants bytes or text; str() decodes the view where it lies."""
    data = json.dumps({"müde": [1, 2]}, ensure_ascii=False).encode()
    with loop.run_until_complete(lease_of(loop, *pair, data)) as lease:
        with pytest.raises(TypeError):
            json.loads(lease.view)
        assert json.loads(str(lease.view, "utf-8")) == {"müde": [1, 2]}
