"""TLS: the asyncio contract, on both loops."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import sys
import threading

import pytest
from certificates import NAME
from steps import turns

HOST = "127.0.0.1"


class Recorder(asyncio.Protocol):
    """Keeps what comes, and checks the order of the calls."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.data = bytearray()
        self.state = "new"
        self.paused = False
        self.pauses = self.resumes = 0
        self.transport = None
        self.made: asyncio.Future = loop.create_future()
        self.ended: asyncio.Future = loop.create_future()
        self.lost: asyncio.Future = loop.create_future()

    def connection_made(self, transport):
        assert self.state == "new"
        self.state = "made"
        self.transport = transport
        self.made.set_result(None)

    def data_received(self, data):
        assert self.state == "made"
        assert data
        self.data += data

    def eof_received(self):
        assert self.state == "made"
        self.state = "eof"
        self.ended.set_result(None)

    def pause_writing(self):
        assert not self.paused
        self.paused = True
        self.pauses += 1

    def resume_writing(self):
        assert self.paused
        self.paused = False
        self.resumes += 1

    def connection_lost(self, exc):
        assert self.state in ("made", "eof")
        self.state = "lost"
        self.lost.set_result(exc)


async def soon(awaitable):
    """Await, but not for ever."""
    return await asyncio.wait_for(awaitable, 20)


async def until(condition):
    """Let the loop turn until something is so."""

    async def turn():
        while not condition():
            await asyncio.sleep(0.001)

    await soon(turn())


class Served:
    """A TLS server on the loop that keeps the protocols of its connections."""

    def __init__(self, factory=Recorder, **arguments) -> None:
        self.protocols = []
        self._factory = factory
        self._arguments = arguments

    def _make(self):
        self.protocols.append(self._factory())
        return self.protocols[-1]

    async def __aenter__(self):
        loop = asyncio.get_running_loop()
        self.server = await loop.create_server(self._make, HOST, 0, **self._arguments)
        self.address = self.server.sockets[0].getsockname()
        return self

    async def __aexit__(self, *_):
        self.server.close()
        for protocol in self.protocols:
            if protocol.transport is not None:
                protocol.transport.abort()
        await soon(self.server.wait_closed())
        await turns(5)


async def connect(served, context, factory=Recorder, **arguments):
    """Connect to a server with TLS; return the client's and the server's protocol."""
    loop = asyncio.get_running_loop()
    _, ours = await soon(
        loop.create_connection(
            factory, *served.address, ssl=context, **{"server_hostname": NAME, **arguments}
        )
    )
    await until(lambda: served.protocols and served.protocols[-1].made.done())
    return ours, served.protocols[-1]


async def close(protocol):
    """Close a connection and wait for its end."""
    protocol.transport.close()
    return await soon(protocol.lost)


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


def test_the_server_learns_the_name_that_was_asked_for(loop, certificates):
    """SNI: the context's callback is told."""
    asked = []

    async def main():
        context = certificates.server()
        context.sni_callback = lambda _, name, __: asked.append(name)
        async with Served(ssl=context) as served:
            ours, _ = await connect(served, certificates.client())
            await close(ours)

    loop.run_until_complete(main())
    assert asked == [NAME]


def test_a_protocol_is_negotiated(loop, certificates):
    """ALPN: both ends see the choice."""

    async def main():
        server, client = certificates.server(), certificates.client()
        server.set_alpn_protocols(["h2", "http/1.1"])
        client.set_alpn_protocols(["http/1.1"])
        async with Served(ssl=server) as served:
            ours, theirs = await connect(served, client)
            for protocol in (ours, theirs):
                chosen = protocol.transport.get_extra_info("ssl_object").selected_alpn_protocol()
                assert chosen == "http/1.1"
            await close(ours)

    loop.run_until_complete(main())


def test_a_client_certificate_is_seen_by_the_server(loop, certificates):
    """With CERT_REQUIRED: who shows one gets in."""

    async def main():
        async with Served(ssl=certificates.server(client_required=True)) as served:
            ours, theirs = await connect(served, certificates.client(certificate=True))
            subject = theirs.transport.get_extra_info("peercert")["subject"]
            assert dict(item[0] for item in subject)["commonName"] == "client"
            await close(ours)

    loop.run_until_complete(main())


def test_a_missing_client_certificate_is_refused(loop, certificates):
    """The server's protocol is never told of a connection, and the client's connection ends."""

    async def main():
        context = certificates.client()
        async with Served(ssl=certificates.server(client_required=True)) as served:
            try:
                _, ours = await soon(
                    loop.create_connection(
                        Recorder, *served.address, ssl=context, server_hostname=NAME
                    )
                )
            except (ssl.SSLError, ConnectionError):
                pass  # TLS 1.2, or the alert was faster
            else:
                await soon(ours.lost)
                ours.transport.close()
            assert not served.protocols[0].made.done()

    loop.run_until_complete(main())


@pytest.mark.parametrize("wrong", ["authority", "name"])
def test_a_wrong_certificate_is_an_error_of_the_client(loop, certificates, wrong):
    """Not trusted, or for another name: SSLCertVerificationError, and nothing is left over."""

    async def main():
        context = certificates.client(trusting=wrong != "authority")
        name = NAME if wrong == "authority" else "other.test"
        async with Served(ssl=certificates.server()) as served:
            with pytest.raises(ssl.SSLCertVerificationError):
                await soon(
                    loop.create_connection(
                        Recorder, *served.address, ssl=context, server_hostname=name
                    )
                )
            await until(lambda: served.protocols)
            assert not served.protocols[0].made.done()
            ours, _ = await connect(served, certificates.client())
            await close(ours)

    loop.run_until_complete(main())


def test_a_client_without_tls_does_not_disturb_the_server(loop, certificates):
    """Its connection is closed; the next client is served."""

    async def main():
        async with Served(ssl=certificates.server()) as served:
            with socket.create_connection(served.address, 20) as peer:
                peer.sendall(b"GET / HTTP/1.0\r\n\r\n")

                def drain():
                    try:
                        while peer.recv(1000):
                            pass
                    except ConnectionError:
                        pass

                await soon(loop.run_in_executor(None, drain))
            assert not served.protocols[0].made.done()
            ours, _ = await connect(served, certificates.client())
            await close(ours)

    loop.run_until_complete(main())


@pytest.mark.parametrize("side", ["client", "server"])
def test_a_handshake_takes_no_longer_than_it_may(loop, certificates, side):
    """ssl_handshake_timeout: ConnectionAbortedError here, the end of the connection there."""

    async def client():
        listener = socket.create_server((HOST, 0))
        with listener as server, pytest.raises(ConnectionAbortedError):
            await soon(
                loop.create_connection(
                    Recorder,
                    *server.getsockname(),
                    ssl=certificates.client(),
                    server_hostname=NAME,
                    ssl_handshake_timeout=0.1,
                )
            )

    async def server():
        context = certificates.server()
        async with Served(ssl=context, ssl_handshake_timeout=0.1) as served:
            with socket.create_connection(served.address, 20) as peer:
                assert await soon(loop.run_in_executor(None, peer.recv, 100)) == b""

    loop.run_until_complete(client() if side == "client" else server())


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
                    Recorder,
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


def test_a_server_may_close_in_the_middle_of_a_handshake(loop, certificates):
    """The half-made connection ends and nothing is reported."""

    async def main():
        async with Served(ssl=certificates.server(), ssl_handshake_timeout=0.2) as served:
            with socket.create_connection(served.address, 20) as peer:
                await until(lambda: served.protocols)
                served.server.close()
                with pytest.raises(OSError):
                    socket.create_connection(served.address, 20)
                assert await soon(loop.run_in_executor(None, peer.recv, 100)) == b""

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
                Recorder, *listener.getsockname(), ssl=certificates.client(), server_hostname=NAME
            )
        )
        await soon(ours.lost)
        ours.transport.close()
        assert ours.data == b"last words"
        await served
        listener.close()

    loop.run_until_complete(main())


def test_streams_are_upgraded_by_both_sides(loop, certificates):
    """loop.start_tls() on the client and on the server of a plain connection."""

    async def main():
        async def upgrade(protocol, context, **arguments):
            transport = await soon(
                loop.start_tls(protocol.transport, protocol, context, **arguments)
            )
            protocol.transport = transport
            return transport

        async with Served() as served:
            _, ours = await loop.create_connection(Recorder, *served.address)
            await until(lambda: served.protocols and served.protocols[0].made.done())
            theirs = served.protocols[0]
            ours.transport.write(b"plain")
            await until(lambda: theirs.data == b"plain")
            await asyncio.gather(
                upgrade(ours, certificates.client(), server_hostname=NAME),
                upgrade(theirs, certificates.server(), server_side=True),
            )
            payload = os.urandom(300_000)
            ours.transport.write(payload)
            await until(lambda: len(theirs.data) == 300_005)
            assert theirs.data[5:] == payload
            theirs.transport.write(b"back")
            await until(lambda: ours.data == b"back")
            assert ours.transport.get_extra_info("cipher")
            await close(ours)

    loop.run_until_complete(main())


@pytest.mark.skipif(sys.version_info < (3, 11), reason="StreamWriter.start_tls() is of 3.11")
def test_stream_writers_are_upgraded(loop, certificates):
    """StreamWriter.start_tls() on the client and on the server."""

    async def serve(reader, writer):
        assert await reader.readline() == b"STARTTLS\n"
        writer.write(b"go\n")
        await writer.drain()
        await writer.start_tls(certificates.server())
        writer.write(await reader.readline())
        writer.close()
        await writer.wait_closed()

    async def main():
        server = await asyncio.start_server(serve, HOST, 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"STARTTLS\n")
        assert await soon(reader.readline()) == b"go\n"
        await soon(writer.start_tls(certificates.client(), server_hostname=NAME))
        writer.write(b"secret\n")
        assert await soon(reader.readline()) == b"secret\n"
        assert await soon(reader.read()) == b""
        writer.close()
        await soon(writer.wait_closed())
        server.close()
        await soon(server.wait_closed())

    loop.run_until_complete(main())


def test_starting_tls_is_refused_where_it_makes_no_sense(loop, certificates):
    """No context, a transport that cannot, a wrong certificate: the connection is closed."""

    async def main():
        async with Served() as served:
            _, ours = await loop.create_connection(Recorder, *served.address)
            with pytest.raises(TypeError):
                await loop.start_tls(ours.transport, ours, None)
            with pytest.raises(TypeError):
                await loop.start_tls(object(), ours, certificates.client())
            await until(lambda: served.protocols and served.protocols[0].made.done())
            theirs = served.protocols[0]
            with pytest.raises(ssl.SSLError):
                await soon(
                    asyncio.gather(
                        loop.start_tls(
                            ours.transport,
                            ours,
                            certificates.client(trusting=False),
                            server_hostname=NAME,
                        ),
                        loop.start_tls(
                            theirs.transport, theirs, certificates.server(), server_side=True
                        ),
                    )
                )
            await turns(10)

    loop.run_until_complete(main())


@pytest.mark.parametrize("where", ["path", "abstract"])
def test_tls_over_unix_sockets(loop, certificates, where, tmp_path):
    """Streams over a Unix socket, both ends with TLS."""
    path = str(tmp_path / "tls")
    if where == "abstract":
        path = "\0" + path

    async def serve(reader, writer):
        writer.write(await reader.readexactly(100_000))
        await writer.drain()
        writer.close()

    async def main():
        payload = os.urandom(100_000)
        server = await asyncio.start_unix_server(serve, path, ssl=certificates.server())
        reader, writer = await asyncio.open_unix_connection(
            path, ssl=certificates.client(), server_hostname=NAME
        )
        writer.write(payload)
        assert await soon(reader.read()) == payload
        writer.close()
        await soon(writer.wait_closed())
        server.close()
        await soon(server.wait_closed())
        await turns(5)

    loop.run_until_complete(main())


def test_a_buffered_protocol_under_tls(loop, certificates):
    """get_buffer() and buffer_updated() get the plain text, in pieces of the protocol's size."""

    class Buffered(Recorder, asyncio.BufferedProtocol):
        data_received = None

        def get_buffer(self, sizehint):
            self.buffer = bytearray(1000)
            return memoryview(self.buffer)  # asyncio slices it

        def buffer_updated(self, count):
            self.data += self.buffer[:count]

    async def main():
        payload = os.urandom(200_000)
        async with Served(ssl=certificates.server()) as served:
            ours, theirs = await connect(served, certificates.client(), Buffered)
            theirs.transport.write(payload)
            await until(lambda: len(ours.data) == len(payload))
            assert ours.data == payload
            await close(ours)

    loop.run_until_complete(main())


def test_an_accepted_socket_gets_tls(loop, certificates):
    """connect_accepted_socket(ssl=)."""

    async def main():
        with socket.create_server((HOST, 0)) as server:
            client = asyncio.ensure_future(
                loop.create_connection(
                    Recorder, *server.getsockname(), ssl=certificates.client(), server_hostname=NAME
                )
            )
            await turns(3)
            accepted, _ = server.accept()
            _, theirs = await soon(
                loop.connect_accepted_socket(Recorder, accepted, ssl=certificates.server())
            )
            _, ours = await soon(client)
            ours.transport.write(b"hello")
            await until(lambda: theirs.data == b"hello")
            await close(ours)
            await soon(theirs.lost)
            theirs.transport.close()

    loop.run_until_complete(main())


@pytest.mark.parametrize("how", ["refused", "cancelled"])
def test_a_given_socket_is_closed_when_the_handshake_fails(loop, certificates, how):
    """It was handed over: a wrong certificate or a cancellation closes it, once."""

    async def main():
        async with Served(ssl=certificates.server()) as served:
            sock = socket.create_connection(served.address, 20)
            sock.setblocking(False)
            task = asyncio.ensure_future(
                loop.create_connection(
                    Recorder,
                    sock=sock,
                    ssl=certificates.client(trusting=how == "cancelled"),
                    server_hostname=NAME,
                )
            )
            if how == "cancelled":
                await turns(1)
                task.cancel()
            with pytest.raises((ssl.SSLError, asyncio.CancelledError)):
                await soon(task)
            await until(lambda: sock.fileno() == -1)
            with socket.create_connection(served.address, 20) as stranger:
                await turns(5)
                assert stranger.getpeername() == served.address
            await until(lambda: len(served.protocols) == 2)
            await turns(10)

    loop.run_until_complete(main())
