"""``python -m benchmarks.report FILE... --output PAGE``: a page of what ``--json`` has written."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from benchmarks.report.page import write_page


def main() -> None:
    """Reads the documents, writes the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description=__doc__)
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--output", type=Path, required=True, metavar="PAGE")
    options = parser.parse_args()
    documents = [json.loads(file.read_text()) for file in options.files]
    write_page(documents, options.output)


main()
