"""Runs uc-probe and checks what it prints: ``check_probe.py PROGRAM``."""

from __future__ import annotations

import ctypes
import errno
import json
import os
import platform
import struct
import subprocess
import sys
from typing import Any, Callable

VERDICTS = {"full": 0, "degraded": 1, "refused": 2}
IO_URING_SETUP = 425  # the same on every architecture but alpha
PR_SET_SECCOMP = 22
PR_SET_NO_NEW_PRIVS = 38


def check(is_true: object, message: str) -> None:
    """End with a message unless something holds."""
    if not is_true:
        raise SystemExit(f"check_probe: {message}")


def run(
    program: str, *arguments: str, first: Callable[[], None] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the program, ``first`` in its process."""
    return subprocess.run(
        [program, *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        preexec_fn=first,
    )


def probe(program: str, first: Callable[[], None] | None = None) -> dict[str, Any]:
    """Return what --json says; its verdict is the exit status."""
    result = run(program, "--json", first=first)
    found: dict[str, Any] = json.loads(result.stdout)
    check(result.returncode == VERDICTS[found["verdict"]], f"{result.returncode}: {found}")
    check(not result.stderr, result.stderr)
    return found


def refuse_io_uring() -> None:
    """Set up a seccomp filter that answers io_uring_setup() with EPERM, as containers do."""
    libc = ctypes.CDLL(None, use_errno=True)
    program = b"".join(
        struct.pack("=HBBI", *instruction)
        for instruction in (
            (0x20, 0, 0, 0),  # load the number of the system call
            (0x15, 0, 1, IO_URING_SETUP),  # if it is another one, skip the next
            (0x06, 0, 0, 0x00050000 | errno.EPERM),
            (0x06, 0, 0, 0x7FFF0000),  # allow
        )
    )
    buffer = ctypes.create_string_buffer(program, len(program))
    head = struct.pack("@HP", 4, ctypes.addressof(buffer))
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(PR_SET_SECCOMP, 2, head, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")


def check_found(found: dict[str, Any]) -> None:
    """What is said agrees with itself and with the kernel."""
    check(platform.release().startswith(f"{found['kernel']}."), f"kernel {found['kernel']}")
    features = {feature["name"]: feature for feature in found["features"]}
    check(len(features) == len(found["features"]) >= 11, "features")
    check(all(feature["since"] for feature in features.values()), "a feature without its kernel")
    if found["verdict"] == "refused":
        check(found["error"] and found["reason"] and found["ring"] is None, str(found))
        check(not any(feature["works"] for feature in features.values()), "refused, but works")
        return
    check(found["io_uring"] and found["error"] is None, str(found))
    for name in found["ring"]["features"]:
        check(features[name]["works"], f"{name} is used but does not work")
    missing = [f for f in features.values() if f["use"] == "always" and not f["works"]]
    halved = found["ring"]["halvings"]
    check((found["verdict"] == "full") == (not missing and not halved), str(missing))


def check_text(program: str, found: dict[str, Any]) -> None:
    """The form for people has the same content."""
    result = run(program)
    check(result.returncode == VERDICTS[found["verdict"]], "another verdict without --json")
    lines = result.stdout.splitlines()
    check(all(len(line) <= 240 for line in lines), "a long line")
    check(f"kernel    {found['kernel']}" in lines, "no kernel")
    for feature in found["features"]:
        check(
            any(
                line.split()[:3:2] == [feature["name"], "yes" if feature["works"] else "no"]
                for line in lines
            ),
            f"no line for {feature['name']}",
        )


def check_refused(program: str) -> None:
    """A refusal is told, and which knob refuses."""
    refused = probe(program, refuse_io_uring)
    check(refused["verdict"] == "refused", str(refused))
    check(refused["error"] == "EPERM", str(refused))
    if not refused["sysctl_io_uring_disabled"]:
        check("seccomp" in refused["reason"], refused["reason"])
    check_found(refused)
    result = run(program, first=refuse_io_uring)
    check(result.returncode == 2, f"exit status {result.returncode}")
    check(f"io_uring  no, EPERM: {refused['reason']}" in result.stdout, result.stdout)


def main() -> None:
    """Check the program that the command line names."""
    program = sys.argv[1]
    help_text = run(program, "--help")
    check(help_text.returncode == 0 and "--json" in help_text.stdout, "--help")
    check(run(program, "--nonsense").returncode == 64, "an unknown argument is accepted")
    found = probe(program)
    if os.environ.get("UC_REQUIRE_IO_URING"):
        check(found["io_uring"], found["reason"])
    check_found(found)
    check_text(program, found)
    check_refused(program)


if __name__ == "__main__":
    main()
