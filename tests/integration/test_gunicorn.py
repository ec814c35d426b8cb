"""gunicorn forks workers that run our loop: uvicorn's class and its own, with --preload too."""

from __future__ import annotations

import asyncio
import re
import signal

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


# With gunicorn's own class: uvicorn, when it ends, closes connections that have asked nothing yet.
def test_a_reload_replaces_every_worker_and_loses_no_request(run, start, reports) -> None:
    program, url = start_gunicorn(start, "GunicornOnLoop")

    async def ask_until(client, done: asyncio.Event) -> int:
        count = 0
        while not done.is_set():
            assert (await client.get("/")).text == HELLO
            count += 1
        return count

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
            assert sum(await asking) > 20
            return int((await client.get("/process")).text)

    answering = run(main())
    assert answering in [int(pid) for pid in re.findall(BOOTED, program.output)][-2:]
    finish(program, reports, 6)
