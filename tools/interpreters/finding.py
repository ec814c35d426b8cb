"""Which interpreters there are.

Looked at: what is named python3, python3.N or pypy3 on PATH, then in pyenv's folder. Each is
started and asked what it is, because a name proves nothing (pyenv's shims fail for versions that
are not chosen). The first of each implementation and minor version is taken.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

# The package's requires-python.
OLDEST = (3, 9)
_NAME = re.compile(r"(?:python|pypy)3(?:\.(\d+)t?)?")
_PROBE_SECONDS = 60
_PROBE = """
import importlib.util, json, platform, sys, sysconfig
print(json.dumps({
    "implementation": platform.python_implementation(),
    "version": sys.version_info[:3],
    "free_threaded": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
    "executable": sys.executable,
    "build": sys.version,
    "missing": [n for n in ("venv", "ensurepip", "ssl") if not importlib.util.find_spec(n)],
}))
"""


@dataclass(frozen=True)
class Interpreter:
    """A Python that can run the package."""

    implementation: str
    version: tuple[int, int, int]
    free_threaded: bool
    executable: str
    build: str

    @property
    def name(self) -> str:
        """Its short name, such as cpython3.13 or pypy3.9: unique, and good for a folder."""
        minor = ".".join(map(str, self.version[:2]))
        return f"{self.implementation.lower()}{minor}{'t' if self.free_threaded else ''}"

    def __str__(self) -> str:
        """Return what people call it."""
        threads = " free-threaded" if self.free_threaded else ""
        return f"{self.implementation} {'.'.join(map(str, self.version))}{threads}"


@dataclass(frozen=True)
class Unusable:
    """A file that is named like a Python, and why it is no use."""

    path: Path
    reason: str


def _candidates() -> list[Path]:
    """Every file whose name may be that of a Python new enough, in the order of preference."""
    folders = [Path(folder) for folder in os.get_exec_path()]
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    folders += sorted(pyenv.glob("versions/*/bin"), key=_by_version, reverse=True)
    found: dict[Path, Path] = {}  # by the file that it really is
    for folder in folders:
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            if _may_be_new_enough(path.name) and _may_be_new_enough(path.resolve().name):
                found.setdefault(path.resolve(), path)
    return list(found.values())


def _by_version(folder: Path) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", folder.parent.name)]


def _may_be_new_enough(name: str) -> bool:
    match = _NAME.fullmatch(name)
    return match is not None and (match[1] is None or (3, int(match[1])) >= OLDEST)


def ask(path: Path) -> Interpreter | Unusable:
    """Start a Python and ask what it is."""
    command = [str(path), "-I", "-c", _PROBE]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_PROBE_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Unusable(path, f"does not start: {error}")
    if done.returncode != 0:
        said = (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[0]
        return Unusable(path, f"does not start: {said}")
    answer = json.loads(done.stdout)
    missing = answer.pop("missing")
    version = answer["version"] = tuple(answer["version"])
    if version < OLDEST:
        return Unusable(path, "is too old for the package")
    if missing:
        return Unusable(path, f"comes without {', '.join(missing)}")
    return Interpreter(**answer)


def find_interpreters() -> tuple[list[Interpreter], list[Unusable]]:
    """Find one interpreter of each kind, in the order of their versions, and what is no use.

    A file that is no use is left out when one of its version was found.
    """
    found: dict[str, Interpreter] = {}
    unusable: list[Unusable] = []
    for path in _candidates():
        answer = ask(path)
        if isinstance(answer, Unusable):
            unusable.append(answer)
        else:
            found.setdefault(answer.name, answer)
    interpreters = sorted(found.values(), key=lambda one: (one.implementation, one.version))
    return interpreters, [one for one in unusable if f"c{one.path.name}" not in found]
