"""Workers in turn: every loop once per round, in an order that rotates."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from benchmarks.inside.subjects import Subject
from benchmarks.inside.timing import Timing
from benchmarks.pairing import Results
from benchmarks.processes import ServerError, ServerProcess, python_command

ANSWER_SECONDS = 60.0
"""Over the window, how long a worker may take: for trying out how much to do, on a busy machine."""


class Measured(Protocol):
    """Who takes turns: a loop, or a way to work with files."""

    @property
    def name(self) -> str:
        """On the command line."""

    @property
    def label(self) -> str:
        """In tables."""

    @property
    def foreign(self) -> bool:
        """Whether its failures are no failure of this project."""

    @property
    def obstacle(self) -> str | None:
        """Why it cannot be measured here, or None."""


class MissingError(Exception):
    """A loop does not have what a workload asks for."""


class Worker:
    """The process of one subject; started when it is first asked, and again after it died."""

    def __init__(self, command: Sequence[str], cpu: int | None) -> None:
        """Start nothing yet."""
        self._command = command
        self._cpu = cpu
        self._process: ServerProcess | None = None

    def measure(self, workload: Any, seconds: float) -> Timing:
        """Take a sample; raise MissingError, or ServerError for anything wrong."""
        if self._process is None:
            self._process = ServerProcess(self._command, self._cpu)
        try:
            answer = self._process.ask(f"{workload.name} {seconds}", seconds + ANSWER_SECONDS)
        except ServerError:
            self.stop()
            raise
        if "missing" in answer:
            raise MissingError(answer["missing"])
        return Timing(**answer)

    def stop(self) -> None:
        """End the process, if there is one."""
        if self._process is not None:
            self._process.stop()
            self._process = None


@contextlib.contextmanager
def workers(subjects: Sequence[Subject], cpu: int | None) -> Iterator[dict[str, Worker]]:
    """A worker for each loop, by name; all are stopped behind."""
    module = "benchmarks.inside.worker"
    made = {s.name: Worker(python_command(module, s.name), cpu) for s in subjects}
    with stopping(made):
        yield made


@contextlib.contextmanager
def stopping(working: Mapping[str, Worker]) -> Iterator[None]:
    """Stop them all behind."""
    try:
        yield
    finally:
        for worker in working.values():
            worker.stop()


def _able(subjects: Sequence[Measured], results: Results) -> list[Measured]:
    """Those that can be measured here; the others are noted with the reason."""
    able = []
    for subject in subjects:
        reason = subject.obstacle
        if reason is None:
            able.append(subject)
        else:
            results.skipped[subject.name] = reason
    return able


def _note(error: ServerError, subject: Measured, results: Results) -> None:
    """A failed round; a loop that comes from elsewhere is not tried again."""
    name = results.workload.name
    if subject.foreign:
        results.skipped[subject.name] = f"failed: {name}: {str(error).splitlines()[-1][:200]}"
        del results.samples[subject.name]
    else:
        results.failures.append(f"{name}, {subject.label}: {error}")
        results.samples[subject.name].append(None)


def run_rounds(
    workload: Any,
    subjects: Sequence[Measured],
    working: Mapping[str, Worker],
    rounds: int,
    seconds: float,
    on_step: Callable[[str], None],
) -> Results:
    """Measure the loops in turn, ``rounds`` times; ``on_step`` hears what comes next."""
    results = Results(workload)
    able = _able(subjects, results)
    results.samples = {subject.name: [] for subject in able}
    for number in range(rounds):
        start = number % len(able) if able else 0
        for subject in able[start:] + able[:start]:
            on_step(f"{workload.title}: round {number + 1} of {rounds}, {subject.label}")
            if subject.name not in results.samples:
                continue
            try:
                sample = working[subject.name].measure(workload, seconds)
            except MissingError as reason:
                results.skipped[subject.name] = f"{workload.name}: {reason}"
                del results.samples[subject.name]
            except ServerError as error:
                _note(error, subject, results)
            else:
                results.samples[subject.name].append(sample)
    return results
