"""websockets: its server and its client on one loop, plain, over TLS and over a Unix socket."""

from __future__ import annotations

import asyncio

import pytest
from web_answers import body
from websockets.asyncio.client import connect, unix_connect
from websockets.asyncio.server import serve, unix_serve
from websockets.exceptions import ConnectionClosed

LENGTHS = (0, 1, 125, 126, 65_535, 65_536, 900_000)


async def echo(connection) -> None:
    """Send every message back."""
    async for message in connection:
        await connection.send(message)


async def converse(connecting, number: int) -> int:
    """Exchange messages of all lengths, then many at once; return how many."""
    async with connecting as connection:
        for length in LENGTHS:
            message = body(number, length)
            await connection.send(message)
            assert await connection.recv() == message
        texts = [f"{number}: {count}" for count in range(100)]
        for text in texts:
            await connection.send(text)
        assert [await connection.recv() for _ in texts] == texts
        await (await connection.ping())
    return len(LENGTHS) + len(texts)


@pytest.mark.parametrize("compression", ["deflate", None])
def test_every_message_comes_back(run, compression) -> None:
    async def main():
        async with serve(echo, "127.0.0.1", 0, compression=compression) as server:
            url = _url(server)
            counts = await asyncio.gather(
                *(converse(connect(url, compression=compression), n) for n in range(15))
            )
        assert sum(counts) == 15 * 107

    run(main())


def test_every_message_comes_back_over_tls(run, certificates) -> None:
    async def main():
        async with serve(echo, "127.0.0.1", 0, ssl=certificates.server_context()) as server:
            url = f"wss://localhost:{server.sockets[0].getsockname()[1]}"
            context = certificates.client_context()
            connecting = [connect(url, ssl=context, host="127.0.0.1") for _ in range(8)]
            counts = await asyncio.gather(*map(converse, connecting, range(8)))
        assert sum(counts) == 8 * 107

    run(main())


def test_every_message_comes_back_over_a_unix_socket(run, data_folder) -> None:
    path = str(data_folder() / "ws.sock")

    async def main():
        async with unix_serve(echo, path):
            counts = await asyncio.gather(*(converse(unix_connect(path), n) for n in range(8)))
        assert sum(counts) == 8 * 107

    run(main())


def test_a_broadcast_reaches_everybody_in_order(run) -> None:
    async def main():
        present: set = set()
        complete = asyncio.Event()

        async def join(connection) -> None:
            present.add(connection)
            if len(present) == 30:
                complete.set()
            await connection.wait_closed()

        async def listen(url) -> list[str]:
            async with connect(url) as connection:
                return [await connection.recv() for _ in range(50)]

        async with serve(join, "127.0.0.1", 0) as server:
            url = _url(server)
            listeners = [asyncio.create_task(listen(url)) for _ in range(30)]
            await complete.wait()
            texts = [f"news {number}" for number in range(50)]
            for text in texts:
                await asyncio.gather(*(connection.send(text) for connection in present))
            assert await asyncio.gather(*listeners) == [texts] * 30

    run(main())


async def ask_and_lose(handler, *, close_server: bool = False) -> ConnectionClosed:
    """Send to a handler that does not answer; return how the client learns of the end."""
    async with serve(handler, "127.0.0.1", 0) as server, connect(_url(server)) as connection:
        await connection.send("go on")
        if close_server:
            server.close()
            await server.wait_closed()
        with pytest.raises(ConnectionClosed) as caught:
            await connection.recv()
        return caught.value


def test_a_client_learns_how_it_ended(run) -> None:
    async def close_with_code(connection) -> None:
        await connection.recv()
        await connection.close(4001, "enough")

    async def break_off(connection) -> None:
        await connection.recv()
        connection.transport.abort()

    async def main():
        end = await ask_and_lose(close_with_code)
        assert (end.rcvd.code, end.rcvd.reason) == (4001, "enough")
        assert (await ask_and_lose(break_off)).rcvd is None
        going_away = await ask_and_lose(lambda c: c.wait_closed(), close_server=True)
        assert going_away.rcvd.code == 1001

    run(main())


def _url(server) -> str:
    return f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
