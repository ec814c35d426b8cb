"""The process of one subject: ``python -m benchmarks.files.worker NAME FOLDER READ_BYTES MIB``.

It answers as ``benchmarks.inside.worker`` does. MIB is how much is written.
"""

from __future__ import annotations

import argparse
import functools
from pathlib import Path
from typing import Any

from benchmarks.files.catalogue import WORKLOADS, Workload
from benchmarks.files.place import Place
from benchmarks.files.subjects import SUBJECTS, Subject
from benchmarks.inside.timing import Timing, Watch
from benchmarks.inside.worker import answer, count_for, timed


class Way:
    """Measures one subject."""

    def __init__(self, subject: Subject, place: Place, write_mib: int) -> None:
        """``_counts`` keeps what was tried out before."""
        self._subject = subject
        self._kind = subject.enter()
        self._place = place
        self._write_mib = write_mib
        self._counts: dict[str, int] = {}

    def measure(self, name: str, seconds: float) -> Timing:
        """Take one sample of a workload."""
        workload = WORKLOADS[name]
        work = functools.partial(self.work, workload)
        if name not in self._counts:
            self._counts[name] = self._count_for(workload, work, seconds)
        return timed(work, self._counts[name])

    def work(self, workload: Workload, count: int) -> Watch:
        """Do so many operations on a new loop."""
        method: Any = getattr(self._kind, workload.method)
        loop = self._subject.new_event_loop()
        try:
            watch: Watch = loop.run_until_complete(method(self._place, count))
            return watch
        finally:
            loop.run_until_complete(loop.shutdown_default_executor())
            loop.close()

    def _count_for(self, workload: Workload, work: Any, seconds: float) -> int:
        if workload.writes:
            work(1)  # warms everything up
            return self._write_mib
        return count_for(work, seconds)


def main() -> None:
    """Measure the subject that the command line names."""
    subjects = {subject.name: subject for subject in SUBJECTS}
    parser = argparse.ArgumentParser(prog="benchmarks.files.worker", description=__doc__)
    parser.add_argument("name", choices=sorted(subjects))
    parser.add_argument("folder", type=Path)
    parser.add_argument("read_bytes", type=int)
    parser.add_argument("write_mib", type=int)
    given = parser.parse_args()
    place = Place(given.folder, given.read_bytes)
    answer(Way(subjects[given.name], place, given.write_mib).measure)


if __name__ == "__main__":
    main()
