"""The example programs do what they say, with many clients at a time."""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import signal
import socket
import struct
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from patience import PATIENCE

EXAMPLES = Path(__file__).resolve().parents[4] / "examples" / "python"
CLIENTS = 10


@contextlib.contextmanager
def served(package_path, name, *arguments):
    """Run an example that serves; return where."""
    environment = {**os.environ, "PYTHONPATH": package_path}
    command = [sys.executable, "-W", "error", str(EXAMPLES / name), *map(str, arguments)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=environment, stdout=pipe, stderr=pipe) as process:
        try:
            yield "127.0.0.1", int(process.stdout.readline().split()[1])
        finally:
            process.send_signal(signal.SIGINT)
            errors = process.communicate(timeout=PATIENCE)[1]
    assert (process.returncode, errors) == (0, b"")


def ask(address, pieces, answers) -> None:
    """Send pieces, end, and note what comes back."""
    with socket.create_connection(address, PATIENCE) as sock:
        for piece in pieces:
            sock.sendall(piece)
        sock.shutdown(socket.SHUT_WR)
        answers.append(b"".join(iter(lambda: sock.recv(1000), b"")))


def ask_all(address, requests) -> list[bytes]:
    """Ask at the same time; return the answers, sorted."""
    answers: list[bytes] = []
    threads = [threading.Thread(target=ask, args=(address, each, answers)) for each in requests]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    return sorted(answers)


def in_pieces(data: bytes, chance) -> list[bytes]:
    """Cut data at random places."""
    places = sorted(chance.randrange(len(data)) for _ in range(20))
    return [data[a:b] for a, b in zip([0, *places], [*places, len(data)])]


@pytest.fixture
def package_path():
    """Tell where the package is."""
    import uringcore_cffi

    return str(Path(uringcore_cffi.__file__).resolve().parent.parent)


def test_sum_records_counts_every_record_wherever_it_was_cut(package_path):
    chance = random.Random(3)
    requests, expected = [], []
    for number in range(CLIENTS):
        amounts = [chance.randrange(1 << 32) for _ in range(5000 + number)]
        data = b"".join(struct.pack("!QI4x", n, amount) for n, amount in enumerate(amounts))
        requests.append(in_pieces(data, chance))
        expected.append(b"%d records, %d\n" % (len(amounts), sum(amounts)))
    with served(package_path, "sum_records.py") as address:
        assert ask_all(address, requests) == sorted(expected)


def test_store_uploads_stores_every_byte_and_answers_with_the_hash(package_path, tmp_path):
    chance = random.Random(4)
    requests, expected, stored = [], [], {}
    for number in range(CLIENTS):
        request, answer = b"", b""
        for upload in range(3):
            data, name = chance.randbytes(chance.randrange(1, 300_000)), f"{number}-{upload}"
            request += b"%s %d\n" % (name.encode(), len(data)) + data
            answer += hashlib.sha256(data).hexdigest().encode() + b"\n"
            stored[name] = data
        requests.append(in_pieces(request, chance))
        expected.append(answer)
    with served(package_path, "store_uploads.py", tmp_path) as address:
        assert ask_all(address, requests) == sorted(expected)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == stored
