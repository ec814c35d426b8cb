"""Numbers are resolved where they are asked for; only names go to a thread."""

from __future__ import annotations

import asyncio
import concurrent.futures
import itertools
import socket

import pytest

HOST = "127.0.0.1"


class RefusalError(Exception):
    """A thread was asked for."""


class NoThreads(concurrent.futures.ThreadPoolExecutor):
    """An executor that refuses everything."""

    def submit(self, *_, **__):
        raise RefusalError


@pytest.fixture
def threadless(loop):
    """Make a loop that cannot ask a thread."""
    loop.set_default_executor(NoThreads())
    return loop


HOSTS = (HOST, b"127.0.0.1", "::1", "fe80::1%lo", "0.0.0.0")
PORTS = (80, "80", b"80")


@pytest.mark.parametrize(
    ("host", "port"),
    [*itertools.product(HOSTS, (*PORTS, None)), *itertools.product((None,), PORTS)],
)
@pytest.mark.parametrize("debug", [False, True])
def test_numbers_ask_no_thread(threadless, host, port, debug):
    """Addresses and ports that are numbers already, or left out."""
    threadless.set_debug(debug)
    infos = threadless.run_until_complete(threadless.getaddrinfo(host, port))
    assert infos == socket.getaddrinfo(host, port)


def test_numeric_names_ask_no_thread(threadless):
    """getnameinfo() with both numeric flags."""
    flags = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV
    assert threadless.run_until_complete(threadless.getnameinfo((HOST, 80), flags)) == (HOST, "80")


@pytest.mark.parametrize("host", ["localhost", "host1", "0x", "name:1", ""])
def test_names_ask_a_thread(threadless, host):
    """What the resolver has to be asked for does not stop the loop."""
    with pytest.raises(RefusalError):
        threadless.run_until_complete(threadless.getaddrinfo(host, 80))


def test_services_and_reverse_look_ups_ask_a_thread(threadless):
    """A port's name, a host's name, a service's name."""
    with pytest.raises(RefusalError):
        threadless.run_until_complete(threadless.getaddrinfo(HOST, "http"))
    for flags in (0, socket.NI_NUMERICHOST, socket.NI_NUMERICSERV):
        with pytest.raises(RefusalError):
            threadless.run_until_complete(threadless.getnameinfo((HOST, 80), flags))


def test_everything_with_numbers_works_without_threads(threadless):
    """Servers, connections, datagrams, sock_connect()."""

    async def main():
        server = await threadless.create_server(asyncio.Protocol, HOST, 0)
        address = server.sockets[0].getsockname()
        with socket.socket() as sock:
            sock.setblocking(False)
            await threadless.sock_connect(sock, address)
        server.close()
        await server.wait_closed()
        transport, _ = await threadless.create_datagram_endpoint(
            asyncio.DatagramProtocol, local_addr=(HOST, 0), remote_addr=address
        )
        transport.close()

    threadless.run_until_complete(main())
