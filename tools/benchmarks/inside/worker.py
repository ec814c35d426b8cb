"""The process of one loop: ``python -m benchmarks.inside.worker LOOP``.

Says ``ready`` and then answers each line on its standard input, ``WORKLOAD SECONDS``, with one line
of JSON. It does nothing in between, so that others can be measured meanwhile, and ends with its
input.
"""

from __future__ import annotations

import argparse
import dataclasses
import gc
import json
import os
import sys

from benchmarks.inside.catalogue import WORKLOADS
from benchmarks.inside.subjects import SUBJECTS, Subject
from benchmarks.inside.timing import Timing, Work

TRY_SECONDS = 0.02
TRY_SHARE = 0.2


def count_for(work: Work, subject: Subject, seconds: float) -> int:
    """How many operations take about so long; trying that out warms everything up."""
    count, enough = 1, min(TRY_SECONDS, seconds * TRY_SHARE)
    while True:
        watch = work(subject, count)
        if watch.seconds >= enough:
            return max(1, round(count * seconds / watch.seconds))
        count *= 4


def measure(subject: Subject, name: str, seconds: float, counts: dict[str, int]) -> Timing:
    """Take one sample; ``counts`` keeps what was tried out before."""
    work = WORKLOADS[name].work
    if name not in counts:
        counts[name] = count_for(work, subject, seconds)
    gc.collect()
    count = counts[name]
    watch = work(subject, count)
    return Timing(watch.seconds * 1e6 / count, watch.cpu_seconds * 1e6 / count, count)


def _reply(subject: Subject, line: str, counts: dict[str, int]) -> dict[str, object]:
    name, seconds = line.split()
    try:
        timing = measure(subject, name, float(seconds), counts)
    except NotImplementedError as reason:
        return {"answer": {"missing": str(reason) or "not implemented"}}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}
    return {"answer": dataclasses.asdict(timing)}


def main() -> None:
    """Answer until the input ends."""
    subjects = {subject.name: subject for subject in SUBJECTS}
    parser = argparse.ArgumentParser(prog="benchmarks.inside.worker", description=__doc__)
    parser.add_argument("loop", choices=sorted(subjects))
    subject = subjects[parser.parse_args().loop]
    # What is measured may print or start programs that do: the answers have their own way out.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    print("ready", file=answers)
    counts: dict[str, int] = {}
    for line in sys.stdin:
        print(json.dumps(_reply(subject, line, counts)), file=answers)


if __name__ == "__main__":
    main()
