"""Runs one example program on real input: ``check_examples.py NAME PROGRAM``.

Exit status 77 means skipped: io_uring is refused here.
"""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

SKIPPED = 77
SECONDS = 30
CONNECTIONS = 20
PIECES = (b"x", bytes(range(256)) * 4, os.urandom(300_000))
# What uc_ring_new() answers where io_uring is refused, not broken.
REFUSALS = ("uc_ring_new: EPERM", "uc_ring_new: ENOSYS", "uc_ring_new: ENOMEM")


def check(is_true: object, message: str) -> None:
    """End with a message unless something holds."""
    if not is_true:
        raise SystemExit(f"check_examples: {message}")


def run(program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a program to its end; skip the test where io_uring is refused."""
    command = [program, *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    skip_if_refused(result.stderr)
    return result


def skip_if_refused(errors: str) -> None:
    """Skip the test if that is what a program says, and no one demands otherwise."""
    if any(refusal in errors for refusal in REFUSALS):
        print(errors, end="", file=sys.stderr)
        raise SystemExit(1 if os.environ.get("UC_REQUIRE_IO_URING") else SKIPPED)


def check_program(program: str) -> None:
    """A program without arguments ends with 0."""
    result = run(program)
    check(result.returncode == 0, f"exit status {result.returncode}: {result.stderr}")


def echo(port: int, failures: list[str]) -> None:
    """Send every piece, compare what comes back, end, and see the server end."""
    with socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as connection:
        for piece in PIECES:
            sender = threading.Thread(target=connection.sendall, args=(piece,))
            sender.start()
            received = bytearray()
            while len(received) < len(piece):
                data = connection.recv(65536)
                if not data:
                    break
                received += data
            sender.join()
            if received != piece:
                failures.append(f"{len(piece)} bytes sent, other {len(received)} came back")
        connection.shutdown(socket.SHUT_WR)
        if connection.recv(1):
            failures.append("bytes after the last")


def check_echo_server(program: str) -> None:
    """Every byte of many connections at a time comes back; SIGTERM ends the server."""
    pipe = subprocess.PIPE
    with subprocess.Popen([program], stdout=pipe, stderr=pipe, text=True) as server:
        try:
            assert server.stdout is not None
            assert server.stderr is not None
            line = server.stdout.readline()
            if server.poll() is not None:
                skip_if_refused(server.stderr.read())
            check(line.startswith("port "), f"no port: {line!r}")
            failures: list[str] = []
            port = int(line.split()[1])
            clients = [
                threading.Thread(target=echo, args=(port, failures)) for _ in range(CONNECTIONS)
            ]
            for client in clients:
                client.start()
            for client in clients:
                client.join()
            if server.poll() is not None:
                skip_if_refused(server.stderr.read())
            check(not failures, "; ".join(failures))
            server.send_signal(signal.SIGTERM)
            status = server.wait(SECONDS)
            check(status == 0, f"exit status {status}: {server.stderr.read()}")
        finally:
            server.kill()


def digest(path: Path) -> str:
    """Sum of a file's content."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def check_copy(program: str, source: Path, target: Path) -> None:
    """The target is the source, byte for byte."""
    result = run(program, source, target)
    check(result.returncode == 0, f"{source.name}: {result.returncode}: {result.stderr}")
    check(digest(source) == digest(target), f"{source.name} differs from its copy")


def check_copy_file(program: str) -> None:
    """Files of odd sizes are copied exactly; what cannot be copied is refused and kept."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        odd, empty, sparse = folder / "odd", folder / "empty", folder / "sparse"
        odd.write_bytes(os.urandom((5 << 20) + 3))
        empty.touch()
        sparse.write_bytes(b"head")
        os.truncate(sparse, (1 << 20) + 7)
        for source in (odd, empty, sparse):
            check_copy(program, source, folder / f"{source.name}.copy")
        # an existing target that is longer is cut
        check_copy(program, empty, folder / "odd.copy")
        before = digest(odd)
        for arguments in ((odd, odd), (folder / "missing", empty), (folder, empty), (odd,)):
            check(run(program, *arguments).returncode == 1, f"{arguments} is not refused")
        check(digest(odd) == before, "a refused copy changed the source")


def check_read_many(program: str) -> None:
    """Each offset's line is printed in order; what cannot be read is told."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name, "lines")
        lines = [f"line {number}" for number in range(5000)]
        path.write_text("\n".join(lines), encoding="ascii")
        offsets = [sum(len(line) + 1 for line in lines[:at]) for at in range(0, 5000, 50)]
        result = run(program, path, *reversed(offsets), 1 << 40)
        check(result.returncode == 0, f"{result.returncode}: {result.stderr}")
        expected = [*reversed(lines[::50]), ""]
        check(result.stdout.split("\n")[:-1] == expected, f"other lines: {result.stdout[:100]!r}")
        for arguments in ((path,), (name, 0), (Path(name, "missing"), 0)):
            check(run(program, *arguments).returncode == 1, f"{arguments} is not refused")


CHECKS = {
    "copy_file": check_copy_file,
    "echo_server": check_echo_server,
    "read_many": check_read_many,
}


def main() -> None:
    """Check the example that the command line names."""
    name, program = sys.argv[1:]
    CHECKS.get(name, check_program)(program)


if __name__ == "__main__":
    main()
