"""Debian's cloud kernels: which there are, and fetching one.

They are made for virtual machines, so they boot with few modules. Of every series (6.1, 6.12) the
lists hold many builds: the newest is taken if none is named. The signed and the unsigned package
have the same kernel in them.
"""

from __future__ import annotations

import platform
import re
import shutil
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import debian_packages

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "kernels"
HOST = "host"
_PATTERN = "^linux-image-[0-9].*-cloud-amd64(-unsigned)?$"
_PACKAGE = re.compile(r"linux-image-(\d+\.\d+\.\d+\S*-cloud-amd64)(?:-unsigned)?")


class UnavailableError(Exception):
    """A kernel cannot be had or run here; says why."""


@dataclass(frozen=True)
class Kernel:
    """A kernel that Debian offers."""

    release: str  # as uname -r has it, such as 6.1.0-56-cloud-amd64
    package: str

    @cached_property
    def version(self) -> tuple[int, ...]:
        """All numbers of its name: the newest has the greatest."""
        return tuple(map(int, re.findall(r"\d+", self.release.partition("-cloud")[0])))

    @property
    def series(self) -> str:
        """Such as 6.1."""
        return "{}.{}".format(*self.version)

    @property
    def folder(self) -> Path:
        """Where it is unpacked to."""
        return BUILD / self.release

    @property
    def image(self) -> Path:
        """The kernel itself."""
        return self.folder / "boot" / f"vmlinuz-{self.release}"

    @property
    def modules(self) -> Path:
        """The folder of its modules."""
        return self.folder / "lib" / "modules" / self.release


def parse(packages: list[str]) -> list[Kernel]:
    """The kernels behind packages' names, each once, newest first."""
    found: dict[str, Kernel] = {}
    for package in sorted(packages):
        match = _PACKAGE.fullmatch(package)
        if match:
            found.setdefault(match[1], Kernel(match[1], package))
    return sorted(found.values(), key=lambda kernel: kernel.version, reverse=True)


def offered() -> list[Kernel]:
    """What apt offers here, newest first; raises UnavailableError if that is nothing."""
    if platform.machine() != "x86_64":
        raise UnavailableError("the kernels are those of x86-64")
    try:
        found = parse(debian_packages.search(_PATTERN))
        if not found and debian_packages.update():
            found = parse(debian_packages.search(_PATTERN))
    except debian_packages.NoPackageError as error:
        raise UnavailableError(str(error)) from error
    if not found:
        raise UnavailableError("apt-cache knows no linux-image-*-cloud-amd64")
    return found


def newest(kernels: list[Kernel]) -> list[Kernel]:
    """The newest of every series."""
    first: dict[str, Kernel] = {}
    for kernel in kernels:
        first.setdefault(kernel.series, kernel)
    return list(first.values())


def choose(names: list[str], kernels: list[Kernel]) -> list[Kernel]:
    """For each name the newest that begins so, whole numbers; raises UnavailableError."""
    chosen = []
    for name in names:
        fits = [
            kernel for kernel in kernels if re.match(re.escape(name) + r"(?!\d)", kernel.release)
        ]
        if not fits:
            raise UnavailableError(f"{name}: no such kernel; --list tells what there is")
        chosen.append(fits[0])
    return list(dict.fromkeys(chosen))


def output_log(kernel: Kernel | None) -> Path:
    """Where what the jobs say is kept while they say it; None is the host's."""
    BUILD.mkdir(parents=True, exist_ok=True)
    return BUILD / f"{HOST if kernel is None else kernel.release}.log"


def fetch(kernel: Kernel) -> None:
    """Unpack a kernel under build/kernels unless it is there."""
    _fetch_package(kernel.package, kernel.folder)


def fetch_busybox() -> Path:
    """The program that is everything in a guest before it has a root file system."""
    folder = BUILD / "busybox"
    _fetch_package("busybox-static", folder)
    return folder / "bin" / "busybox"


def _fetch_package(package: str, folder: Path) -> None:
    stamp = folder / "unpacked.stamp"
    if stamp.exists() and stamp.read_text() == package:
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        debian_packages.unpack(package, folder)
    except debian_packages.NoPackageError as error:
        raise UnavailableError(str(error)) from error
    stamp.write_text(package)
