"""The process of one loop: ``python -m benchmarks.inside.worker LOOP``.

Says ``ready`` and then answers each line on its standard input, ``WORKLOAD SECONDS``, with one line
of JSON. It does nothing in between, so that others can be measured meanwhile, and ends with its
input.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import gc
import json
import os
import sys
from collections.abc import Callable

from benchmarks.inside.catalogue import WORKLOADS
from benchmarks.inside.subjects import SUBJECTS, Subject
from benchmarks.inside.timing import Timing, Watch

TRY_SECONDS = 0.02
TRY_SHARE = 0.2

Measure = Callable[[str, float], Timing]
"""Takes one sample of a workload, in a window of so many seconds."""


def count_for(work: Callable[[int], Watch], seconds: float) -> int:
    """How many operations take about so long; trying that out warms everything up."""
    count, enough = 1, min(TRY_SECONDS, seconds * TRY_SHARE)
    while True:
        watch = work(count)
        if watch.seconds >= enough:
            return max(1, round(count * seconds / watch.seconds))
        count *= 4


def timed(work: Callable[[int], Watch], count: int) -> Timing:
    """Take one sample."""
    gc.collect()
    watch = work(count)
    return Timing(watch.seconds * 1e6 / count, watch.cpu_seconds * 1e6 / count, count)


class _Loop:
    """Measures one loop."""

    def __init__(self, subject: Subject) -> None:
        """``_counts`` keeps what was tried out before."""
        self._subject = subject
        self._counts: dict[str, int] = {}

    def measure(self, name: str, seconds: float) -> Timing:
        """Take one sample of a workload."""
        work = functools.partial(WORKLOADS[name].work, self._subject)
        if name not in self._counts:
            self._counts[name] = count_for(work, seconds)
        return timed(work, self._counts[name])


def _reply(line: str, measure: Measure) -> dict[str, object]:
    name, seconds = line.split()
    try:
        timing = measure(name, float(seconds))
    except NotImplementedError as reason:
        return {"answer": {"missing": str(reason) or "not implemented"}}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}
    return {"answer": dataclasses.asdict(timing)}


def main() -> None:
    """Measure the loop that the command line names."""
    subjects = {subject.name: subject for subject in SUBJECTS}
    parser = argparse.ArgumentParser(prog="benchmarks.inside.worker", description=__doc__)
    parser.add_argument("loop", choices=sorted(subjects))
    answer(_Loop(subjects[parser.parse_args().loop]).measure)


def answer(measure: Measure) -> None:
    """Answer each line until the input ends."""
    # What is measured may print or start programs that do: the answers have their own way out.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    print("ready", file=answers)
    for line in sys.stdin:
        print(json.dumps(_reply(line, measure)), file=answers)


if __name__ == "__main__":
    main()
