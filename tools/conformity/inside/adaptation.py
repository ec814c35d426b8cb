"""Test classes that build a BaseEventLoop with mocked insides get the loop under test."""

from __future__ import annotations

from types import ModuleType
from typing import Any, Callable


def _adapt_runners(module: Any, make_loop: Callable[[], Any]) -> None:
    def new_loop(self: Any) -> Any:
        """As the original: what it checks is that the asynchronous generators are shut down."""
        loop = make_loop()
        loop.shutdown_ag_run = False
        shutdown = loop.shutdown_asyncgens

        async def shutdown_asyncgens() -> None:
            loop.shutdown_ag_run = True
            await shutdown()

        loop.shutdown_asyncgens = shutdown_asyncgens
        return loop

    module.BaseTest.new_loop = new_loop


def _adapt_pep492(module: Any, make_loop: Callable[[], Any]) -> None:
    def set_up(self: Any) -> None:
        super(module.BaseTest, self).setUp()
        self.loop = make_loop()
        self.set_event_loop(self.loop)

    module.BaseTest.setUp = set_up


ADAPTATIONS: dict[str, Callable[[Any, Callable[[], Any]], None]] = {
    "test.test_asyncio.test_runners": _adapt_runners,
    "test.test_asyncio.test_pep492": _adapt_pep492,
}


def adapt(module: ModuleType, make_loop: Callable[[], Any]) -> None:
    """Change what has to be changed in this test module, if anything."""
    if module.__name__ in ADAPTATIONS:
        ADAPTATIONS[module.__name__](module, make_loop)
