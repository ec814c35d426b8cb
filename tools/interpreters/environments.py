"""A virtual environment for an interpreter, in build/pythons/NAME if nothing else is said."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from interpreters.finding import Interpreter
from interpreters.wheels import ROOT

PINS = ROOT / "tools" / "requirements.txt"
# What the tests of the package import. (cffi is left out for PyPy, which carries its own.)
TEST_REQUIREMENTS = ("cffi", "hypothesis", "pytest", "pytest-timeout", "setuptools")


@dataclass(frozen=True)
class Environment:
    """A virtual environment."""

    interpreter: Interpreter
    folder: Path

    @property
    def python(self) -> Path:
        """The program to start."""
        return self.folder / "bin" / "python"


class NoEnvironmentError(Exception):
    """An environment could not be made; the text is what the failing command said."""


def make_environment(
    interpreter: Interpreter,
    requirements: Iterable[str],
    wheel: Path | None = None,
    folder: Path | None = None,
) -> Environment:
    """Make the interpreter's environment, or bring it up to date.

    ``requirements`` are names out of tools/requirements.txt. What another tool had installed there
    stays, so tools with different needs can share an environment. Without a wheel, the package is
    not in it.
    """
    folder = folder or ROOT / "build" / "pythons" / interpreter.name
    environment = Environment(interpreter, folder)
    pins = PINS.read_text(encoding="utf-8")
    _make(environment, pins)
    _install_requirements(environment, set(requirements), pins)
    if wheel is not None:
        _install_wheel(environment, wheel)
    return environment


def _make(environment: Environment, pins: str) -> None:
    """Make it, unless it is there already for the same folder, Python and versions."""
    interpreter, folder = environment.interpreter, environment.folder
    key = f"{folder}\n{interpreter.executable}\n{interpreter.build}\n{pins}"
    stamp = folder / "environment.stamp"
    if not stamp.is_file() or stamp.read_text() != key:
        _run([interpreter.executable, "-I", "-m", "venv", "--clear", str(folder)])
        stamp.write_text(key)


def _install_requirements(environment: Environment, names: set[str], pins: str) -> None:
    stamp = environment.folder / "requirements.stamp"
    installed = set(stamp.read_text().split()) if stamp.is_file() else set()
    if environment.interpreter.implementation == "PyPy":
        names = names - {"cffi"}
    if names - installed:
        _pip_install(environment, *_pinned(names, pins))
        stamp.write_text("\n".join(sorted(names | installed)))


def _pinned(names: set[str], pins: str) -> list[str]:
    """Take the lines of the named packages, with the conditions in them."""
    lines = [line.partition("#")[0].strip() for line in pins.splitlines()]
    chosen = [line for line in lines if line.partition("==")[0] in names]
    unknown = names.difference(line.partition("==")[0] for line in chosen)
    if unknown:
        raise NoEnvironmentError(f"not in {PINS.name}: {', '.join(sorted(unknown))}")
    return chosen


def _install_wheel(environment: Environment, wheel: Path) -> None:
    stamp = environment.folder / "wheel.stamp"
    content = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if not stamp.is_file() or stamp.read_text() != content:
        _pip_install(environment, "--no-deps", "--force-reinstall", str(wheel))
        stamp.write_text(content)


def _pip_install(environment: Environment, *arguments: str) -> None:
    pip = [str(environment.python), "-I", "-m", "pip", "install", "--quiet"]
    _run([*pip, "--disable-pip-version-check", *arguments])


def _run(command: list[str]) -> None:
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode != 0:
        raise NoEnvironmentError(f"{' '.join(command)}\n{done.stdout.strip()}")
