"""Events out of a ring, awaited."""

from __future__ import annotations

import time

from patience import PATIENCE


def some(ring):
    """Take turns until one brings events; return them."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        events = ring.turn(PATIENCE)
        if events:
            return events
    raise AssertionError("nothing has happened")


def one(ring):
    """Take turns until one brings an event, which has to be the only one; return it."""
    (event,) = some(ring)
    return event


def many(ring, count):
    """Take turns until they have brought ``count`` events; return them."""
    events = []
    while len(events) < count:
        events += some(ring)
    assert len(events) == count
    return events
