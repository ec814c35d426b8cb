"""bench-load: what it sends, what it accepts, and what it counts."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from benchmarks.load import UNABLE_STATUS, native_program

SIZE = 100
PATIENCE = 20


@pytest.fixture(autouse=True)
def _built():
    if native_program("bench-load") is None:
        pytest.skip("bench-load is not built")


def load(*arguments: str) -> tuple[int, dict]:
    """Run the load generator; return its status and what it reports."""
    command = [str(native_program("bench-load")), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, json.loads(done.stdout) if done.stdout.startswith("{") else {}


class EchoServer:
    """An echo in threads, which notes what came and may spoil it."""

    def __init__(self, listener: socket.socket, spoil: Callable[[bytes], bytes]) -> None:
        self.listener = listener
        self.accepted = 0
        self.received = 0
        self._spoil = spoil
        self._accepting = threading.Thread(target=self._accept)
        self._accepting.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.accepted += 1
            threading.Thread(target=self._echo, args=(connection,)).start()

    def _echo(self, connection: socket.socket) -> None:
        connection.settimeout(PATIENCE)
        with connection:
            try:
                while data := connection.recv(1 << 16):
                    self.received += len(data)
                    connection.sendall(self._spoil(data))
            except OSError:
                pass

    def stop(self) -> None:
        """Stop accepting; connections end with their other side."""
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self._accepting.join(PATIENCE)


@contextmanager
def echo_server(spoil: Callable[[bytes], bytes] = bytes) -> Iterator[tuple[EchoServer, str]]:
    """A server and its port."""
    server = EchoServer(socket.create_server(("127.0.0.1", 0), backlog=128), spoil)
    try:
        yield server, str(server.listener.getsockname()[1])
    finally:
        server.stop()


@contextmanager
def datagram_server(answer: Callable[[int, bytes], bytes | None]) -> Iterator[str]:
    """The port of a server that sends back what ``answer`` makes of a number and its datagram."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as served:
        served.bind(("127.0.0.1", 0))
        served.settimeout(PATIENCE)
        stopped = threading.Event()

        def serve() -> None:
            number = 0
            while True:
                data, address = served.recvfrom(1 << 16)
                if stopped.is_set():
                    return
                reply = answer(number, data)
                number += 1
                if reply is not None:
                    served.sendto(reply, address)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield str(served.getsockname()[1])
        finally:
            stopped.set()
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as waker:
                waker.sendto(b"", served.getsockname())
            thread.join(PATIENCE)


def test_a_wrong_byte_is_an_error_that_says_where():
    with echo_server(lambda data: data[:50] + bytes([data[50] ^ 1]) + data[51:]) as (_, port):
        status, report = load("echo", "--port", port, "--size", str(SIZE), "--verify")
    assert status == 1
    assert "byte 50 is" in report["error"]


def test_churn_opens_a_connection_for_each_request():
    with echo_server() as (server, port):
        options = ("--size", str(SIZE), "--warm-up", "0", "--count", "20", "--connections", "3")
        status, report = load("churn", "--port", port, *options, "--verify")
        accepted, received = server.accepted, server.received
    assert (status, report["errors"]) == (0, 0)
    assert accepted >= report["requests"] >= 20
    assert received == accepted * SIZE


def test_idle_connections_speak_before_and_after_the_window_only():
    with echo_server() as (server, port):
        options = ("--size", str(SIZE), "--seconds", "0.2", "--warm-up", "0", "--verify")
        status, report = load("idle", "--port", port, "--connections", "5", *options)
        received = server.received
    assert (status, report["requests"]) == (0, 0)
    assert received == report["verified_bytes"] == 2 * 5 * SIZE


def test_a_lost_datagram_is_counted_and_the_next_one_sent():
    with datagram_server(lambda number, data: None if number == 3 else data) as port:
        options = ("--size", str(SIZE), "--warm-up", "0", "--count", "10", "--verify")
        status, report = load("udp", "--port", port, *options)
    assert (status, report["lost"]) == (0, 1)
    assert report["requests"] >= 10


def test_a_datagram_that_was_cut_is_an_error():
    with datagram_server(lambda _number, data: data[:-1]) as port:
        status, report = load("udp", "--port", port, "--size", str(SIZE))
    assert status == 1
    assert "99 bytes came back, 100 were sent" in report["error"]


def test_a_unix_socket_is_served_like_a_port(tmp_path):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "echo"))
    listener.listen()
    server = EchoServer(listener, bytes)
    try:
        status, report = load(
            "echo", "--unix", str(tmp_path / "echo"), "--count", "10", "--verify", "--warm-up", "0"
        )
    finally:
        server.stop()
    assert status == 0
    assert report["requests"] >= 10


def test_a_server_without_tls_fails_the_handshake():
    with echo_server() as (_, port):
        status, report = load("echo", "--port", port, "--tls")
    if status == UNABLE_STATUS:
        assert "OpenSSL" in report["error"]
    else:
        assert status == 1
        assert "TLS handshake" in report["error"]


def test_system_calls_are_counted_or_it_says_why_not():
    with echo_server() as (server, port):
        options = ("--size", str(SIZE), "--seconds", "0.2", "--count-syscalls")
        status, report = load("echo", "--port", port, "--server-pid", str(os.getpid()), *options)
        received = server.received
    assert status == 0
    if report["no_syscalls"]:
        assert report["server_syscalls"] is None
    else:  # each request is received and sent; the threads before the window are counted too
        assert report["requests"] <= report["server_syscalls"]
        assert received >= report["requests"] * SIZE


@pytest.mark.parametrize(
    "arguments",
    [
        ("echo",),
        ("whistle", "--port", "1"),
        ("udp", "--port", "1", "--size", "15"),
        ("udp", "--port", "1", "--tls"),
        ("churn", "--port", "1", "--depth", "2"),
        ("echo", "--port", "1", "--tls", "--discard"),
        ("echo", "--port", "1", "--unix", "/echo"),
        ("echo", "--port", "1", "--count-syscalls"),
    ],
)
def test_options_that_contradict_each_other_are_refused(arguments):
    assert load(*arguments) == (2, {})
