"""Debian's packages, fetched with apt-get and unpacked beside the system: nothing is installed."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path


class NoPackageError(Exception):
    """A package cannot be had here; says which."""


def _apt_get(*arguments: str, folder: Path | None = None, as_root: bool = False) -> bool:
    command = ["apt-get", "-qq", *arguments]
    if as_root and os.getuid() != 0:
        command = ["sudo", "-n", *command]
    try:
        return subprocess.run(command, cwd=folder, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def update() -> bool:
    """Fetch the lists of what there is; returns whether that worked."""
    return _apt_get("update", as_root=True)


def search(pattern: str) -> list[str]:
    """The names of the packages that match a regular expression, in no order."""
    command = ["apt-cache", "search", "--names-only", pattern]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise NoPackageError(f"apt-cache: {error.strerror}") from error
    return [line.partition(" - ")[0].strip() for line in done.stdout.splitlines()]


def unpack(package: str, target: Path) -> None:
    """Fetch a package, after updating the lists if need be, and unpack it into ``target``."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if not _apt_get("download", package, folder=folder):
            update()
            if not _apt_get("download", package, folder=folder):
                raise NoPackageError(f"apt-get finds no {package}")
        archive = next(folder.glob("*.deb"))
        subprocess.run(["dpkg", "-x", archive, target], check=True)
