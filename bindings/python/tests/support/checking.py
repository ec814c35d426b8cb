"""Loops as tests get them."""

from __future__ import annotations

import asyncio


def checked(made: asyncio.AbstractEventLoop):
    """Hand a loop to a test and close it afterwards; its exception handler must stay idle."""
    problems: list[dict] = []
    made.set_exception_handler(lambda _, context: problems.append(context))
    made.problems = problems
    yield made
    if not made.is_closed():
        made.run_until_complete(made.shutdown_asyncgens())
        made.run_until_complete(made.shutdown_default_executor())
        made.close()
    assert not problems, problems
