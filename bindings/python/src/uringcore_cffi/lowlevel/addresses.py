"""Addresses of sockets: as Python has them, and as the kernel does."""

from __future__ import annotations

import os
import socket
import struct
from typing import Any

from uringcore_cffi.transports.addresses import ADDRESSES, FAMILIES

_IPV4 = struct.Struct("!2sH4s8x")
_IPV6 = struct.Struct("!2sHI16s")
_FAMILY = struct.Struct("=H")
_SCOPE = struct.Struct("=I")
_UNIX_PATH_BYTES = 108


def family_of(fileno: int) -> int:
    """Return the address family of an open socket."""
    sock = socket.socket(fileno=fileno)
    try:
        return sock.family
    finally:
        sock.detach()


def encode(family: int, address: Any) -> bytes:
    """Return an address as the kernel reads it.

    The host of an internet address must be a number: names are not looked up.
    """
    if family == socket.AF_UNIX:
        return _encode_unix(address)
    if family not in FAMILIES:
        raise ValueError(f"addresses of family {family} are not known: internet and Unix ones are")
    try:
        host, port, *more = address
        packed = socket.inet_pton(family, host)
    except OSError:
        raise ValueError(
            f"{host!r} is no address of {socket.AddressFamily(family).name}: look names up with "
            "socket.getaddrinfo() before"
        ) from None
    if not 0 <= port <= 65535:
        raise OverflowError(f"a port is 0 to 65535, not {port}")
    if family == socket.AF_INET:
        return _IPV4.pack(_FAMILY.pack(family), port, packed)
    flow, scope = (*more, 0, 0)[:2]
    return _IPV6.pack(_FAMILY.pack(family), port, flow, packed) + _SCOPE.pack(scope)


def _encode_unix(address: Any) -> bytes:
    path = os.fsencode(address)
    if not path.startswith(b"\0"):  # else it has a name without a file, and no end
        path += b"\0"
    if len(path) > _UNIX_PATH_BYTES:
        raise ValueError(f"AF_UNIX path too long: {len(path)} bytes, {_UNIX_PATH_BYTES} fit")
    return _FAMILY.pack(socket.AF_UNIX) + path


def decode(raw: bytes) -> Any:
    """Return an address as socket.recvfrom() does."""
    if _FAMILY.unpack_from(raw)[0] != socket.AF_UNIX:
        return ADDRESSES[raw]
    path = raw[_FAMILY.size :]
    if path.startswith(b"\0"):
        return path
    return os.fsdecode(path.partition(b"\0")[0]) or None
