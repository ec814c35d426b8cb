"""getaddrinfo() and getnameinfo(): the answers and errors are those of the socket module."""

from __future__ import annotations

import itertools
import socket

import pytest

HOSTS = [
    *(None, "", "localhost", b"localhost", "127.0.0.1", b"127.0.0.1", "127.1", "1", "0x7f.1"),
    *("::1", b"::1", "::ffff:1.2.3.4", "fe80::1%lo", "fe80::1%1", 7, bytearray(b"::1"), object),
]
# Asked for with AI_NUMERICHOST alone: without, the resolver might ask the network.
NO_HOSTS = ["[::1]", "1.2.3.4.5", "1.2.3.", "::g", "127.0.0.1 ", "a:b", "host1"]
PORTS = [None, 0, 80, "80", b"80", "", "http", "-1", -1, 1 << 17, "80x", 1.5]
HINTS = [
    {},
    {"family": socket.AF_INET},
    {"family": socket.AF_INET6},
    {"family": socket.AF_UNIX},
    {"type": socket.SOCK_STREAM},
    {"type": socket.SOCK_DGRAM, "proto": socket.IPPROTO_UDP},
    {"type": socket.SOCK_STREAM, "proto": socket.IPPROTO_UDP},
    {"flags": socket.AI_PASSIVE},
    {"flags": socket.AI_NUMERICHOST},
    {"flags": socket.AI_CANONNAME, "type": socket.SOCK_STREAM},
    {"family": socket.AF_INET6, "flags": socket.AI_V4MAPPED},
]


def answer(call, *arguments, **hints):
    """Return what a call answers, or the error it raises, as something to compare."""
    try:
        return call(*arguments, **hints)
    except Exception as exc:
        return type(exc), getattr(exc, "errno", None)


@pytest.mark.parametrize("hints", HINTS, ids=str)
def test_addresses_are_those_of_the_socket_module(loop, hints):
    """For every kind of host and port, right and wrong; errors have the same type and number."""

    def ours(*arguments, **hints):
        return loop.run_until_complete(loop.getaddrinfo(*arguments, **hints))

    numeric = hints.get("flags", 0) & socket.AI_NUMERICHOST
    for host, port in itertools.product(HOSTS + NO_HOSTS if numeric else HOSTS, PORTS):
        wanted = answer(socket.getaddrinfo, host, port, **hints)
        assert answer(ours, host, port, **hints) == wanted, (host, port)


@pytest.mark.parametrize(
    "sockaddr",
    [
        ("127.0.0.1", 80),
        ("::1", 80, 0, 0),
        ("127.0.0.1", 0),
        ("no address", 80),
        ("127.0.0.1",),
        (),
        ("127.0.0.1", "80"),
        ("::1", 80, 1 << 30),
        None,
        "text",
        (None, 80),
        (b"127.0.0.1", 80),
    ],
    ids=str,
)
def test_names_are_those_of_the_socket_module(loop, sockaddr):
    """With every combination of the flags that ask nobody."""

    def ours(*arguments):
        return loop.run_until_complete(loop.getnameinfo(*arguments))

    numeric = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV
    for flags in (numeric, numeric | socket.NI_DGRAM, numeric | socket.NI_NAMEREQD):
        wanted = answer(socket.getnameinfo, sockaddr, flags)
        assert answer(ours, sockaddr, flags) == wanted, flags
