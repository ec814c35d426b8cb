"""Which Pythons there are, and what they say of themselves."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# what the distribution's own programs run on, and tools/setup's choice
DEFAULT = Path("/usr/bin/python3")
OLDEST = (3, 9)

_QUESTION = """
import json, platform, sys
print(json.dumps({
    "implementation": sys.implementation.name,
    "version": platform.python_version(),
    "number": list(sys.version_info[:2]),
    "build": sys.version,
    "prefix": sys.base_prefix,
    "stdlib": json.__file__.rpartition("/json/")[0],
}))
"""


class InterpreterError(Exception):
    """What is at a path is no Python that can be used; says why."""


@dataclass(frozen=True)
class Interpreter:
    """One Python."""

    path: Path
    implementation: str
    version: str
    number: tuple[int, int]
    build: str
    stdlib: Path

    @property
    def name(self) -> str:
        """What it is called in tables and folders."""
        return f"{self.implementation}-{self.version}"


def ask(path: Path) -> Interpreter:
    """Have a Python introduce itself; raises InterpreterError."""
    try:
        done = subprocess.run(
            [path, "-I", "-c", _QUESTION], capture_output=True, text=True, timeout=60, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InterpreterError(f"{path}: {error}") from error
    if done.returncode != 0:
        words = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise InterpreterError(f"{path}: {words[-1]}")
    answer = json.loads(done.stdout)
    number = (answer["number"][0], answer["number"][1])
    if number < OLDEST:
        raise InterpreterError(f"{path}: Python {answer['version']}, older than 3.9")
    return Interpreter(
        path,
        answer["implementation"],
        answer["version"],
        number,
        answer["build"],
        Path(answer["stdlib"]),
    )


def _candidates() -> Iterator[Path]:
    yield DEFAULT
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    yield from sorted((pyenv / "versions").glob("*/bin/python3"))
    folders = [*os.environ.get("PATH", "").split(os.pathsep), "/usr/bin"]
    for folder in filter(None, folders):
        # pyenv's shims are scripts that choose one of its versions, seen above
        if Path(folder) == pyenv / "shims":
            continue
        for path in sorted(Path(folder).glob("python3.*")):
            if re.fullmatch(r"python3\.\d+t?", path.name):
                yield path


def find_all() -> list[Interpreter]:
    """Every CPython from 3.9 on, each version once, oldest first."""
    found: dict[str, Interpreter] = {}
    seen = set()
    for path in _candidates():
        real = path.resolve()
        if real in seen or not os.access(real, os.X_OK):
            continue
        seen.add(real)
        try:
            interpreter = ask(path)
        except InterpreterError:
            continue
        if interpreter.implementation == "cpython":
            found.setdefault(interpreter.build, interpreter)
    return sorted(found.values(), key=lambda one: (one.number, one.version))


def find_one(name: str) -> Interpreter:
    """The interpreter at a path, or of that name on PATH."""
    path = shutil.which(name)
    if path is None:
        raise InterpreterError(f"{name}: no such program")
    return ask(Path(path))
