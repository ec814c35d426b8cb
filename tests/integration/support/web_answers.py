"""What the application ``web`` answers: known to it and to those who check it."""

from __future__ import annotations

import asyncio
import hashlib

HELLO = "Hello from the loop under test"
BLOCK_BYTES = 20_000


def block(number: int) -> bytes:
    """Return one block of a stream; no two are alike."""
    return hashlib.sha256(str(number).encode()).digest() * (BLOCK_BYTES // 32)


def body(number: int, length: int) -> bytes:
    """Return a request's body; no two are alike."""
    return (f"{number:08}|".encode() * (length // 9 + 1))[:length]


async def check_everything(client, *, rounds: int = 40) -> int:
    """Ask an httpx client for all there is, several at once; return how many answers were right."""

    async def one_round(number: int) -> int:
        answer = await client.get("/")
        assert answer.text == HELLO
        sent = body(number, 10 + number * 7001 % 300_000)
        answer = await client.post("/digest", content=sent)
        assert answer.json() == {"bytes": len(sent), "sha256": hashlib.sha256(sent).hexdigest()}
        answer = await client.get("/thread", params={"say": f"round {number}"})
        assert answer.text == f"round {number}"
        answer = await client.post("/api/orders", json={"item": "tea", "count": number})
        assert answer.json() == {"item": "tea", "count": number, "doubled": number * 2}
        answer = await client.post("/api/orders", json={"item": "tea", "count": "many"})
        assert answer.status_code == 422
        return 5

    right = sum(await asyncio.gather(*map(one_round, range(rounds))))
    async with client.stream("GET", "/stream", params={"blocks": 200}) as answer:
        seen = b"".join([chunk async for chunk in answer.aiter_bytes()])
    assert seen == b"".join(map(block, range(200)))
    return right + 1
