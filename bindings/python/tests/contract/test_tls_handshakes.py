"""TLS handshakes, certificates and time limits: the asyncio contract, on both loops."""

from __future__ import annotations

import asyncio
import socket
import ssl

import pytest
from certificates import NAME
from protocols import Strict
from steps import soon, turns
from tls import HOST, Served, close, connect, until


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
                        Strict, *served.address, ssl=context, server_hostname=NAME
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
                        Strict, *served.address, ssl=context, server_hostname=name
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
                    Strict,
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


@pytest.mark.parametrize("how", ["refused", "cancelled"])
def test_a_given_socket_is_closed_when_the_handshake_fails(loop, certificates, how):
    """It was handed over: a wrong certificate or a cancellation closes it, once."""

    async def main():
        async with Served(ssl=certificates.server()) as served:
            sock = socket.create_connection(served.address, 20)
            sock.setblocking(False)
            task = asyncio.ensure_future(
                loop.create_connection(
                    Strict,
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
