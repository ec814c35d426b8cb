"""The programs of each suite, with their time limits.

An emulated machine is ten to thirty times slower than this one: every limit is multiplied. A limit
that only ends what hangs costs nothing when it is long.
"""

from __future__ import annotations

import fnmatch
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from guests.kernels import ROOT

PROBE, C, PACKAGE, CONFORMANCE = "probe", "c", "package", "conformance"
SUITES = (C, PACKAGE, CONFORMANCE)

# compilers and manual pages work the same on every kernel
_C_WITHOUT_KERNEL = ("abi: *", "manual pages")
# beside a thread of the kernel that never sleeps, thousands of rounds take too long in a guest
_C_HEAVY = ("ring: a kernel thread that submits",)
_PACKAGE_WITHOUT_KERNEL = ("packaging",)
# what asyncio's own loops do, for comparison, what is refused before a kernel is asked, and the
# resolver's answers
_PACKAGE_SELECTION = "not ([asyncio or as_by_asyncio or test_names)"
# those that drive sockets most for their time; others are a matter of asyncio's own code
_CONFORMANCE_MODULES = ("sock_lowlevel", "sendfile", "server", "unix_events", "streams")
_PACKAGE_TEST_SECONDS = 60.0
_CONFORMANCE_TEST_SECONDS = 60.0


@dataclass(frozen=True)
class Job:
    """A program that is run, and how long it may take."""

    suite: str
    name: str
    command: tuple[str, ...]  # {report} is a file that it may write
    seconds: float
    folder: Path = ROOT
    environment: dict[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, object]:
        """What guests.inside reads."""
        return {
            "name": self.name,
            "command": self.command,
            "seconds": self.seconds,
            "folder": str(self.folder),
            "environment": self.environment,
        }


@dataclass(frozen=True)
class Plan:
    """What is to be run."""

    suites: Sequence[str] = SUITES
    names: Sequence[str] = ()  # patterns; none: all jobs
    every: bool = False  # also what does not depend on the kernel
    pytest_arguments: Sequence[str] = ()
    backend: str = ""  # as UC_BACKEND has it; none: io_uring, and nothing else will do


def _is_left_out(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _probe(slowness: float) -> Job:
    program = str(ROOT / "build" / "tools" / "uc-probe" / "uc-probe")
    return Job(PROBE, "uc-probe --json", (program, "--json"), 30 * slowness)


def _variables(plan: Plan, slowness: float) -> dict[str, str]:
    """What every test is told: what its rings run on, and to be patient."""
    ring = {"UC_BACKEND": plan.backend} if plan.backend else {"UC_REQUIRE_IO_URING": "1"}
    return {**ring, "UC_TEST_SLOWNESS": f"{slowness:.0f}"}


def _c(plan: Plan, slowness: float) -> list[Job]:
    build = ROOT / "build"
    meson = str(Path(sys.executable).with_name("meson"))
    done = subprocess.run(
        [meson, "introspect", str(build), "--tests"], capture_output=True, text=True, check=True
    )
    jobs = []
    for test in json.loads(done.stdout):
        name = test["name"].replace("_ ", ": ")
        if plan.every or not _is_left_out(name, (*_C_WITHOUT_KERNEL, *_C_HEAVY)):
            jobs.append(
                Job(
                    C,
                    name,
                    tuple(test["cmd"]),
                    test["timeout"] * slowness,
                    Path(test["workdir"] or build),
                    {**test["env"], **_variables(plan, slowness)},
                )
            )
    return jobs


_TESTS = ROOT / "bindings" / "python" / "tests"
_PYTEST = (
    sys.executable, "-m", "pytest", "--config-file=bindings/python/pyproject.toml",
    f"--rootdir={ROOT}", "-p", "no:cacheprovider",
)  # fmt: skip


def prepare_package() -> None:
    """Have the tests compiled here: every guest sees that, and would take minutes for it."""
    environment = {**os.environ, **_package_variables()}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    # what cannot be collected, the suite itself tells
    command = [*_PYTEST, "--collect-only", "-q", _TESTS]
    subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, check=False)


def _package_variables() -> dict[str, str]:
    return {
        "UC_LIBRARY": str(ROOT / "build" / "lib" / "libuc.so"),
        "UC_BUILD_DIR": str(ROOT / "build"),
        "PYTHONPATH": str(ROOT / "bindings" / "python" / "src"),
    }


def _package(plan: Plan, slowness: float) -> list[Job]:
    limit = _PACKAGE_TEST_SECONDS * slowness
    command = (
        *_PYTEST, "--junitxml={report}",
        "-o", f"timeout={limit}", "-o", f"faulthandler_timeout={2 * limit}", "-v",
    )  # fmt: skip
    if not plan.every:
        command += ("-k", _PACKAGE_SELECTION, "-m", "not heavy")
    environment = {**_package_variables(), **_variables(plan, slowness)}
    return [
        Job(
            PACKAGE,
            f"tests/{folder.name}",
            (*command, *plan.pytest_arguments, str(folder.relative_to(ROOT))),
            600 * slowness,
            environment=environment,
        )
        for folder in sorted(_TESTS.iterdir())
        if any(folder.glob("test_*.py"))
        and (plan.every or not _is_left_out(folder.name, _PACKAGE_WITHOUT_KERNEL))
    ]


def _conformance_command(modules: Sequence[str], *arguments: str) -> tuple[str, ...]:
    named = [word for module in modules for word in ("--module", module)]
    return (sys.executable, "-m", "conformity", *named, *arguments)


def prepare_conformance() -> None:
    """Make the environment of tools/conformance here: in a guest there is no network for that."""
    command = _conformance_command(_CONFORMANCE_MODULES[:1], "--list")
    subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, check=True)


def _conformance(plan: Plan, slowness: float) -> list[Job]:
    limit = _CONFORMANCE_TEST_SECONDS * slowness
    modules = ("*",) if plan.every else _CONFORMANCE_MODULES
    limits = ("--test-seconds", f"{limit:g}", "--module-seconds", f"{15 * limit:g}")
    return [
        Job(
            CONFORMANCE,
            f"test_{module}",
            _conformance_command([module], *limits),
            15 * limit * (len(modules) + 1),
            environment=_variables(plan, slowness),
        )
        for module in modules
    ]


def jobs(plan: Plan, slowness: float) -> list[Job]:
    """All of a kernel's jobs, the probe first."""
    made = []
    if C in plan.suites:
        made += _c(plan, slowness)
    if PACKAGE in plan.suites:
        made += _package(plan, slowness)
    if CONFORMANCE in plan.suites:
        made += _conformance(plan, slowness)
    chosen = [job for job in made if not plan.names or any(text in job.name for text in plan.names)]
    return [_probe(slowness), *chosen]


def as_json(jobs: Sequence[Job]) -> str:
    """The file of jobs that guests.inside reads."""
    return json.dumps([job.as_json() for job in jobs])
