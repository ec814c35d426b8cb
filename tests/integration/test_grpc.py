"""grpcio's asyncio server and client on one loop: its core wakes the loop through a socket pair."""

from __future__ import annotations

import asyncio

import grpc
import pytest
from web_answers import body

# Messages are bytes as they are: what is tested is the road, not protobuf.
SERVICE = "test.Exchange"


class Exchange(grpc.GenericRpcHandler):
    """A method of each kind."""

    def __init__(self) -> None:
        self._methods = {
            f"/{SERVICE}/Reverse": grpc.unary_unary_rpc_method_handler(self.reverse),
            f"/{SERVICE}/Count": grpc.unary_stream_rpc_method_handler(self.count),
            f"/{SERVICE}/Sum": grpc.stream_unary_rpc_method_handler(self.sum),
            f"/{SERVICE}/Echo": grpc.stream_stream_rpc_method_handler(self.echo),
            f"/{SERVICE}/Refuse": grpc.unary_unary_rpc_method_handler(self.refuse),
        }

    def service(self, details):
        """Return the handler of a method."""
        return self._methods.get(details.method)

    async def reverse(self, request: bytes, context) -> bytes:
        """Answer a request."""
        return request[::-1]

    async def count(self, request: bytes, context):
        """Answer with a stream."""
        for number in range(int(request)):
            yield str(number).encode()

    async def sum(self, requests, context) -> bytes:
        """Answer a stream."""
        return str(sum([int(request) async for request in requests])).encode()

    async def echo(self, requests, context):
        """Answer a stream with a stream."""
        async for request in requests:
            yield request

    async def refuse(self, request: bytes, context) -> bytes:
        """Answer with an error."""
        await context.abort(grpc.StatusCode.FAILED_PRECONDITION, request.decode())
        raise AssertionError("abort() returned")


@pytest.fixture(scope="module", autouse=True)
def core():
    """Keep grpc's core: it ends on a thread of its own, some time after who used it last."""
    with grpc.insecure_channel("127.0.0.1:1"):
        yield


@pytest.fixture(params=["plain", "tls"])
def exchange(request, run):
    """Run a coroutine function with a channel to a server on the same loop."""
    certificates = request.getfixturevalue("certificates") if request.param == "tls" else None

    def open_port(server) -> int:
        if certificates is None:
            return server.add_insecure_port("127.0.0.1:0")
        pair = (certificates.key.read_bytes(), certificates.chain.read_bytes())
        return server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([pair]))

    def open_channel(port: int):
        if certificates is None:
            return grpc.aio.insecure_channel(f"127.0.0.1:{port}")
        trust = grpc.ssl_channel_credentials(certificates.authority.read_bytes())
        return grpc.aio.secure_channel(f"localhost:{port}", trust)

    def run_exchange(talk):
        async def main():
            server = grpc.aio.server()
            server.add_generic_rpc_handlers([Exchange()])
            port = open_port(server)
            await server.start()
            async with open_channel(port) as channel:
                await talk(channel)
            await server.stop(None)

        run(main())

    return run_exchange


def test_thousands_of_calls_are_answered(exchange) -> None:
    async def talk(channel) -> None:
        reverse = channel.unary_unary(f"/{SERVICE}/Reverse")

        async def call(number: int) -> None:
            for step in range(10):
                sent = body(number, step * 1000)
                assert await reverse(sent) == sent[::-1]

        await asyncio.gather(*map(call, range(150)))

    exchange(talk)


def test_streams_keep_their_order(exchange) -> None:
    async def talk(channel) -> None:
        count = channel.unary_stream(f"/{SERVICE}/Count")
        assert [int(n) async for n in count(b"2000")] == list(range(2000))
        total = channel.stream_unary(f"/{SERVICE}/Sum")
        assert await total(str(n).encode() for n in range(2000)) == str(sum(range(2000))).encode()
        call = channel.stream_stream(f"/{SERVICE}/Echo")()
        for number in range(300):
            await call.write(body(number, 1000))
            assert await call.read() == body(number, 1000)
        await call.done_writing()
        assert await call.read() == grpc.aio.EOF

    exchange(talk)


def test_large_messages_are_exact(exchange) -> None:
    async def talk(channel) -> None:
        reverse = channel.unary_unary(f"/{SERVICE}/Reverse")
        sent = body(1, 3_000_000)
        for _ in range(5):
            assert await reverse(sent) == sent[::-1]

    exchange(talk)


def test_errors_and_cancellation_reach_the_other_end(exchange) -> None:
    async def talk(channel) -> None:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await channel.unary_unary(f"/{SERVICE}/Refuse")(b"not now")
        assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
        assert caught.value.details() == "not now"
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await channel.unary_unary(f"/{SERVICE}/Unknown")(b"")
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
        call = channel.stream_stream(f"/{SERVICE}/Echo")()
        await call.write(b"one")
        assert await call.read() == b"one"
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call.read()

    exchange(talk)


def test_loops_one_after_the_other_each_have_their_calls(exchange) -> None:
    async def talk(channel) -> None:
        assert await channel.unary_unary(f"/{SERVICE}/Reverse")(b"abc") == b"cba"

    for _ in range(3):
        exchange(talk)
