"""dask.distributed: scheduler, workers and client on our loop, which tornado wraps."""

from __future__ import annotations

import asyncio

import loops
import pytest
from computations import add, digest_of_all, make_block, square
from distributed import Client, LocalCluster
from distributed.utils import offload


@pytest.fixture(scope="module", autouse=True)
def _offloading():
    """Have the library's thread for large messages, which it never ends, run before any test."""
    asyncio.run(offload(int))


@pytest.fixture
def cluster(start, reports, tmp_path):
    """Start a scheduler and two workers, each a process; return the scheduler's address."""
    quiet = ["--no-dashboard"]
    words = ["distributed.cli.dask_scheduler", "--host", "127.0.0.1:0", *quiet]
    scheduler = start("apps/with_policy.py", *words)
    address = scheduler.wait_for(r"Scheduler at:\s+(tcp://127\S+)")[1]
    words = ["distributed.cli.dask_worker", address, "--no-nanny", "--nthreads", "1", *quiet]
    words += ["--local-directory", tmp_path]
    workers = [start("apps/with_policy.py", *words) for _ in range(2)]
    for worker in workers:
        worker.wait_for("Registered to:")
    yield address
    for program in (*workers, scheduler):
        assert program.stop() == 0, program.output
    reports.check(3)


@pytest.fixture
def policy():
    """Have loops that are not asked for by name be of the kind under test."""
    before = asyncio.get_event_loop_policy()
    asyncio.set_event_loop_policy(loops.Policy())
    yield
    asyncio.set_event_loop_policy(before)


async def compute(client) -> None:
    """Compute many small things, a tree of them, and large ones that move between workers."""
    squares = client.map(square, range(500))
    assert await client.gather(squares) == [number * number for number in range(500)]
    level = squares[:128]
    while len(level) > 1:
        level = [client.submit(add, *level[i : i + 2]) for i in range(0, len(level), 2)]
    assert await level[0] == sum(number * number for number in range(128))
    blocks = client.map(make_block, range(16), length=1_000_000)
    expected = digest_of_all(*(make_block(number, 1_000_000) for number in range(16)))
    assert await client.submit(digest_of_all, *blocks) == expected
    assert await client.gather(blocks[3]) == make_block(3, 1_000_000)
    failed = client.submit(square, "not a number")
    with pytest.raises(TypeError):
        await failed


def test_a_client_on_the_loop_computes_with_worker_processes(run, cluster) -> None:
    async def main():
        async with Client(cluster, asynchronous=True) as client:
            await compute(client)

    run(main())


def test_a_client_with_a_loop_in_a_thread_computes_as_well(cluster, policy) -> None:
    with Client(cluster) as client:
        squares = client.map(square, range(200))
        assert client.gather(squares) == [number * number for number in range(200)]
        assert client.submit(sum, squares).result() == sum(n * n for n in range(200))


def test_scheduler_workers_and_client_share_one_loop(run, tmp_path) -> None:
    options = {
        "processes": False,
        "protocol": "tcp://",
        "host": "127.0.0.1",
        "dashboard_address": None,
        "worker_dashboard_address": None,
        "local_directory": str(tmp_path),
    }

    async def main():
        async with (
            LocalCluster(
                n_workers=2, threads_per_worker=1, asynchronous=True, **options
            ) as cluster,
            Client(cluster, asynchronous=True) as client,
        ):
            await compute(client)

    run(main())
