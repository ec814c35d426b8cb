"""Questions to a running Python server, over its standard input and output.

The server answers each line on its standard input (``stats`` or ``info``) with one line of JSON on
its standard output, from a thread that sleeps otherwise. The end of the input ends the server, so
that none survives the process that started it.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import dataclasses
import enum
import json
import sys
import threading
from collections.abc import Callable
from typing import Any

ANSWER_SECONDS = 5.0


def as_plain(value: Any) -> Any:
    """What JSON can say of a typed object: its fields, tuples as lists, enums as their names."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value.name if isinstance(value, enum.Enum) else value
    if isinstance(value, enum.Enum):
        return value.name
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: as_plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if hasattr(value, "_asdict"):
        return {name: as_plain(item) for name, item in value._asdict().items()}
    if isinstance(value, dict):
        return {str(name): as_plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [as_plain(item) for item in value]
    return str(value)


def _ask(loop: asyncio.AbstractEventLoop, question: str) -> Any:
    """Calls ``loop.stats()`` or ``loop.info()`` on the loop's thread; None where it has none."""
    method = getattr(loop, question, None)
    if method is None:
        return None
    answer: concurrent.futures.Future[Any] = concurrent.futures.Future()

    def call() -> None:
        try:
            answer.set_result(as_plain(method()))
        except Exception as error:
            answer.set_exception(error)

    loop.call_soon_threadsafe(call)
    return answer.result(ANSWER_SECONDS)


def _answer_until_end(loop: asyncio.AbstractEventLoop, stop: Callable[[], None]) -> None:
    for line in sys.stdin:
        question = line.strip()
        try:
            if question not in ("stats", "info"):
                raise ValueError(f"unknown question {question!r}")
            reply = {"answer": _ask(loop, question)}
        except Exception as error:
            reply = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(reply), flush=True)
    loop.call_soon_threadsafe(stop)


def answer_questions(loop: asyncio.AbstractEventLoop, stop: Callable[[], None]) -> None:
    """Starts the answering thread; calls ``stop`` on the loop when the input ends."""
    thread = threading.Thread(
        target=_answer_until_end, args=(loop, stop), name="control", daemon=True
    )
    thread.start()
