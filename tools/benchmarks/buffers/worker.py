"""One sample: ``python -m benchmarks.buffers.worker WAY SIZE SECONDS [CPU]``, one line of JSON.

A child, on ``CPU`` if one is given, sends messages as fast as they are taken. They are counted
from a moment after the first on, when everything has warmed up.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import socket
import time
import zlib
from typing import Any

import uringcore_cffi
from benchmarks.buffers.ways import LENGTH, WAYS, Parser, Way

WARM_UP = 0.3
"""Of the window, how long it is received before that is measured."""
BATCH_BYTES = 1 << 18


def _send(sock: socket.socket, message: bytes) -> None:
    """Send until nobody takes it any more."""
    batch = (LENGTH.pack(len(message)) + message) * max(1, BATCH_BYTES // len(message))
    with contextlib.suppress(ConnectionError):
        while True:
            sock.sendall(batch)


def start_sender(message: bytes, cpu: int | None) -> tuple[socket.socket, int]:
    """Fork a child that sends; return the socket to receive from, and the child."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        theirs = socket.create_connection(server.getsockname())
        ours, _ = server.accept()
    pid = os.fork()
    if pid == 0:
        try:
            ours.close()
            if cpu is not None:
                os.sched_setaffinity(0, {cpu})
            _send(theirs, message)
        finally:
            os._exit(0)
    theirs.close()
    ours.setblocking(False)
    return ours, pid


def resident_bytes() -> int:
    """The memory that this process has."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")


async def _measure(way: Way, sock: socket.socket, parser: Parser, seconds: float) -> dict[str, Any]:
    loop = asyncio.get_running_loop()
    receiving = loop.create_task(way.receive(sock, parser))
    await asyncio.sleep(WARM_UP * seconds)
    first, cpu, clock = parser.messages, time.process_time(), time.perf_counter()
    await asyncio.sleep(seconds)
    count = parser.messages - first
    cpu, clock = time.process_time() - cpu, time.perf_counter() - clock
    assert isinstance(loop, uringcore_cffi.UringEventLoop)
    pool = loop.pool_stats()
    resident = resident_bytes()
    receiving.cancel()
    await asyncio.wait([receiving])
    if not receiving.cancelled():
        receiving.result()
    if parser.wrong or not count:
        raise SystemExit(f"{parser.wrong} of {count} messages were wrong")
    return {
        "messages": count,
        "rate": count / clock,
        "cpu_us": cpu * 1e6 / count,
        "resident_bytes": resident,
        "buffers": pool.buffers,
        "quarantine": pool.quarantine,
    }


def sample(way: Way, size: int, seconds: float, cpu: int | None = None) -> dict[str, Any]:
    """Receive for so long; raise SystemExit if a byte is wrong."""
    message = os.urandom(size)
    sock, pid = start_sender(message, cpu)
    with sock:
        parser = Parser(zlib.crc32(message))
        try:
            return uringcore_cffi.run(_measure(way, sock, parser, seconds), **way.options)
        finally:
            sock.close()
            os.waitpid(pid, 0)


def main() -> None:
    """Take the sample that the command line asks for."""
    ways = {way.name: way for way in WAYS}
    parser = argparse.ArgumentParser(prog="benchmarks.buffers.worker", description=__doc__)
    parser.add_argument("way", choices=ways)
    parser.add_argument("size", type=int)
    parser.add_argument("seconds", type=float)
    parser.add_argument("cpu", type=int, nargs="?")
    options = parser.parse_args()
    print(json.dumps(sample(ways[options.way], options.size, options.seconds, options.cpu)))


if __name__ == "__main__":
    main()
