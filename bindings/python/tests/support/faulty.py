"""A server and its clients in one process, told on its command line what refuses it something.

    python -m faulty '{"refuse": [number, errno], "when": "before" or "after"}'

It echoes to some connections, prints what the loop tells of itself and what was logged, as JSON,
and ends with status 0 also when the loop ended with an OSError, which is then told.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import resource
import sys
import time

from filters import refuse

import uringcore_cffi

CONNECTIONS = 20
ROUNDS = 10


class Keep(logging.Handler):
    """Keep the lines."""

    def __init__(self) -> None:
        """Begin with none."""
        super().__init__()
        self.lines: list[tuple[str, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one."""
        self.lines.append((record.levelname, record.getMessage()))


async def serve(reader, writer):
    """Echo until the end."""
    while data := await reader.read(1 << 16):
        writer.write(data)
    writer.close()


async def talk(address, rounds):
    """Send and compare."""
    reader, writer = await asyncio.open_connection(*address)
    for number in range(rounds):
        line = b"%08d" % number * 100
        writer.write(line)
        assert await reader.readexactly(len(line)) == line
    writer.close()
    await writer.wait_closed()


async def exchange(later):
    """Echo to everybody, apply what comes later, and echo again."""
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    address = server.sockets[0].getsockname()
    await asyncio.gather(*(talk(address, ROUNDS) for _ in range(CONNECTIONS)))
    later()
    await asyncio.gather(*(talk(address, ROUNDS) for _ in range(CONNECTIONS)))
    server.close()
    await server.wait_closed()


def limit(name: str, value: int) -> None:
    """Set a limit; that of memory is for what comes on top of what is there."""
    number = getattr(resource, name)
    if name == "RLIMIT_AS":
        with open("/proc/self/statm") as file:
            value += int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(number, (value, value))


def apply(given) -> None:
    """Have the process be refused what the command line says."""
    if "limit" in given:
        limit(*given["limit"])
    if "user" in given:
        os.setgroups([])
        os.setgid(given["user"])
        os.setuid(given["user"])
    if "refuse" in given:
        refuse(*given["refuse"])


def main() -> None:
    """See the head of this file."""
    given = json.loads(sys.argv[1])
    keep = Keep()
    logger = logging.getLogger("uringcore_cffi")
    logger.addHandler(keep)
    logger.setLevel(logging.DEBUG)
    after = given.get("when") == "after"
    told = {"error": None, "text": "", "backend": None, "reason": ""}
    if not after:
        apply(given)
    try:
        loop = uringcore_cffi.new_event_loop()
        try:
            loop.run_until_complete(exchange((lambda: apply(given)) if after else lambda: None))
        finally:
            told["backend"], told["reason"] = loop.info().backend, loop.info().reason
            begin = time.monotonic()
            loop.close()
            told["closing"] = time.monotonic() - begin
    except (OSError, MemoryError) as error:
        told["error"] = getattr(error, "errno", None) or type(error).__name__
        told["text"] = str(error)
    told["log"] = keep.lines
    print(json.dumps(told))


if __name__ == "__main__":
    main()
