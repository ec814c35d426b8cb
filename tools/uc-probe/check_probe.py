"""Runs uc-probe and checks what it prints: ``check_probe.py PROGRAM PAGE``."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "bindings/python/tests/support"))
from filters import kill_on_io_uring, refuse_io_uring

VERDICTS = {"full": 0, "degraded": 1, "none": 2}


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


def check_found(found: dict[str, Any]) -> None:
    """What is said agrees with itself and with the kernel."""
    check(platform.release() == found["kernel"], f"kernel {found['kernel']}")
    check(found["io_uring"] == (found["error"] is None), str(found))
    check((found["verdict"] == "full") == (not found["reason"]), str(found))
    check((found["verdict"] == "full") == (not found["change"]), str(found))
    check((found["verdict"] == "none") == (found["ring"] is None), str(found))
    features = {feature["name"]: feature for feature in found["features"]}
    check(len(features) == len(found["features"]) >= 11, "features")
    if not found["io_uring"]:
        check(not any(feature["works"] for feature in features.values()), "refused, but works")
    if found["ring"] is None or found["ring"]["backend"] != "uring":
        check(found["verdict"] != "full", str(found))
        return
    for name in found["ring"]["features"]:
        check(features[name]["works"], f"{name} is used but does not work")
    used = set(found["ring"]["features"])
    unused = [f for f in features.values() if f["use"] == "always" and f["name"] not in used]
    halved = found["ring"]["halvings"]
    check((found["verdict"] == "full") == (not unused and not halved), str(unused))


def check_page(page: str, help_text: str) -> None:
    """The manual page has every option, variable and exit status that the usage has."""
    text = Path(page).read_text(encoding="utf-8").replace("\\-", "-")
    words = set(re.findall(r"--[a-z]+|\b[A-Z]{2,}_[A-Z]+\b", help_text)) - {"--help"}
    check({"--json", "UC_BACKEND", "UC_DISABLE", "NO_COLOR"} <= words, str(words))
    for word in words:
        check(word in text, f"the page has no {word}")
    for status in (*VERDICTS.values(), 64):
        check(f".TP\n.B {status}\n" in text, f"the page has no exit status {status}")


def check_text(program: str, found: dict[str, Any]) -> None:
    """The form for people has the same content."""
    result = run(program)
    check(result.returncode == VERDICTS[found["verdict"]], "another verdict without --json")
    lines = result.stdout.splitlines()
    check(all(len(line) <= 280 for line in lines), "a long line")
    check(f"kernel    {found['kernel']}" in lines, "no kernel")
    for change in found["change"]:
        check(f"  {change['where']}: {change['what']}" in lines, str(change))
    for feature in found["features"]:
        check(
            any(line.split()[:2] == [feature["name"], feature["since"]] for line in lines),
            f"no line for {feature['name']}",
        )


def check_refused(program: str) -> None:
    """A refusal leads to epoll and is told, and which knob refuses."""
    refused = probe(program, refuse_io_uring)
    check(refused["verdict"] == "degraded", str(refused))
    check(refused["error"] == "EPERM", str(refused))
    check(refused["ring"]["backend"] == "epoll", str(refused))
    if not refused["sysctl_io_uring_disabled"]:
        check("seccomp" in refused["reason"], refused["reason"])
    check_found(refused)
    result = run(program, first=refuse_io_uring)
    check(result.returncode == 1, f"exit status {result.returncode}")
    check(f"because   {refused['reason']}\n" in result.stdout, result.stdout)


def check_environment(program: str) -> None:
    """What the environment asks for is obeyed, before any call of io_uring, and told."""
    os.environ["UC_BACKEND"] = "epoll"
    found = probe(program, kill_on_io_uring)
    check(found["verdict"] == "degraded" and "UC_BACKEND" in found["reason"], str(found))
    check_found(found)
    os.environ["UC_BACKEND"] = "nonsense"
    found = probe(program)
    check(found["verdict"] == "none" and "nonsense" in found["reason"], str(found))
    check_found(found)
    del os.environ["UC_BACKEND"]
    os.environ["UC_DISABLE"] = "multishot"
    found = probe(program)
    off = [feature["name"] for feature in found["features"] if feature["off"]]
    check(off == ["multishot-accept", "multishot-recv", "recv-bundle"], str(off))
    check_found(found)
    del os.environ["UC_DISABLE"]


def main() -> None:
    """Check the program that the command line names."""
    program = sys.argv[1]
    os.environ.pop("UC_BACKEND", None)
    os.environ.pop("UC_DISABLE", None)
    help_text = run(program, "--help")
    check(help_text.returncode == 0 and "--json" in help_text.stdout, "--help")
    check_page(sys.argv[2], help_text.stdout)
    check(run(program, "--nonsense").returncode == 64, "an unknown argument is accepted")
    found = probe(program)
    if os.environ.get("UC_REQUIRE_IO_URING"):
        check(found["io_uring"], found["reason"])
    check_found(found)
    check_text(program, found)
    check_refused(program)
    if found["io_uring"]:
        check_environment(program)


if __name__ == "__main__":
    main()
