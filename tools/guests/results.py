"""What became of a job, a suite, a kernel."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from guests.jobs import CONFORMANCE, PACKAGE, PROBE, C, Job
from guests.kernel_log import Complaint
from guests.kernels import ROOT
from interpreters.suites import Outcome

_SUM = re.compile(r"^(\d+) passed, (\d+) failed, (\d+) skipped$", re.MULTILINE)
_CASE_FAILED = re.compile(r"^\[ +(?:FAILED|ERROR) +\] (?!---|\d+ test)(\S.*?)\s*$", re.MULTILINE)
_MODULE_FAILED = re.compile(r"^failed (\S+ .*)$", re.MULTILINE)
_TAIL = 1500


@dataclass(frozen=True)
class Failure:
    """A test that failed, or a whole job."""

    name: str
    detail: str


@dataclass
class JobResult:
    """What became of a job."""

    job: Job
    outcome: Outcome = field(default_factory=Outcome)
    failures: list[Failure] = field(default_factory=list)
    skips: list[str] = field(default_factory=list)
    seconds: float = 0.0
    output: str = ""


@dataclass
class KernelResult:
    """What became of a kernel's jobs; ``unavailable`` says why there are none."""

    name: str
    kernel: str = ""  # as uname tells
    probe: dict[str, Any] = field(default_factory=dict)
    jobs: list[JobResult] = field(default_factory=list)
    complaints: list[Complaint] = field(default_factory=list)
    running: str = ""  # the job that has begun and not ended
    said: str = ""  # by it
    broken: str = ""  # why the guest ended before its jobs
    unavailable: str = ""
    seconds: float = 0.0

    def hear(self, message: dict[str, Any]) -> None:
        """Which kernel it is, and how far its running job has come."""
        self.kernel = message.get("kernel", self.kernel)
        if "begin" in message or "end" in message:
            self.running, self.said = message.get("begin", ""), ""
        self.said += message.get("says", "")

    def of(self, suite: str) -> Outcome:
        """The sum of a suite."""
        return sum((one.outcome for one in self.jobs if one.job.suite == suite), Outcome())

    def total(self) -> Outcome:
        """The sum of all; a kernel that complains, or a guest that dies, is a failure too."""
        bad = len(self.complaints) + bool(self.broken)
        return sum((one.outcome for one in self.jobs), Outcome(failed=bad))


def _count(record: str, suffix: str) -> tuple[Outcome, list[str]]:
    """Have a report counted as tools/test has it; also returns why tests were skipped."""
    counter = ROOT / "tools" / "dev" / "count-results.py"
    with tempfile.NamedTemporaryFile("w", suffix=suffix, encoding="utf-8") as file:
        file.write(record)
        file.flush()
        command = [sys.executable, str(counter), file.name]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    return Outcome(*map(int, done.stdout.split())), done.stderr.splitlines()


def _how_it_ended(message: dict[str, Any], job: Job) -> str:
    status = message["status"]
    if status is None:
        return f"stopped after {job.seconds:.0f} s"
    return f"signal {-status}" if status < 0 else f"status {status}"


def _of_program(job: Job, message: dict[str, Any]) -> JobResult:
    """A C program: its cases are in what cmocka has printed."""
    output, status = message["output"], message["status"]
    result = {0: "OK", 77: "SKIP"}.get(status, "FAIL")
    outcome, skips = _count(
        json.dumps({"name": job.name, "result": result, "stdout": output}) + "\n", ".json"
    )
    names = dict.fromkeys(_CASE_FAILED.findall(output)) if outcome.failed else {}
    failures = [Failure(f"{job.name}: {name}", output[-_TAIL:]) for name in names]
    if outcome.failed and not failures:
        failures = [Failure(job.name, f"{output[-_TAIL:]}\n{_how_it_ended(message, job)}")]
    return JobResult(job, outcome, failures, skips)


def _of_pytest(job: Job, message: dict[str, Any]) -> JobResult:
    """A run of pytest, told by its report; without one, it has died in the middle."""
    result = JobResult(job)
    if message["report"]:
        result.outcome, _ = _count(message["report"], ".xml")
        for case in ET.fromstring(message["report"]).iter("testcase"):
            name = f"{case.get('classname')}::{case.get('name')}"
            for bad in (*case.findall("failure"), *case.findall("error")):
                result.failures.append(Failure(name, (bad.text or "")[-_TAIL:]))
            result.skips += [f"{name}: {one.get('message')}" for one in case.findall("skipped")]
    if message["status"] != 0 and not result.outcome.failed:
        _add_failure_of_run(result, message)
    return result


def _of_conformance(job: Job, message: dict[str, Any]) -> JobResult:
    """A run of tools/conformance, told by its closing line."""
    result = JobResult(job)
    found = _SUM.findall(message["output"])
    if found:
        result.outcome = Outcome(*map(int, found[-1]))
        lines = _MODULE_FAILED.findall(message["output"])
        detail = message["output"][-_TAIL:]
        result.failures = [Failure(line, detail) for line in lines]
    if message["status"] != 0 and not result.outcome.failed:
        _add_failure_of_run(result, message)
    return result


def _of_probe(job: Job, message: dict[str, Any]) -> JobResult:
    """The probe is no test; but a kernel without io_uring is a failure. (Status 1: with less.)"""
    result = JobResult(job)
    if message["status"] not in (0, 1):
        _add_failure_of_run(result, message)
    return result


def _add_failure_of_run(result: JobResult, message: dict[str, Any]) -> None:
    result.outcome += Outcome(failed=1)
    how = _how_it_ended(message, result.job)
    result.failures.append(Failure(result.job.name, f"{message['output'][-_TAIL:]}\n{how}"))


_READERS = {PROBE: _of_probe, C: _of_program, PACKAGE: _of_pytest, CONFORMANCE: _of_conformance}


def take(job: Job, message: dict[str, Any]) -> JobResult:
    """What the message of a job's end says."""
    result = _READERS[job.suite](job, message)
    result.seconds, result.output = message["seconds"], message["output"]
    return result


def not_run(jobs: Iterable[Job], result: KernelResult) -> None:
    """A job that nothing was heard of has failed."""
    heard = {one.job.name for one in result.jobs}
    for job in jobs:
        if job.name not in heard:
            said = result.said if job.name == result.running else ""
            detail = f"{said[-_TAIL:]}\nnot run to its end: {result.broken or 'the guest ended'}"
            failure = Failure(job.name, detail)
            result.jobs.append(JobResult(job, Outcome(failed=1), [failure], output=said))
