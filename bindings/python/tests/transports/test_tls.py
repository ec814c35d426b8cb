"""What this package's TLS does otherwise than asyncio's."""

from __future__ import annotations

import sys

import pytest
from tls import Served, close, connect
from uringcore_cffi.transports.tls import TLSProtocol


@pytest.mark.skipif(sys.version_info < (3, 11), reason="asyncio's own protocol is used there")
def test_a_connection_keeps_no_buffer_of_its_own(loop, certificates):
    """asyncio's keeps 256 KiB each."""

    async def look():
        async with Served(ssl=certificates.server()) as served:
            ours, theirs = await connect(served, certificates.client())
            for end in (ours, theirs):
                protocol = end.transport._ssl_protocol
                assert isinstance(protocol, TLSProtocol)
                assert len(protocol._ssl_buffer) == 0
            await close(ours)

    loop.run_until_complete(look())
