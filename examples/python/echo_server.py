"""A TCP echo server: ``echo_server.py [PORT]``; 0, the default, lets the kernel choose."""

from __future__ import annotations

import asyncio
import sys
from typing import cast

import uringcore_cffi


class Echo(asyncio.Protocol):
    """Sends back what comes; takes nothing more from a peer that does not read."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Send it back."""
        self.transport.write(data)

    def pause_writing(self) -> None:
        """Stop reading: the peer is slow."""
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        """Read on: the peer has caught up."""
        self.transport.resume_reading()


async def main(port: int) -> None:
    """Serve until interrupted."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Echo, "127.0.0.1", port)
    print(f"port {server.sockets[0].getsockname()[1]}", flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    try:
        uringcore_cffi.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 0))
    except KeyboardInterrupt:
        pass
