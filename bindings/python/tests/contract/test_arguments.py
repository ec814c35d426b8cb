"""Wrong arguments: every public method refuses them with the type of exception that asyncio has."""

from __future__ import annotations

import asyncio
import inspect
import os
import socket
import ssl
import sys

import pytest

import uringcore_cffi

HOST = "127.0.0.1"


class World:
    """What the calls of the table are about, made anew for every call."""

    def __init__(self, loop) -> None:
        self.loop = loop
        self.socks = [*socket.socketpair(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)]
        self.stream, self.peer, self.udp = self.socks
        self.socks.append(socket.create_server((HOST, 0)))
        self.listener = self.socks[-1]
        for sock in self.socks:
            sock.setblocking(False)
        self.closed = socket.socket()
        self.closed.close()
        self.file = open(os.devnull, "rb")
        self.regular = open(__file__, "rb")
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.address = self.listener.getsockname()

    def close(self) -> None:
        """Close everything."""
        for thing in (*self.socks, self.file, self.regular):
            thing.close()


def nothing(*_):
    """Do nothing."""


async def coroutine():
    """Do nothing, later."""


P = asyncio.Protocol
D = asyncio.DatagramProtocol

# What is called, by name; a call that answers an awaitable is awaited.
CALLS = {
    "call_later: no number": lambda w: w.loop.call_later("1", nothing),
    "call_later: None": lambda w: w.loop.call_later(None, nothing),
    "call_at: None": lambda w: w.loop.call_at(None, nothing),
    "call_soon: nothing": lambda w: w.loop.call_soon(),
    "create_task: a function": lambda w: w.loop.create_task(nothing),
    "run_until_complete: a number": lambda w: w.loop.run_until_complete(1),
    "set_task_factory: a number": lambda w: w.loop.set_task_factory(1),
    "set_exception_handler: a number": lambda w: w.loop.set_exception_handler(1),
    "set_default_executor: no executor": lambda w: w.loop.set_default_executor(1),
    "call_exception_handler: nothing": lambda w: w.loop.call_exception_handler(),
    "add_reader: negative": lambda w: w.loop.add_reader(-1, nothing),
    "add_reader: text": lambda w: w.loop.add_reader("x", nothing),
    "add_reader: None": lambda w: w.loop.add_reader(None, nothing),
    "add_reader: closed": lambda w: w.loop.add_reader(w.closed, nothing),
    "add_reader: a float": lambda w: w.loop.add_reader(1.5, nothing),
    "add_reader: a bad number": lambda w: w.loop.add_reader(99_999, nothing),
    "add_reader: no callback": lambda w: w.loop.add_reader(w.stream),
    "add_writer: negative": lambda w: w.loop.add_writer(-1, nothing),
    "add_writer: an object": lambda w: w.loop.add_writer(object(), nothing),
    "remove_reader: negative": lambda w: w.loop.remove_reader(-1),
    "remove_reader: unknown": lambda w: w.loop.remove_reader(w.stream),
    "remove_writer: closed": lambda w: w.loop.remove_writer(w.closed),
    "add_signal_handler: 0": lambda w: w.loop.add_signal_handler(0, nothing),
    "add_signal_handler: text": lambda w: w.loop.add_signal_handler("SIGINT", nothing),
    "add_signal_handler: too large": lambda w: w.loop.add_signal_handler(1000, nothing),
    "add_signal_handler: KILL": lambda w: w.loop.add_signal_handler(9, nothing),
    "add_signal_handler: a coroutine function": lambda w: w.loop.add_signal_handler(10, coroutine),
    "remove_signal_handler: text": lambda w: w.loop.remove_signal_handler("x"),
    "remove_signal_handler: unknown": lambda w: w.loop.remove_signal_handler(10),
    "sock_recv: no number": lambda w: w.loop.sock_recv(w.stream, "1"),
    "sock_recv: negative": lambda w: w.loop.sock_recv(w.stream, -1),
    "sock_recv: closed": lambda w: w.loop.sock_recv(w.closed, 1),
    "sock_recv: no socket": lambda w: w.loop.sock_recv(object(), 1),
    "sock_recv: listening": lambda w: w.loop.sock_recv(w.listener, 1),
    "sock_recv_into: bytes": lambda w: w.loop.sock_recv_into(w.stream, b"bytes"),
    "sock_recv_into: None": lambda w: w.loop.sock_recv_into(w.stream, None),
    "sock_recv_into: closed": lambda w: w.loop.sock_recv_into(w.closed, bytearray(1)),
    "sock_recvfrom: text": lambda w: w.loop.sock_recvfrom(w.udp, "1"),
    "sock_recvfrom: negative": lambda w: w.loop.sock_recvfrom(w.udp, -1),
    "sock_recvfrom: closed": lambda w: w.loop.sock_recvfrom(w.closed, 1),
    "sock_recvfrom_into: bytes": lambda w: w.loop.sock_recvfrom_into(w.udp, b"x"),
    "sock_recvfrom_into: too many": lambda w: w.loop.sock_recvfrom_into(w.udp, bytearray(1), 5),
    "sock_recvfrom_into: None": lambda w: w.loop.sock_recvfrom_into(w.udp, None),
    "sock_sendall: text": lambda w: w.loop.sock_sendall(w.stream, "text"),
    "sock_sendall: None": lambda w: w.loop.sock_sendall(w.stream, None),
    "sock_sendall: closed": lambda w: w.loop.sock_sendall(w.closed, b"x"),
    "sock_sendall: listening": lambda w: w.loop.sock_sendall(w.listener, b"x"),
    "sock_sendto: text": lambda w: w.loop.sock_sendto(w.udp, "text", (HOST, 9)),
    "sock_sendto: no address": lambda w: w.loop.sock_sendto(w.udp, b"x", None),
    "sock_sendto: a short address": lambda w: w.loop.sock_sendto(w.udp, b"x", (HOST,)),
    "sock_sendto: closed": lambda w: w.loop.sock_sendto(w.closed, b"x", (HOST, 9)),
    "sock_connect: no address": lambda w: w.loop.sock_connect(w.udp, None),
    "sock_connect: a short address": lambda w: w.loop.sock_connect(w.udp, (HOST,)),
    "sock_connect: a bad port": lambda w: w.loop.sock_connect(w.udp, (HOST, 1 << 17)),
    "sock_connect: connected": lambda w: w.loop.sock_connect(w.stream, "/none"),
    "sock_connect: closed": lambda w: w.loop.sock_connect(w.closed, (HOST, 9)),
    "sock_accept: not listening": lambda w: w.loop.sock_accept(w.stream),
    "sock_accept: closed": lambda w: w.loop.sock_accept(w.closed),
    "sock_sendfile: a datagram socket": lambda w: w.loop.sock_sendfile(w.udp, w.file),
    "sock_sendfile: offset": lambda w: w.loop.sock_sendfile(w.stream, w.file, -1),
    "sock_sendfile: count": lambda w: w.loop.sock_sendfile(w.stream, w.file, 0, 0),
    "sendfile: no transport": lambda w: w.loop.sendfile(None, w.file),
    "start_tls: no context": lambda w: w.loop.start_tls(None, P(), None),
    "start_tls: no transport": lambda w: w.loop.start_tls(None, P(), w.context),
    "create_connection: nothing": lambda w: w.loop.create_connection(P),
    "create_connection: host and sock": lambda w: w.loop.create_connection(
        P, HOST, 80, sock=w.stream
    ),
    "create_connection: no factory": lambda w: w.loop.create_connection(None, *w.address),
    "create_connection: a bad port": lambda w: w.loop.create_connection(P, HOST, 1 << 17),
    "create_connection: port of text": lambda w: w.loop.create_connection(P, HOST, "no port"),
    "create_connection: udp": lambda w: w.loop.create_connection(P, sock=w.udp),
    "create_connection: closed": lambda w: w.loop.create_connection(P, sock=w.closed),
    "create_connection: name without ssl": lambda w: w.loop.create_connection(
        P, *w.address, server_hostname="x"
    ),
    "create_connection: ssl without name": lambda w: w.loop.create_connection(
        P, sock=w.stream, ssl=True
    ),
    "create_connection: timeout without ssl": lambda w: w.loop.create_connection(
        P, *w.address, ssl_handshake_timeout=1
    ),
    "create_connection: a bad timeout": lambda w: w.loop.create_connection(
        P, *w.address, ssl=w.context, server_hostname="x", ssl_handshake_timeout=-1
    ),
    "create_connection: ssl of a wrong type": lambda w: w.loop.create_connection(
        P, *w.address, ssl="x"
    ),
    "create_connection: a bad local address": lambda w: w.loop.create_connection(
        P, *w.address, local_addr=("192.0.2.1", 0)
    ),
    "create_server: nothing": lambda w: w.loop.create_server(P),
    "create_server: host and sock": lambda w: w.loop.create_server(P, HOST, 0, sock=w.listener),
    "create_server: a bool for ssl": lambda w: w.loop.create_server(P, HOST, 0, ssl=True),
    "create_server: udp": lambda w: w.loop.create_server(P, sock=w.udp),
    "create_server: a bad port": lambda w: w.loop.create_server(P, HOST, 1 << 17),
    "create_server: a host that is none": lambda w: w.loop.create_server(P, 5, 0),
    "create_server: in use": lambda w: w.loop.create_server(P, *w.address),
    "create_server: timeout without ssl": lambda w: w.loop.create_server(
        P, HOST, 0, ssl_handshake_timeout=1
    ),
    "create_unix_connection: nothing": lambda w: w.loop.create_unix_connection(P),
    "create_unix_connection: both": lambda w: w.loop.create_unix_connection(P, "/x", sock=w.stream),
    "create_unix_connection: udp": lambda w: w.loop.create_unix_connection(P, sock=w.udp),
    "create_unix_connection: tcp": lambda w: w.loop.create_unix_connection(P, sock=w.listener),
    "create_unix_connection: ssl without name": lambda w: w.loop.create_unix_connection(
        P, "/x", ssl=True
    ),
    "create_unix_connection: a number": lambda w: w.loop.create_unix_connection(P, 7),
    "create_unix_server: nothing": lambda w: w.loop.create_unix_server(P),
    "create_unix_server: both": lambda w: w.loop.create_unix_server(P, "/x", sock=w.stream),
    "create_unix_server: tcp": lambda w: w.loop.create_unix_server(P, sock=w.listener),
    "create_unix_server: a bool for ssl": lambda w: w.loop.create_unix_server(P, "/x", ssl=True),
    "create_unix_server: no folder": lambda w: w.loop.create_unix_server(P, "/none/x"),
    "create_unix_server: too long": lambda w: w.loop.create_unix_server(P, "/tmp/" + "x" * 200),
    "connect_accepted_socket: udp": lambda w: w.loop.connect_accepted_socket(P, w.udp),
    "connect_accepted_socket: timeout": lambda w: w.loop.connect_accepted_socket(
        P, w.stream, ssl_handshake_timeout=1
    ),
    "create_datagram_endpoint: nothing": lambda w: w.loop.create_datagram_endpoint(D),
    "create_datagram_endpoint: a stream": lambda w: w.loop.create_datagram_endpoint(
        D, sock=w.stream
    ),
    "create_datagram_endpoint: sock and more": lambda w: w.loop.create_datagram_endpoint(
        D, sock=w.udp, local_addr=(HOST, 0)
    ),
    "create_datagram_endpoint: sock and flags": lambda w: w.loop.create_datagram_endpoint(
        D, sock=w.udp, reuse_port=True
    ),
    "create_datagram_endpoint: a short address": lambda w: w.loop.create_datagram_endpoint(
        D, local_addr=(HOST,)
    ),
    "create_datagram_endpoint: text": lambda w: w.loop.create_datagram_endpoint(
        D, local_addr="text"
    ),
    "create_datagram_endpoint: two families": lambda w: w.loop.create_datagram_endpoint(
        D, local_addr=(HOST, 0), remote_addr=("::1", 9)
    ),
    "create_datagram_endpoint: wrong family": lambda w: w.loop.create_datagram_endpoint(
        D, local_addr=(HOST, 0), family=socket.AF_INET6
    ),
    "create_datagram_endpoint: unix tuple": lambda w: w.loop.create_datagram_endpoint(
        D, local_addr=(HOST, 0), family=socket.AF_UNIX
    ),
    "create_datagram_endpoint: foreign": lambda w: w.loop.create_datagram_endpoint(
        D, local_addr=("192.0.2.1", 0)
    ),
    "create_datagram_endpoint: no factory": lambda w: w.loop.create_datagram_endpoint(
        None, local_addr=(HOST, 0)
    ),
    "connect_read_pipe: a regular file": lambda w: w.loop.connect_read_pipe(P, w.regular),
    "connect_write_pipe: a regular file": lambda w: w.loop.connect_write_pipe(P, w.regular),
    "subprocess_exec: no program": lambda w: w.loop.subprocess_exec(
        asyncio.SubprocessProtocol, "/none"
    ),
    "subprocess_exec: a number": lambda w: w.loop.subprocess_exec(asyncio.SubprocessProtocol, 5),
    "subprocess_exec: text": lambda w: w.loop.subprocess_exec(
        asyncio.SubprocessProtocol, "true", universal_newlines=True
    ),
    "subprocess_exec: a shell": lambda w: w.loop.subprocess_exec(
        asyncio.SubprocessProtocol, "true", shell=True
    ),
    "subprocess_exec: a buffer": lambda w: w.loop.subprocess_exec(
        asyncio.SubprocessProtocol, "true", bufsize=1
    ),
    "subprocess_shell: a list": lambda w: w.loop.subprocess_shell(
        asyncio.SubprocessProtocol, ["true"]
    ),
    "run_in_executor: no function": lambda w: w.loop.run_in_executor(None, None),
    "getaddrinfo: nothing": lambda w: w.loop.getaddrinfo(None, None),
    "getnameinfo: nothing": lambda w: w.loop.getnameinfo(None, 0),
}


# What asyncio itself refuses, or has, from 3.11 on.
SINCE_311 = ("call_at: None", "set_default_executor", "sock_recvfrom", "sock_sendto")


def outcome(loop, call):
    """Return the type of the exception that a call raises; None: none."""
    world = World(loop)

    async def main():
        answer = call(world)
        if inspect.isawaitable(answer):
            await asyncio.wait_for(answer, 5)

    try:
        loop.run_until_complete(main())
    except Exception as exc:
        return type(exc)
    finally:
        world.close()
    return None


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", CALLS)
def test_wrong_arguments_are_refused_as_by_asyncio(name):
    """The same type of exception as on asyncio's own loop of the same interpreter."""
    if sys.version_info < (3, 11) and name.startswith(SINCE_311):
        pytest.skip("asyncio: since 3.11")
    answers = []
    for make in (asyncio.SelectorEventLoop, uringcore_cffi.new_event_loop):
        loop = make()
        loop.set_exception_handler(nothing)
        answers.append(outcome(loop, CALLS[name]))
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
    assert answers[1] is answers[0]
