"""gunicorn forks workers that run our loop: uvicorn's class and its own, with --preload too."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket

import httpx
import pytest
from web_answers import HELLO, check_everything
from wrk import load

BOOTED = r"Booting worker with pid: (\d+)"
READY = "Application startup complete|ASGI server listening"


def start_gunicorn(start, kind, *options, app="web:app"):
    """Start gunicorn with two workers; return the program and its URL."""
    words = ["-k", f"workers.{kind}", "-w", "2", "-b", "127.0.0.1:0", "--no-control-socket"]
    program = start("-m", "gunicorn", app, *words, *options)
    url = program.wait_for(r"Listening at: (\S+)")[1]
    program.wait_for(READY, count=2)
    return program, url


def workers_of(program) -> list[int]:
    """Return the workers that the output tells of, the newest last."""
    return [int(pid) for pid in re.findall(BOOTED, program.output)]


def finish(program, reports, closed: int) -> None:
    """Stop it: everybody ends, nothing is left in flight."""
    assert program.stop() == 0, program.output
    assert "Traceback" not in program.output, program.output
    reports.check(closed)


# uvicorn's worker ends by the signal that it is sent, behind its shut-down: no loop is closed. What
# was preloaded is closed by the master and by workers that end of themselves.
@pytest.mark.parametrize(
    ("kind", "preload", "closed"),
    [
        ("UvicornOnLoop", False, 0),
        ("UvicornOnLoop", True, 1),
        ("GunicornOnLoop", False, 2),
        ("GunicornOnLoop", True, 5),
    ],
)
def test_workers_answer_right(run, start, reports, kind, preload, closed) -> None:
    if preload:
        program, url = start_gunicorn(start, kind, "--preload", app="preloaded:app")
        assert program.output.count("preloaded with settings") == 1
    else:
        program, url = start_gunicorn(start, kind)

    async def main():
        async with httpx.AsyncClient(base_url=url, timeout=20) as client:
            assert await check_everything(client) == 201

    run(main())
    seen = load(f"{url}/", HELLO, connections=32, seconds=1)
    assert (seen.wrong, seen.errors) == (0, 0)
    assert seen.responses > 500
    finish(program, reports, closed)


async def ask_until(client, done: asyncio.Event) -> int:
    """Ask one thing after the other, ten at least; return how many were answered right."""
    count = 0
    while count < 10 or not done.is_set():
        assert (await client.get("/")).text == HELLO
        count += 1
    return count


# With gunicorn's own class: uvicorn, when it ends, closes connections that have asked nothing yet.
@pytest.mark.parametrize("preload", [False, True])
def test_a_reload_replaces_every_worker_and_loses_no_request(run, start, reports, preload) -> None:
    if preload:
        program, url = start_gunicorn(start, "GunicornOnLoop", "--preload", app="preloaded:app")
    else:
        program, url = start_gunicorn(start, "GunicornOnLoop")

    async def main():
        done = asyncio.Event()
        # a connection for each request: a worker's end is the end of those that it has
        limits = httpx.Limits(max_keepalive_connections=0)
        async with httpx.AsyncClient(base_url=url, timeout=20, limits=limits) as client:
            asking = asyncio.gather(*(ask_until(client, done) for _ in range(4)))
            for reloads in (1, 2):
                program.send(signal.SIGHUP)
                await asyncio.to_thread(program.wait_for, READY, count=2 + 2 * reloads)
            done.set()
            assert min(await asking) >= 10
            # One that is replaced may answer until it has ended.
            while int((await client.get("/process")).text) not in workers_of(program)[-2:]:
                pass

    run(main())
    finish(program, reports, 6)


def test_a_killed_worker_is_replaced_and_the_others_go_on(run, start, reports) -> None:
    """Of a preloaded application: the master has a loop, forks again, and is not disturbed."""
    program, url = start_gunicorn(start, "UvicornOnLoop", "--preload", app="preloaded:app")

    async def main():
        limits = httpx.Limits(max_keepalive_connections=0)
        async with httpx.AsyncClient(base_url=url, timeout=20, limits=limits) as client:
            for killed in range(3):
                os.kill(workers_of(program)[-1], signal.SIGKILL)
                await asyncio.to_thread(program.wait_for, READY, count=3 + killed)
                answering = {(await client.get("/process")).text for _ in range(40)}
                assert answering <= {str(pid) for pid in workers_of(program)}
                assert await check_everything(client, rounds=10) == 51

    run(main())
    finish(program, reports, 1)


def test_the_port_is_free_at_once_when_the_server_has_ended(run, start, reports) -> None:
    program, url = start_gunicorn(start, "UvicornOnLoop", "--preload", app="preloaded:app")
    host, port = url.rpartition("/")[2].split(":")
    seen = load(f"{url}/", HELLO, connections=8, seconds=1)
    assert (seen.wrong, seen.errors) == (0, 0)
    finish(program, reports, 1)
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # past connections, not servers
        sock.bind((host, int(port)))
        sock.listen()
