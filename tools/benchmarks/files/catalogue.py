"""The workloads."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.files.kinds import AT_ONCE, MANY

MOST_WRITING_ROUNDS = 5
"""A file of a GiB takes seconds, and what is on the disk needs no fifteen windows."""


@dataclass(frozen=True)
class Workload:
    """One kind of operation."""

    name: str
    title: str
    method: str
    """What does it, of the ``kinds``."""
    writes: bool = False

    def rounds(self, asked: int) -> int:
        """How often it is measured, of how often everything is."""
        return min(asked, MOST_WRITING_ROUNDS) if self.writes else asked


FILES = (
    Workload("file-read-1", "read of 4 KiB, cached: one at a time", "read_one"),
    Workload("file-read-32", f"read of 4 KiB, cached: {AT_ONCE} at once", "read_at_once"),
    Workload("file-read-many", f"read of 4 KiB, cached: batches of {MANY}", "read_many"),
    Workload("file-write", "write of 1 MiB, a whole file and fsync", "write", writes=True),
)

FILE_SUITES: dict[str, tuple[Workload, ...]] = {"files": FILES}
"""What ``tools/bench SUITE`` can run."""

WORKLOADS = {workload.name: workload for workload in FILES}
