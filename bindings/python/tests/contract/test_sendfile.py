"""sendfile() and sock_sendfile(): the asyncio contract, on both loops."""

from __future__ import annotations

import asyncio
import io
import os
import socket
import sys

import pytest
from certificates import NAME
from files import opened
from peers import HOST, connect, read_what_comes
from protocols import Pausing, Sink
from steps import cancel, turns

CONTENT = os.urandom(3_000_000)
LARGE = CONTENT * 8


@pytest.fixture
def file(tmp_path):
    """Make a file of three megabytes, opened to be read."""
    with opened(tmp_path / "file", CONTENT) as made:
        yield made


@pytest.fixture
def large(tmp_path):
    """Make a file that no socket's buffers hold, opened to be read."""
    with opened(tmp_path / "large", LARGE) as made:
        yield made


class Slow(Pausing, Sink):
    """Knows whether it is to write."""


def pair():
    """Make two connected sockets: ours, non-blocking, and its blocking peer."""
    ours, peer = socket.socketpair()
    ours.setblocking(False)
    peer.settimeout(20)
    return ours, peer


async def begin(loop, by):
    """Return what sends a file, where from, the peer, and a future of our end."""
    if by == "socket":
        ours, peer = pair()
        ended = loop.create_future()
        ended.set_result(None)
        return loop.sock_sendfile, ours, peer, ended
    protocol, peer = await connect(loop, Slow)
    return loop.sendfile, protocol.transport, peer, protocol.lost


PIECES = [
    ((), CONTENT),
    ((0, None), CONTENT),
    ((1_234_567,), CONTENT[1_234_567:]),
    ((0, 100), CONTENT[:100]),
    ((77, 2_000_001), CONTENT[77:2_000_078]),
    ((2_999_999, 50), CONTENT[-1:]),
    ((4_000_000, 50), b""),
]


@pytest.mark.parametrize(
    ("arguments", "wanted"), PIECES, ids=[str(arguments) for arguments, _ in PIECES]
)
@pytest.mark.parametrize("by", ["socket", "transport"])
def test_what_is_asked_for_is_sent(loop, file, arguments, wanted, by):
    """Offset and count; the answer is how much, and the file stands behind it."""

    async def main():
        send, target, peer, ended = await begin(loop, by)
        reading = loop.run_in_executor(None, read_what_comes, peer)
        sent = await send(target, file, *arguments)
        target.close()
        await ended
        with peer:
            assert await asyncio.wait_for(reading, 20) == wanted
        assert sent == len(wanted)
        if wanted:
            assert file.tell() == (arguments or (0,))[0] + len(wanted)

    loop.run_until_complete(main())


@pytest.mark.parametrize("by", ["socket", "transport"])
def test_what_is_no_file_is_sent_by_reading_it(loop, by):
    """BytesIO: sent if fallback is allowed, else SendfileNotAvailableError."""

    async def main():
        source = io.BytesIO(CONTENT)
        send, target, peer, ended = await begin(loop, by)
        with peer:
            with pytest.raises(asyncio.SendfileNotAvailableError):
                await send(target, source, fallback=False)
            reading = loop.run_in_executor(None, read_what_comes, peer)
            assert await send(target, source, 5, 2_000_000) == 2_000_000
            assert source.tell() == 2_000_005
            target.close()
            assert await asyncio.wait_for(reading, 20) == CONTENT[5:2_000_005]
            await ended

    loop.run_until_complete(main())


def test_a_file_of_nothing_sends_nothing(loop, tmp_path):
    """The answer is 0 and the connection lives on."""

    async def main():
        (tmp_path / "empty").touch()
        protocol, peer = await connect(loop, Slow)
        with peer, (tmp_path / "empty").open("rb") as empty:
            assert await loop.sendfile(protocol.transport, empty) == 0
            protocol.transport.write(b"x")
            assert await loop.run_in_executor(None, peer.recv, 10) == b"x"
            protocol.transport.close()
            await protocol.lost

    loop.run_until_complete(main())


@pytest.mark.parametrize("kind", ["closed", "text"])
def test_other_files_are_refused(loop, file, kind):
    """What was closed, or opened as text."""

    async def main():
        ours, peer = pair()
        with ours, peer, open(file.name, encoding="latin-1") as text:
            file.close()
            with pytest.raises(ValueError):
                await loop.sock_sendfile(ours, file if kind == "closed" else text)

    loop.run_until_complete(main())


@pytest.mark.parametrize(
    ("arguments", "error"),
    [((-1,), ValueError), (("0",), TypeError), ((0, -1), ValueError), ((0, 1.5), TypeError)],
    ids=str,
)
def test_wrong_numbers_are_refused(loop, file, arguments, error):
    """Before anything is sent."""

    async def main():
        ours, peer = pair()
        with ours, peer:
            with pytest.raises(error):
                await loop.sock_sendfile(ours, file, *arguments)
            ours.close()
            assert read_what_comes(peer) == b""

    loop.run_until_complete(main())


def test_what_was_written_before_leaves_first(loop, file):
    """write() before and after: in the order of the calls; write() meanwhile is refused."""

    async def main():
        protocol, peer = await connect(loop, Slow)
        transport = protocol.transport
        with peer:
            transport.write(b"a" * 2_000_000)
            task = asyncio.ensure_future(loop.sendfile(transport, file))
            await turns(3)
            with pytest.raises(RuntimeError, match="sendfile is in progress"):
                transport.write(b"meanwhile")
            reading = loop.run_in_executor(None, read_what_comes, peer)
            assert await asyncio.wait_for(task, 20) == len(CONTENT)
            transport.write(b"after")
            transport.close()
            got = await asyncio.wait_for(reading, 20)
            assert got == b"a" * 2_000_000 + CONTENT + b"after"
            assert await protocol.lost is None
            assert not protocol.paused

    loop.run_until_complete(main())


def test_a_slow_peer_is_waited_for(loop, large):
    """Nothing is lost, and the loop goes on meanwhile."""

    async def main():
        protocol, peer = await connect(loop, Slow)
        with peer:
            task = asyncio.ensure_future(loop.sendfile(protocol.transport, large))
            got = bytearray()
            peer.setblocking(False)
            while not task.done() or len(got) < len(LARGE):
                try:
                    got += peer.recv(50_000)
                except BlockingIOError:
                    await asyncio.sleep(0)
            assert got == LARGE
            assert await task == len(LARGE)
            protocol.transport.close()
            await protocol.lost

    loop.run_until_complete(asyncio.wait_for(main(), 40))


def test_reading_goes_on_after_a_file_was_sent(loop, file):
    """What the peer sends meanwhile is delivered, at the latest afterwards."""

    async def main():
        protocol, peer = await connect(loop, Slow)
        with peer:
            task = asyncio.ensure_future(loop.sendfile(protocol.transport, file))
            await turns(2)
            peer.sendall(b"meanwhile")

            def read():
                count = 0
                while count < len(CONTENT):
                    count += len(peer.recv(1 << 20))

            await loop.run_in_executor(None, read)
            await task
            peer.sendall(b", after")
            peer.shutdown(socket.SHUT_WR)
            assert await asyncio.wait_for(protocol.lost, 20) is None
            assert protocol.data == b"meanwhile, after"

    loop.run_until_complete(main())


@pytest.mark.parametrize("by", ["socket", "transport"])
def test_cancelling_stops_in_the_middle(loop, large, by):
    """The peer has a beginning of the file."""

    async def main():
        send, target, peer, ended = await begin(loop, by)
        task = asyncio.ensure_future(send(target, large))
        with peer:
            first = await loop.run_in_executor(None, peer.recv, 1000)
            assert await cancel(task)
            target.close()
            got = first + await loop.run_in_executor(None, read_what_comes, peer)
            assert 0 < len(got) < len(LARGE)
            assert got == LARGE[: len(got)]
            await ended

    loop.run_until_complete(main())


@pytest.mark.parametrize("by", ["socket", "transport"])
def test_a_peer_that_goes_is_an_error(loop, large, by):
    """In the middle of a file: an OSError, and connection_lost() for a transport."""

    async def main():
        send, target, peer, ended = await begin(loop, by)
        task = asyncio.ensure_future(send(target, large))
        await loop.run_in_executor(None, peer.recv, 1000)
        peer.close()
        with pytest.raises(OSError):
            await asyncio.wait_for(task, 20)
        (target.close if by == "socket" else target.abort)()
        await asyncio.wait_for(ended, 20)

    loop.run_until_complete(main())


def test_a_closing_transport_is_refused(loop, file):
    """RuntimeError before anything is read."""

    async def main():
        protocol, peer = await connect(loop, Slow)
        with peer:
            protocol.transport.close()
            with pytest.raises(RuntimeError, match="closing"):
                await loop.sendfile(protocol.transport, file)
            await protocol.lost

    loop.run_until_complete(main())


def test_a_blocking_socket_is_refused_in_debug_mode(loop, file):
    """As by every sock_ method."""
    loop.set_debug(True)
    ours, peer = socket.socketpair()
    with ours, peer, pytest.raises(ValueError, match="non-blocking"):
        loop.run_until_complete(loop.sock_sendfile(ours, file))


def test_files_go_through_tls(loop, file, certificates):
    """By reading them, since the kernel cannot encrypt; not without fallback."""

    async def main():
        received = loop.create_future()

        async def serve(reader, writer):
            received.set_result(await reader.read())
            writer.close()

        server = await asyncio.start_server(serve, HOST, 0, ssl=certificates.server())
        transport, protocol = await loop.create_connection(
            Slow,
            *server.sockets[0].getsockname(),
            ssl=certificates.client(),
            server_hostname=NAME,
        )
        with pytest.raises(RuntimeError, match="fallback is disabled"):
            await loop.sendfile(transport, file, fallback=False)
        assert await loop.sendfile(transport, file, 10, 1_000_000) == 1_000_000
        assert file.tell() == 1_000_010
        transport.close()
        assert await asyncio.wait_for(received, 20) == CONTENT[10:1_000_010]
        await asyncio.wait_for(protocol.lost, 20)
        server.close()
        await server.wait_closed()
        await turns(10)

    if sys.version_info < (3, 11):
        pytest.skip("asyncio's TLS drops what is queued at close() before 3.11")
    loop.run_until_complete(main())
