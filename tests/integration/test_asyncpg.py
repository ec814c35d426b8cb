"""asyncpg against PostgreSQL: TCP, TLS and a Unix socket."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest
from web_answers import body

ROWS = 20_000


@pytest.fixture(params=["tcp", "tls", "unix"])
def address(request, postgres, certificates) -> dict:
    """Return what connect() needs, for each way to the server."""
    host = str(postgres.folder) if request.param == "unix" else "127.0.0.1"
    context = certificates.client_context() if request.param == "tls" else False
    known = {"port": postgres.port, "user": postgres.user, "database": postgres.database}
    return {"host": host, "ssl": context, **known}


def test_a_pool_answers_thousands_of_queries(run, address) -> None:
    async def main():
        async with asyncpg.create_pool(**address, min_size=2, max_size=8) as pool:

            async def ask(number: int) -> None:
                for step in range(20):
                    seen = await pool.fetchval("select $1::int * 2 + $2::int", number, step)
                    assert seen == number * 2 + step

            await asyncio.gather(*map(ask, range(100)))

    run(main())


def test_large_results_and_arguments_are_exact(run, address) -> None:
    async def main():
        connection = await asyncpg.connect(**address)
        query = "select n, md5(n::text) as m from generate_series(1, $1) n"
        rows = await connection.fetch(query, ROWS)
        assert len(rows) == ROWS
        assert rows[-1]["n"] == ROWS
        for length in (0, 1, 8191, 8192, 3_000_000):
            sent = body(length, length)
            assert await connection.fetchval("select $1::bytea", sent) == sent
        await connection.close()

    run(main())


def test_copy_moves_rows_in_and_out(run, address, tmp_path) -> None:
    async def main():
        connection = await asyncpg.connect(**address)
        await connection.execute("create temporary table copied (n int, t text)")
        records = [(number, f"row {number}") for number in range(ROWS)]
        await connection.copy_records_to_table("copied", records=records)
        total = await connection.fetchrow("select count(*), sum(n) from copied")
        assert tuple(total) == (ROWS, sum(range(ROWS)))
        path = tmp_path / "rows.csv"
        await connection.copy_from_table("copied", output=path, format="csv")
        assert path.read_text() == "".join(f"{n},{t}\n" for n, t in records)
        await connection.close()

    run(main())


def test_a_transaction_that_fails_leaves_no_trace(run, address) -> None:
    async def main():
        connection = await asyncpg.connect(**address)
        await connection.execute("create temporary table kept (n int primary key)")

        async def insert_twice() -> None:
            async with connection.transaction():
                await connection.execute("insert into kept values (1)")
                await connection.execute("insert into kept values (1)")

        with pytest.raises(asyncpg.UniqueViolationError):
            await insert_twice()
        async with connection.transaction():
            await connection.execute("insert into kept values (2)")
        assert [row["n"] for row in await connection.fetch("select n from kept")] == [2]
        async with connection.transaction():
            cursor = await connection.cursor("select generate_series(1, 1000)")
            seen = [row[0] for _ in range(10) for row in await cursor.fetch(100)]
        assert seen == list(range(1, 1001))
        await connection.close()

    run(main())


def test_notifications_arrive_in_order(run, address) -> None:
    async def main():
        listener = await asyncpg.connect(**address)
        speaker = await asyncpg.connect(**address)
        heard: asyncio.Queue = asyncio.Queue()
        await listener.add_listener("news", lambda *arguments: heard.put_nowait(arguments[-1]))
        for number in range(300):
            await speaker.execute("select pg_notify('news', $1)", str(number))
        assert [await heard.get() for _ in range(300)] == [str(number) for number in range(300)]
        await listener.close()
        await speaker.close()

    run(main())


def test_a_query_that_takes_too_long_is_cancelled_on_the_server(run, address) -> None:
    async def main():
        async with asyncpg.create_pool(**address, min_size=1, max_size=1) as pool:
            for _ in range(5):
                with pytest.raises(asyncio.TimeoutError):
                    await pool.fetchval("select pg_sleep(60)", timeout=0.05)
                assert await pool.fetchval("select 1") == 1
            running = "select count(*) from pg_stat_activity where query = 'select pg_sleep(60)'"
            assert await pool.fetchval(running + " and state = 'active'") == 0

    run(main())


def test_a_connection_that_the_server_ends_says_so(run, address) -> None:
    async def main():
        victim = await asyncpg.connect(**address)
        other = await asyncpg.connect(**address)
        query = asyncio.create_task(victim.fetchval("select pg_sleep(60)"))
        pid = victim.get_server_pid()
        while not await other.fetchval(
            "select count(*) from pg_stat_activity where pid = $1 and state = 'active'", pid
        ):
            pass  # not begun yet
        await other.fetchval("select pg_terminate_backend($1)", pid)
        with pytest.raises((asyncpg.AdminShutdownError, asyncpg.ConnectionDoesNotExistError)):
            await query
        assert await other.fetchval("select 1") == 1
        await victim.close()
        await other.close()

    run(main())
