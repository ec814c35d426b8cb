"""psycopg's asyncio connections against PostgreSQL: libpq's sockets under add_reader()."""

from __future__ import annotations

import asyncio

import psycopg
import pytest
from web_answers import body

ROWS = 20_000


@pytest.fixture(params=["tcp", "tls", "unix"])
def address(request, postgres, certificates) -> str:
    """Return the connection string of each way to the server."""
    host = str(postgres.folder) if request.param == "unix" else "127.0.0.1"
    known = f"host={host} port={postgres.port} user={postgres.user} dbname={postgres.database}"
    if request.param == "tls":
        return f"{known} sslmode=verify-full sslrootcert={certificates.authority}"
    return f"{known} sslmode=disable"


async def connect(address: str) -> psycopg.AsyncConnection:
    """Connect, with every statement its own transaction."""
    return await psycopg.AsyncConnection.connect(address, autocommit=True)


def test_connections_side_by_side_answer_thousands_of_queries(run, address) -> None:
    async def ask(number: int) -> None:
        async with await connect(address) as connection:
            for step in range(200):
                cursor = await connection.execute("select %s::int * 2 + %s::int", (number, step))
                assert await cursor.fetchone() == (number * 2 + step,)

    async def main():
        await asyncio.gather(*map(ask, range(8)))

    run(main())


def test_a_pipeline_answers_in_order(run, address) -> None:
    async def main():
        async with await connect(address) as connection, connection.pipeline():
            cursors = [await connection.execute("select %s::int", (n,)) for n in range(2000)]
            assert [await cursor.fetchone() for cursor in cursors] == [(n,) for n in range(2000)]

    run(main())


def test_large_results_and_arguments_are_exact(run, address) -> None:
    async def main():
        async with await connect(address) as connection:
            cursor = await connection.execute("select generate_series(1, %s)", (ROWS,))
            assert await cursor.fetchall() == [(n,) for n in range(1, ROWS + 1)]
            for length in (0, 1, 8191, 8192, 3_000_000):
                sent = body(length, length)
                cursor = await connection.execute("select %b::bytea", (sent,))
                assert await cursor.fetchone() == (sent,)

    run(main())


def test_copy_moves_rows_in_and_out(run, address) -> None:
    async def main():
        async with await connect(address) as connection, connection.cursor() as cursor:
            await cursor.execute("create temporary table copied (n int, t text)")
            async with cursor.copy("copy copied from stdin") as copy:
                for number in range(ROWS):
                    await copy.write_row((number, f"row {number}"))
            async with cursor.copy("copy copied to stdout") as copy:
                seen = b"".join([bytes(chunk) async for chunk in copy])
        assert seen == b"".join(b"%d\trow %d\n" % (n, n) for n in range(ROWS))

    run(main())


def test_notifications_arrive_in_order(run, address) -> None:
    async def main():
        async with await connect(address) as listener, await connect(address) as speaker:
            await listener.execute("listen news")
            for number in range(200):
                await speaker.execute("select pg_notify('news', %s)", (str(number),))
            notifications = listener.notifies(stop_after=200, timeout=20)
            heard = [notification.payload async for notification in notifications]
            assert heard == [str(number) for number in range(200)]

    run(main())


def test_a_cancelled_task_cancels_its_query_on_the_server(run, address) -> None:
    async def main():
        async with await connect(address) as connection:
            for _ in range(5):
                with pytest.raises(asyncio.TimeoutError):
                    await asyncio.wait_for(connection.execute("select pg_sleep(60)"), 0.05)
                cursor = await connection.execute("select 1")
                assert await cursor.fetchone() == (1,)

    run(main())


def test_a_server_that_nobody_is_makes_an_error(run, postgres) -> None:
    async def main():
        address = f"host={postgres.folder} port=1 user={postgres.user}"
        with pytest.raises(psycopg.OperationalError):
            await connect(address)

    run(main())
