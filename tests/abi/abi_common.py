"""What the checks of the binary interface share."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

SKIPPED = 77


def run(*command: str | Path, **options: object) -> str:
    """Run a command; on failure show what it said and end the test."""
    done = subprocess.run(
        [str(word) for word in command],
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **options,  # type: ignore[call-overload]
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(str(word) for word in command)}\n{done.stdout}")
    return str(done.stdout)


def names_in_map(path: Path) -> set[str]:
    text = re.sub(r"/\*.*?\*/", "", path.read_text(), flags=re.DOTALL)
    return set(re.findall(r"^\s*(\w+);", text, flags=re.MULTILINE))


def names_in_headers(folders: list[Path]) -> set[str]:
    names: set[str] = set()
    for folder in folders:
        for header in folder.glob("uc/*.h"):
            text = re.sub(r"/\*.*?\*/", "", header.read_text(), flags=re.DOTALL)
            text = re.sub(r"^\s*#.*$", "", text, flags=re.MULTILINE)
            names |= set(re.findall(r"UC_EXPORT\s[^;(]*?(\w+)\(", text))
    return names
