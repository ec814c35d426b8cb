"""TLS records that come in pieces, together, or right before the end; what is written as one."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import sys

import pytest
from certificates import NAME
from steps import soon, turns
from tls import Served, until

RECORD = 16 * 1024  # the most that one record carries


class Peer:
    """A client that chooses which bytes go out together."""

    def __init__(self, loop, context) -> None:
        self.loop = loop
        self.socket = socket.socket()
        self.socket.setblocking(False)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname=NAME)

    async def connect(self, address) -> None:
        """Connect and shake hands."""
        await soon(self.loop.sock_connect(self.socket, address))
        while True:
            try:
                self.tls.do_handshake()
            except ssl.SSLWantReadError:
                await self.send(self.outgoing.read())
                self.incoming.write(await soon(self.loop.sock_recv(self.socket, 1 << 16)))
            else:
                break
        await self.send(self.outgoing.read())

    def records(self, *payloads: bytes) -> bytes:
        """Encrypt each payload as a record of its own."""
        for payload in payloads:
            self.tls.write(payload)
        return self.outgoing.read()

    def end(self) -> bytes:
        """Make the record that announces the end."""
        with pytest.raises(ssl.SSLWantReadError):
            self.tls.unwrap()
        return self.outgoing.read()

    async def send(self, data: bytes) -> None:
        """Send in one piece."""
        await soon(self.loop.sock_sendall(self.socket, data))


@pytest.fixture
def talk(loop, certificates):
    """Return what runs a test with such a client and the protocol that serves it."""

    async def run(test):
        async with Served(ssl=certificates.server()) as served:
            peer = Peer(loop, certificates.client())
            try:
                await peer.connect(served.address)
                await until(lambda: served.protocols and served.protocols[0].made.done())
                await test(peer, served.protocols[0])
            finally:
                peer.socket.close()

    return lambda test: loop.run_until_complete(run(test))


def test_records_that_come_together_arrive_together(talk):
    """Three in one piece: one call with all their bytes."""

    async def exchange(peer, theirs):
        await peer.send(peer.records(b"one ", b"two ", b"three"))
        await until(lambda: len(theirs.data) == 13)
        assert bytes(theirs.data) == b"one two three"

    talk(exchange)


def test_the_end_right_behind_data_is_seen_after_it(talk):
    """Data, then close_notify, in one piece and with nothing behind."""

    async def exchange(peer, theirs):
        await peer.send(peer.records(b"last words") + peer.end())
        assert await soon(theirs.lost) is None
        assert bytes(theirs.data) == b"last words"  # Strict asserts the order

    talk(exchange)


def test_a_record_in_two_pieces_arrives_with_the_second(talk):
    """Half a record is nothing to the program."""

    async def exchange(peer, theirs):
        record = peer.records(b"x" * 1000)
        await peer.send(record[:500])
        await turns(5)
        assert not theirs.data
        await peer.send(record[500:])
        await until(lambda: len(theirs.data) == 1000)

    talk(exchange)


def test_a_record_arrives_while_the_next_is_still_on_its_way(talk):
    """One and a half: the whole one is delivered, the rest follows."""

    async def exchange(peer, theirs):
        first, second = peer.records(b"first"), peer.records(b"second")
        await peer.send(first + second[:10])
        await until(lambda: bytes(theirs.data) == b"first")
        await peer.send(second[10:])
        await until(lambda: bytes(theirs.data) == b"firstsecond")

    talk(exchange)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_records_that_are_full_leave_nothing_behind(talk, count):
    """As many bytes as a record carries, not one more."""

    async def exchange(peer, theirs):
        payloads = [bytes([i]) * RECORD for i in range(count)]
        await peer.send(peer.records(*payloads))
        await until(lambda: len(theirs.data) == count * RECORD)
        assert bytes(theirs.data) == b"".join(payloads)

    talk(exchange)


def test_a_damaged_record_ends_the_connection(talk):
    """What was whole before it has arrived."""

    async def exchange(peer, theirs):
        good, bad = peer.records(b"good"), bytearray(peer.records(b"bad"))
        bad[-1] ^= 1
        await peer.send(good)
        await until(lambda: bytes(theirs.data) == b"good")
        await peer.send(bytes(bad))
        assert isinstance(await soon(theirs.lost), ssl.SSLError)
        assert bytes(theirs.data) == b"good"

    talk(exchange)


def test_writelines_takes_any_iterable(talk):
    """A generator and an iterator, as well as a list."""

    async def exchange(peer, theirs):
        theirs.transport.writelines(bytes([byte]) for byte in b"abc")
        theirs.transport.writelines(iter([b"d", b"e"]))
        received = b""
        while received != b"abcde":
            peer.incoming.write(await soon(peer.loop.sock_recv(peer.socket, 1 << 16)))
            with contextlib.suppress(ssl.SSLWantReadError):
                while True:
                    received += peer.tls.read(100)

    talk(exchange)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="asyncio passes it to OpenSSL there")
@pytest.mark.parametrize("pieces", [[5], (5,), (None,), (b"a", 5)])
def test_a_piece_without_length_is_the_callers_error(talk, pieces):
    """TypeError where it was written."""

    async def exchange(peer, theirs):
        with pytest.raises(TypeError):
            theirs.transport.writelines(pieces)
        theirs.transport.abort()

    talk(exchange)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="TLS is no BufferedProtocol there")
def test_what_connection_made_raises_is_told_in_asyncios_words(loop, certificates):
    """Programs look at the message."""

    class Raising(asyncio.Protocol):
        transport = None

        def connection_made(self, transport):
            raise LookupError("not here")

    told = []
    loop.set_exception_handler(lambda _, context: told.append(context))

    async def run():
        async with Served(Raising, ssl=certificates.server()) as served:
            peer = Peer(loop, certificates.client())
            try:
                with contextlib.suppress(ConnectionError):
                    await peer.connect(served.address)
                await until(lambda: told)
            finally:
                peer.socket.close()

    loop.run_until_complete(run())
    assert isinstance(told[0]["exception"], LookupError)
    assert told[0]["message"] == "Fatal error: protocol.buffer_updated() call failed."
