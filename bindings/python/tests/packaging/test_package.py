"""The package as it is shipped: names, types, metadata, and no need of a compiler."""

from __future__ import annotations

import email
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import uringcore_cffi
from uringcore_cffi._ffi import library

BINDING = Path(__file__).resolve().parents[2]
ROOT = BINDING.parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Build a wheel from a copy of the sources, without a library so that no compiler is needed."""
    setuptools = pytest.importorskip("setuptools")
    if int(setuptools.__version__.split(".")[0]) < 77:
        pytest.skip("building needs setuptools 77")
    folder = tmp_path_factory.mktemp("wheel")
    copy = folder / "tree" / "bindings" / "python"
    ignore = shutil.ignore_patterns("tests", "build", "*.egg-info", "__pycache__", "*.so*", ".*")
    shutil.copytree(BINDING, copy, ignore=ignore)
    shutil.copy(ROOT / "meson.build", folder / "tree")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run(
        [*command, "--no-build-isolation", "--no-deps", "-w", folder, copy],
        env={**os.environ, "URINGCORE_SYSTEM_LIBUC": "1", "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def unpacked(wheel, tmp_path_factory):
    """Unpack the wheel as an installer would."""
    folder = tmp_path_factory.mktemp("unpacked")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture(scope="module")
def metadata(unpacked):
    """Read the wheel's METADATA."""
    (path,) = unpacked.glob("*.dist-info/METADATA")
    return email.message_from_string(path.read_text(encoding="utf-8"))


def test_all_is_sorted_and_importable():
    """Every name of __all__ exists, none is missing from it, and they stand in order."""
    names = uringcore_cffi.__all__
    assert list(names) == sorted(names)
    for name in names:
        assert getattr(uringcore_cffi, name).__module__.startswith("uringcore_cffi.")
    public = {
        name
        for name, value in vars(uringcore_cffi).items()
        if not name.startswith("_") and isinstance(getattr(value, "__module__", None), str)
    }
    assert public - {"annotations"} == set(names)


def test_everything_public_is_documented():
    """Names, methods and modules have a docstring."""
    for name in uringcore_cffi.__all__:
        thing = getattr(uringcore_cffi, name)
        assert thing.__doc__, name
        for member, value in vars(thing).items() if isinstance(thing, type) else ():
            if callable(value) and not member.startswith("_"):
                assert value.__doc__, f"{name}.{member}"


def test_a_name_that_is_not_there_is_an_attribute_error():
    """__getattr__ answers for __version__ and for what is imported late."""
    with pytest.raises(AttributeError, match="no_such_name"):
        uringcore_cffi.no_such_name  # noqa: B018


def test_the_version_is_the_c_librarys(metadata):
    """One number: meson.build, libuc, the wheel, and what is installed."""
    text = (ROOT / "meson.build").read_text(encoding="utf-8")
    version = re.search(r"^\s*version: '([^']+)'", text, re.MULTILINE)[1]
    assert library.library_version() == version
    assert metadata["Version"] == version
    try:
        importlib.metadata.version("uringcore-cffi")
    except importlib.metadata.PackageNotFoundError:
        return
    assert uringcore_cffi.__version__ == version


def test_the_metadata_says_what_it_is(metadata):
    """Name, summary, licence, Python, the one dependency, and the README as description."""
    assert metadata["Name"] == "uringcore-cffi"
    assert "asyncio" in metadata["Summary"]
    assert metadata["License-Expression"] == "MIT"
    assert metadata["License-File"] == "LICENSE"
    assert metadata["Requires-Python"] == ">=3.9"
    assert metadata.get_all("Requires-Dist") == ["cffi>=1.15"]
    assert "Typing :: Typed" in metadata.get_all("Classifier")
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert metadata.get_payload().startswith("# uringcore-cffi")


def test_a_wheel_without_library_fits_every_platform(wheel):
    """py3-none-any: there is no compiled part."""
    assert wheel.name.endswith("-py3-none-any.whl")


def test_the_wheel_carries_every_module_and_the_types(unpacked):
    """Each source file, py.typed and cdef.h; and nothing else."""
    source = BINDING / "src" / "uringcore_cffi"
    expected = {
        str(path.relative_to(source))
        for path in source.rglob("*")
        if path.suffix in (".py", ".h") or path.name == "py.typed"
    }
    package = unpacked / "uringcore_cffi"
    found = {str(path.relative_to(package)) for path in package.rglob("*") if path.is_file()}
    assert found == expected
    assert {"py.typed", "_ffi/cdef.h", "_ffi/_generated.py"} <= found


def test_the_import_needs_no_compiler(unpacked):
    """With an empty PATH the unpacked wheel imports, tells its version and runs a coroutine."""
    program = (
        "import asyncio, uringcore_cffi; "
        "print(uringcore_cffi.__file__, uringcore_cffi.__version__); "
        "uringcore_cffi.run(asyncio.sleep(0))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": str(unpacked), "UC_LIBRARY": library.LIBRARY_NAME, "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    path, version = done.stdout.split()
    assert path.startswith(str(unpacked))
    assert version == library.library_version()


def test_the_import_is_light(run_python):
    """What only few programs need is not imported: no compiler, no parser, no TLS set-up."""
    program = "import sys, uringcore_cffi; print(*sorted(sys.modules))"
    loaded = set(run_python("-c", program).stdout.split())
    assert "uringcore_cffi" in loaded
    assert loaded.isdisjoint({"cffi", "pycparser", "setuptools", "distutils", "importlib.metadata"})
    assert "uringcore_cffi.lowlevel" not in loaded
