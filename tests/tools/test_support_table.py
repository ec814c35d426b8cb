"""The README's table of the loop's methods says what is so."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

GEN_SUPPORT = Path(__file__).resolve().parents[2] / "tools" / "dev" / "gen-support"


def test_every_method_of_asyncio_has_a_true_row_in_the_readme():
    """Whoever adds a method, or a Python that has a new one, runs tools/dev/gen-support."""
    subprocess.run([sys.executable, GEN_SUPPORT, "--check"], check=True, timeout=60)
