"""redis-py's asyncio client against Redis: TCP and a Unix socket."""

from __future__ import annotations

import asyncio
import itertools

import pytest
import redis.asyncio
from redis.exceptions import WatchError
from web_answers import body


@pytest.fixture(params=["tcp", "unix"])
def url(request, redis_server) -> str:
    """Return the server's address, for each way to it."""
    if request.param == "unix":
        return f"unix://{redis_server.unix_path}"
    return f"redis://127.0.0.1:{redis_server.port}/0"


@pytest.fixture
def exchange(run, url):
    """Run a coroutine function with a client of an empty server."""

    def run_exchange(talk):
        async def main():
            async with redis.asyncio.from_url(url) as client:
                await client.flushall()
                await talk(client)

        run(main())

    return run_exchange


def test_thousands_of_commands_on_many_connections(exchange) -> None:
    async def talk(client) -> None:
        async def count(number: int) -> None:
            for step in range(40):
                assert await client.incr(f"counter {number}") == step + 1

        await asyncio.gather(*map(count, range(50)))
        assert await client.dbsize() == 50

    exchange(talk)


def test_values_of_all_sizes_are_exact(exchange) -> None:
    async def talk(client) -> None:
        for length in (0, 1, 65_535, 65_536, 5_000_000):
            value = body(length, length)
            await client.set("value", value)
            assert await client.get("value") == value

    exchange(talk)


def test_a_pipeline_answers_in_order(exchange) -> None:
    async def talk(client) -> None:
        pipe = client.pipeline(transaction=False)
        for number in range(5000):
            pipe.set(f"key {number}", number)
            pipe.get(f"key {number}")
        answers = await pipe.execute()
        assert answers == [answer for n in range(5000) for answer in (True, str(n).encode())]

    exchange(talk)


def test_a_watched_key_that_changes_undoes_the_transaction(exchange) -> None:
    async def talk(client) -> None:
        async with client.pipeline() as pipe:
            await pipe.watch("key")
            await client.set("key", "from elsewhere")
            pipe.multi()
            pipe.set("key", "from here")
            with pytest.raises(WatchError):
                await pipe.execute()
        assert await client.get("key") == b"from elsewhere"

    exchange(talk)


def test_published_messages_arrive_in_order(exchange) -> None:
    async def talk(client) -> None:
        async def hear() -> list[bytes]:
            async with client.pubsub(ignore_subscribe_messages=True) as channel:
                await channel.subscribe("news")
                ready.release()
                heard: list[bytes] = []
                async for message in channel.listen():
                    heard.append(message["data"])
                    if len(heard) == 500:
                        break
                return heard

        ready = asyncio.Semaphore(0)
        tasks = [asyncio.create_task(hear()) for _ in range(5)]
        while await client.pubsub_numsub("news") != [(b"news", 5)]:
            await ready.acquire()
        for number in range(500):
            assert await client.publish("news", number) == 5
        expected = [str(number).encode() for number in range(500)]
        assert await asyncio.gather(*tasks) == [expected] * 5

    exchange(talk)


def test_blocking_pops_get_each_job_once(exchange) -> None:
    async def talk(client) -> None:
        async def work() -> list[int]:
            taken = []
            while (job := int((await client.blpop("jobs"))[1])) >= 0:
                taken.append(job)
            return taken

        workers = [asyncio.create_task(work()) for _ in range(8)]
        for job in range(1000):
            await client.rpush("jobs", job)
        await client.rpush("jobs", *[-1] * 8)
        taken = await asyncio.gather(*workers)
        assert sorted(itertools.chain(*taken)) == list(range(1000))

    exchange(talk)


def test_a_cancelled_wait_leaves_the_client_usable(exchange) -> None:
    async def talk(client) -> None:
        for number in range(20):
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(client.blpop("nothing"), 0.02)
            assert await client.incr("rounds") == number + 1

    exchange(talk)
