"""One test module in a process of its own, with time limits.

A test that hangs or takes the process along costs itself alone: the rest of the module goes on in
a new process.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conformity.inside.reporting import BEGINNING
from conformity.results import FAILED, ModuleResult, Outcome
from conformity.selection import Module
from conformity.subjects import Subject

# a module of which so many tests hang or crash is not worth more time
RESTARTS_MAX = 25


@dataclass(frozen=True)
class Limits:
    """How long things may take."""

    test_seconds: float = 60.0
    module_seconds: float = 900.0


@dataclass(frozen=True)
class Job:
    """What is asked of one module."""

    module: Module
    loop: str | None  # module:factory; None is stock asyncio
    left_out: tuple[str, ...] = ()  # patterns of the skip list
    keyword: str = ""
    list_only: bool = False

    def as_json(self, name: str, done: list[str], limits: Limits, fileno: int) -> str:
        """What conformity.inside reads."""
        return json.dumps(
            {
                "module": name,
                "loop": self.loop,
                "classes": self.module.classes,
                "without_classes": self.module.without_classes,
                "left_out": self.left_out,
                "keyword": self.keyword,
                "list": self.list_only,
                "done": done,
                "test_seconds": limits.test_seconds,
                "report_fd": fileno,
            }
        )


Hear = Callable[[dict[str, Any]], None]


class Process:
    """A running test process: its messages, and its end."""

    def __init__(self, subject: Subject, job: str, folder: Path, report: int) -> None:
        """Start it in ``folder``, which it may litter."""
        (folder / "job.json").write_text(job)
        self._log = open(folder / "log", "w+b")
        self._process = subprocess.Popen(
            [subject.python, "-u", "-m", "conformity.inside", folder / "job.json"],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            cwd=folder,
            env=subject.variables(folder),
            pass_fds=[report],
            start_new_session=True,
        )

    def messages(self, source: int, deadline: float) -> Iterator[dict[str, Any]]:
        """What it says, until it has ended or the deadline has passed.

        Its end is seen by its pidfd: children that tests leave behind may hold the pipe open.
        """
        pidfd = os.pidfd_open(self._process.pid)
        buffer = bytearray()
        ended = False
        try:
            while not ended and time.monotonic() < deadline:
                left = max(0.0, deadline - time.monotonic())
                ready, _, _ = select.select([source, pidfd], [], [], left)
                ended = pidfd in ready
                with contextlib.suppress(BlockingIOError):
                    while data := os.read(source, 1 << 16):
                        buffer += data
                *lines, rest = buffer.split(b"\n")
                buffer = bytearray(rest)
                yield from map(json.loads, lines)
        finally:
            os.close(pidfd)

    def end(self) -> int | None:
        """Kill what is left of it and its children; returns its status, None if it still ran."""
        # its process group cannot be anyone else's while its leader has not been waited for
        ran = os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        status = self._process.wait()
        return None if ran else status

    def log(self) -> str:
        """What it has written."""
        self._log.seek(0)
        return self._log.read().decode(errors="replace")

    def close(self) -> None:
        """Close the log."""
        self._log.close()


def explain_end(status: int | None, log: str, limits: Limits) -> str:
    """Why a process has ended in the middle; the last line says it in short."""
    if status is None:
        return f"{log[-3000:]}\nstopped: the module took more than {limits.module_seconds:.0f} s"
    start = log.rfind("Timeout (")
    if status == 1 and start >= 0:
        frames = re.findall(r'^  File "(.*)", line (\d+) in (\S+)', log[start:], re.MULTILINE)
        # faulthandler shows the main thread last, innermost frame first
        main = log[start:].rpartition("(most recent call first):")[2]
        first = re.search(r'^  File "(.*)", line (\d+) in (\S+)', main, re.MULTILINE)
        where = first.groups() if first else (frames or [("?", "0", "?")])[0]
        return (
            f"{log[start:][:6000]}\nhung for {limits.test_seconds:.0f} s in {where[2]}(), "
            f"{Path(where[0]).name}:{where[1]}"
        )
    reason = f"status {status}" if status >= 0 else signal.Signals(-status).name
    return f"{log[-3000:]}\nthe process ended in the middle: {reason}"


@dataclass
class _Progress:
    """How far a process has come."""

    running: str | None = None
    finished: bool = False


def _take(
    message: dict[str, Any], progress: _Progress, result: ModuleResult, into: list[Outcome]
) -> None:
    """Put one message where it belongs."""
    if "start" in message:
        progress.running = message["start"]
    elif "end" in message:
        progress.running = None
        into.append(
            Outcome(
                message["end"],
                message["outcome"],
                message["detail"],
                message["loops"],
                message["seconds"],
            )
        )
    elif "tests" in message:
        result.tests, result.left_out = message["tests"], message["left_out"]
        result.not_selected = message["not_selected"]
    elif "absent" in message:
        result.absent = True
    elif "finished" in message:
        progress.finished = True


def _add_output(outcomes: list[Outcome], log: str) -> None:
    """Give the failed tests of a process what stands in its log of them."""
    pieces = re.split(rf"^{BEGINNING}(.*)\n", log, flags=re.MULTILINE)
    written = dict(zip(pieces[1::2], pieces[2::2]))
    for one in outcomes:
        if one.outcome == FAILED and not one.output:
            one.output = written.get(one.test, "").strip()


def _run_process(
    subject: Subject, job: Job, name: str, result: ModuleResult, into: list[Outcome],
    limits: Limits, hear: Hear,
) -> bool:  # fmt: skip
    """One process; returns whether another one has to go on with what is left."""
    source, report = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    os.set_blocking(report, True)
    progress = _Progress()
    with tempfile.TemporaryDirectory(prefix="uc-", ignore_cleanup_errors=True) as folder:
        text = job.as_json(name, [one.test for one in into], limits, report)
        process = Process(subject, text, Path(folder), report)
        os.close(report)
        try:
            deadline = time.monotonic() + limits.module_seconds
            for message in process.messages(source, deadline):
                _take(message, progress, result, into)
                hear(message)
        finally:
            status = process.end()
            log = process.log()
            process.close()
            os.close(source)
    _add_output(into, log)
    if progress.finished:
        return False
    detail = explain_end(status, log, limits)
    if progress.running is None:
        # while importing, or in a fixture: what is left will not fare better
        into.append(Outcome(f"{name} (outside of tests)", FAILED, detail))
        return False
    into.append(Outcome(progress.running, FAILED, detail))
    return status is not None


def run_module(subject: Subject, job: Job, limits: Limits, hear: Hear) -> ModuleResult:
    """All that a job asks for. ``hear`` is told every message as it comes."""
    result = ModuleResult(job.module.label)
    started = time.monotonic()
    for name in job.module.names:
        result.absent = False
        starts = 0
        while (
            _run_process(subject, job, name, result, result.outcomes, limits, hear)
            and starts < RESTARTS_MAX
        ):
            starts += 1
        if not result.absent:
            break
    if not job.list_only:
        _fail_what_was_not_run(result)
    result.part()
    result.seconds = time.monotonic() - started
    return result


def _fail_what_was_not_run(result: ModuleResult) -> None:
    """A test that nothing was heard of has not passed."""
    heard = {one.test for one in result.outcomes}
    result.outcomes += [
        Outcome(test, FAILED, "not run: the module was given up")
        for test in result.tests
        if test not in heard
    ]
