"""Runs the program that touches every public name, with the names of the version script."""

from __future__ import annotations

import sys
from pathlib import Path

from abi_common import names_in_map, run

if __name__ == "__main__":
    print(run(sys.argv[1], *sorted(names_in_map(Path(sys.argv[2])))))
