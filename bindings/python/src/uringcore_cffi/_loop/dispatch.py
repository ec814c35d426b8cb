"""Road 2, the Python half: records go to the endpoints that wait for them.

The batch and the position in it are state of the loop, not of this function. Between taking a
record up and its *commit point*, ``loop._cursor = following``, a handler does only what may be
done twice; the commit point stands directly before user code is called. So an interrupt at any
place loses no record and delivers none twice: what was not committed is dispatched again when
the loop runs again.

As in asyncio, what was ready before comes before what has arrived. So records are handed out
first, but only if nothing was ready (``loop._direct``) do they call protocols at once; else the
call takes its place behind in the ready queue.

The interpreter looks for signals at calls and backward jumps, not between other instructions.
Where two effects must go together they stand next to each other without a call between them.
(CPython 3.9 and PyPy look at nearly every instruction: there an interrupt may still fall between
them.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from uringcore_cffi._handles.events import RECV, Record, drop

if TYPE_CHECKING:
    from uringcore_cffi._loop.loop import UringEventLoop


def dispatch(loop: UringEventLoop) -> None:
    """Hand out the rest of the loop's batch."""
    endpoints = loop._endpoints
    memory = loop._memory
    direct = loop._direct
    following = loop._cursor
    for kind, result, flags, offset, cookie in loop._batch[following:]:
        following += 1
        try:
            endpoint = endpoints[cookie]
        except KeyError:
            if loop._batch:  # else this is a forked child, which has dropped the rest already
                drop(kind, result)
            loop._cursor = following
            continue
        if direct and kind == RECV and result > 0:
            data: Any = None
            receive: Any
            if (receive := endpoint.receive) is not None:
                data = memory[offset : offset + result]
            elif (receive := endpoint.receive_lease) is not None:
                data = loop._keep(following, flags, offset, result)
            if data is not None:
                loop._cursor = following
                try:
                    endpoint._context.run(receive, data)
                except (SystemExit, KeyboardInterrupt):
                    raise
                except BaseException as exc:
                    endpoint.receive_failed(exc)
                continue
        try:
            endpoint.on_record(following, kind, result, flags, offset)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as exc:
            _failed(loop, exc, endpoint)
        loop._cursor = following


def dispatch_debug(loop: UringEventLoop) -> None:
    """Hand out the batch record by record, with warnings of slow receivers."""
    while loop._cursor < len(loop._batch):
        whole = loop._batch
        cookie = whole[loop._cursor][-1]
        start = loop.time()
        loop._batch = whole[: loop._cursor + 1]
        try:
            dispatch(loop)
        finally:
            if loop._batch:  # else this is a forked child, and the batch was the parent's
                loop._batch = whole
        loop._warn_if_slow(loop._endpoints.get(cookie), loop.time() - start)


def discard(records: list[Record]) -> None:
    """Drop records of a loop that is being closed, but no descriptor that one carries."""
    for kind, result, _, _, _ in records:
        drop(kind, result)


def _failed(loop: UringEventLoop, exc: BaseException, endpoint: Any) -> None:
    loop.call_exception_handler(
        {"message": "Exception while handling a completion", "exception": exc, "endpoint": endpoint}
    )
