"""The Python servers that are measured: ``python -m benchmarks.servers LOOP SERVICE``.

Prints ``port N`` once it listens on 127.0.0.1, and ends with its standard input (see ``control``).
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import json
from collections.abc import Awaitable, Callable
from typing import Any, cast

from benchmarks.control import answer_questions

LOOPS = {"uringcore": "uringcore_cffi", "uvloop": "uvloop", "asyncio": "asyncio"}
"""Name on the command line -> module whose ``new_event_loop()`` is used."""


def new_event_loop(name: str, **options: Any) -> asyncio.AbstractEventLoop:
    """A fresh loop of the kind that ``LOOPS`` names."""
    factory = importlib.import_module(LOOPS[name]).new_event_loop
    loop: asyncio.AbstractEventLoop = factory(**options)
    return loop


class EchoProtocol(asyncio.Protocol):
    """Sends back what comes, with nothing around it."""

    transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keeps the transport."""
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass

    def data_received(self, data: bytes) -> None:
        """Sends it back."""
        self.transport.write(data)


async def serve_protocol() -> asyncio.Server:
    """Echo over ``asyncio.Protocol``."""
    loop = asyncio.get_running_loop()
    return await loop.create_server(EchoProtocol, "127.0.0.1", 0, backlog=4096)


async def _echo_streams(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


async def serve_streams() -> asyncio.Server:
    """Echo over ``asyncio.start_server``."""
    return await asyncio.start_server(_echo_streams, "127.0.0.1", 0, backlog=4096)


SERVICES: dict[str, Callable[[], Awaitable[asyncio.Server]]] = {
    "protocol": serve_protocol,
    "streams": serve_streams,
}


async def _serve(service: str) -> None:
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    server = await SERVICES[service]()
    answer_questions(loop, stopped.set)
    print(f"port {server.sockets[0].getsockname()[1]}", flush=True)
    await stopped.wait()
    server.close()


def run(loop: asyncio.AbstractEventLoop, main: Awaitable[None]) -> None:
    """``asyncio.run`` on a given loop, the same on every Python version."""
    asyncio.set_event_loop(loop)
    try:
        loop.run_until_complete(main)
    finally:
        asyncio.set_event_loop(None)
        loop.close()


def main() -> None:
    """Serves until the input ends."""
    parser = argparse.ArgumentParser(prog="benchmarks.servers", description=__doc__)
    parser.add_argument("loop", choices=sorted(LOOPS))
    parser.add_argument("service", choices=sorted(SERVICES))
    parser.add_argument(
        "--options", type=json.loads, default={}, help="of new_event_loop(), as JSON"
    )
    arguments = parser.parse_args()
    run(new_event_loop(arguments.loop, **arguments.options), _serve(arguments.service))


if __name__ == "__main__":
    main()
