"""Names of hosts and ports: asyncio's way over a thread, unless they are only numbers."""

from __future__ import annotations

import asyncio
import socket
from typing import Any, Callable


class NameMethods(asyncio.BaseEventLoop):
    """getaddrinfo() and getnameinfo()."""

    _getaddrinfo_debug: Callable[..., list[Any]]
    _debug: bool

    async def getaddrinfo(
        self,
        host: Any,
        port: Any,
        *,
        family: int = 0,
        type: int = 0,  # noqa: A002 - asyncio's name
        proto: int = 0,
        flags: int = 0,
    ) -> list[Any]:
        """As asyncio's; what needs no resolver is answered here instead of in a thread."""
        if _needs_no_resolver(host) and _needs_no_resolver(port):
            ask = self._getaddrinfo_debug if self._debug else socket.getaddrinfo
            numeric = flags | socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
            try:
                return ask(host, port, family, type, proto, numeric)
            except socket.gaierror as exc:
                if exc.errno not in (socket.EAI_NONAME, socket.EAI_SERVICE):
                    raise
        return await super().getaddrinfo(
            host, port, family=family, type=type, proto=proto, flags=flags
        )

    async def getnameinfo(self, sockaddr: Any, flags: int = 0) -> tuple[str, str]:
        """As asyncio's; what needs no resolver is answered here instead of in a thread."""
        numeric = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV
        known = isinstance(sockaddr, tuple) and sockaddr and _needs_no_resolver(sockaddr[0])
        if known and flags & numeric == numeric:
            return socket.getnameinfo(sockaddr, flags)
        return await super().getnameinfo(sockaddr, flags)


def _needs_no_resolver(text: Any) -> bool:
    """Tell whether a host or a port can only be a number, or is left out."""
    if text is None or isinstance(text, int):
        return True
    if isinstance(text, bytes):
        text = text.decode("latin-1")
    return isinstance(text, str) and (text == "" or text[-1].isdigit() or ":" in text)
