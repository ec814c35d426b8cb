"""An ASGI application as people write them: Starlette, with a FastAPI application mounted.

What it answers is told by ``web_answers``; loops that its process closes are reported.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time

import loops
from fastapi import FastAPI
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect
from web_answers import HELLO, block

loops.report_closing()

api = FastAPI()


class Order(BaseModel):
    """What a client posts."""

    item: str
    count: int


@api.post("/orders")
async def take_order(order: Order) -> dict:
    """Answer with what was understood."""
    return {"item": order.item, "count": order.count, "doubled": order.count * 2}


async def hello(request: Request) -> PlainTextResponse:
    """Answer with few bytes."""
    return PlainTextResponse(HELLO)


async def digest(request: Request) -> JSONResponse:
    """Read a body as it comes; answer with its length and hash."""
    total = 0
    seen = hashlib.sha256()
    async for chunk in request.stream():
        total += len(chunk)
        seen.update(chunk)
    return JSONResponse({"bytes": total, "sha256": seen.hexdigest()})


async def stream(request: Request) -> StreamingResponse:
    """Send many blocks, slower than the application makes them."""

    async def blocks():
        for number in range(int(request.query_params["blocks"])):
            yield block(number)

    return StreamingResponse(blocks(), media_type="application/octet-stream")


async def never(request: Request) -> PlainTextResponse:
    """Do not answer before the client has gone."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
    return PlainTextResponse("too late")


def in_thread(request: Request) -> PlainTextResponse:
    """Block: Starlette runs plain functions in a thread."""
    time.sleep(0.005)
    return PlainTextResponse(request.query_params["say"])


def process(request: Request) -> PlainTextResponse:
    """Tell which worker answers."""
    return PlainTextResponse(str(os.getpid()))


async def counted(request: Request) -> PlainTextResponse:
    """Count, after the answer, in the background."""

    async def count() -> None:
        request.app.state.counted += 1

    return PlainTextResponse(HELLO, background=BackgroundTask(count))


async def echo(websocket: WebSocket) -> None:
    """Send every message back."""
    await websocket.accept()
    with contextlib.suppress(WebSocketDisconnect):
        while True:
            await websocket.send_bytes(await websocket.receive_bytes())


@contextlib.asynccontextmanager
async def lifespan(application: Starlette):
    """Begin and end with the server."""
    application.state.counted = 0
    yield
    print(f"lifespan ended, {application.state.counted} counted")


app = Starlette(
    routes=[
        Route("/", hello),
        Route("/digest", digest, methods=["POST"]),
        Route("/stream", stream),
        Route("/never", never),
        Route("/thread", in_thread),
        Route("/process", process),
        Route("/counted", counted),
        WebSocketRoute("/echo", echo),
        Mount("/api", api),
    ],
    lifespan=lifespan,
)
