"""The load generator wrk, with a look at every response."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from servers import need_program

SCRIPT = Path(__file__).with_name("check_responses.lua")


@dataclass(frozen=True)
class Load:
    """What a run has seen."""

    responses: int
    wrong: int
    errors: int


def load(url: str, body: str, *, connections: int = 32, seconds: int = 3) -> Load:
    """Ask for ``url`` on many connections; compare every response's body with ``body``."""
    done = subprocess.run(
        [need_program("wrk"), "-t1", f"-c{connections}", f"-d{seconds}s", "-s", SCRIPT, url, body],
        capture_output=True,
        text=True,
        timeout=seconds + 30,
        check=False,
    )
    found = re.search(r"responses=(\d+) wrong=(\d+) errors=(\d+)", done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    assert found is not None, done.stdout + done.stderr
    return Load(*map(int, found.groups()))
