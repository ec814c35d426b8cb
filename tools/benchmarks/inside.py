"""Loops measured from inside, without a server: ``python -m benchmarks.inside [WORKLOAD...]``.

What drivers do with a loop beside transports: callbacks of descriptors, and files. Each loop runs
each workload in turn, round by round; ratios are taken within a round.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import socket
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import track
from rich.table import Table

import uringcore_cffi

ROUNDS = 9
CALLS = 20_000
FILES = 200


def loops() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Return what can be measured here; ours first."""
    found = {"ours": uringcore_cffi.new_event_loop, "asyncio": asyncio.SelectorEventLoop}
    with contextlib.suppress(ImportError):
        import uvloop

        found["uvloop"] = uvloop.new_event_loop
    return found


@contextlib.contextmanager
def pairs_of_sockets(count: int) -> Iterator[list[tuple[socket.socket, socket.socket]]]:
    """Make connected sockets that do not block."""
    pairs = [socket.socketpair() for _ in range(count)]
    for sock in (sock for pair in pairs for sock in pair):
        sock.setblocking(False)
    yield pairs
    for sock in (sock for pair in pairs for sock in pair):
        sock.close()


def ping_pong(loop: asyncio.AbstractEventLoop, count: int) -> float:
    """Answer each byte with one, by add_reader() on both ends; seconds per callback."""
    left = CALLS

    def answer(sock: socket.socket) -> None:
        nonlocal left
        sock.recv(64)
        left -= 1
        if left > 0:
            sock.send(b"x")
        elif left == 0:
            loop.stop()

    with pairs_of_sockets(count) as pairs:
        for ours, peer in pairs:
            loop.add_reader(ours.fileno(), answer, ours)
            loop.add_reader(peer.fileno(), answer, peer)
            ours.send(b"x")
        begin = time.perf_counter()
        loop.run_forever()
        taken = time.perf_counter() - begin
        for sock in (sock for pair in pairs for sock in pair):
            loop.remove_reader(sock.fileno())
    return taken / CALLS


def far_ping_pong(loop: asyncio.AbstractEventLoop) -> float:
    """Exchange bytes with another process, which blocks; seconds per exchange."""
    left = CALLS
    with pairs_of_sockets(1) as [(ours, peer)]:
        child = os.fork()
        if child == 0:
            peer.setblocking(True)
            ours.close()
            while data := peer.recv(64):
                peer.send(data)
            os._exit(0)

        def answer() -> None:
            nonlocal left
            ours.recv(64)
            left -= 1
            if left:
                ours.send(b"x")
            else:
                loop.stop()

        loop.add_reader(ours.fileno(), answer)
        begin = time.perf_counter()
        ours.send(b"x")
        loop.run_forever()
        taken = time.perf_counter() - begin
        loop.remove_reader(ours.fileno())
        ours.shutdown(socket.SHUT_RDWR)
        os.waitpid(child, 0)
    return taken / CALLS


def add_and_remove(loop: asyncio.AbstractEventLoop) -> float:
    """Call add_reader() and remove_reader(); seconds per pair."""
    with pairs_of_sockets(1) as [(ours, _)]:
        number = ours.fileno()
        begin = time.perf_counter()
        for _ in range(CALLS):
            loop.add_reader(number, print)
            loop.remove_reader(number)
        return (time.perf_counter() - begin) / CALLS


def wait_once(loop: asyncio.AbstractEventLoop) -> float:
    """Watch, be called, watch no more: what a driver does for a query; seconds per time."""
    left = CALLS
    with pairs_of_sockets(1) as [(ours, peer)]:

        def take() -> None:
            nonlocal left
            ours.recv(64)
            loop.remove_reader(ours.fileno())
            left -= 1
            if left == 0:
                loop.stop()
                return
            loop.add_reader(ours.fileno(), take)
            peer.send(b"x")

        loop.add_reader(ours.fileno(), take)
        peer.send(b"x")
        begin = time.perf_counter()
        loop.run_forever()
        return (time.perf_counter() - begin) / CALLS


def send_file(loop: asyncio.AbstractEventLoop, size: int) -> float:
    """Send a cached file again and again; seconds per file."""

    async def send() -> float:
        with tempfile.TemporaryFile() as file, socket.create_server(("127.0.0.1", 0)) as server:
            file.write(os.urandom(size))
            file.flush()
            sock = socket.create_connection(server.getsockname())
            sock.setblocking(False)
            sink, _ = server.accept()
            taking = loop.run_in_executor(None, take_all, sink)
            begin = time.perf_counter()
            for _ in range(FILES):
                await loop.sock_sendfile(sock, file, 0, size)
            taken = (time.perf_counter() - begin) / FILES
            sock.close()
            await taking
            return taken

    return loop.run_until_complete(send())


def take_all(sock: socket.socket) -> None:
    """Receive until the end, and keep nothing."""
    with sock:
        buffer = bytearray(1 << 18)
        while sock.recv_into(buffer):
            pass


WORKLOADS: dict[str, Callable[[asyncio.AbstractEventLoop], float]] = {
    "ping-pong-1": lambda loop: ping_pong(loop, 1),
    "ping-pong-50": lambda loop: ping_pong(loop, 50),
    "ping-pong-far": far_ping_pong,
    "add-and-remove": add_and_remove,
    "wait-once": wait_once,
    "sendfile-4k": lambda loop: send_file(loop, 4096),
    "sendfile-100k": lambda loop: send_file(loop, 100_000),
    "sendfile-10m": lambda loop: send_file(loop, 10_000_000),
}


def measure(name: str, rounds: int) -> dict[str, list[float]]:
    """Run a workload on every loop that can, in turn; microseconds, one number a round."""
    able = dict(loops())
    taken: dict[str, list[float]] = {loop: [] for loop in able}
    for number in range(rounds):
        for loop_name in sorted(able, reverse=bool(number % 2)):
            loop = able[loop_name]()
            try:
                taken[loop_name].append(WORKLOADS[name](loop) * 1e6)
            except NotImplementedError:
                del able[loop_name], taken[loop_name]
            finally:
                loop.run_until_complete(loop.shutdown_default_executor())
                loop.close()
    return taken


def main() -> None:
    """Measure what the command line names, or all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.inside", description=__doc__)
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD", help=", ".join(WORKLOADS))
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    arguments = parser.parse_args()
    unknown = set(arguments.workloads) - set(WORKLOADS)
    if unknown:
        parser.error(f"no such workload: {', '.join(sorted(unknown))}")
    names = arguments.workloads or list(WORKLOADS)
    table = Table("workload", "loop", "µs, median", "best", "ours to it, median of rounds")
    for name in track(names, console=Console(stderr=True), description="measuring"):
        taken = measure(name, arguments.rounds)
        for loop, values in taken.items():
            ratio = statistics.median(a / b for a, b in zip(taken["ours"], values))
            table.add_row(
                name,
                loop,
                f"{statistics.median(values):.2f}",
                f"{min(values):.2f}",
                f"{ratio:.2f}",
            )
    Console().print(table)


if __name__ == "__main__":
    main()
