"""Reads records where they lie: ``sum_records.py [PORT]``; 0, the default, lets the kernel choose.

Whoever connects sends records of a fixed form, as many as he likes, and ends his side; he is
answered with how many there were, and the sum of their amounts. No byte is copied but those of a
record that lies across the border of two leases.
"""

from __future__ import annotations

import asyncio
import struct
import sys
from typing import cast

import uringcore_cffi

RECORD = struct.Struct("!QI4x")  # a number, an amount, and room


class Summing(uringcore_cffi.LeaseProtocol):
    """Adds up the amounts of one connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin with nothing."""
        self.transport = cast("asyncio.Transport", transport)
        self.records = self.amount = 0
        self.rest = b""  # the beginning of a record whose end has not come yet

    def lease_received(self, lease: uringcore_cffi.Lease) -> None:
        """Read what has come; the end of the block gives it back."""
        with lease:
            view = lease.view
            if self.rest:
                missing = RECORD.size - len(self.rest)
                self.rest += view[:missing]
                view = view[missing:]
                if len(self.rest) < RECORD.size:
                    return
                self.add(self.rest)
            whole = len(view) - len(view) % RECORD.size
            self.add(view[:whole])
            self.rest = bytes(view[whole:])

    def add(self, records: bytes | memoryview) -> None:
        """Add whole records."""
        for _, amount in RECORD.iter_unpack(records):
            self.records += 1
            self.amount += amount

    def eof_received(self) -> None:
        """Answer; the transport closes behind it."""
        self.transport.write(b"%d records, %d\n" % (self.records, self.amount))


async def main(port: int) -> None:
    """Serve until interrupted."""
    server = await asyncio.get_running_loop().create_server(Summing, "127.0.0.1", port)
    print(f"port {server.sockets[0].getsockname()[1]}", flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    try:
        uringcore_cffi.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 0))
    except KeyboardInterrupt:
        pass
