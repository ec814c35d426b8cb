#!/usr/bin/env python3
"""Count test cases in meson's testlog.json and pytest's junit.xml files.

Prints one word per count, "PASSED FAILED SKIPPED", and above it, on standard error, a line for
each C case that was skipped (pytest prints its own). meson knows programs only, so the cases are
read from what cmocka printed; a program that printed no cases counts as one, and one that failed
without a failed case (a crash, a leak found at exit, a time-out) adds one failure.
"""

from __future__ import annotations

import json
import re
import sys
import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path

# "ERROR" is a set-up that failed; "ERROR --- text" explains a failed case, "FAILED 3 test(s)" sums
# up: neither matches
CASE = re.compile(r"^\[ +(OK|FAILED|SKIPPED|ERROR) +\] (?!---|\d+ test)(\S.*?)\s*$", re.MULTILINE)
STATUS = {"OK": "passed", "FAILED": "failed", "ERROR": "failed", "SKIPPED": "skipped"}
PROGRAM_RESULT = {
    "OK": "passed",
    "EXPECTEDFAIL": "passed",
    "SKIP": "skipped",
}


def last_line(text: str) -> str:
    """Find what a test said last: by habit, why it skips."""
    return (text.strip().splitlines() or ["no reason given"])[-1].strip()


def count_program(record: dict[str, object]) -> Counter[str]:
    """Count the cases of one program that meson ran."""
    counts: Counter[str] = Counter()
    result = PROGRAM_RESULT.get(str(record["result"]), "failed")
    # which stream a line goes to depends on cmocka's version
    out = f"{record.get('stdout', '')}\n{record.get('stderr', '')}"
    cases = CASE.findall(out)
    counts["passed"] = sum(status == "OK" for status, _ in cases)
    # cmocka repeats failed and skipped cases below its summary: count a name once
    for status, case in sorted({(STATUS[status], case) for status, case in cases}):
        if status != "passed":
            counts[status] += 1
        if status == "skipped":
            said = out.partition(f"[ RUN      ] {case}\n")[2].partition("[  SKIPPED ]")[0]
            print(f"skipped: {record['name']}: {case}: {last_line(said)}", file=sys.stderr)
    if result == "failed" and counts["failed"] == 0:
        counts["failed"] += 1
    if not any(counts.values()):
        counts[result] += 1
        if result == "skipped":
            print(f"skipped: {record['name']}: {last_line(out)}", file=sys.stderr)
    return counts


def count_meson(path: Path) -> Counter[str]:
    """Count the cases in a testlog.json: one JSON object a line."""
    return sum(
        (count_program(json.loads(line)) for line in path.read_text().splitlines()), Counter()
    )


def count_junit(path: Path) -> Counter[str]:
    """Count the cases in pytest's junit.xml; an error in set-up or collection is a failure."""
    counts: Counter[str] = Counter()
    for suite in ET.parse(path).getroot().iter("testsuite"):
        total, failures, errors, skipped = (
            int(suite.get(name, "0")) for name in ("tests", "failures", "errors", "skipped")
        )
        counts["failed"] += failures + errors
        counts["skipped"] += skipped
        counts["passed"] += max(0, total - failures - errors - skipped)
    return counts


def main() -> None:
    """Sum the files named on the command line."""
    counts: Counter[str] = Counter()
    for path in map(Path, sys.argv[1:]):
        counts += count_junit(path) if path.suffix == ".xml" else count_meson(path)
    print(counts["passed"], counts["failed"], counts["skipped"])


if __name__ == "__main__":
    main()
