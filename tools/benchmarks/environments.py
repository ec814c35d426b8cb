"""Where peers from PyPI are installed: an environment for each Python, in build-bench/.

Some loops have no wheel for some Pythons, some cannot even be built, and none of that may stop
``tools/setup``. So they are installed on request, each by itself and in its newest version, and
whoever does not come is noted with the reason. All loops are measured in the same environment:
two interpreters differ more than two loops.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from benchmarks.loops import KNOWN, LIBRARIES, OTHERS
from benchmarks.outcomes import OTHER_PYTHON, why, write_reasons
from benchmarks.processes import ROOT, environment
from interpreters import Interpreter, Unusable, build_wheel, find_interpreters, make_environment
from interpreters.finding import ask

ENVIRONMENTS = ROOT / "build-bench"
REQUIREMENTS = ("cffi", "matplotlib", "rich", "uvloop")
WHEEL_SECONDS = 180
BUILD_SECONDS = 900
TRIAL_SECONDS = 20

_TRIAL = """
import asyncio, sys
from benchmarks.loops import new_event_loop
loop = new_event_loop(sys.argv[1])
asyncio.set_event_loop(loop)
loop.run_until_complete(asyncio.sleep(0.001))
loop.close()
"""
_IMPORT = "import importlib, sys; importlib.import_module(sys.argv[1])"


def find_interpreter(name: str) -> Interpreter:
    """The Python of that path, version (``3.13``) or name (``cpython3.13``); "" for this one."""
    path = Path(name or sys.executable)
    if not name or path.is_file():
        found = ask(path)
        if isinstance(found, Unusable):
            raise SystemExit(f"tools/bench: --python {path}: {found.reason}")
        return found
    interpreters, _ = find_interpreters()
    for interpreter in interpreters:
        if name in (interpreter.name, ".".join(map(str, interpreter.version[:2]))):
            return interpreter
    known = ", ".join(interpreter.name for interpreter in interpreters)
    raise SystemExit(f"tools/bench: --python {name}: not found; there are {known}")


def enter(python: str, arguments: Sequence[str]) -> None:
    """Goes on in the environment with the peers, if there is one; else returns.

    Brought up to date before, so that it holds the package as the tree has it.
    """
    if ENVIRONMENTS in Path(sys.prefix).parents:
        return
    interpreter = find_interpreter(python)
    folder = ENVIRONMENTS / interpreter.name
    if not folder.is_dir():
        if python:
            raise SystemExit(f"tools/bench: first: tools/bench --install-peers --python {python}")
        return
    made = make_environment(interpreter, REQUIREMENTS, build_wheel(), folder)
    command = [str(made.python), "-m", "benchmarks", *arguments]
    os.execve(command[0], command, environment())


def install(console: Console, python: str) -> None:
    """Gets every loop and library that is to be had, and tells what became of each."""
    interpreter = find_interpreter(python)
    console.print(f"peers for {interpreter}", highlight=False)
    folder = ENVIRONMENTS / interpreter.name
    made = make_environment(interpreter, REQUIREMENTS, build_wheel(), folder)
    reasons = {}
    for name, distribution, trial in _wanted():
        reason = _get(made.python, distribution) or _try(made.python, trial, name)
        if reason is None:
            said = f"[green]ready[/green]   {name} {_version(made.python, distribution)}"
        else:
            reasons[name] = reason
            said = f"[yellow]skipped[/yellow] {name}: {escape(reason)}"
        console.print(said, highlight=False, soft_wrap=True)
        write_reasons(folder, reasons)  # each time: whoever interrupts keeps what there is


def _wanted() -> Iterator[tuple[str, str, str]]:
    """Name, what pip calls it, and a program that tries it. What may take minutes comes last."""
    for module, distribution in LIBRARIES.items():
        yield module, distribution, _IMPORT
    for loop in ("uvloop", *OTHERS):
        yield loop, KNOWN[loop].distribution, _TRIAL


def _run(command: list[str], seconds: float, **variables: str) -> str | None:
    """Why the command failed, or None."""
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**environment(), **variables},
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=seconds)
    except BaseException as error:
        os.killpg(process.pid, signal.SIGKILL)  # a build has started compilers
        process.communicate()
        if isinstance(error, subprocess.TimeoutExpired):
            return f"took longer than {seconds:.0f} s"
        raise
    if process.returncode < 0:
        return f"died of signal {-process.returncode}"
    return why(output) if process.returncode else None


def _get(python: Path, distribution: str) -> str | None:
    """Install the newest version, built here where there is no wheel. Why not, or None."""
    pip = [str(python), "-m", "pip", "install", "--disable-pip-version-check", "--upgrade"]
    reason = _run([*pip, "--only-binary", ":all:", distribution], WHEEL_SECONDS)
    if reason is None or reason.startswith(OTHER_PYTHON):
        return reason
    # a package may ask for a toolchain by name that is not there
    pinned = {"RUSTUP_TOOLCHAIN": "stable"} if shutil.which("rustup") else {}
    return _run([*pip, distribution], BUILD_SECONDS, **pinned)


def _try(python: Path, trial: str, name: str) -> str | None:
    """Run a loop for a moment, or import a library. Why it does not work, or None."""
    return _run([str(python), "-c", trial, name], TRIAL_SECONDS)


def _version(python: Path, distribution: str) -> str:
    code = "import sys; from benchmarks.loops import version; print(version(sys.argv[1]))"
    done = subprocess.run(
        [str(python), "-c", code, distribution],
        stdout=subprocess.PIPE, text=True, env=environment(), check=True,
    )  # fmt: skip
    return done.stdout.strip()
