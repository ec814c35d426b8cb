"""CPython's tests, for interpreters that have come without them.

Debian packs them apart. The package is unpacked into the build folder and not installed: it
belongs to one build of Python, and installing it would upgrade a Python that is not the newest.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

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


def _apt_get(*arguments: str, folder: Path | None = None, as_root: bool = False) -> bool:
    command = ["apt-get", "-qq", *arguments]
    if as_root and os.getuid() != 0:
        command = ["sudo", "-n", *command]
    try:
        return subprocess.run(command, cwd=folder, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def _download(package: str, folder: Path) -> Path:
    """Fetch a package with apt-get, which may have to update its lists first."""
    if not _apt_get("download", package, folder=folder):
        _apt_get("update", as_root=True)
        if not _apt_get("download", package, folder=folder):
            raise UnavailableError(f"has come without its tests, and apt-get finds no {package}")
    return next(folder.glob("*.deb"))


def _unpack(interpreter: Interpreter, library: Path, target: Path) -> None:
    """Make copies of the library's packages with their tests in them."""
    package = debian_package(interpreter)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        unpacked = folder / "unpacked"
        subprocess.run(["dpkg", "-x", _download(package, folder), unpacked], check=True)
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
