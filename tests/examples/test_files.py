"""What docs/howto/files.md shows runs, and examples/python/checksums.py sums up what is there."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "howto" / "files.md"
SECONDS = 30


def run(*arguments, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run Python there, with the package that the tests have."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.run(
        [sys.executable, "-W", "error", *map(str, arguments)],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False,
    )  # fmt: skip


def programs() -> list[str]:
    """The page's blocks of Python, in order."""
    return re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("number", range(len(programs())))
def test_a_program_of_the_page_runs_as_it_stands(tmp_path, number):
    (tmp_path / "log").write_text("one\ntwo\n")
    (tmp_path / "data").write_bytes(os.urandom(1 << 20))
    (tmp_path / "program.py").write_text(programs()[number])
    done = run("program.py", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


def test_the_page_has_programs():
    assert len(programs()) >= 4


def test_checksums_are_those_of_the_files(tmp_path):
    folder = tmp_path / "folder"
    (folder / "deep" / "er").mkdir(parents=True)
    contents = {"empty": b"", "deep/odd": os.urandom(1_000_003), "deep/er/x": b"x"}
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    (folder / "link").symlink_to("empty")
    (folder / "round").symlink_to(folder)
    report = tmp_path / "report"
    done = run(ROOT / "examples" / "python" / "checksums.py", folder, report, folder=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "3 files\n", "")
    told = dict(line.split("  ")[::-1] for line in report.read_text().splitlines())
    assert told == {
        str(folder / name): hashlib.sha256(content).hexdigest()
        for name, content in contents.items()
    }
    assert not (tmp_path / "report.new").exists()


def test_checksums_of_nothing_say_how_it_is_used(tmp_path):
    done = run(ROOT / "examples" / "python" / "checksums.py", folder=tmp_path)
    assert done.returncode == 1
    assert "checksums.py FOLDER REPORT" in done.stderr
