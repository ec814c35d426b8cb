"""Listening sockets in a special state."""

from __future__ import annotations

import contextlib
import socket
import struct

HOST = "127.0.0.1"
# Of struct tcp_info, whose meaning is another for listening sockets: tcpi_sacked is the backlog.
_TCP_INFO_BYTES = 32
_BACKLOG_OFFSET = 28


@contextlib.contextmanager
def full_listener():
    """Make a listening socket that answers no further client: its backlog is full."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.socket())
        server.bind((HOST, 0))
        server.listen(0)
        # The kernel is asked because PyPy's listen() makes 1 of 0; and it takes one more than that.
        info = server.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
        (backlog,) = struct.unpack_from("=I", info, _BACKLOG_OFFSET)
        for _ in range(backlog + 1):
            stack.enter_context(socket.create_connection(server.getsockname()))
        yield server
