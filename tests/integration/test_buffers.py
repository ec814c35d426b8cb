"""Parsers of others read from leases: httptools and msgpack, which take any buffer."""

from __future__ import annotations

import asyncio
import os

import httptools
import msgpack

import uringcore_cffi

REQUESTS = 200
OBJECTS = 500


class Http(uringcore_cffi.LeaseProtocol):
    """Feeds leases to a parser, and answers each request with its body, turned round."""

    def connection_made(self, transport) -> None:
        self.transport = transport
        self.parser = httptools.HttpRequestParser(self)
        self.body = b""

    def lease_received(self, lease) -> None:
        with lease:
            self.parser.feed_data(lease.view)

    def on_body(self, body) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        body, self.body = self.body[::-1], b""
        self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


def test_httptools_parses_requests_where_they_were_received(run) -> None:
    async def main():
        loop = asyncio.get_running_loop()
        server = await loop.create_server(Http, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        bodies = [os.urandom(number * 37 % 9000) for number in range(REQUESTS)]

        async def ask():
            for body in bodies:
                head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)
                writer.write(head + body)
                await writer.drain()

        asking = loop.create_task(ask())
        for body in bodies:
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 OK\r\n")
            assert await reader.readexactly(len(body)) == body[::-1]
        await asking
        writer.close()
        await writer.wait_closed()
        server.close()
        await server.wait_closed()

    run(main())


def test_msgpack_unpacks_objects_where_they_were_received(run) -> None:
    objects = [{"number": n, "data": os.urandom(n * 11 % 5000)} for n in range(OBJECTS)]

    async def main():
        got = asyncio.get_running_loop().create_future()

        async def serve(reader, writer):
            unpacker, found = msgpack.Unpacker(), []
            while lease := await reader.read_lease():
                with lease:
                    unpacker.feed(lease.view)
                found.extend(unpacker)
            writer.close()
            got.set_result(found)

        server = await uringcore_cffi.start_server(serve, "127.0.0.1", 0)
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        for each in objects:
            writer.write(msgpack.packb(each))
            await writer.drain()
        writer.close()
        assert await got == objects
        await writer.wait_closed()
        server.close()
        await server.wait_closed()

    run(main())
