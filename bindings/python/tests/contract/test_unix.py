"""Stream sockets with paths: the asyncio contract, on both loops."""

from __future__ import annotations

import asyncio
import errno
import os
import pathlib
import socket
import struct
import sys

import pytest
from protocols import Sink
from steps import turns

# PyPy has no name for it.
_SO_PEERCRED = getattr(socket, "SO_PEERCRED", 17)

needs_cleanup = pytest.mark.skipif(sys.version_info < (3, 13), reason="asyncio: since 3.13")


async def echo(reader, writer):
    """Send back what comes."""
    writer.write(await reader.read())
    writer.close()


async def exchange(path, payload=b"hello"):
    """Send something to an echo at ``path``; it must come back."""
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(payload)
    writer.write_eof()
    assert await asyncio.wait_for(reader.read(), 20) == payload
    writer.close()
    await writer.wait_closed()


async def shut(server):
    """Close a server and wait for the end of its connections."""
    server.close()
    await asyncio.wait_for(server.wait_closed(), 20)
    await turns(5)


def plain_connect(path):
    """Connect to a path, if somebody listens there."""
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.connect(path)
    finally:
        sock.close()


@pytest.mark.parametrize("form", ["str", "bytes", "path", "abstract", "abstract bytes"])
def test_a_path_may_have_any_form(loop, form, tmp_path):
    """str, bytes, PathLike, and an abstract name; a megabyte goes both ways."""
    text = str(tmp_path / "server")
    path = {
        "str": text,
        "bytes": os.fsencode(text),
        "path": pathlib.Path(text),
        "abstract": "\0" + text,
        "abstract bytes": b"\0" + os.fsencode(text),
    }[form]

    async def main():
        server = await asyncio.start_unix_server(echo, path)
        await asyncio.gather(*(exchange(path, b"%d" % n * 100_000) for n in range(10)))
        await shut(server)

    loop.run_until_complete(main())


def test_a_stale_socket_file_is_replaced(loop, tmp_path):
    """A file that a dead server left is no hindrance."""
    path = str(tmp_path / "server")
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(path)

    async def main():
        server = await asyncio.start_unix_server(echo, path)
        await exchange(path)
        await shut(server)

    loop.run_until_complete(main())


def test_a_path_that_is_no_socket_is_refused_by_its_name(loop, tmp_path):
    """EADDRINUSE with the path in the message; the file stays."""
    path = tmp_path / "file"
    path.write_text("mine")

    async def main():
        with pytest.raises(OSError, match=f"Address '{path}' is already in use") as caught:
            await asyncio.start_unix_server(echo, path)
        assert caught.value.errno == errno.EADDRINUSE

    loop.run_until_complete(main())
    assert path.read_text() == "mine"


def test_an_abstract_name_in_use_is_refused(loop, tmp_path):
    """EADDRINUSE; the server that has it goes on."""
    path = f"\0{tmp_path}"

    async def main():
        server = await asyncio.start_unix_server(echo, path)
        with pytest.raises(OSError) as caught:
            await asyncio.start_unix_server(echo, path)
        assert caught.value.errno == errno.EADDRINUSE
        await exchange(path)
        await shut(server)

    loop.run_until_complete(main())


def test_nobody_listens_after_close(loop, tmp_path):
    """server.close() frees the name before it returns."""
    path = f"\0{tmp_path}"

    async def main():
        for _ in range(20):
            server = await asyncio.start_unix_server(echo, path)
            await exchange(path)
            server.close()
            with pytest.raises(ConnectionRefusedError):
                plain_connect(path)
        await turns(5)

    loop.run_until_complete(main())


@needs_cleanup
def test_a_closed_server_removes_its_socket_file(loop, tmp_path):
    """Unless told otherwise, and also for a socket that was given."""

    async def main():
        for number, (given, options, left) in enumerate(
            [(False, {}, False), (False, {"cleanup_socket": False}, True), (True, {}, False)]
        ):
            path = str(tmp_path / str(number))
            if given:
                sock = socket.socket(socket.AF_UNIX)
                sock.bind(path)
                server = await asyncio.start_unix_server(echo, sock=sock, **options)
            else:
                server = await asyncio.start_unix_server(echo, path, **options)
            assert os.path.exists(path)
            server.close()
            assert os.path.exists(path) is left
            await server.wait_closed()

    loop.run_until_complete(main())


@needs_cleanup
def test_a_closed_server_removes_no_strangers_file(loop, tmp_path):
    """The path was taken over by somebody else, or is gone: nothing is removed or raised."""

    async def main():
        path = tmp_path / "server"
        server = await asyncio.start_unix_server(echo, path)
        path.unlink()
        path.write_text("a stranger's")
        server.close()
        assert path.read_text() == "a stranger's"
        await server.wait_closed()
        path.unlink()
        server = await asyncio.start_unix_server(echo, path)
        path.unlink()
        server.close()
        await server.wait_closed()

    loop.run_until_complete(main())


@needs_cleanup
def test_closing_an_old_server_leaves_the_new_ones_file(loop, tmp_path):
    """Two servers had the same path one after the other."""

    async def main():
        path = str(tmp_path / "server")
        first = await asyncio.start_unix_server(echo, path)
        second = await asyncio.start_unix_server(echo, path)
        first.close()
        await exchange(path)
        second.close()
        assert not os.path.exists(path)
        await turns(5)

    loop.run_until_complete(main())


def test_sockets_can_be_given(loop, tmp_path):
    """A bound socket to the server, a connected one to the client."""

    async def main():
        path = str(tmp_path / "server")
        sock = socket.socket(socket.AF_UNIX)
        sock.bind(path)
        server = await loop.create_unix_server(Sink, sock=sock)
        client = socket.socket(socket.AF_UNIX)
        client.connect(path)
        transport, _ = await loop.create_unix_connection(Sink, sock=client)
        assert transport.get_extra_info("socket").fileno() == client.fileno()
        transport.close()
        await turns(5)
        assert client.fileno() == -1
        await shut(server)
        assert sock.fileno() == -1

    loop.run_until_complete(main())


def test_who_the_peer_is_can_be_asked(loop, tmp_path):
    """SO_PEERCRED through get_extra_info("socket")."""

    async def main():
        asked = loop.create_future()

        class Asking(Sink):
            def connection_made(self, transport):
                super().connection_made(transport)
                sock = transport.get_extra_info("socket")
                raw = sock.getsockopt(socket.SOL_SOCKET, _SO_PEERCRED, 12)
                asked.set_result(struct.unpack("3i", raw))

        path = str(tmp_path / "server")
        server = await loop.create_unix_server(Asking, path)
        transport, _ = await loop.create_unix_connection(Sink, path)
        assert transport.get_extra_info("peername") == path
        assert await asyncio.wait_for(asked, 20) == (os.getpid(), os.getuid(), os.getgid())
        transport.close()
        await turns(5)
        await shut(server)

    loop.run_until_complete(main())


def test_nobody_at_the_path_is_an_error(loop, tmp_path):
    """No file, and a file that nobody listens at."""

    async def main():
        with pytest.raises(FileNotFoundError):
            await loop.create_unix_connection(Sink, str(tmp_path / "none"))
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(tmp_path / "dead"))
        with pytest.raises(ConnectionRefusedError):
            await loop.create_unix_connection(Sink, str(tmp_path / "dead"))

    loop.run_until_complete(main())
