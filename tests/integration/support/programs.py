"""Programs that tests start: output that can be waited for, and an end that leaves nothing."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import threading
import time


def free_port() -> int:
    """Return a port of the loopback address that was free a moment ago."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


class Program:
    """A process in a group of its own, whose output is read as it comes."""

    def __init__(self, *command, **options) -> None:
        self._text = ""
        self._more = threading.Condition()
        self._ended = False
        self._process = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            **options,
        )
        self.pid = self._process.pid
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while chunk := os.read(self._process.stdout.fileno(), 65536):
            with self._more:
                self._text += chunk.decode(errors="replace")
                self._more.notify_all()
        with self._more:
            self._ended = True
            self._more.notify_all()

    @property
    def output(self) -> str:
        """What it has written so far."""
        with self._more:
            return self._text

    def wait_for(self, pattern: str, *, count: int = 1, seconds: float = 30) -> re.Match[str]:
        """Wait until the output has ``count`` matches of a pattern; return the last of them."""
        deadline = time.monotonic() + seconds
        with self._more:
            while True:
                found = list(re.finditer(pattern, self._text))
                if len(found) >= count:
                    return found[count - 1]
                left = deadline - time.monotonic()
                assert left > 0, f"no {pattern!r} after {seconds} s in:\n{self._text}"
                assert not self._ended, f"ended without {pattern!r}:\n{self._text}"
                self._more.wait(left)

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the process, not to its group."""
        self._process.send_signal(number)

    def stop(self, number: signal.Signals = signal.SIGTERM, *, seconds: float = 30) -> int:
        """Ask it to end; return its status. All who share its output must end as well."""
        try:
            self.send(number)
            status = self._process.wait(seconds)
            self._reader.join(seconds)
            assert not self._reader.is_alive(), f"left processes behind:\n{self.output}"
            return status
        except subprocess.TimeoutExpired:
            raise AssertionError(f"did not end in {seconds} s:\n{self.output}") from None
        finally:
            self.kill()

    def kill(self) -> None:
        """End what is left of it, and of what it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()
        self._reader.join()
        self._process.stdout.close()
