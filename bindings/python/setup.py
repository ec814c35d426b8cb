"""Build uringcore-cffi: pure Python, plus libuc.so.0 inside the package.

The wheel fits every Python 3 on the same kind of system, so its tag is py3-none-PLATFORM, where
PLATFORM follows from what libuc.so.0 really needs. With URINGCORE_SYSTEM_LIBUC=1 the wheel
carries no library and is py3-none-any; the package then loads the system's libuc.
Everything that does not need code stands in pyproject.toml.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from setuptools import Distribution, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build import build
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

HERE = Path(__file__).resolve().parent
PACKAGE = "uringcore_cffi"
LIBRARY = "libuc.so.0"
# What an sdist carries of libuc: enough to build the library without tests, examples and tools.
LIBUC_PARTS = ("LICENSE", "meson.build", "meson_options.txt", "include", "lib")
LIBUC_OPTIONS = ("-Dtests=false", "-Dexamples=false", "-Dtools=false", "-Ddocs=false")
# The libraries that every manylinux system has and libuc may need.
MANYLINUX_LIBRARIES = {"libc.so.6", "libpthread.so.0", "libdl.so.2", "librt.so.1"}
# Installers know no older manylinux on most kinds of processor.
OLDEST_GLIBC = (2, 17)


def fail(message: str) -> SystemExit:
    """Make the exception that ends the build with one line instead of a traceback."""
    return SystemExit(f"uringcore-cffi: {message}")


def use_system_libuc() -> bool:
    """Tell whether the wheel shall carry no library."""
    return os.environ.get("URINGCORE_SYSTEM_LIBUC", "") not in ("", "0")


def libuc_root() -> Path:
    """Find libuc's source tree: a subfolder in an sdist, the whole repository around us else."""
    for root in (HERE / "libuc", HERE.parent.parent):
        if (root / "meson.build").is_file():
            return root
    raise fail("libuc's sources are missing; build from the repository or from the sdist")


def read_version() -> str:
    """Read the one version number from the top meson.build."""
    text = (libuc_root() / "meson.build").read_text(encoding="utf-8")
    match = re.search(r"^\s*version\s*:\s*'([^']+)'", text, re.MULTILINE)
    if match is None:
        raise fail("no project version in libuc's meson.build")
    return match[1]


def check_compiler() -> None:
    """Refuse early, in words, when libuc cannot be built here."""
    command = shlex.split(os.environ.get("CC", "")) or [
        next((name for name in ("cc", "gcc", "clang") if shutil.which(name)), "cc")
    ]
    hint = "(or set URINGCORE_SYSTEM_LIBUC=1 to use an installed libuc)"
    if shutil.which(command[0]) is None:
        raise fail(f"no C compiler {command[0]!r}: install gcc {hint}")
    probe = [*command, "-E", "-x", "c", "-"]
    source = b"#include <liburing.h>\n"
    if subprocess.run(probe, input=source, capture_output=True, check=False).returncode != 0:
        raise fail(f"no liburing headers: install liburing-dev or liburing-devel {hint}")


def run_meson(*arguments: str) -> None:
    """Run meson, and say its own error line when it fails."""
    # The scripts folder holds ninja, also when the environment was not activated.
    path = os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", os.defpath)])
    done = subprocess.run(
        [sys.executable, "-m", "mesonbuild.mesonmain", *arguments],
        env={**os.environ, "PATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode != 0:
        errors = [line for line in done.stdout.splitlines() if "error:" in line.lower()]
        if not errors:
            print(done.stdout, file=sys.stderr)
        reason = errors[0] if errors else f"meson {arguments[0]} ended with {done.returncode}"
        raise fail(f"libuc does not build: {reason}")


def build_libuc(target: Path) -> None:
    """Build libuc in a folder of its own and put the library at `target`."""
    check_compiler()
    with tempfile.TemporaryDirectory(prefix="libuc-") as work:
        built, installed = Path(work, "build"), Path(work, "installed")
        run_meson(
            "setup",
            str(built),
            str(libuc_root()),
            "--buildtype=release",
            "--prefix=/usr",
            "--libdir=lib",
            *LIBUC_OPTIONS,
        )
        run_meson("compile", "-C", str(built))
        run_meson("install", "-C", str(built), "--strip", "--quiet", "--destdir", str(installed))
        # copyfile follows the link libuc.so.0 -> libuc.so.0.x.y, which a wheel could not hold
        shutil.copyfile(installed / "usr" / "lib" / LIBRARY, target)


def platform_tag(library: Path) -> str:
    """Tell from what the library needs which systems the wheel fits."""
    arch = sysconfig.get_platform().partition("-")[2].replace("-", "_").replace(".", "_")
    plain = f"linux_{arch}"
    try:
        dump = subprocess.run(
            ["objdump", "-p", str(library)], capture_output=True, text=True, check=True
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return plain
    needed = set(re.findall(r"^\s*NEEDED\s+(\S+)", dump, re.MULTILINE))
    versions = [(int(a), int(b)) for a, b in re.findall(r"\bGLIBC_(\d+)\.(\d+)", dump)]
    if "GLIBC_ABI_DT_RELR" in dump:  # packed relocations, which older loaders do not know
        versions.append((2, 36))
    loaders = {name for name in needed if name.startswith("ld-linux")}
    if not versions or needed - loaders - MANYLINUX_LIBRARIES:
        return plain
    major, minor = max(*versions, OLDEST_GLIBC)
    return f"manylinux_{major}_{minor}_{arch}"


class DistributionWithLibrary(Distribution):
    """Count as bound to a platform, though no part is compiled against Python."""

    def has_ext_modules(self) -> bool:
        return not use_system_libuc()


class FreshBuild(build):
    """Build in a new folder: a kept one would hand deleted modules to the next wheel."""

    def initialize_options(self) -> None:
        super().initialize_options()
        self._folder = tempfile.TemporaryDirectory(prefix="uringcore-")
        self.build_base = self._folder.name


class BuildWithLibuc(build_py):
    """Put libuc.so.0 beside the modules (in the source tree for an editable install)."""

    def run(self) -> None:
        super().run()
        if use_system_libuc():
            return
        folder = Path("src" if self.editable_mode else self.build_lib, PACKAGE)
        folder.mkdir(parents=True, exist_ok=True)
        build_libuc(folder / LIBRARY)


class PlatformWheel(bdist_wheel):
    """Tag the wheel for every Python 3 on the systems that its library fits."""

    def get_tag(self) -> tuple[str, str, str]:
        if use_system_libuc():
            return ("py3", "none", "any")
        library = Path(self.get_finalized_command("build").build_lib, PACKAGE, LIBRARY)
        return ("py3", "none", platform_tag(library))


class SdistWithLibuc(sdist):
    """Carry libuc's sources in the subfolder libuc/."""

    def make_release_tree(self, base_dir: str, files: list[str]) -> None:
        super().make_release_tree(base_dir, files)
        root, target = libuc_root(), Path(base_dir, "libuc")
        target.mkdir(exist_ok=True)
        for part in LIBUC_PARTS:
            if (root / part).is_dir():
                shutil.copytree(root / part, target / part, dirs_exist_ok=True)
            elif (root / part).is_file():
                shutil.copyfile(root / part, target / part)


setup(
    version=read_version(),
    distclass=DistributionWithLibrary,
    cmdclass={
        "build": FreshBuild,
        "build_py": BuildWithLibuc,
        "bdist_wheel": PlatformWheel,
        "sdist": SdistWithLibuc,
    },
)
