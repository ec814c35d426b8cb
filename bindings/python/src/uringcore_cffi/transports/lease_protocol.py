"""LeaseProtocol: the protocol of those who read what has come where it lies."""

from __future__ import annotations

import asyncio

from uringcore_cffi._handles.lease import Lease


class LeaseProtocol(asyncio.BaseProtocol):
    """A protocol that is given leases instead of bytes.

    connection_made(), connection_lost(), pause_writing() and resume_writing() are those of
    asyncio.Protocol, and so is eof_received(): return true to go on writing.

    A transport of TLS, or of another event loop, calls data_received(), which makes a lease of the
    bytes: there, nothing is saved, and everything works.
    """

    __slots__ = ()

    def lease_received(self, lease: Lease) -> None:
        """Called with what has arrived, which is never empty.

        Release the lease as soon as it was used: receiving rests when too many are out.
        """

    def data_received(self, data: bytes) -> None:
        """Call lease_received() with a lease of ``data``."""
        self.lease_received(Lease(data))

    def eof_received(self) -> bool | None:
        """Called when the peer has ended its side; the transport closes unless it answers true."""
