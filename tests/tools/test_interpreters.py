"""tools/interpreters: a file is taken for a Python when it says so itself."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from interpreters import Unusable, find_interpreters


@pytest.fixture(autouse=True)
def _only_what_the_test_makes(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))


def program(path: Path, text: str) -> None:
    """Make a program of the shell."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def answering(version: str, **others: str) -> str:
    """Write a program that answers the question as a Python does."""
    given = {"implementation": '"CPython"', "free_threaded": "false", "missing": "[]", **others}
    answer = {"version": version, "executable": '"/python"', "build": '"built"', **given}
    fields = ", ".join(f'"{name}": {value}' for name, value in answer.items())
    return f"echo '{{{fields}}}'"


def test_this_python_is_found(tmp_path):
    """Under its implementation and minor version, once, however many names it has."""
    for name in ("python3", f"python3.{sys.version_info[1]}"):
        (tmp_path / name).symlink_to(sys.executable)
    interpreters, unusable = find_interpreters()
    assert unusable == []
    assert [one.version for one in interpreters] == [sys.version_info[:3]]
    assert interpreters[0].name.endswith(f"{sys.version_info[0]}.{sys.version_info[1]}")


def test_they_come_in_the_order_of_their_versions(tmp_path):
    """And pyenv's are found without being on PATH, the newest of each minor version."""
    program(tmp_path / "python3.13", answering("[3, 13, 0]"))
    program(tmp_path / "pyenv/versions/3.9.2/bin/python3.9", answering("[3, 9, 2]"))
    program(tmp_path / "pyenv/versions/3.9.18/bin/python3.9", answering("[3, 9, 18]"))
    program(tmp_path / "pypy3", answering("[3, 9, 16]", implementation='"PyPy"'))
    interpreters, unusable = find_interpreters()
    names = [(one.name, one.version[2]) for one in interpreters]
    assert names == [("cpython3.9", 18), ("cpython3.13", 0), ("pypy3.9", 16)]
    assert unusable == []


def test_a_build_without_the_lock_is_another_interpreter(tmp_path):
    """It has a name and an environment of its own."""
    program(tmp_path / "python3.13", answering("[3, 13, 0]"))
    program(tmp_path / "python3.13t", answering("[3, 13, 0]", free_threaded="true"))
    interpreters, _ = find_interpreters()
    assert [one.name for one in interpreters] == ["cpython3.13", "cpython3.13t"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("echo 'not chosen' >&2; exit 127", "does not start: not chosen"),
        (answering("[3, 8, 18]"), "is too old for the package"),
        (answering("[3, 12, 1]", missing='["venv", "ssl"]'), "comes without venv, ssl"),
    ],
)
def test_what_is_no_use_is_told_with_the_reason(tmp_path, text, reason):
    """The file is named, so that its owner can repair it."""
    program(tmp_path / "python3.12", text)
    interpreters, unusable = find_interpreters()
    assert interpreters == []
    assert unusable == [Unusable(tmp_path / "python3.12", reason)]


def test_a_shim_that_fails_is_not_told_of_when_its_version_was_found(tmp_path):
    """pyenv puts one on PATH for every version that it has."""
    program(tmp_path / "python3.12", "exit 127")
    program(tmp_path / "pyenv/versions/3.12.1/bin/python3.12", answering("[3, 12, 1]"))
    interpreters, unusable = find_interpreters()
    assert [one.name for one in interpreters] == ["cpython3.12"]
    assert unusable == []
