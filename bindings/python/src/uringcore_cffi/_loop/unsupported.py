"""What the loop cannot do yet: each method says its name instead of failing somewhere inside."""

from __future__ import annotations

import asyncio
import socket
from typing import Any, NoReturn


def not_yet(what: str) -> NotImplementedError:
    """Make the exception that names the method."""
    return NotImplementedError(
        f"UringEventLoop.{what} is not implemented yet; run this program on asyncio's own loop"
    )


def _refusing(name: str) -> Any:
    def method(self: Any, *args: Any, **kwargs: Any) -> NoReturn:
        raise not_yet(f"{name}()")

    method.__name__ = name
    method.__qualname__ = f"UringEventLoop.{name}"
    method.__doc__ = "Raise NotImplementedError: not there yet."
    return method


def _refusing_coroutine(name: str) -> Any:
    async def method(self: Any, *args: Any, **kwargs: Any) -> NoReturn:
        raise not_yet(f"{name}()")

    method.__name__ = name
    method.__qualname__ = f"UringEventLoop.{name}"
    method.__doc__ = "Raise NotImplementedError: not there yet."
    return method


class Unsupported(asyncio.BaseEventLoop):
    """The methods of asyncio.AbstractEventLoop that are still to come."""

    add_reader = _refusing("add_reader")
    remove_reader = _refusing("remove_reader")
    add_writer = _refusing("add_writer")
    remove_writer = _refusing("remove_writer")
    add_signal_handler = _refusing("add_signal_handler")
    remove_signal_handler = _refusing("remove_signal_handler")

    sock_recvfrom = _refusing_coroutine("sock_recvfrom")
    sock_recvfrom_into = _refusing_coroutine("sock_recvfrom_into")
    sock_sendto = _refusing_coroutine("sock_sendto")
    sock_sendfile = _refusing_coroutine("sock_sendfile")
    sendfile = _refusing_coroutine("sendfile")
    start_tls = _refusing_coroutine("start_tls")
    create_datagram_endpoint = _refusing_coroutine("create_datagram_endpoint")
    create_unix_connection = _refusing_coroutine("create_unix_connection")
    create_unix_server = _refusing_coroutine("create_unix_server")
    connect_read_pipe = _refusing_coroutine("connect_read_pipe")
    connect_write_pipe = _refusing_coroutine("connect_write_pipe")
    subprocess_exec = _refusing_coroutine("subprocess_exec")
    subprocess_shell = _refusing_coroutine("subprocess_shell")

    async def create_connection(self, *args: Any, **kwargs: Any) -> Any:
        """As asyncio's; ssl= is not there yet."""
        if kwargs.get("ssl"):
            raise not_yet("create_connection(ssl=)")
        return await super().create_connection(*args, **kwargs)

    async def create_server(self, *args: Any, **kwargs: Any) -> Any:
        """As asyncio's; ssl= is not there yet."""
        if kwargs.get("ssl"):
            raise not_yet("create_server(ssl=)")
        return await super().create_server(*args, **kwargs)

    async def connect_accepted_socket(
        self, protocol_factory: Any, sock: socket.socket, **kwargs: Any
    ) -> Any:
        """As asyncio's; ssl= is not there yet."""
        if kwargs.get("ssl"):
            raise not_yet("connect_accepted_socket(ssl=)")
        return await super().connect_accepted_socket(protocol_factory, sock, **kwargs)
