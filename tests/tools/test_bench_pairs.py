"""benchmarks.pairs: two servers at the same time, loaded in turn."""

from __future__ import annotations

import pytest

from benchmarks.pairs import WORKLOADS, command_of, compare
from benchmarks.processes import ROOT


def test_every_pair_has_a_ratio():
    """The pair that warms up is not counted."""
    ratios = compare(("uringcore", "asyncio"), WORKLOADS["1k-10"], 2, 0.1)
    assert len(ratios) == 2
    assert min(ratios) > 0


def test_a_side_can_have_options():
    """They reach the server as JSON."""
    assert command_of('uringcore{"busy_poll_us":100}', "protocol")[-2:] == [
        "--options",
        '{"busy_poll_us":100}',
    ]


def test_a_built_tree_runs_with_its_own_library():
    """Not with that of the environment."""
    command = command_of(str(ROOT), "protocol")
    assert f"UC_LIBRARY={ROOT / 'build' / 'lib' / 'libuc.so'}" in command
    assert str(ROOT / "bindings" / "python" / "src") in command


def test_what_is_neither_says_what_would_be():
    """A loop, or a folder with a build in it."""
    with pytest.raises(SystemExit, match="neither one of uringcore, uvloop, asyncio nor a folder"):
        command_of("nothing", "protocol")
