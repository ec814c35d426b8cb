"""Which of CPython's test modules and classes are run.

Not run at all are the unit tests of asyncio's own classes: test_selector_events,
test_proactor_events, test_windows_*, test_base_events and test_unix_events but for the classes
named below. They build those classes and look at their insides; no loop of another kind is in
them.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Module:
    """A test module, under all names that it has had, and the classes that are run."""

    names: tuple[str, ...]
    classes: tuple[str, ...] = ()  # none named: all
    without_classes: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """What it is called in tables."""
        return self.names[-1].rpartition(".")[2]


# They run the tests of another class once more, on another selector. There is one loop under test.
_OTHER_SELECTORS = ("PollEventLoopTests", "SelectEventLoopTests", "KqueueEventLoopTests")
# They run the tests of SubprocessThreadedWatcherTests once more, with watchers that are deprecated
# since 3.12 and gone in 3.14.
_OTHER_WATCHERS = (
    "SubprocessSafeWatcherTests",
    "SubprocessFastWatcherTests",
    "SubprocessMultiLoopWatcherTests",
    "MultiLoopChildWatcherTests",
)


def _asyncio(
    name: str, classes: tuple[str, ...] = (), without_classes: tuple[str, ...] = ()
) -> Module:
    return Module((f"test.test_asyncio.test_{name}",), classes, without_classes)


MODULES = (
    _asyncio("events", without_classes=_OTHER_SELECTORS),
    _asyncio("sock_lowlevel", without_classes=_OTHER_SELECTORS),
    _asyncio("sendfile", without_classes=_OTHER_SELECTORS),
    _asyncio("server"),
    _asyncio("buffered_proto"),
    _asyncio("streams"),
    _asyncio("ssl"),
    _asyncio("sslproto"),
    _asyncio("subprocess", without_classes=_OTHER_WATCHERS),
    _asyncio("unix_events", ("TestFunctional", "TestFork", "SelectorEventLoopUnixSocketTests")),
    _asyncio("base_events", ("RunningLoopTests",)),
    _asyncio("runners"),
    _asyncio("context"),
    _asyncio("tasks"),
    _asyncio("futures"),
    _asyncio("futures2"),
    _asyncio("eager_task_factory"),
    _asyncio("taskgroups"),
    _asyncio("timeouts"),
    _asyncio("waitfor"),
    _asyncio("staggered"),
    _asyncio("locks"),
    _asyncio("queues"),
    _asyncio("threads"),
    _asyncio("pep492"),
    _asyncio("protocols"),
    _asyncio("transports"),
    _asyncio("free_threading"),
    _asyncio("graph"),
    _asyncio("tools"),
    Module(("test.test_asyncgen",)),
    Module(("test.test_contextlib_async",)),
    Module(("test.test_coroutines",)),
    Module(("unittest.test.test_async_case", "test.test_unittest.test_async_case")),
    Module(("unittest.test.testmock.testasync", "test.test_unittest.testmock.testasync")),
)


def select(patterns: Sequence[str]) -> list[Module]:
    """The modules whose label is named, ``test_`` and wildcards as you like; all without names."""
    if not patterns:
        return list(MODULES)
    wanted = [name for pattern in patterns for name in (pattern, f"test_{pattern}")]
    return [
        module
        for module in MODULES
        if any(fnmatch.fnmatchcase(module.label, name) for name in wanted)
    ]
