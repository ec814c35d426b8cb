"""What servers do with a loop beside transports: files."""

from __future__ import annotations

import asyncio
import os
import socket
import tempfile

from benchmarks.inside.timing import Watch, Work, in_task


def _take_all(sock: socket.socket) -> None:
    """Receive until the end, and keep nothing."""
    with sock:
        buffer = bytearray(1 << 18)
        while sock.recv_into(buffer):
            pass


def send_file(size: int) -> Work:
    """Send a cached file again and again by sock_sendfile(); an operation is a file."""

    @in_task
    async def send(count: int) -> Watch:
        loop = asyncio.get_running_loop()
        with tempfile.TemporaryFile() as file, socket.create_server(("127.0.0.1", 0)) as server:
            file.write(os.urandom(size))
            file.flush()
            sock = socket.create_connection(server.getsockname())
            sock.setblocking(False)
            sink, _ = server.accept()
            taking = loop.run_in_executor(None, _take_all, sink)
            try:
                with Watch() as watch:
                    for _ in range(count):
                        await loop.sock_sendfile(sock, file, 0, size)
            finally:
                sock.close()
                await taking
        return watch

    return send
