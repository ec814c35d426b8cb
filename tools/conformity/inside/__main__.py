"""``python -m conformity.inside JOB``: run one test module as the file JOB says."""

from __future__ import annotations

import importlib
import importlib.util
import json
import signal
import sys
import unittest
from typing import Any

from conformity.inside.adaptation import adapt
from conformity.inside.collection import collect
from conformity.inside.injection import Injection
from conformity.inside.reporting import Report, ReportingResult


def _is_there(name: str) -> bool:
    """Whether this Python has the module; its packages are imported to find out."""
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def _run(job: dict[str, Any], report: Report) -> None:
    injection = None
    if job["loop"] is not None:
        injection = Injection.of(job["loop"])
        injection.install()
    if not _is_there(job["module"]):
        report.send(absent=True)
        return
    try:
        module = importlib.import_module(job["module"])
    except unittest.SkipTest as reason:
        report.send(tests=[], left_out=[], not_selected=0, module_skipped=str(reason))
        return
    if injection is not None:
        adapt(module, injection)
    tests, left_out, not_selected = collect(module, job)
    report.send(
        tests=[test.id() for test in tests],
        left_out=[test.id() for test in left_out],
        not_selected=not_selected,
    )
    if job["list"]:
        return
    done = set(job["done"])
    chosen = [test for test in tests if test.id() not in done]
    result = ReportingResult(report, injection, job["test_seconds"])
    with result.watchdog():
        unittest.TestSuite(chosen).run(result)
    result.settle([test.id() for test in chosen])


def main() -> None:
    """Do the job, and say at the end that it was brought to its end."""
    # Ignored in what a shell runs in the background; tests wait for KeyboardInterrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with open(sys.argv[1], encoding="utf-8") as file:
        job = json.load(file)
    report = Report(job["report_fd"])
    _run(job, report)
    report.send(finished=True)


if __name__ == "__main__":
    main()
