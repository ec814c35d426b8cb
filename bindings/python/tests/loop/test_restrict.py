"""Loops whose ring can do nothing but network I/O."""

from __future__ import annotations

import asyncio
import errno
import socket

import pytest
from checking import checked
from echoes import echo_to_many, serve_and_talk
from files import opened

import uringcore_cffi
from uringcore_cffi._handles.ring import Ring

CONTENT = bytes(range(256)) * 1000


@pytest.fixture
def restricted():
    """Make a restricted loop, closed after the test; unhandled exceptions fail the test."""
    yield from checked(uringcore_cffi.new_event_loop(restrict="network"))


@pytest.fixture
def file(tmp_path):
    """Make a file to send."""
    with opened(tmp_path / "file", CONTENT) as made:
        yield made


def read_all(sock: socket.socket) -> bytes:
    return b"".join(iter(lambda: sock.recv(65536), b""))


def test_the_restriction_is_told(restricted, loop):
    """By its name; of a usual loop None."""
    assert restricted.info().restriction == "network"
    assert loop.info().restriction is None


def test_only_the_one_word_is_known():
    """ValueError names what there is."""
    for wrong in ("files", "", 1):
        with pytest.raises(ValueError, match="'network'"):
            uringcore_cffi.new_event_loop(restrict=wrong)


def test_libuc_refuses_files_on_such_a_ring(pair):
    """A splice is answered EACCES at once."""
    ring = Ring(restrict="network")
    ring.enable()
    assert ring.splice(pair[0].fileno(), 0, pair[1].fileno(), 0, 1, 7) == -errno.EACCES
    ring.free()


def test_connections_are_served(restricted):
    """Streams, threads, timers, executors and datagrams work as ever."""

    async def main():
        await echo_to_many(10, 20_000)
        assert await serve_and_talk() == "talked"
        assert await restricted.run_in_executor(None, int, "7") == 7
        transport, _ = await restricted.create_datagram_endpoint(
            asyncio.DatagramProtocol, ("127.0.0.1", 0)
        )
        transport.sendto(b"x", transport.get_extra_info("sockname"))
        await asyncio.sleep(0.001)
        transport.close()

    restricted.run_until_complete(main())


def test_children_and_their_pipes_work(restricted):
    """What reads from pipes does not go through operations on files."""

    async def main():
        child = await asyncio.create_subprocess_exec(
            "cat", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        out, _ = await asyncio.wait_for(child.communicate(b"through a pipe"), 20)
        assert out == b"through a pipe"
        assert child.returncode == 0

    restricted.run_until_complete(main())


def test_sock_sendfile_reads_the_file_in_a_thread(restricted, pair, file):
    """The bytes arrive all the same; without a fallback the caller is told."""
    ours, peer = pair

    async def main():
        reading = restricted.run_in_executor(None, read_all, peer)
        assert await restricted.sock_sendfile(ours, file) == len(CONTENT)
        with pytest.raises(asyncio.SendfileNotAvailableError, match="restricted"):
            await restricted.sock_sendfile(ours, file, fallback=False)
        ours.shutdown(socket.SHUT_WR)
        assert await reading == CONTENT

    restricted.run_until_complete(main())


def test_sendfile_of_a_transport_reads_the_file_in_a_thread(restricted, pair, file):
    """As sock_sendfile() does; the transport goes on working."""
    ours, peer = pair

    async def main():
        reading = restricted.run_in_executor(None, read_all, peer)
        _, writer = await asyncio.open_connection(sock=ours)
        assert await restricted.sendfile(writer.transport, file) == len(CONTENT)
        with pytest.raises(asyncio.SendfileNotAvailableError, match="restricted"):
            await restricted.sendfile(writer.transport, file, fallback=False)
        writer.write(b"and more")
        writer.close()
        await writer.wait_closed()
        assert await reading == CONTENT + b"and more"

    restricted.run_until_complete(main())


def test_it_stays_restricted_in_a_child(restricted, fork):
    """A loop that begins anew after fork() has a restricted ring again."""
    restricted.run_until_complete(asyncio.sleep(0))

    def child():
        assert restricted.run_until_complete(serve_and_talk()) == "talked"
        assert restricted.info().restriction == "network"
        assert restricted._ring.info().restriction == "network"

    fork(child).join()
