"""uvicorn with httptools serves Starlette and FastAPI: under load, with TLS, on a Unix socket."""

from __future__ import annotations

import asyncio
import os
import re
import signal

import httpx
import loops
import pytest
import websockets
from web_answers import HELLO, body, check_everything
from wrk import load

RUNNING = r"Uvicorn running on (\S+)"


def start_uvicorn(start, *options):
    """Start uvicorn with our loop; return the program and the URL it serves."""
    words = ["--loop", loops.factory_name(), "--http", "httptools", "--no-access-log"]
    program = start("-m", "uvicorn", "web:app", *words, *options)
    return program, program.wait_for(RUNNING)[1]


def finish(program, reports, *, number=signal.SIGINT, closed=1):
    """Stop it: connections closed, lifespan ended, nothing left in flight."""
    status = program.stop(number)
    assert "lifespan ended" in program.output
    assert "Traceback" not in program.output, program.output
    assert status in (0, -number)
    reports.check(closed)


def test_every_response_under_load_is_right(start, reports) -> None:
    program, url = start_uvicorn(start, "--port", "0")
    seen = load(f"{url}/", HELLO, connections=64, seconds=4)
    assert seen.wrong == 0
    assert seen.errors == 0
    assert seen.responses > 2000
    finish(program, reports)


# Behind its shut-down uvicorn lets the signal do what it does without it: SIGTERM ends the process
# there, and no loop is closed.
@pytest.mark.parametrize(("number", "closed"), [(signal.SIGINT, 1), (signal.SIGTERM, 0)])
def test_requests_of_all_kinds_are_answered_right(run, start, reports, number, closed) -> None:
    program, url = start_uvicorn(start, "--port", "0")

    async def main():
        async with httpx.AsyncClient(base_url=url, timeout=20) as client:
            assert await check_everything(client) == 201
            for _ in range(20):
                assert (await client.get("/counted")).text == HELLO

    run(main())
    finish(program, reports, number=number, closed=closed)
    assert "20 counted" in program.output


def test_tls_serves_the_same(run, start, reports, certificates) -> None:
    words = ["--ssl-keyfile", certificates.key, "--ssl-certfile", certificates.chain]
    program, url = start_uvicorn(start, "--port", "0", *words)
    assert url.startswith("https://")
    seen = load(f"{url}/", HELLO, connections=16, seconds=2)
    assert (seen.wrong, seen.errors) == (0, 0)
    assert seen.responses > 500

    async def main():
        context = certificates.client_context()
        async with httpx.AsyncClient(base_url=url, verify=context, timeout=20) as client:
            assert await check_everything(client) == 201

    run(main())
    finish(program, reports)


def test_a_unix_socket_serves_the_same(run, start, reports, data_folder) -> None:
    path = data_folder() / "uvicorn.sock"
    program, _ = start_uvicorn(start, "--uds", path)

    async def main():
        transport = httpx.AsyncHTTPTransport(uds=str(path))
        async with httpx.AsyncClient(
            base_url="http://localhost", transport=transport, timeout=20
        ) as client:
            assert await check_everything(client) == 201

    run(main())
    finish(program, reports)


def test_websockets_echo_every_message(run, start, reports) -> None:
    program, url = start_uvicorn(start, "--port", "0")

    async def converse(number: int) -> None:
        async with websockets.connect(url.replace("http", "ws") + "/echo") as socket:
            for length in (0, 1, 125, 126, 65_535, 65_536, 300_000):
                message = body(number, length)
                await socket.send(message)
                assert await socket.recv() == message

    async def main():
        await asyncio.gather(*map(converse, range(30)))

    run(main())
    finish(program, reports)


def test_two_workers_share_a_port_and_a_killed_one_is_replaced(run, start, reports) -> None:
    program, url = start_uvicorn(start, "--port", "0", "--workers", "2")

    def workers(count: int) -> list[int]:
        program.wait_for("Application startup complete", count=count)
        return [int(pid) for pid in re.findall(r"Started server process \[(\d+)\]", program.output)]

    async def answering(wanted: int) -> set[int]:
        seen: set[int] = set()
        # a connection for each request: who accepts it answers
        limits = httpx.Limits(max_keepalive_connections=0)
        async with httpx.AsyncClient(base_url=url, timeout=20, limits=limits) as client:
            while len(seen) < wanted:
                seen.add(int((await client.get("/process")).text))
        return seen

    victim, survivor = workers(2)
    assert run(answering(2)) == {victim, survivor}
    os.kill(victim, signal.SIGKILL)
    replacement = workers(3)[-1]
    assert run(answering(2)) == {survivor, replacement}
    seen = load(f"{url}/", HELLO, connections=16, seconds=1)
    assert (seen.wrong, seen.errors) == (0, 0)
    finish(program, reports, number=signal.SIGTERM, closed=0)
