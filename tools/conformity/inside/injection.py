"""The loop under test in the place of asyncio's own.

CPython's tests make their loops by ``asyncio.SelectorEventLoop(selector)``,
``asyncio.new_event_loop()``, ``asyncio.EventLoop()`` and through the policy. All of these lead
here.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
from asyncio import events, unix_events
from typing import Any, Callable

# in asyncio and in asyncio.unix_events, where the version has them
CLASS_NAMES = ("SelectorEventLoop", "_UnixSelectorEventLoop", "EventLoop")
# in asyncio.unix_events: the default policy's class under its names of all versions
POLICY_NAMES = ("_UnixDefaultEventLoopPolicy", "_DefaultEventLoopPolicy")


class Injection:
    """Stands where asyncio's loop class stood: makes loops, and is a class to who asks."""

    def __init__(self, factory: Callable[[], Any]) -> None:
        """Make one loop to see of which class they are."""
        self.made = 0
        self._factory = factory
        with contextlib.closing(factory()) as loop:
            self._class = type(loop)

    @classmethod
    def of(cls, name: str) -> Injection:
        """Import ``module:factory``. The module may derive from asyncio's classes: still real."""
        module, _, attribute = name.partition(":")
        return cls(getattr(importlib.import_module(module), attribute))

    def __call__(self, selector: Any = None) -> Any:
        """Make a loop; a selector that it will not use is closed."""
        if selector is not None:
            selector.close()
        self.made += 1
        return self._factory()

    def __getattr__(self, name: str) -> Any:
        """Answer for the class."""
        return getattr(self._class, name)

    def __instancecheck__(self, instance: Any) -> bool:
        """``isinstance(loop, asyncio.SelectorEventLoop)``."""
        return isinstance(instance, self._class)

    def __subclasscheck__(self, subclass: type) -> bool:
        """``issubclass(type(loop), asyncio.SelectorEventLoop)``."""
        return issubclass(subclass, self._class)

    def __mro_entries__(self, bases: tuple[Any, ...]) -> tuple[type, ...]:
        """``class Loop(asyncio.SelectorEventLoop)``."""
        return (self._class,)

    def install(self) -> None:
        """Take the places."""
        for module in (asyncio, unix_events):
            for name in CLASS_NAMES:
                if hasattr(module, name):
                    setattr(module, name, self)
        policies = [
            getattr(unix_events, name) for name in POLICY_NAMES if hasattr(unix_events, name)
        ]
        if not policies:
            raise RuntimeError("this asyncio's default policy has a name that is not known here")
        for policy in policies:
            policy._loop_factory = self
        loop = events.new_event_loop()
        loop.close()
        if not isinstance(loop, self._class):
            raise RuntimeError(f"asyncio.new_event_loop() still makes {type(loop).__name__}")
