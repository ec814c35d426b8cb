"""A virtual environment for each interpreter, with what the package depends on."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from conformity.interpreters import Interpreter
from conformity.testsuites import UnavailableError, provide

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "conformance"


@dataclass(frozen=True)
class Environment:
    """Where an interpreter's tests run."""

    python: Path
    path: tuple[Path, ...]  # PYTHONPATH


def pinned(name: str) -> str:
    """The requirement as tools/requirements.txt has it."""
    text = (ROOT / "tools" / "requirements.txt").read_text()
    found = re.search(rf"^{name}==\S+", text, re.MULTILINE)
    if found is None:
        raise LookupError(f"{name} is not in tools/requirements.txt")
    return found[0]


def _run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)


def _install_cffi(python: Path) -> None:
    """The pinned version, or where that has no wheel for this Python, what pip finds."""
    if _run(python, "-c", "import cffi").returncode == 0:
        return  # PyPy brings its own
    pip = (python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    if _run(*pip, "--only-binary=:all:", pinned("cffi")).returncode != 0:
        done = _run(*pip, "cffi")
        if done.returncode != 0:
            raise UnavailableError(f"cffi cannot be installed: {done.stderr.strip()[-300:]}")


def _make(interpreter: Interpreter, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    done = _run(interpreter.path, "-m", "venv", folder)
    if done.returncode != 0:
        raise UnavailableError(
            f"no virtual environment: {(done.stdout + done.stderr).strip()[-300:]}"
        )
    _install_cffi(folder / "bin" / "python")


def prepare(interpreter: Interpreter) -> Environment:
    """The environment of an interpreter, made if it is not there; raises UnavailableError."""
    key = f"{interpreter.path}\n{interpreter.build}\n{pinned('cffi')}\n{ROOT}\n"
    # two interpreters of one version and different builds do not share a folder
    folder = BUILD / f"{interpreter.name}-{hashlib.sha256(key.encode()).hexdigest()[:8]}"
    stamp = folder / "made.stamp"
    if not stamp.exists():
        _make(interpreter, folder)
        stamp.write_text(key)
    path = [ROOT / "bindings" / "python" / "src", ROOT / "tools"]
    tests = provide(interpreter, BUILD)
    return Environment(folder / "bin" / "python", tuple(path if tests is None else [tests, *path]))
