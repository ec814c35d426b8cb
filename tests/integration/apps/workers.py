"""gunicorn's worker classes, on the loop under test."""

from __future__ import annotations

import asyncio

import loops
from gunicorn.workers.gasgi import ASGIWorker
from uvicorn_worker import UvicornWorker


class UvicornOnLoop(UvicornWorker):
    """uvicorn takes the name of a factory."""

    CONFIG_KWARGS = {"loop": loops.factory_name(), "http": "httptools"}  # noqa: RUF012


class GunicornOnLoop(ASGIWorker):
    """gunicorn's own makes its loop in a method."""

    def _setup_event_loop(self) -> None:
        self.loop = loops.new_event_loop()
        asyncio.set_event_loop(self.loop)
