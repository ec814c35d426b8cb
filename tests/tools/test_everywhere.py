"""tools/everywhere adds up what the suites tell, also of one that tells nothing."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

EVERYWHERE = Path(__file__).resolve().parents[2] / "tools" / "everywhere"
SUITE = """#!/bin/sh
echo "3 passed, 0 failed, 1 skipped"
"""


@pytest.fixture
def tools(tmp_path):
    """A tree with two suites that pass."""
    folder = tmp_path / "tools"
    folder.mkdir()
    shutil.copy(EVERYWHERE, folder)
    for name in ("test", "conformance"):
        (folder / name).write_text(SUITE)
        (folder / name).chmod(0o755)
    return folder


def run(tools, *words):
    """The exit status, and the last line."""
    done = subprocess.run(
        [tools / "everywhere", *words], capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, done.stdout.splitlines()[-1]


def test_the_sum_of_all_ways_is_the_last_line(tools):
    assert run(tools, "uring", "epoll") == (0, "18 passed, 0 failed, 6 skipped")


def test_a_suite_that_ends_without_a_sum_has_failed(tools):
    (tools / "test").write_text("#!/bin/sh\nexit 1\n")
    assert run(tools, "uring") == (1, "3 passed, 2 failed, 1 skipped")
