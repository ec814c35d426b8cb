"""HTTP servers that are measured: ``python -m benchmarks.http_services LOOP SERVICE``.

As ``servers`` does, prints ``port N`` once it listens on 127.0.0.1, and ends with its standard
input. It runs where the libraries of tests/integration are installed, which this environment need
not have; so they are imported by the service that needs them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
from collections.abc import Awaitable, Callable
from typing import Any

from benchmarks.control import answer_questions
from benchmarks.http_workloads import GREETING, MESSAGE
from benchmarks.servers import LOOPS, new_event_loop, run

Announce = Callable[[], None]


def _answer(kind: bytes, make_body: Callable[[], bytes]) -> Callable[..., Awaitable[None]]:
    """An ASGI application that answers everything with a body."""

    async def application(_scope: Any, _receive: Any, send: Any) -> None:
        body = make_body()
        headers = [(b"content-type", kind), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return application


async def _serve_uvicorn(
    application: Callable[..., Awaitable[None]], listener: socket.socket, stopped: asyncio.Event
) -> None:
    import uvicorn

    class Server(uvicorn.Server):
        """Says when it listens."""

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            announce(listener)

    config = uvicorn.Config(
        application, http="httptools", lifespan="off", access_log=False, log_level="error"
    )
    server = Server(config)
    serving = asyncio.get_running_loop().create_task(server.serve(sockets=[listener]))
    await stopped.wait()
    server.should_exit = True
    await serving


async def serve_uvicorn_plain(listener: socket.socket, stopped: asyncio.Event) -> None:
    """Plain text from uvicorn, parsed by httptools."""
    await _serve_uvicorn(_answer(b"text/plain", lambda: GREETING), listener, stopped)


async def serve_uvicorn_json(listener: socket.socket, stopped: asyncio.Event) -> None:
    """The same as JSON, made anew for each request."""
    application = _answer(b"application/json", lambda: json.dumps(MESSAGE).encode())
    await _serve_uvicorn(application, listener, stopped)


async def serve_aiohttp_plain(listener: socket.socket, stopped: asyncio.Event) -> None:
    """Plain text from aiohttp."""
    from aiohttp import web

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(body=GREETING, content_type="text/plain")

    application = web.Application()
    application.router.add_get("/", answer)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.SockSite(runner, listener).start()
    announce(listener)
    await stopped.wait()
    await runner.cleanup()


def announce(listener: socket.socket) -> None:
    """Tell whoever started this process that it serves."""
    print(f"port {listener.getsockname()[1]}", flush=True)


SERVICES: dict[str, Callable[[socket.socket, asyncio.Event], Awaitable[None]]] = {
    "uvicorn-plain": serve_uvicorn_plain,
    "uvicorn-json": serve_uvicorn_json,
    "aiohttp-plain": serve_aiohttp_plain,
}


async def _serve(service: str) -> None:
    stopped = asyncio.Event()
    answer_questions(asyncio.get_running_loop(), stopped.set)
    # With its protocol named, as create_server() of a loop makes it: asyncio sets TCP_NODELAY on no
    # other, and an answer in two writes would wait for a delayed acknowledgement.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setblocking(False)
    listener.bind(("127.0.0.1", 0))
    listener.listen(4096)
    await SERVICES[service](listener, stopped)


def main() -> None:
    """Serve until the input ends."""
    parser = argparse.ArgumentParser(prog="benchmarks.http_services", description=__doc__)
    parser.add_argument("loop", choices=sorted(LOOPS))
    parser.add_argument("service", choices=sorted(SERVICES))
    arguments = parser.parse_args()
    run(new_event_loop(arguments.loop), _serve(arguments.service))


if __name__ == "__main__":
    main()
