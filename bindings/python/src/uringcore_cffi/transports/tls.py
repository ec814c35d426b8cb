"""TLS: asyncio's own protocol, with short ways for what every message does.

State machine, handshake, flow control and the end are asyncio's. What is done otherwise, from
Python 3.11 on, when its SSLProtocol got the form that this builds on:

- Encrypted bytes come as bytes. asyncio has them copied into a buffer of 256 KiB that each
  connection keeps; here there is none.
- After a record has been decrypted, the next one is asked for only if something is left to
  decrypt. asyncio asks until OpenSSL complains, and making that exception costs more than
  decrypting a small message.
- A record has at most 16 KiB, and SSL_read() returns at most one: asyncio makes room for 256.
- What is written while nothing waits is encrypted at once, without a detour over the backlog.

A connection that start_tls() turns to TLS gets asyncio's protocol unchanged.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from uringcore_cffi._loop.compat import SSL_AGAIN, SSL_WRAPPED, SSLProtocol

# The largest plaintext of a record (RFC 8446, section 5.1).
_RECORD_BYTES = 16 * 1024


class _StraightSSLProtocol(SSLProtocol):  # type: ignore[misc]
    """Between a transport of encrypted bytes and the program's protocol."""

    max_size = _RECORD_BYTES

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Made anew by get_buffer(), should anybody ask.
        self._ssl_buffer = bytearray()
        self._ssl_buffer_view = memoryview(self._ssl_buffer)

    def data_received(self, data: bytes) -> None:
        """Take encrypted bytes."""
        self._incoming.write(data)
        if self._state is SSL_WRAPPED:
            self._do_read()
        else:
            self.buffer_updated(0)  # the handshake, or the end

    def _do_read__copied(self) -> None:
        read, incoming = self._sslobj.read, self._incoming
        chunks = []
        chunk = b"none yet"
        try:
            while True:
                chunk = read(_RECORD_BYTES)
                if not chunk:
                    break
                chunks.append(chunk)
                # A record that did not fit into one read goes on in the next.
                if not incoming.pending and len(chunk) < _RECORD_BYTES:
                    break
        except SSL_AGAIN:
            pass
        if chunks:
            self._app_protocol.data_received(chunks[0] if len(chunks) == 1 else b"".join(chunks))
        if not chunk:  # close_notify
            self._call_eof_received()
            self._start_shutdown()

    def _write_appdata(self, list_of_data: Iterable[Any]) -> None:
        # write() passes a tuple of one; writelines() whatever it was given.
        straight = self._state is SSL_WRAPPED and not self._write_backlog
        if not (straight and isinstance(list_of_data, tuple) and len(list_of_data) == 1):
            super()._write_appdata(list_of_data)
            return
        (data,) = list_of_data
        size = len(data)  # a TypeError here is the caller's, as asyncio's
        try:
            try:
                count = self._sslobj.write(data)
            except SSL_AGAIN:
                count = 0
            if count >= size:
                self._process_outgoing()
                return
        except Exception as exc:
            self._fatal_error(exc, "Fatal error on SSL protocol")
            return
        super()._write_appdata((data[count:],))

    def _process_outgoing(self) -> None:
        outgoing = self._outgoing
        if not self._ssl_writing_paused and outgoing.pending:
            self._transport.write(outgoing.read())
        # As _control_app_writing(), which is called only if it has something to do.
        size = outgoing.pending + self._write_buffer_size
        if self._app_writing_paused:
            if size <= self._outgoing_low_water:
                self._control_app_writing()
        elif size >= self._outgoing_high_water:
            self._control_app_writing()


TLSProtocol: Any = SSLProtocol if SSL_WRAPPED is None else _StraightSSLProtocol
