"""install() and the policy, for programs that cannot be given a loop factory."""

from __future__ import annotations

from uringcore_cffi._loop.compat import DefaultPolicy, set_policy
from uringcore_cffi._loop.loop import UringEventLoop


class EventLoopPolicy(DefaultPolicy):
    """The default policy, but for the kind of loop it makes."""

    def __init__(self, *, backend: str | None = None) -> None:
        """Make a policy whose loops have this backend; see UringEventLoop."""
        super().__init__()
        self._backend = backend

    def _loop_factory(self) -> UringEventLoop:
        return UringEventLoop(backend=self._backend)


def install(*, backend: str | None = None) -> None:
    """Make asyncio.new_event_loop(), asyncio.run() and asyncio.Runner use this loop.

    Where a loop factory can be passed, prefer that: policies go away in Python 3.16.
    ``backend`` is as for UringEventLoop.
    """
    set_policy(EventLoopPolicy(backend=backend))
