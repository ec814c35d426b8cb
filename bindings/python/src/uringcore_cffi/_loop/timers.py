"""The timer heap: a list of (when, sequence, handle), kept by heapq.

Tuples compare in C; asyncio's TimerHandle.__lt__ is a Python call per comparison. The sequence
number makes equal times first come, first served.

An interrupt may strike after any call. So nothing here leaves a handle in neither the heap nor
the ready queue, and ``_scheduled`` says whether it has been moved already.
"""

from __future__ import annotations

import heapq
from collections import deque
from typing import Any

Timer = tuple[float, int, Any]
Heap = list[Timer]

# As asyncio: clean up when there are many timers and more than half of them are cancelled.
CLEAN_MIN_TIMERS = 100


def is_worth_cleaning(heap: Heap, cancelled: int) -> bool:
    """Tell whether so many timers are cancelled that the heap is to be rebuilt."""
    return len(heap) > CLEAN_MIN_TIMERS and cancelled * 2 > len(heap)


def without_cancelled(heap: Heap) -> Heap:
    """Return a new heap of the timers that are still wanted."""
    kept = []
    for timer in heap:
        if timer[2]._callback is None:
            timer[2]._scheduled = False
        else:
            kept.append(timer)
    heapq.heapify(kept)
    return kept


def drop_cancelled_head(heap: Heap) -> int:
    """Drop cancelled timers from the head; return how many."""
    dropped = 0
    while heap and heap[0][2]._callback is None:
        heap[0][2]._scheduled = False
        heapq.heappop(heap)
        dropped += 1
    return dropped


def move_due(heap: Heap, end: float, ready: deque[Any]) -> int:
    """Move timers due before ``end`` (seconds) to ``ready``; return how many were cancelled."""
    cancelled = 0
    while heap:
        when, _, handle = heap[0]
        if when >= end:
            break
        if handle._callback is None:
            cancelled += handle._scheduled
            handle._scheduled = False
        elif handle._scheduled:
            ready += (handle,)  # not append(): an interrupt cannot come between this and the next
            handle._scheduled = False
        heapq.heappop(heap)
    return cancelled
