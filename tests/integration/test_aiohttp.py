"""aiohttp's server and client on one loop: HTTP, TLS, WebSockets, files."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib

import aiohttp
import pytest
from aiohttp import web
from web_answers import body

FILE_BYTES = 3_000_000


async def digest(request: web.Request) -> web.Response:
    """Answer with the length and hash of a body that is read as it comes."""
    total = 0
    seen = hashlib.sha256()
    async for chunk in request.content.iter_any():
        total += len(chunk)
        seen.update(chunk)
    return web.json_response({"bytes": total, "sha256": seen.hexdigest()})


async def stream(request: web.Request) -> web.StreamResponse:
    """Send a body in many writes."""
    response = web.StreamResponse()
    await response.prepare(request)
    for number in range(int(request.query["blocks"])):
        await response.write(body(number, 10_000))
    await response.write_eof()
    return response


async def echo(request: web.Request) -> web.WebSocketResponse:
    """Send every message back."""
    socket = web.WebSocketResponse(heartbeat=5, max_msg_size=2_000_000)
    await socket.prepare(request)
    async for message in socket:
        if message.type is aiohttp.WSMsgType.BINARY:
            await socket.send_bytes(message.data)
        else:
            await socket.send_str(message.data)
    return socket


@contextlib.asynccontextmanager
async def serving(context, file):
    """Serve; yield the URL."""

    async def send_file(_) -> web.FileResponse:
        return web.FileResponse(file)

    application = web.Application()
    application.router.add_post("/digest", digest)
    application.router.add_get("/stream", stream)
    application.router.add_get("/echo", echo)
    application.router.add_get("/file", send_file)
    runner = web.AppRunner(application)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        port = runner.addresses[0][1]
        yield f"{'http' if context is None else 'https'}://127.0.0.1:{port}"
    finally:
        await runner.cleanup()


@pytest.fixture
def file(tmp_path):
    """Make a file whose every byte is known."""
    path = tmp_path / "served"
    path.write_bytes(body(7, FILE_BYTES))
    return path


@pytest.fixture(params=["plain", "tls"])
def exchange(request, run, file):
    """Run a coroutine function with a client session and the URL of a server on the same loop."""
    contexts = (None, None)
    if request.param == "tls":
        certificates = request.getfixturevalue("certificates")
        contexts = (certificates.server_context(), certificates.client_context())

    def run_exchange(talk):
        async def main():
            async with serving(contexts[0], file) as url:
                connector = aiohttp.TCPConnector(ssl=contexts[1] or True, limit=20)
                async with aiohttp.ClientSession(connector=connector) as session:
                    await talk(session, url)

        run(main())

    return run_exchange


def test_bodies_arrive_whole_in_both_directions(exchange) -> None:
    async def ask(session, url, number: int) -> None:
        sent = body(number, number * 5003 % 200_000)
        async with session.post(f"{url}/digest", data=sent) as response:
            answer = await response.json()
        assert answer == {"bytes": len(sent), "sha256": hashlib.sha256(sent).hexdigest()}
        async with session.get(f"{url}/stream", params={"blocks": number % 20}) as response:
            seen = await response.read()
        assert seen == b"".join(body(block, 10_000) for block in range(number % 20))

    async def talk(session, url) -> None:
        await asyncio.gather(*(ask(session, url, number) for number in range(400)))

    exchange(talk)


def test_a_body_from_a_generator_is_sent_in_chunks(exchange) -> None:
    async def blocks():
        for number in range(100):
            yield body(number, 30_000)

    async def talk(session, url) -> None:
        sent = b"".join([block async for block in blocks()])
        async with session.post(f"{url}/digest", data=blocks()) as response:
            answer = await response.json()
        assert answer == {"bytes": len(sent), "sha256": hashlib.sha256(sent).hexdigest()}

    exchange(talk)


def test_a_file_is_sent_whole_and_in_ranges(exchange) -> None:
    async def talk(session, url) -> None:
        whole = body(7, FILE_BYTES)
        for _ in range(5):
            async with session.get(f"{url}/file") as response:
                assert await response.read() == whole
        async with session.get(f"{url}/file", headers={"Range": "bytes=1000-499999"}) as response:
            assert response.status == 206
            assert await response.read() == whole[1000:500_000]

    exchange(talk)


def test_websockets_echo_every_message(exchange) -> None:
    async def converse(session, url, number: int) -> None:
        async with session.ws_connect(f"{url}/echo", max_msg_size=2_000_000) as socket:
            for length in (0, 1, 125, 126, 65_535, 65_536, 1_000_000):
                message = body(number, length)
                await socket.send_bytes(message)
                assert (await socket.receive_bytes()) == message
            for count in range(50):
                await socket.send_str(f"message {count}")
                assert await socket.receive_str() == f"message {count}"
        assert socket.close_code == aiohttp.WSCloseCode.OK

    async def talk(session, url) -> None:
        await asyncio.gather(*(converse(session, url, number) for number in range(20)))

    exchange(talk)


def test_a_client_that_gives_up_does_not_disturb_the_others(exchange) -> None:
    async def give_up(session, url) -> None:
        async with session.get(f"{url}/stream", params={"blocks": 500}) as response:
            await response.content.readexactly(1000)

    async def ask(session, url) -> None:
        async with session.post(f"{url}/digest", data=b"still here") as response:
            assert (await response.json())["bytes"] == 10

    async def talk(session, url) -> None:
        for _ in range(10):
            await asyncio.gather(*(f(session, url) for f in (give_up, ask, ask, give_up, ask)))

    exchange(talk)
