"""A port is free at once when its server is closed, although children live that were forked before.

A child that has inherited a listening socket keeps it until it closes it or becomes another
program: that is the kernel's rule, and asyncio's loop is no different. What must not keep it is
what the loop has given to the kernel: the parent's, and the child's copy of that.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys

import pytest
from checking import checked
from protocols import Sink

import uringcore_cffi

HOST = "127.0.0.1"


@pytest.fixture(params=["asyncio", "uringcore"])
def loop(request):
    """Make a stock loop and one of ours in turn."""
    stock = request.param == "asyncio"
    made = asyncio.SelectorEventLoop() if stock else uringcore_cffi.new_event_loop()
    yield from checked(made)


class Living:
    """A child that does one thing, and lives until it is let go."""

    def __init__(self, fork, function) -> None:
        near, self._leash = os.pipe()
        ready, far = os.pipe()

        def live():
            os.close(self._leash)
            function()
            os.write(far, b"r")
            assert os.read(near, 1) == b""

        self._child = fork(live)
        os.close(near)
        os.close(far)
        assert os.read(ready, 1) == b"r"
        os.close(ready)

    def let_go(self) -> None:
        """Have it end; fail if it has failed."""
        os.close(self._leash)
        self._child.join()


def _is_free(address) -> bool:
    with socket.socket() as sock:
        try:
            sock.bind(address)
            sock.listen()
        except OSError:
            return False
    return True


@pytest.mark.parametrize("ending", ["server", "loop"])
def test_a_port_is_free_although_a_child_lives_that_has_closed_its_copy(loop, fork, ending):
    server = loop.run_until_complete(loop.create_server(Sink, HOST, 0))
    address = server.sockets[0].getsockname()
    number = server.sockets[0].fileno()
    child = Living(fork, lambda: os.close(number))
    if ending == "loop":
        loop.close()
    server.close()
    assert _is_free(address)
    child.let_go()


def test_a_port_is_free_although_a_program_lives_that_was_started_meanwhile(loop):
    server = loop.run_until_complete(loop.create_server(Sink, HOST, 0))
    address = server.sockets[0].getsockname()

    async def main():
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", "print(1, flush=True); input()"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            close_fds=False,
        )
        assert await process.stdout.readline() == b"1\n"
        server.close()
        assert _is_free(address)
        await process.communicate(b"\n")

    loop.run_until_complete(main())


def test_a_port_is_taken_as_long_as_a_child_has_the_listening_socket(loop, fork):
    server = loop.run_until_complete(loop.create_server(Sink, HOST, 0))
    address = server.sockets[0].getsockname()
    child = Living(fork, lambda: None)
    server.close()
    assert not _is_free(address)
    child.let_go()
    assert _is_free(address)


def test_a_port_is_free_when_the_child_closes_what_it_has_inherited(loop, fork):
    """The server that it has inherited: there is no need to know its sockets."""
    server = loop.run_until_complete(loop.create_server(Sink, HOST, 0))
    address = server.sockets[0].getsockname()
    child = Living(fork, server.close)
    server.close()
    assert _is_free(address)
    child.let_go()
