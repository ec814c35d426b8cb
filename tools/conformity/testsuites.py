"""CPython's tests, for interpreters that have come without them.

Debian packs them apart. The package is unpacked into the build folder and not installed: it
belongs to one build of Python, and installing it would upgrade a Python that is not the newest.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

import debian_packages
from interpreters import Interpreter

# the packages of the standard library that have tests in them
PACKAGES = ("test", "unittest")


class UnavailableError(Exception):
    """This interpreter cannot be tested here; says why."""


def debian_package(interpreter: Interpreter) -> str:
    """The name of the package that has an interpreter's tests."""
    if interpreter.implementation == "PyPy":
        return "pypy3-lib-testsuite"
    return "libpython{}.{}-testsuite".format(*interpreter.version)


def _library(interpreter: Interpreter) -> tuple[Path, bool]:
    """(the folder of an interpreter's standard library, whether asyncio's tests are in it)."""
    question = "import os; print(os.path.dirname(os.__file__))"
    done = subprocess.run(
        [interpreter.executable, "-I", "-c", question], capture_output=True, text=True, check=True
    )
    folder = Path(done.stdout.strip())
    return folder, (folder / "test" / "test_asyncio").is_dir()


def _unpack(interpreter: Interpreter, library: Path, target: Path) -> None:
    """Make copies of the library's packages with their tests in them."""
    with tempfile.TemporaryDirectory() as name:
        unpacked = Path(name)
        try:
            debian_packages.unpack(debian_package(interpreter), unpacked)
        except debian_packages.NoPackageError as error:
            raise UnavailableError(f"has come without its tests, and {error}") from error
        added = unpacked / library.relative_to("/")
        for part in PACKAGES:
            for source in (library / part, added / part):
                if source.is_dir():
                    shutil.copytree(source, target / part, dirs_exist_ok=True)


def provide(interpreter: Interpreter, target: Path) -> Path | None:
    """Unpack to ``target``, to be put in front of the library; None if that has the tests."""
    library, has_tests = _library(interpreter)
    if has_tests:
        return None
    if library.parts[:2] != ("/", "usr"):
        raise UnavailableError("has come without its tests")
    stamp = target / "made.stamp"
    if not stamp.exists() or stamp.read_text() != interpreter.build:
        shutil.rmtree(target, ignore_errors=True)
        _unpack(interpreter, library, target)
        stamp.write_text(interpreter.build)
    return target
