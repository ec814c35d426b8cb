"""new_event_loop() and run()."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from uringcore_cffi._loop.loop import UringEventLoop

if TYPE_CHECKING:
    from collections.abc import Coroutine

_T = TypeVar("_T")


def new_event_loop(*, backend: str | None = None, **options: Any) -> UringEventLoop:
    """Make a loop: the factory to pass to asyncio.run(), asyncio.Runner and servers.

    ``backend`` is "auto", "uring" or "epoll"; the other options, too, are UringEventLoop's.
    """
    return UringEventLoop(backend=backend, **options)


def run(main: Coroutine[Any, Any, _T], *, debug: bool | None = None, **options: Any) -> _T:
    """Run a coroutine on a new loop and close the loop, as asyncio.run() does.

    ``options`` are those of new_event_loop(), such as ``backend``.
    """
    if asyncio._get_running_loop() is not None:
        raise RuntimeError("run() cannot be called from a running event loop")
    if hasattr(asyncio, "Runner"):  # Python 3.11 and later
        factory = partial(new_event_loop, **options)
        with asyncio.Runner(loop_factory=factory, debug=debug) as runner:
            return runner.run(main)
    return _run_without_runner(main, debug, options)


def _run_without_runner(
    main: Coroutine[Any, Any, _T], debug: bool | None, options: dict[str, Any]
) -> _T:
    """Do what asyncio.run() of Python 3.9 and 3.10 does, on our loop."""
    if not asyncio.iscoroutine(main):
        raise ValueError(f"a coroutine was expected, got {main!r}")
    loop = new_event_loop(**options)
    try:
        asyncio.set_event_loop(loop)
        if debug is not None:
            loop.set_debug(debug)
        return loop.run_until_complete(main)
    finally:
        try:
            _cancel_all_tasks(loop)
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.run_until_complete(loop.shutdown_default_executor())
        finally:
            asyncio.set_event_loop(None)
            loop.close()


def _cancel_all_tasks(loop: asyncio.AbstractEventLoop) -> None:
    tasks = asyncio.all_tasks(loop)
    if not tasks:
        return
    for task in tasks:
        task.cancel()
    loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
    for task in tasks:
        if not task.cancelled() and task.exception() is not None:
            loop.call_exception_handler(
                {
                    "message": "unhandled exception during run() shutdown",
                    "exception": task.exception(),
                    "task": task,
                }
            )
