"""TLS connections: data, pausing, ends; the asyncio contract, on both loops."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import sys
import threading

import pytest
from certificates import NAME
from protocols import Strict
from steps import soon, turns
from tls import HOST, Served, close, connect, until


@pytest.fixture
def pair(certificates):
    """Return what runs a test with both ends of a connection."""

    async def run(test, **arguments):
        async with Served(ssl=certificates.server(), **arguments) as served:
            ours, theirs = await connect(served, certificates.client())
            await test(ours, theirs)
            await close(ours)

    return run


def test_five_megabytes_both_ways_at_once(loop, pair):
    """Every byte arrives, in order, both directions under load together."""

    async def exchange(ours, theirs):
        payloads = [os.urandom(5_000_000), os.urandom(5_000_000)]
        ours.transport.write(payloads[0])
        theirs.transport.writelines([payloads[1][:1_000_000], payloads[1][1_000_000:]])
        await until(lambda: len(theirs.data) == len(ours.data) == 5_000_000)
        assert [bytes(theirs.data), bytes(ours.data)] == payloads
        assert ours.pauses == ours.resumes

    loop.run_until_complete(pair(exchange))


def test_the_transport_tells_of_the_connection(loop, pair):
    """Cipher, certificate, the object itself, and the socket's own entries."""

    async def look(ours, theirs):
        info = ours.transport.get_extra_info
        assert isinstance(info("ssl_object"), ssl.SSLObject)
        assert info("sslcontext").verify_mode == ssl.CERT_REQUIRED
        assert info("cipher") == info("ssl_object").cipher()
        assert dict(item[0] for item in info("peercert")["subject"])["commonName"] == "server"
        assert info("peername") == theirs.transport.get_extra_info("sockname")
        assert info("socket").fileno() > 0
        assert info("compression") is None
        assert info("nothing", 7) == 7
        assert not ours.transport.is_closing()

    loop.run_until_complete(pair(look))


@pytest.mark.skipif(sys.version_info < (3, 11), reason="asyncio waits for ever before 3.11")
def test_a_shutdown_takes_no_longer_than_it_may(loop, certificates):
    """ssl_shutdown_timeout: a peer that answers no close_notify does not hold up the end."""

    async def main():
        listener = socket.create_server((HOST, 0))
        done = threading.Event()

        def serve():
            plain, _ = listener.accept()
            with certificates.server().wrap_socket(plain, server_side=True):
                done.wait(20)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            _, ours = await soon(
                loop.create_connection(
                    Strict,
                    *listener.getsockname(),
                    ssl=certificates.client(),
                    server_hostname=NAME,
                    ssl_shutdown_timeout=0.1,
                )
            )
            ours.transport.close()
            await soon(ours.lost)
        finally:
            done.set()
            thread.join()
            listener.close()

    loop.run_until_complete(main())


def test_a_slow_reader_pauses_the_writer(loop, pair):
    """Writing much: pause_writing(), and a buffer bounded by what was written; then resumed."""

    async def write(ours, theirs):
        theirs.transport.pause_reading()
        chunk = os.urandom(1 << 16)
        written = 0
        while not ours.paused:
            assert written < 64 << 20, "a peer that does not read is never felt"
            ours.transport.write(chunk)
            written += len(chunk)
            await asyncio.sleep(0)
        assert ours.transport.get_write_buffer_size() > 0
        assert not theirs.data
        theirs.transport.resume_reading()
        await until(lambda: len(theirs.data) == written)
        await until(lambda: not ours.paused)
        assert theirs.data == chunk * (written // len(chunk))
        assert ours.pauses == ours.resumes

    if sys.version_info < (3, 11):
        pytest.skip("asyncio had no flow control of its own in TLS before 3.11")
    loop.run_until_complete(pair(write))


def test_a_paused_reader_gets_nothing_and_then_everything(loop, pair):
    """pause_reading() under TLS, again and again in the middle of the stream."""

    async def read(ours, theirs):
        payload = os.urandom(1_000_000)
        theirs.transport.write(payload)
        while len(ours.data) < len(payload):
            ours.transport.pause_reading()
            await turns(2)
            seen = len(ours.data)
            await turns(5)
            assert len(ours.data) == seen
            ours.transport.resume_reading()
            await turns(3)
        assert ours.data == payload

    if sys.version_info < (3, 11):
        pytest.skip("what asyncio had deciphered was delivered while paused before 3.11")
    loop.run_until_complete(pair(read))


def test_closing_sends_everything_first(loop, pair):
    """A megabyte, then close(): the peer gets all of it and an end, we connection_lost(None)."""

    async def write(ours, theirs):
        payload = os.urandom(1 << 20)
        ours.transport.write(payload)
        assert await close(ours) is None
        await soon(theirs.lost)
        assert theirs.data == payload

    async def main():
        await pair(write)

    loop.run_until_complete(main())


def test_aborting_ends_both_sides(loop, pair):
    """No close_notify: the peer is told of an end, ours of connection_lost(None)."""

    async def end(ours, theirs):
        ours.transport.abort()
        assert await soon(ours.lost) is None
        await soon(theirs.lost)

    async def main():
        await pair(end)

    loop.run_until_complete(main())


def test_an_end_without_notice_is_an_end(loop, certificates):
    """A peer that closes TCP without close_notify: the data, eof_received(), connection_lost()."""

    async def main():
        listener = socket.create_server((HOST, 0))

        def serve():
            plain, _ = listener.accept()
            with certificates.server().wrap_socket(plain, server_side=True) as wrapped:
                wrapped.sendall(b"last words")

        served = loop.run_in_executor(None, serve)
        _, ours = await soon(
            loop.create_connection(
                Strict, *listener.getsockname(), ssl=certificates.client(), server_hostname=NAME
            )
        )
        await soon(ours.lost)
        ours.transport.close()
        assert ours.data == b"last words"
        await served
        listener.close()

    loop.run_until_complete(main())
