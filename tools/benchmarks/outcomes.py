"""What became of each loop that ``tools/bench --install-peers`` tried to get.

Kept beside the environment's packages, so that a run can say why somebody is missing.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from benchmarks.loops import COMMON, KNOWN

NOT_TRIED = "not installed (tools/bench --install-peers)"
OTHER_PYTHON = "there is none for this Python"
_FILE = "peers.json"


def write_reasons(environment: Path, reasons: Mapping[str, str]) -> None:
    """Notes why some loops cannot be used in an environment."""
    (environment / _FILE).write_text(json.dumps(reasons, indent=1))


def read_reasons(environment: Path) -> dict[str, str]:
    """Name of a loop -> why it cannot be used; empty where nothing was installed."""
    try:
        return dict(json.loads((environment / _FILE).read_text()))
    except FileNotFoundError:
        return {}


def obstacle(loop: str) -> str | None:
    """Why a loop cannot be used in this environment, or None."""
    reason = None if loop in COMMON else read_reasons(Path(sys.prefix)).get(loop)
    if reason is None and not KNOWN[loop].installed:
        reason = NOT_TRIED
    return reason


def why(output: str) -> str:
    """The line of pip's or Python's output that says most about a failure."""
    wanted = re.findall(r"Requires-Python ([^;\s]+)", output)
    if wanted:
        return f"{OTHER_PYTHON}: needs {wanted[-1]}"
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    for sign in ("ERROR: No matching", "error:", "Error:", "ERROR:"):
        said = [line for line in lines if sign in line and "subprocess-exited" not in line]
        if said:
            return said[-1].removeprefix("ERROR: ")[:200]
    return lines[-1][:200] if lines else "it said nothing"
