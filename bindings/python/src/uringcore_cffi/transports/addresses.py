"""Internet addresses as the kernel writes them, and as Python's sockets have them."""

from __future__ import annotations

import socket
import struct
from typing import Any

_IPV4 = struct.Struct("!2xH4s")
_IPV6 = struct.Struct("!2xHI16s")
_SCOPE = struct.Struct("=I")
_FAMILY = struct.Struct("=H")
_KNOWN_MAX = 4096

FAMILIES = (socket.AF_INET, socket.AF_INET6)


class _Addresses(dict[bytes, Any]):
    """By struct sockaddr_in or sockaddr_in6: what recvfrom() would return.

    What was asked for before is found without a call of a Python function.
    """

    def __missing__(self, raw: bytes) -> Any:
        address = _decode(raw)
        if len(self) >= _KNOWN_MAX:
            self.clear()
        self[raw] = address
        return address


ADDRESSES = _Addresses()


def _decode(raw: bytes) -> Any:
    if not raw:
        return None
    family = _FAMILY.unpack_from(raw)[0]
    if family == socket.AF_INET:
        port, host = _IPV4.unpack_from(raw)
        return socket.inet_ntop(family, host), port
    if family == socket.AF_INET6:
        port, flow, host = _IPV6.unpack_from(raw)
        return socket.inet_ntop(family, host), port, flow, _SCOPE.unpack_from(raw, 24)[0]
    raise ValueError(f"not an internet address: family {family}")
