"""What drivers do with a loop beside transports: callbacks of descriptors."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Iterator

from benchmarks.inside.timing import Watch, Work, on_loop


@contextlib.contextmanager
def pairs_of_sockets(count: int) -> Iterator[list[tuple[socket.socket, socket.socket]]]:
    """Make connected sockets that do not block."""
    pairs = [socket.socketpair() for _ in range(count)]
    sockets = [sock for pair in pairs for sock in pair]
    for sock in sockets:
        sock.setblocking(False)
    try:
        yield pairs
    finally:
        for sock in sockets:
            sock.close()


def ping_pong(pairs_wanted: int) -> Work:
    """Answer each byte with one, by add_reader() on both ends; an operation is a callback."""

    @on_loop
    def play(loop: asyncio.AbstractEventLoop, count: int) -> Watch:
        left = count

        def answer(sock: socket.socket) -> None:
            nonlocal left
            sock.recv(64)
            left -= 1
            if left > 0:
                sock.send(b"x")
            elif left == 0:
                loop.stop()

        with pairs_of_sockets(pairs_wanted) as pairs:
            for ours, peer in pairs:
                loop.add_reader(ours.fileno(), answer, ours)
                loop.add_reader(peer.fileno(), answer, peer)
                ours.send(b"x")
            with Watch() as watch:
                loop.run_forever()
            for sock in (sock for pair in pairs for sock in pair):
                loop.remove_reader(sock.fileno())
        return watch

    return play


def _echo_in_child(ours: socket.socket, peer: socket.socket) -> int:
    """Fork a process that sends every byte back; return its number."""
    child = os.fork()
    if child:
        return child
    peer.setblocking(True)
    ours.close()
    while data := peer.recv(64):
        peer.send(data)
    os._exit(0)


@on_loop
def far_ping_pong(loop: asyncio.AbstractEventLoop, count: int) -> Watch:
    """Exchange bytes with another process, which blocks; an operation is an exchange."""
    left = count
    with pairs_of_sockets(1) as [(ours, peer)]:
        child = _echo_in_child(ours, peer)

        def answer() -> None:
            nonlocal left
            ours.recv(64)
            left -= 1
            if left:
                ours.send(b"x")
            else:
                loop.stop()

        loop.add_reader(ours.fileno(), answer)
        with Watch() as watch:
            ours.send(b"x")
            loop.run_forever()
        loop.remove_reader(ours.fileno())
        ours.shutdown(socket.SHUT_RDWR)
        os.waitpid(child, 0)
    return watch


@on_loop
def add_and_remove(loop: asyncio.AbstractEventLoop, count: int) -> Watch:
    """Call add_reader() and remove_reader()."""
    with pairs_of_sockets(1) as [(ours, _)]:
        number = ours.fileno()
        with Watch() as watch:
            for _ in range(count):
                loop.add_reader(number, print)
                loop.remove_reader(number)
    return watch


@on_loop
def wait_once(loop: asyncio.AbstractEventLoop, count: int) -> Watch:
    """Watch, be called, watch no more: what a driver does for a query."""
    left = count
    with pairs_of_sockets(1) as [(ours, peer)]:

        def take() -> None:
            nonlocal left
            ours.recv(64)
            loop.remove_reader(ours.fileno())
            left -= 1
            if left == 0:
                loop.stop()
                return
            loop.add_reader(ours.fileno(), take)
            peer.send(b"x")

        loop.add_reader(ours.fileno(), take)
        peer.send(b"x")
        with Watch() as watch:
            loop.run_forever()
    return watch
