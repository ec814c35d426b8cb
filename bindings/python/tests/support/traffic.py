"""Everything that a loop may have in flight at once: conversations that check every byte.

Each goes on for a number of rounds, and calls ``at(moment)`` in the middle of its work: whatever
that does, no byte may be lost, come twice or change.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import socket
import sys
from typing import Callable

from certificates import NAME

HOST = "127.0.0.1"
_BLOCK_BYTES = 70_000  # more than a receive buffer, and sent without being copied

MOMENTS = ("made", "data", "lost", "datagram", "reader", "timer", "task")


def block(who: str, number: int, count: int = _BLOCK_BYTES) -> bytes:
    """Make bytes of which no other block has a piece at the same place."""
    digest = hashlib.sha256(f"{who} {number}".encode()).digest()
    return (digest * (count // len(digest) + 1))[:count]


class _Echo(asyncio.Protocol):
    def __init__(self, at: Callable[[str], None]) -> None:
        self.at = at
        self.lost = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        self.transport = transport
        self.at("made")

    def data_received(self, data):
        self.transport.write(data)
        self.at("data")

    def connection_lost(self, exc):
        self.transport.close()  # asyncio's TLS before 3.11 calls it unclosed otherwise
        self.lost.set_result(exc)
        self.at("lost")


class _EchoOfDatagrams(asyncio.DatagramProtocol):
    def __init__(self, at: Callable[[str], None]) -> None:
        self.at = at

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, address):
        self.at("datagram")
        self.transport.sendto(data, address)


class _Answers(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.queue: asyncio.Queue = asyncio.Queue()

    def datagram_received(self, data, address):
        self.queue.put_nowait(data)


async def streams(at, rounds: int, tls=(None, None)) -> None:
    """Send blocks to an echo server and get them back; each round on a new connection, too."""
    loop = asyncio.get_running_loop()
    served: list[_Echo] = []

    def serve():
        served.append(_Echo(at))
        return served[-1]

    server = await loop.create_server(serve, HOST, 0, ssl=tls[0])
    address = server.sockets[0].getsockname()
    named = {} if tls[1] is None else {"ssl": tls[1], "server_hostname": NAME}

    async def exchange(reader, writer, number):
        sent = block("stream", number)
        writer.write(sent)
        assert await reader.readexactly(len(sent)) == sent
        at("task")

    async def close(writer):
        writer.close()
        await writer.wait_closed()

    lasting = await asyncio.open_connection(*address, **named)
    for number in range(rounds):
        await exchange(*lasting, number)
        brief = await asyncio.open_connection(*address, **named)
        await exchange(*brief, number + rounds)
        await close(brief[1])
    await close(lasting[1])
    # Children have copies of the sockets: the end is told when the last has ended.
    assert await asyncio.gather(*(protocol.lost for protocol in served)) == [None] * (rounds + 1)
    server.close()
    await server.wait_closed()


async def datagrams(at, rounds: int) -> None:
    """Have datagrams echoed, one at a time: the network of the loopback loses none."""
    loop = asyncio.get_running_loop()
    echo, _ = await loop.create_datagram_endpoint(
        lambda: _EchoOfDatagrams(at), local_addr=(HOST, 0)
    )
    asking, answers = await loop.create_datagram_endpoint(
        _Answers, remote_addr=echo.get_extra_info("sockname")
    )
    for number in range(rounds):
        sent = block("datagram", number, 1000)
        asking.sendto(sent)
        assert await answers.queue.get() == sent
    assert answers.queue.empty()
    asking.close()
    echo.close()


async def sockets(at, rounds: int) -> None:
    """Send and receive over the user's own sockets, with both sides waiting in turn."""
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.setblocking(False)
        for number in range(rounds):
            sent = block("socket", number, 1 << 20)
            sending = loop.create_task(loop.sock_sendall(ours, sent))
            got = bytearray()
            while len(got) < len(sent):
                got += await loop.sock_recv(theirs, 1 << 16)
            at("task")
            assert got == sent
            await sending


async def readers(at, rounds: int) -> None:
    """Watch a pipe, and write to it from a timer."""
    loop = asyncio.get_running_loop()
    near, far = os.pipe()
    got: asyncio.Queue = asyncio.Queue()
    parent = os.getpid()

    def readable():
        got.put_nowait(os.read(near, 5000))
        at("reader")

    def due(number):
        if os.getpid() != parent:
            return  # a child that goes on with the loop has this timer as well
        os.write(far, block("pipe", number, 3000))
        at("timer")

    loop.add_reader(near, readable)
    for number in range(rounds):
        loop.call_later(0.001, due, number)
        assert await got.get() == block("pipe", number, 3000)
    assert loop.remove_reader(near)
    os.close(near)
    os.close(far)


async def programs(at, rounds: int) -> None:
    """Talk to a program through its pipes, and hear of its end."""
    copying = "import shutil, sys; shutil.copyfileobj(sys.stdin.buffer, sys.stdout.buffer)"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-S", "-c", copying),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    for number in range(rounds):
        sent = block("program", number, 2000)
        process.stdin.write(sent)
        at("task")
    process.stdin.close()
    for number in range(rounds):
        assert await process.stdout.readexactly(2000) == block("program", number, 2000)
    assert await process.stdout.read() == b""
    assert await process.wait() == 0


async def files(at, rounds: int, path) -> None:
    """Send a file to a socket that is read slowly, and go on from where the file then is."""
    loop = asyncio.get_running_loop()
    whole = b"".join(block("file", number) for number in range(20))
    path.write_bytes(whole + b"behind")
    for _ in range(rounds):
        ours, theirs = socket.socketpair()
        with ours, theirs, open(path, "rb") as file:
            ours.setblocking(False)
            theirs.setblocking(False)
            sending = loop.create_task(loop.sock_sendfile(ours, file, 0, len(whole)))
            got = bytearray()
            while len(got) < len(whole):
                got += await loop.sock_recv(theirs, 100_000)
                at("task")
            assert got == whole
            assert await sending == len(whole)
            assert file.read() == b"behind"


async def everything(at, rounds: int, folder, certificates=None) -> None:
    """Hold all conversations at once."""
    talks = [
        streams(at, rounds),
        datagrams(at, 4 * rounds),
        sockets(at, rounds),
        readers(at, 4 * rounds),
        programs(at, rounds),
        files(at, rounds // 2, folder / "file"),
    ]
    if certificates is not None:
        talks.append(streams(at, rounds, (certificates.server(), certificates.client())))
    await asyncio.gather(*talks)


@contextlib.contextmanager
def joined(children):
    """Join all children at the end, also if the parent has failed: then they are of no interest."""
    failures = []
    try:
        yield
    finally:
        for child in children:
            try:
                child.join()
            except AssertionError as exc:
                failures.append(exc)
    if failures:
        raise failures[0]
