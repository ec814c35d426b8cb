"""Finding, opening and refusing libuc."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from uringcore_cffi._ffi import library

IMPORT = "import uringcore_cffi"


def refused(run_python, path) -> str:
    """Import the package with another library; return the last line of the traceback."""
    done = run_python("-c", IMPORT, variables={"UC_LIBRARY": str(path)})
    assert done.returncode == 1
    assert done.stdout == ""
    return done.stderr.strip().splitlines()[-1]


def test_a_library_that_is_not_there_is_named_with_the_ways_out(run_python, tmp_path):
    """The ImportError says which path was tried and what to do."""
    path = tmp_path / "libuc.so.0"
    message = refused(run_python, path)
    assert message.startswith("ImportError: uringcore_cffi cannot open libuc as")
    assert str(path) in message
    assert "UC_LIBRARY" in message
    assert "Reinstall" in message


def test_a_library_that_is_not_libuc_is_refused(run_python):
    """Something else under the given path is recognised by its missing uc_abi_version()."""
    assert refused(run_python, "libc.so.6") == (
        "ImportError: 'libc.so.6' is not libuc: it has no uc_abi_version()"
    )


def test_a_library_with_another_abi_is_refused_with_both_numbers(run_python, tmp_path):
    """The ImportError tells the library's version, its ABI and the ABI that is needed."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    source = tmp_path / "other.c"
    source.write_text(
        'const char *uc_version(void) { return "9.8.7"; }\n'
        "unsigned uc_abi_version(void) { return 4711; }\n"
    )
    path = tmp_path / "libother.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", path, source], check=True)
    message = refused(run_python, path)
    assert message.startswith("ImportError: ")
    assert "is libuc 9.8.7 with ABI 4711" in message
    assert f"needs ABI {library.lib.UC_ABI_VERSION}." in message


def test_the_variable_goes_before_everything_else(monkeypatch, tmp_path):
    """UC_LIBRARY wins, also when the package carries a library or the system's is asked for."""
    (tmp_path / "libuc.so.0").touch()
    monkeypatch.setattr(library, "__file__", str(tmp_path / "_ffi" / "library.py"))
    monkeypatch.setenv("URINGCORE_SYSTEM_LIBUC", "1")
    monkeypatch.setenv("UC_LIBRARY", "/some/where/libuc.so")
    assert library.find_library() == "/some/where/libuc.so"


@pytest.mark.parametrize(
    ("carried", "system", "found"),
    [(True, "", True), (True, "0", True), (True, "1", False), (False, "", False)],
)
def test_the_carried_library_goes_before_the_systems(monkeypatch, tmp_path, carried, system, found):
    """The wheel's own library is used unless there is none or the system's is asked for."""
    if carried:
        (tmp_path / "libuc.so.0").touch()
    monkeypatch.setattr(library, "__file__", str(tmp_path / "_ffi" / "library.py"))
    monkeypatch.setenv("URINGCORE_SYSTEM_LIBUC", system)
    monkeypatch.delenv("UC_LIBRARY", raising=False)
    expected = str(tmp_path / "libuc.so.0") if found else "libuc.so.0"
    assert library.find_library() == expected


def test_what_a_checker_sees_is_what_libuc_has():
    """Every name of UcLib exists in the opened library, functions and constants."""
    functions = [name for name in vars(library.UcLib) if name.startswith("uc_")]
    constants = [name for name in library.UcLib.__annotations__ if name.startswith("UC_")]
    assert len(functions) > 30
    assert len(constants) > 10
    for name in functions + constants:
        assert hasattr(library.lib, name), name
