"""Starting, pinning and stopping server processes."""

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
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 15.0
STOP_SECONDS = 5.0


class ServerError(Exception):
    """A server did not start, died, or did not answer; the text says which and why."""


@dataclass(frozen=True)
class Cpus:
    """Which CPU runs the server and which the load; None where there are not two to tell apart."""

    server: int | None
    load: int | None

    @classmethod
    def choose(cls) -> Cpus:
        """The first and the last CPU that this process may use."""
        allowed = sorted(os.sched_getaffinity(0))
        return cls(allowed[0], allowed[-1]) if len(allowed) > 1 else cls(None, None)


def pinned(command: Sequence[str], cpu: int | None) -> list[str]:
    """The command, to be run on one CPU only."""
    return list(command) if cpu is None else ["taskset", "-c", str(cpu), *command]


def python_command(module: str, *arguments: str) -> list[str]:
    """A module of tools/ in a process of its own, on this very interpreter."""
    return [sys.executable, "-m", module, *arguments]


def _python_path() -> str:
    """tools/ first, then what this process was given."""
    given = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    return os.pathsep.join(dict.fromkeys([str(ROOT / "tools"), *given]))


def environment() -> dict[str, str]:
    """The environment of every process started here: tools/ can be imported from."""
    return {**os.environ, "PYTHONPATH": _python_path(), "PYTHONUNBUFFERED": "1"}


class ServerProcess:
    """A running server; a context manager that stops it.

    ``first_line`` is what it printed when it was ready, ``last_words`` the JSON object that it
    printed at its end (the C servers do), or None.
    """

    def __init__(self, command: Sequence[str], cpu: int | None) -> None:
        """Starts the command and waits for its first line."""
        self.command = list(command)
        self.last_words: dict[str, Any] | None = None
        self._errors: IO[bytes] = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            pinned(command, cpu),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=environment(),
            cwd=ROOT,
        )
        self.pid = self._process.pid
        try:
            self.first_line = self._read_line(START_SECONDS)
        except BaseException:
            self.stop()
            raise

    @property
    def port(self) -> int:
        """The port of a server that says ``port N``."""
        word, _, number = self.first_line.partition(" ")
        if word != "port" or not number.strip().isdigit():
            raise ServerError(f"{self.name}: expected 'port N', got {self.first_line!r}")
        return int(number)

    @property
    def unix_path(self) -> str | None:
        """The socket of a server that says ``unix PATH``."""
        word, _, path = self.first_line.partition(" ")
        return path if word == "unix" else None

    @property
    def name(self) -> str:
        """The command as short as it can be told by, for messages."""
        if self.command[1:2] == ["-m"]:
            return " ".join(self.command[2:])
        return " ".join([Path(self.command[0]).name, *self.command[1:]])

    def ask(self, question: str, seconds: float = STOP_SECONDS) -> Any:
        """The answer of a Python server's control thread, which may take so long."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(question.encode() + b"\n")
            self._process.stdin.flush()
        except OSError as error:
            raise ServerError(f"{self.name} is dead: {self.complaint()}") from error
        line = self._read_line(seconds)
        try:
            reply = json.loads(line)
        except ValueError:
            raise ServerError(f"{self.name}: {question}: it answered {line!r}") from None
        if "error" in reply:
            raise ServerError(f"{self.name}: {question}: {reply['error']}")
        return reply["answer"]

    def resident_bytes(self) -> int:
        """Memory now in use; 0 when the process is gone."""
        try:
            pages = Path(f"/proc/{self.pid}/statm").read_text().split()[1]
        except (OSError, IndexError):
            return 0
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def require_alive(self, grace: float = 0.0) -> None:
        """Raises ServerError when it has ended, or does within ``grace`` seconds, and says why."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(grace)
            raise ServerError(f"{self.name} died: {self.complaint()}")

    def complaint(self) -> str:
        """The end of what it wrote on its standard error."""
        self._errors.seek(0)
        text = self._errors.read().decode(errors="replace").strip()
        status = self._process.poll()
        ending = "" if status is None else f" (exit status {status})"
        return (text[-2000:] or "it said nothing") + ending

    def stop(self) -> None:
        """Ends it: end of input for Python servers, SIGTERM for the others, SIGKILL at last."""
        process = self._process
        if process.poll() is None and self.command[1:2] != ["-m"]:
            process.send_signal(signal.SIGTERM)
        try:
            output, _ = process.communicate(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            output, _ = process.communicate()
        lines = output.decode(errors="replace").strip().splitlines()
        if lines and lines[-1].startswith("{"):
            self.last_words = json.loads(lines[-1])
        self._errors.close()

    def __enter__(self) -> ServerProcess:
        """Itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stops it."""
        self.stop()

    def _read_line(self, seconds: float) -> str:
        """One line of its output, read without buffering ahead."""
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        deadline = time.monotonic() + seconds
        line = bytearray()
        while not line.endswith(b"\n"):
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([descriptor], [], [], left)[0]:
                raise ServerError(f"{self.name}: silent for {seconds:.0f} s")
            byte = os.read(descriptor, 1)
            if not byte:
                self._process.wait(STOP_SECONDS)
                raise ServerError(f"{self.name} died: {self.complaint()}")
            line += byte
        return line.decode().strip()
