"""Echo servers and their clients: a load that several tests put on a loop."""

from __future__ import annotations

import asyncio


async def _echo(reader, writer):
    while data := await reader.read(10_000):
        writer.write(data)
        await writer.drain()
    writer.close()


async def _client(address, payload):
    reader, writer = await asyncio.open_connection(*address)
    writer.write(payload)
    writer.write_eof()
    assert await reader.read() == payload
    writer.close()
    await writer.wait_closed()


async def echo_to_many(connections: int, repeats: int) -> None:
    """Serve an echo to many connections at once; every byte must come back to its sender."""
    server = await asyncio.start_server(_echo, "127.0.0.1", 0, backlog=100)
    address = server.sockets[0].getsockname()
    await asyncio.gather(
        *(_client(address, b"%03d" % number * repeats) for number in range(connections))
    )
    server.close()
    await server.wait_closed()


async def echo(reader, writer):
    """Send back lines until the end."""
    while line := await reader.readline():
        writer.write(line)
    writer.close()


async def talk(address, lines: int, between=None) -> None:
    """Exchange lines with an echo server; call ``between`` after each."""
    streams = await asyncio.open_connection(*address)
    for number in range(lines):
        await say(streams, b"%d\n" % number)
        if between is not None:
            between(number)
    streams[1].close()
    await streams[1].wait_closed()


async def say(streams, line: bytes) -> None:
    """Exchange one line with an echo server."""
    streams[1].write(line)
    assert await streams[0].readline() == line


async def end(server, streams) -> None:
    """End a conversation, then the server that it was with."""
    streams[1].close()
    await streams[1].wait_closed()
    server.close()
    await server.wait_closed()


async def serve_and_talk(lines: int = 20) -> str:
    """Run a server and a client of one's own, to the end of both."""
    served = asyncio.get_running_loop().create_future()

    async def serve(reader, writer):
        await echo(reader, writer)
        await writer.wait_closed()
        served.set_result(None)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    await talk(server.sockets[0].getsockname(), lines)
    await served
    server.close()
    await server.wait_closed()
    return "talked"
