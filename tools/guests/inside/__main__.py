"""``python -m guests.inside JOBS REPORT``: run the jobs of a file one after the other.

A message is a line of JSON: which job begins, what it says, how it ended. REPORT is a pipe, or a
port of the emulated machine.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO, Any

LOOK_SECONDS = 1.0
OUTPUT_BYTES_MAX = 200_000


def _wait(pid: int, seconds: float, log: Path, report: IO[str]) -> bool:
    """Whether it has ended in time; tells now and then what it says.

    It is not reaped: until then nobody else's process group can have its number.
    """
    deadline = time.monotonic() + seconds
    pidfd = os.pidfd_open(pid)
    try:
        with log.open(encoding="utf-8", errors="replace") as said:
            while (left := deadline - time.monotonic()) > 0:
                if select.select([pidfd], [], [], min(left, LOOK_SECONDS))[0]:
                    return True
                if text := said.read(OUTPUT_BYTES_MAX):
                    _tell(report, says=text)
        return False
    finally:
        os.close(pidfd)


def _tell(report: IO[str], /, **message: Any) -> None:
    report.write(json.dumps(message) + "\n")
    report.flush()


def _output(log: Path) -> str:
    text = log.read_bytes()
    if len(text) > OUTPUT_BYTES_MAX:
        text = b"[...]\n" + text[-OUTPUT_BYTES_MAX:]
    return text.decode(errors="replace")


def run(job: dict[str, Any], report: IO[str]) -> None:
    """Run one job in a session and a folder of its own, and kill what it leaves behind."""
    _tell(report, begin=job["name"])
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="uc-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        log, files = folder / "log", folder / "report"
        command = [word.replace("{report}", str(files)) for word in job["command"]]
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                cwd=job["folder"],
                env={**os.environ, **job["environment"]},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        try:
            in_time = _wait(process.pid, job["seconds"], log, report)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            status = process.wait()
        _tell(
            report,
            end=job["name"],
            status=status if in_time else None,
            seconds=round(time.monotonic() - started, 1),
            output=_output(log),
            report=files.read_text(errors="replace") if files.is_file() else "",
        )


def main() -> None:
    """Do what the file of jobs asks for."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # the running job ends first
    jobs = json.loads(Path(sys.argv[1]).read_text())
    with open(sys.argv[2], "w", encoding="utf-8") as report:
        _tell(report, kernel=" ".join(os.uname()[index] for index in (2, 3)))
        for job in jobs:
            run(job, report)


if __name__ == "__main__":
    main()
