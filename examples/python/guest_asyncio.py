"""A ring inside stock asyncio: ``guest_asyncio.py [FILE...]``.

The ring reads the files (this one, if none is named) and serves an echo, whose bytes are sent from
where they were received. The client is asyncio's own. Each file goes there and comes back.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections import deque
from typing import Any, Callable

from uringcore_cffi.lowlevel import Event, EventKind, Fd, Lease, Ring

PIECE_BYTES = 1 << 16


class Guest:
    """A ring, and whose events are whose: a cookie is what is called with the event."""

    def __init__(self, ring: Ring) -> None:
        """Have the running loop watch the ring."""
        self.ring = ring
        self.loop = asyncio.get_running_loop()
        self.loop.add_reader(ring.event_fd(), self.turn)

    def turn(self) -> None:
        """Submit what was asked for, and handle what has happened, until nothing has."""
        while events := self.ring.turn():
            for event in events:
                event.cookie(event)

    async def ask(self, function: Callable[..., Any], *args: Any) -> Event:
        """Ask for an operation and wait for its event."""
        ended: asyncio.Future[Event] = self.loop.create_future()

        def end(event: Event) -> None:
            if not ended.done():
                ended.set_result(event)

        function(*args, cookie=end)
        self.loop.call_soon(self.turn)  # it leaves before the loop sleeps, with others
        return await ended

    async def read_file(self, path: str) -> bytes:
        """Read a whole file."""
        number = (await self.ask(self.ring.openat, path, os.O_RDONLY)).check()
        pieces: list[bytes] = []
        try:
            while True:
                event = await self.ask(self.ring.read, number, PIECE_BYTES)
                if event.check() == 0:
                    return b"".join(pieces)
                pieces.append(event.data())
        finally:
            await self.ask(self.ring.close, number)

    def serve_echo(self, server: socket.socket) -> Fd:
        """Accept connections from now on."""
        fd = self.ring.attach(server, cookie=self.accepted)
        fd.accept_start()
        self.loop.call_soon(self.turn)
        return fd

    def accepted(self, event: Event) -> None:
        """Echo on a new connection."""
        if event.kind is EventKind.ACCEPT and event.result >= 0:
            Echo(self.ring, socket.socket(fileno=event.result))


class Echo:
    """A connection. The peer that does not read is not read from: its leases use up its credit."""

    def __init__(self, ring: Ring, sock: socket.socket) -> None:
        """Receive."""
        self.fd = ring.attach(sock, cookie=self.handle)
        self.leases: deque[Lease] = deque()  # being sent
        self.ending = False
        self.fd.recv_start()

    def handle(self, event: Event) -> None:
        """Send back what comes; let go of what was sent."""
        if event.kind is EventKind.SENT:
            for _ in range(event.result):
                self.leases.popleft().release()
        elif event.kind is EventKind.CLOSED:
            while self.leases:
                self.leases.popleft().release()
        elif self.ending:
            pass  # it had happened before the end was asked for
        elif event.kind is EventKind.RECV and event.result > 0:
            self.echo(event.keep())
        else:  # the peer's end, or an error of either side
            self.ending = True
            self.fd.close(abort=event.result < 0)  # else what is queued is sent before

    def echo(self, lease: Lease) -> None:
        """Send from where it was received."""
        self.leases.append(lease)
        try:
            self.fd.send(lease.view, reference=True)
        except BrokenPipeError:
            pass  # an event SEND_FAILED is on its way


async def send_there_and_back(address: tuple[str, int], data: bytes) -> bytes:
    """Be the client: stock asyncio streams."""
    reader, writer = await asyncio.open_connection(*address)
    writer.write(data)
    writer.write_eof()
    answer = await reader.read(-1)
    writer.close()
    await writer.wait_closed()
    return answer


async def main(paths: list[str]) -> None:
    """Read the files, and check what comes back."""
    with Ring() as ring, socket.create_server(("127.0.0.1", 0)) as server:
        guest = Guest(ring)
        fd = guest.serve_echo(server)
        contents = await asyncio.gather(*map(guest.read_file, paths))
        for path, content in zip(paths, contents):
            answer = await send_there_and_back(server.getsockname(), content)
            if answer != content:
                raise SystemExit(f"{path}: something else came back")
            print(f"{len(content)} bytes there and back: {path}")
        fd.close(abort=True, now=True)
        guest.loop.remove_reader(ring.event_fd())


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:] or [__file__]))
