"""Stores uploads: ``store_uploads.py FOLDER [PORT]``; 0, the default, lets the kernel choose.

An upload is a line with a name and a length, then so many bytes. They go from where they were
received to the file; the answer is their SHA-256.
"""

from __future__ import annotations

import asyncio
import hashlib
import sys
from pathlib import Path

import uringcore_cffi


async def store(
    reader: uringcore_cffi.StreamReader, writer: asyncio.StreamWriter, folder: Path
) -> None:
    """Store what one connection sends."""
    while line := await reader.readline():  # the other methods of a reader can be mixed in
        name, length = line.split()
        missing = int(length)
        digest = hashlib.sha256()
        with open(folder / Path(name.decode()).name, "wb") as file:  # noqa: ASYNC230
            while missing and (lease := await reader.read_lease(missing)):
                with lease:
                    file.write(lease.view)
                    digest.update(lease.view)
                    missing -= len(lease)
        writer.write(digest.hexdigest().encode() + b"\n")
        await writer.drain()
    writer.close()


async def main(folder: Path, port: int) -> None:
    """Serve until interrupted."""
    server = await uringcore_cffi.start_server(
        lambda reader, writer: store(reader, writer, folder), "127.0.0.1", port
    )
    print(f"port {server.sockets[0].getsockname()[1]}", flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    try:
        port = int(sys.argv[2]) if len(sys.argv) > 2 else 0
        uringcore_cffi.run(main(Path(sys.argv[1]), port))
    except KeyboardInterrupt:
        pass
