"""The package as a wheel, built once: every Python gets the same file."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# What a wheel is made from.
_SOURCES = ("meson.build", "meson_options.txt", "include", "lib", "bindings/python")
_NOT_SOURCES = {"tests", "build", "dist", "__pycache__"}


def _source_files() -> list[Path]:
    files = []
    for source in _SOURCES:
        path = ROOT / source
        for file in [path] if path.is_file() else sorted(path.rglob("*")):
            parts = file.relative_to(ROOT).parts
            hidden = any(part.startswith(".") or part.endswith(".egg-info") for part in parts)
            if file.is_file() and not hidden and _NOT_SOURCES.isdisjoint(parts):
                files.append(file)
    return files


def _sources_hash() -> str:
    """Hash names and contents of everything that the wheel is made from."""
    digest = hashlib.sha256(str(ROOT).encode())
    for file in _source_files():
        digest.update(f"\n{file.relative_to(ROOT)}\n".encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()


def build_wheel() -> Path:
    """Build the wheel with this Python, if a source has changed, and return the file.

    Meant to be called by a tool that runs in .venv, which holds what building needs.
    """
    folder = ROOT / "build" / "pythons" / "wheel"
    stamp = folder / "sources.stamp"
    key = _sources_hash()
    wheels = list(folder.glob("*.whl"))
    if len(wheels) == 1 and stamp.is_file() and stamp.read_text() == key:
        return wheels[0]
    stamp.unlink(missing_ok=True)
    for old in wheels:
        old.unlink()
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check"]
    command += ["--no-build-isolation", "--no-deps", "--wheel-dir", str(folder)]
    subprocess.run([*command, str(ROOT / "bindings" / "python")], check=True)
    (wheel,) = folder.glob("*.whl")
    stamp.write_text(key)
    return wheel
