"""The package's tests in one environment, and what came out."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from interpreters.environments import Environment
from interpreters.wheels import ROOT

# Would have the tests use another libuc, or another package, than the wheel's.
_MISLEADING = ("UC_LIBRARY", "URINGCORE_SYSTEM_LIBUC", "PYTHONPATH", "PYTHONHOME")


@dataclass(frozen=True)
class Outcome:
    """The counts of one run."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def __add__(self, other: Outcome) -> Outcome:
        """Sum two runs up."""
        return Outcome(
            self.passed + other.passed, self.failed + other.failed, self.skipped + other.skipped
        )

    def __str__(self) -> str:
        """Return the line that every test tool here closes with."""
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


def run_tests(environment: Environment, pytest_arguments: Sequence[str]) -> Outcome:
    """Run the package's tests. A run that ended badly without a failed case counts as one."""
    report = environment.folder / "pytest.xml"
    report.unlink(missing_ok=True)
    settings = ["--config-file=bindings/python/pyproject.toml", f"--rootdir={ROOT}"]
    settings += ["-o", f"cache_dir={environment.folder / 'pytest_cache'}", f"--junitxml={report}"]
    done = subprocess.run(
        [environment.python, "-m", "pytest", *settings, *pytest_arguments, "bindings/python/tests"],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if name not in _MISLEADING},
        check=False,
    )
    outcome = _count(report) if report.is_file() else Outcome()
    if done.returncode != 0 and outcome.failed == 0:
        print(f"tools/pythons: pytest ended with status {done.returncode}", file=sys.stderr)
        return outcome + Outcome(failed=1)
    return outcome


def _count(report: os.PathLike[str]) -> Outcome:
    """Have the report counted as tools/test has it."""
    counter = [sys.executable, str(ROOT / "tools" / "dev" / "count-results.py"), str(report)]
    counts = subprocess.run(counter, stdout=subprocess.PIPE, text=True, check=True).stdout
    return Outcome(*map(int, counts.split()))
