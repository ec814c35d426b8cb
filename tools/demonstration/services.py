"""The two servers that are demonstrated, as a user of asyncio would write them.

Nothing here knows which loop it runs on.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import cast

from demonstration.pattern import pattern

BODY_MAX = 1 << 20
HEAD_MAX = 1 << 14


class EchoProtocol(asyncio.Protocol):
    """Sends back what comes; stops reading while the peer does not read."""

    transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keeps the transport."""
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Sends it back."""
        self.transport.write(data)

    def pause_writing(self) -> None:
        """The peer is slow: take nothing more from it."""
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        """The peer has caught up."""
        self.transport.resume_reading()


async def start_echo() -> asyncio.Server:
    """The echo server, on a free port."""
    loop = asyncio.get_running_loop()
    return await loop.create_server(EchoProtocol, "127.0.0.1", 0, backlog=1024)


class BadRequestError(Exception):
    """A request that gets an error response, after which the connection closes."""

    def __init__(self, status: HTTPStatus) -> None:
        """The status to answer with."""
        super().__init__(status)
        self.status = status


class Request:
    """The head of an HTTP/1.x request, parsed."""

    def __init__(self, head: bytes) -> None:
        """Raises BadRequestError where the head is not one."""
        line, *lines = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
        words = line.split(" ")
        if len(words) != 3 or words[2] not in ("HTTP/1.1", "HTTP/1.0") or words[1][:1] != "/":
            raise BadRequestError(HTTPStatus.BAD_REQUEST)
        self.method, self.target, self.version = words
        self.headers: dict[str, str] = {}
        for header in lines:
            name, colon, value = header.partition(":")
            if not colon or not name or name != name.strip():
                raise BadRequestError(HTTPStatus.BAD_REQUEST)
            self.headers[name.lower()] = value.strip()

    @property
    def keep_alive(self) -> bool:
        """Whether the connection stays open after the answer."""
        connection = self.headers.get("connection", "").lower()
        return connection == "keep-alive" if self.version == "HTTP/1.0" else connection != "close"

    @property
    def body_bytes(self) -> int:
        """How much body follows; raises BadRequestError where that is not said or too much."""
        if "transfer-encoding" in self.headers:
            raise BadRequestError(HTTPStatus.NOT_IMPLEMENTED)
        length = self.headers.get("content-length", "0")
        if not (length.isascii() and length.isdigit()):
            raise BadRequestError(HTTPStatus.BAD_REQUEST)
        if len(length) > 9 or int(length) > BODY_MAX:
            raise BadRequestError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        return int(length)


def _resource(target: str) -> bytes | None:
    """What a path names: ``/`` or ``/pattern/KEY/SIZE``."""
    if target == "/":
        return b"Hello from an asyncio server.\n"
    _, _, rest = target.partition("/pattern/")
    key, _, size = rest.partition("/")
    if not (key.isdecimal() and size.isdecimal() and len(key) < 10 and len(size) < 10):
        return None
    if int(size) <= BODY_MAX:
        return pattern(int(key), int(size))
    return None


def _response(status: HTTPStatus, body: bytes, *, keep_alive: bool, head_only: bool) -> bytes:
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\n"
        f"Content-Length: {len(body)}\r\n"
        "Content-Type: application/octet-stream\r\n"
        f"Connection: {'keep-alive' if keep_alive else 'close'}\r\n\r\n"
    )
    return head.encode() if head_only else head.encode() + body


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    """Serves one request; False when it was the connection's last."""
    head = await reader.readuntil(b"\r\n\r\n")
    request = Request(head)
    if request.body_bytes:
        await reader.readexactly(request.body_bytes)
    status, body = HTTPStatus.OK, b""
    if request.method not in ("GET", "HEAD"):
        status = HTTPStatus.METHOD_NOT_ALLOWED
    else:
        found = _resource(request.target)
        status, body = (HTTPStatus.OK, found) if found is not None else (HTTPStatus.NOT_FOUND, b"")
    keep_alive = request.keep_alive
    writer.write(_response(status, body, keep_alive=keep_alive, head_only=request.method == "HEAD"))
    await writer.drain()
    return keep_alive


async def _serve_http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while await _answer(reader, writer):
            pass
    except BadRequestError as error:
        writer.write(_response(error.status, b"", keep_alive=False, head_only=False))
    except asyncio.LimitOverrunError:
        status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
        writer.write(_response(status, b"", keep_alive=False, head_only=False))
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def start_http() -> asyncio.Server:
    """The HTTP server, on a free port."""
    return await asyncio.start_server(_serve_http, "127.0.0.1", 0, backlog=1024, limit=HEAD_MAX)
