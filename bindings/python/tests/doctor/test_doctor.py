"""python -m uringcore_cffi doctor: the report, its exit status, and that uc-probe says the same."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from filters import refuse_io_uring

from uringcore_cffi import doctor

ROOT = Path(__file__).resolve().parents[4]
BUILD = Path(os.environ.get("UC_BUILD_DIR") or ROOT / "build")
OWN_KEYS = {"uringcore_cffi", "python", "library"}
STATUSES = {"full": 0, "degraded": 1, "none": 2}

NEUTRAL = {"UC_BACKEND": "", "UC_DISABLE": "", "NO_COLOR": ""}
ENVIRONMENTS = {
    "as it is": ({}, None),
    "epoll asked for": ({"UC_BACKEND": "epoll"}, None),
    "features switched off": ({"UC_DISABLE": "multishot,taskrun"}, None),
    "an unknown word": ({"UC_DISABLE": "nonsense"}, None),
    "refused by a filter": ({}, refuse_io_uring),
    "asked for and refused": ({"UC_BACKEND": "uring"}, refuse_io_uring),
}


@pytest.fixture(params=ENVIRONMENTS.values(), ids=ENVIRONMENTS)
def environment(request):
    """Go through environments: variables, and what to do first in the process."""
    variables, first = request.param
    return {**NEUTRAL, **variables}, first


@pytest.fixture
def run_doctor(run_python):
    """Run the doctor; return the CompletedProcess."""

    def run(*arguments, environment=(NEUTRAL, None), **more):
        variables, first = environment
        arguments = ("-m", "uringcore_cffi", "doctor", *arguments)
        return run_python(*arguments, variables=variables, preexec_fn=first, **more)

    return run


def uc_probe(*arguments, environment):
    """Run libuc's own program in the same environment."""
    program = BUILD / "tools" / "uc-probe" / "uc-probe"
    if not program.exists():
        pytest.skip(f"{program} is not built; set UC_BUILD_DIR")
    variables, first = environment
    return subprocess.run(
        [program, *arguments],
        env={**os.environ, **variables},
        preexec_fn=first,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


def test_the_doctor_says_what_uc_probe_says(run_doctor, environment):
    """The same object, but for the Python and the package; the same exit status."""
    ours = run_doctor("--json", environment=environment)
    theirs = uc_probe("--json", environment=environment)
    assert ours.stderr == theirs.stderr == ""
    found, expected = json.loads(ours.stdout), json.loads(theirs.stdout)
    assert {key: found[key] for key in found if key not in OWN_KEYS} == expected
    assert set(found) > OWN_KEYS
    assert ours.returncode == theirs.returncode == STATUSES[found["verdict"]]


def test_the_text_is_uc_probes_too(run_doctor, environment):
    """Line for line, behind two lines of our own."""
    ours = run_doctor(environment=environment)
    theirs = uc_probe(environment=environment)
    assert ours.stderr == theirs.stderr == ""
    head, body = ours.stdout.splitlines()[:2], ours.stdout.splitlines()[2:]
    assert [line.split()[0] for line in head] == ["python", "library"]
    assert body == theirs.stdout.splitlines()
    assert ours.returncode == theirs.returncode


def test_an_environment_that_degrades_is_told_with_what_to_change(run_doctor):
    """The reason, and a line for docker and systemd."""
    refused = run_doctor(environment=({**NEUTRAL}, refuse_io_uring))
    assert refused.returncode == 1
    assert "verdict   degraded: epoll in place of io_uring" in refused.stdout
    assert "because   io_uring is refused (EPERM) by a seccomp filter" in refused.stdout
    assert "  docker: docker run --security-opt seccomp=" in refused.stdout
    assert "  systemd: SystemCallFilter=io_uring_setup" in refused.stdout
    assert "instead: " not in refused.stdout  # epoll is, for all of it


def test_a_feature_that_is_not_used_is_told_with_what_is_done_instead(run_doctor):
    """The feature, the kernel that brought it, and the substitute."""
    told = run_doctor(environment=({**NEUTRAL, "UC_DISABLE": "multishot"}, None))
    (line,) = (line for line in told.stdout.splitlines() if line.startswith("multishot-recv "))
    assert line.split()[1:3] == ["6.0", "off"]
    assert line.endswith("; instead: a submission for each receive")


@pytest.mark.parametrize("arguments", [(), ("--json",)])
def test_who_reads_only_the_head_is_told_no_error(arguments):
    """As in ``doctor | head -1``: the exit status is the verdict's."""
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "uringcore_cffi", "doctor", *arguments]
    variables = {**os.environ, **NEUTRAL, "UC_BACKEND": "nonsense"}
    variables["PYTHONPATH"] = str(Path(doctor.__file__).parents[1])
    done = subprocess.run(
        command, env=variables, stdout=writer, stderr=subprocess.PIPE, check=False
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (STATUSES["none"], b"")


def test_an_unknown_argument_is_refused(run_doctor):
    """With the usage; --help is that too."""
    wrong = run_doctor("--jason")
    assert (wrong.returncode, wrong.stdout, wrong.stderr) == (64, "", doctor.USAGE)
    told = run_doctor("--help")
    assert (told.returncode, told.stdout, told.stderr) == (0, doctor.USAGE, "")


def on_terminal(command, **variables) -> str:
    """Run a program on a terminal of its own; return what it writes."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, **NEUTRAL, "TERM": "xterm", **variables}
    environment["PYTHONPATH"] = str(Path(doctor.__file__).resolve().parents[1])
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment):
        os.close(theirs)
        written = b""
        while True:
            try:
                piece = os.read(ours, 65536)
            except OSError:  # EIO: all have closed the terminal
                break
            written += piece
    os.close(ours)
    return written.decode()


@pytest.mark.parametrize("program", ["doctor", "uc-probe"])
def test_colours_are_for_terminals_unless_they_are_not_wanted(program):
    """On a terminal, but not with NO_COLOR, on a dumb one, or in a file."""
    if program == "doctor":
        command = [sys.executable, "-m", "uringcore_cffi", "doctor"]
    else:
        uc_probe("--version", environment=(NEUTRAL, None))
        command = [BUILD / "tools" / "uc-probe" / "uc-probe"]
    escape = "\033["
    assert escape in on_terminal(command)
    assert escape not in on_terminal(command, NO_COLOR="1")
    assert escape not in on_terminal(command, TERM="dumb")
    plain = subprocess.run(
        command,
        env={**os.environ, **NEUTRAL, "PYTHONPATH": str(Path(doctor.__file__).parents[1])},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert plain.stdout
    assert escape not in plain.stdout


def test_a_program_called_doctor_is_started_by_its_path(run_python, tmp_path):
    """./doctor is a program; the bare word is not."""
    (tmp_path / "doctor").write_text("print('I am a program')")
    done = run_python("-m", "uringcore_cffi", "./doctor", cwd=tmp_path)
    assert done.stdout == "I am a program\n"
