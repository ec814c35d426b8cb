"""The interpreters under test, each with what it needs to run CPython's tests on our loop."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from conformity.testsuites import UnavailableError, provide
from interpreters import (
    Interpreter,
    NoEnvironmentError,
    Unusable,
    ask,
    find_interpreters,
    make_environment,
)

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "conformance"
# what the distribution's own programs run on, and tools/setup's choice
DEFAULT = "/usr/bin/python3"


@dataclass(frozen=True)
class Subject:
    """An interpreter in its environment."""

    python: Path
    path: tuple[Path, ...]  # PYTHONPATH

    def variables(self, folder: Path) -> dict[str, str]:
        """What a test process finds in its environment: nothing of ours but what it needs."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
        return {
            **kept,
            "PYTHONPATH": os.pathsep.join(map(str, self.path)),
            "UC_LIBRARY": str(ROOT / "build" / "lib" / "libuc.so"),
            "TMPDIR": str(folder),
        }


def full_name(interpreter: Interpreter) -> str:
    """Such as cpython-3.11.2: two of one minor version may be under test."""
    threads = "t" if interpreter.free_threaded else ""
    version = ".".join(map(str, interpreter.version))
    return f"{interpreter.implementation.lower()}-{version}{threads}"


def find_one(name: str) -> Interpreter:
    """The interpreter at a path, or of that name on PATH; raises UnavailableError."""
    path = shutil.which(name)
    if path is None:
        raise UnavailableError(f"{name}: no such program")
    answer = ask(Path(path))
    if isinstance(answer, Unusable):
        raise UnavailableError(f"{name}: {answer.reason}")
    return answer


def find(names: list[str], every: bool) -> list[Interpreter]:
    """Those named, or every CPython, or the default one; each version once."""
    found = [find_one(name) for name in names]
    if every or not names:
        found.append(find_one(DEFAULT))
    if every:
        found += [one for one in find_interpreters()[0] if one.implementation == "CPython"]
    once = {full_name(one): one for one in reversed(found)}
    return sorted(once.values(), key=lambda one: (one.implementation, one.version))


def prepare(interpreter: Interpreter, loop: str) -> Subject:
    """Make the environment if it is not there, and see that the loop works in it."""
    try:
        environment = make_environment(interpreter, ["cffi"], folder=BUILD / full_name(interpreter))
    except NoEnvironmentError as error:
        raise UnavailableError(f"no environment: {str(error).strip()[-300:]}") from error
    path = [ROOT / "bindings" / "python" / "src", ROOT / "tools"]
    tests = provide(interpreter, BUILD / f"tests-{full_name(interpreter)}")
    subject = Subject(environment.python, tuple(path if tests is None else [tests, *path]))
    _require_loop(subject, loop)
    return subject


def _require_loop(subject: Subject, loop: str) -> None:
    program = f"from conformity.inside.injection import Injection; Injection.of({loop!r})"
    done = subprocess.run(
        [subject.python, "-c", program],
        env=subject.variables(Path(tempfile.gettempdir())),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        words = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise UnavailableError(f"{loop} makes no loop: {words[-1]}")
