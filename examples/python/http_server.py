"""A small HTTP/1.1 server on asyncio streams: ``http_server.py [PORT]``."""

from __future__ import annotations

import asyncio
import sys

import uringcore_cffi


def response(status: str, body: bytes, keep_alive: bool) -> bytes:
    """One whole answer."""
    connection = "keep-alive" if keep_alive else "close"
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: {connection}\r\n\r\n"
    return head.encode() + body


def answer(head: bytes) -> tuple[bytes, bool]:
    """The answer to a request, and whether the connection stays open after it."""
    line, *headers = head.decode("latin-1").lower().split("\r\n")
    words = line.split()
    fields = {name.strip(): value.strip() for name, _, value in (h.partition(":") for h in headers)}
    if len(words) != 3 or words[2] != "http/1.1":
        return response("400 Bad Request", b"", False), False
    # This server reads no bodies, so it cannot tell where the next request begins.
    has_body = "transfer-encoding" in fields or fields.get("content-length", "0") != "0"
    if words[0] != "get" or has_body:
        return response("405 Method Not Allowed", b"", False), False
    keep_alive = fields.get("connection", "") != "close"
    if words[1] != "/":
        return response("404 Not Found", b"", keep_alive), keep_alive
    return response("200 OK", b"Hello from io_uring.\n", keep_alive), keep_alive


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One connection, request after request."""
    try:
        keep_alive = True
        while keep_alive:
            data, keep_alive = answer(await reader.readuntil(b"\r\n\r\n"))
            writer.write(data)
            await writer.drain()
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
        pass  # the peer has left, or sends what is no request
    finally:
        writer.close()


async def main(port: int) -> None:
    """Serve until interrupted."""
    server = await asyncio.start_server(serve, "127.0.0.1", port)
    print(f"port {server.sockets[0].getsockname()[1]}", flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    try:
        uringcore_cffi.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 0))
    except KeyboardInterrupt:
        pass
