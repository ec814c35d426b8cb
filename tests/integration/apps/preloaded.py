"""An application that uses a loop while it is imported and keeps it: --preload forks with it."""

from __future__ import annotations

import asyncio
import atexit

import loops
from web import app

__all__ = ["app"]


async def _serve_settings(reader, writer) -> None:
    writer.write(await reader.readline())
    writer.close()
    await writer.wait_closed()


async def _read_settings() -> bytes:
    async with await asyncio.start_server(_serve_settings, "127.0.0.1", 0) as server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"settings\n")
        settings = await reader.read()
        writer.close()
        await writer.wait_closed()
        return settings


kept = loops.new_event_loop()
atexit.register(kept.close)  # in the workers too, where it is inherited
print("preloaded with", kept.run_until_complete(_read_settings()).decode(), end="")
