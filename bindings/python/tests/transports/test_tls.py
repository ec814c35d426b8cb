"""What this package's TLS does otherwise than asyncio's."""

from __future__ import annotations

import asyncio
import ssl
import sys

import pytest

from uringcore_cffi.transports.tls import TLSProtocol


@pytest.mark.skipif(sys.version_info < (3, 11), reason="asyncio's own protocol is used there")
def test_a_connection_keeps_no_buffer_of_its_own(loop):
    """asyncio's keeps 256 KiB each."""
    protocol = TLSProtocol(loop, asyncio.Protocol(), ssl.create_default_context(), None)
    assert len(protocol._ssl_buffer) == 0
    protocol._app_transport._closed = True  # it was never opened
