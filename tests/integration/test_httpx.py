"""httpx's asyncio client against uvicorn, both on the loop under test."""

from __future__ import annotations

import asyncio
import hashlib
import signal

import httpx
import loops
import pytest
from web_answers import HELLO, block, body


@pytest.fixture(params=["plain", "tls"])
def exchange(request, run, start, reports):
    """Run a coroutine function with a client of a server; both must end clean."""
    words = ["--loop", loops.factory_name(), "--port", "0", "--no-access-log"]
    verify = True
    if request.param == "tls":
        certificates = request.getfixturevalue("certificates")
        words += ["--ssl-keyfile", certificates.key, "--ssl-certfile", certificates.chain]
        verify = certificates.client_context()
    server = start("-m", "uvicorn", "web:app", *words)
    url = server.wait_for(r"Uvicorn running on (\S+)")[1]

    def run_exchange(talk, **options):
        async def main():
            async with httpx.AsyncClient(
                base_url=url, verify=verify, **{"timeout": 20, **options}
            ) as client:
                await talk(client)

        run(main())

    yield run_exchange
    server.stop(signal.SIGINT)
    assert "Traceback" not in server.output, server.output
    reports.check(1)


def test_many_requests_share_few_connections(exchange) -> None:
    async def talk(client) -> None:
        for _ in range(5):
            answers = await asyncio.gather(*(client.get("/") for _ in range(60)))
            assert {answer.text for answer in answers} == {HELLO}

    exchange(talk, limits=httpx.Limits(max_connections=4))


def test_every_request_may_have_a_connection_of_its_own(exchange) -> None:
    async def talk(client) -> None:
        for _ in range(5):
            answers = await asyncio.gather(*(client.get("/") for _ in range(20)))
            assert {answer.text for answer in answers} == {HELLO}

    exchange(talk, limits=httpx.Limits(max_keepalive_connections=0))


def test_streams_are_exact_in_both_directions(exchange) -> None:
    async def blocks():
        for number in range(300):
            yield body(number, 20_000)

    async def talk(client) -> None:
        sent = b"".join([part async for part in blocks()])
        answer = await client.post("/digest", content=blocks())
        assert answer.json() == {"bytes": len(sent), "sha256": hashlib.sha256(sent).hexdigest()}
        async with client.stream("GET", "/stream", params={"blocks": 300}) as answer:
            seen = b"".join([part async for part in answer.aiter_raw()])
        assert seen == b"".join(map(block, range(300)))

    exchange(talk)


def test_a_stream_left_early_does_not_disturb_what_follows(exchange) -> None:
    async def talk(client) -> None:
        for _ in range(20):
            async with client.stream("GET", "/stream", params={"blocks": 500}) as answer:
                async for part in answer.aiter_raw():
                    assert part
                    break
            assert (await client.get("/")).text == HELLO

    exchange(talk)


def test_a_time_out_ends_the_request_alone(exchange) -> None:
    async def talk(client) -> None:
        waiting = asyncio.gather(*(client.get("/thread", params={"say": "yes"}) for _ in range(20)))
        with pytest.raises(httpx.ReadTimeout):
            await client.get("/never", timeout=0.1)
        assert {answer.text for answer in await waiting} == {"yes"}

    exchange(talk)
