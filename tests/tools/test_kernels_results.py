"""tools/kernels tells what became of every job, also of one that hangs, dies or is never begun."""

from __future__ import annotations

import json
import os

import pytest

from guests.cli import main
from guests.jobs import CONFORMANCE, PACKAGE, PROBE, C, Job, Plan, jobs
from guests.kernel_log import complaints
from guests.machine import run_on_host
from guests.results import KernelResult, not_run, take
from interpreters.suites import Outcome

CMOCKA = """\
[==========] Running 3 test(s).
[ RUN      ] one
[       OK ] one
[ RUN      ] two
[  FAILED  ] two
[ RUN      ] three
no such kernel
[  SKIPPED ] three
[==========] 3 test(s) run.
"""
JUNIT = """\
<testsuites><testsuite tests="3" failures="1" errors="0" skipped="1">
<testcase classname="a" name="x"/>
<testcase classname="a" name="y"><failure>E assert 1 == 2</failure></testcase>
<testcase classname="a" name="z"><skipped message="why"/></testcase>
</testsuite></testsuites>
"""


# Once the job before is in the file, it interrupts who runs the jobs, and goes on.
INTERRUPTING = """
echo $$ >$0
until [ -s $1 ]; do sleep 0.02; done
kill -INT $2
exec sleep 60
"""


def job(suite: str, program: str, *arguments: str, seconds: float = 60.0) -> Job:
    """Make a job of a shell command."""
    return Job(suite, f"{suite}: {program[:20]}", ("sh", "-c", program, *arguments), seconds)


def is_gone(pid: int) -> bool:
    """A dead child that nobody has waited for yet is as good as gone."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] in "ZX"
    except FileNotFoundError:
        return True


@pytest.fixture
def run(tmp_path):
    """Run jobs here; return their results."""

    def run_jobs(*todo: Job) -> KernelResult:
        result = KernelResult("host")
        by_name = {one.name: one for one in todo}

        def hear(message):
            if "end" in message:
                result.jobs.append(take(by_name[message["end"]], message))

        run_on_host(todo, hear)
        not_run(todo, result)
        return result

    return run_jobs


def test_the_cases_of_a_c_program_are_counted_and_named(run):
    result = run(job(C, f"printf '%s' '{CMOCKA}'; exit 1"))
    assert result.of(C) == Outcome(1, 1, 1)
    (one,) = result.jobs
    assert [failure.name.rpartition(": ")[2] for failure in one.failures] == ["two"]
    assert one.skips[0].endswith("three: no such kernel")


def test_the_cases_of_pytest_come_from_its_report(run):
    result = run(job(PACKAGE, f"printf '%s' '{JUNIT}' >$0; exit 1", "{report}"))
    assert result.of(PACKAGE) == Outcome(1, 1, 1)
    (one,) = result.jobs
    assert [(one.name, one.detail) for one in one.failures] == [("a::y", "E assert 1 == 2")]
    assert one.skips == ["a::z: why"]


def test_the_closing_line_of_another_tool_counts(run):
    result = run(job(CONFORMANCE, "echo failed cpython x.y; echo 7 passed, 1 failed, 2 skipped"))
    assert result.of(CONFORMANCE) == Outcome(7, 1, 2)
    assert [one.name for one in result.jobs[0].failures] == ["cpython x.y"]


@pytest.mark.parametrize("suite", [PROBE, C, PACKAGE, CONFORMANCE])
def test_a_program_that_dies_or_hangs_is_one_failure(run, suite):
    """However much has passed until then, and the others go on."""
    dying, hanging = job(suite, "kill -9 $$"), job(suite, "exec sleep 60", seconds=0.5)
    result = run(dying, hanging, job(C, "echo '[       OK ] fine'"))
    assert result.total() == Outcome(1, 2, 0)
    ends = [one.failures[0].detail.strip() for one in result.jobs[:2]]
    assert ends == ["signal 9", "stopped after 0 s"]


def test_what_a_job_leaves_behind_is_ended_with_it(run, tmp_path):
    """A child that holds the job's output does not hold up the next job, nor outlives its own."""
    number = tmp_path / "pid"
    result = run(job(C, f"sleep 1000 & echo $! >{number}; echo '[       OK ] fine'"))
    assert result.total() == Outcome(1, 0, 0)
    assert is_gone(int(number.read_text()))


def test_a_job_that_nothing_was_heard_of_has_failed():
    result = KernelResult("6.1", broken="nothing was heard for 60 s")
    not_run([job(C, "true")], result)
    # one for the job, one for the guest
    assert result.total() == Outcome(0, 2, 0)
    assert "nothing was heard" in result.jobs[0].failures[0].detail


def test_a_job_that_a_guest_dies_in_is_shown_as_far_as_it_came():
    result = KernelResult("6.1", broken="nothing was heard for 60 s")
    for message in ({"begin": "c: true"}, {"says": "half"}, {"says": " of it"}):
        result.hear(message)
    not_run([job(C, "true")], result)
    assert result.jobs[0].failures[0].detail.startswith("half of it\nnot run to its end: nothing")


LOG = """\
[    0.000000] Linux version 6.1.0
[    1.000000] clocksource: timekeeping watchdog on CPU1: Marking clocksource 'tsc' as unstable
[    2.000000] virtiofs: fine
[    5.100000] ------------[ cut here ]------------
[    5.100001] WARNING: CPU: 0 PID: 7 at io_uring/io_uring.c:1 io_x+0x1/0x2
[    5.100002] Call Trace:
[    5.100003]  <TASK>
[   60.000000] INFO: task test:99 blocked for more than 120 seconds.
[   61.000000] and what goes with it
[   70.000000] reboot: Power down
"""


def test_what_a_kernel_complains_of_is_found_whole_and_nothing_else_is():
    assert (
        complaints(LOG.replace("WARNING", "note").replace("Call Trace", "").split("[   60")[0])
        == []
    )
    first, second = complaints(LOG)
    assert first.title.startswith("WARNING: CPU: 0")
    assert first.text.endswith("<TASK>")
    assert second.title.startswith("INFO: task test:99 blocked")
    assert second.text.endswith("and what goes with it")
    result = KernelResult("6.1", complaints=[first])
    assert result.total() == Outcome(failed=1)


def test_limits_grow_with_slowness_and_what_needs_no_kernel_is_left_out():
    fast, slow = jobs(Plan([C]), 1.0), jobs(Plan([C]), 10.0)
    assert [one.seconds * 10 for one in fast] == [one.seconds for one in slow]
    assert {one.environment.get("UC_TEST_SLOWNESS") for one in slow[1:]} == {"10"}
    names = {one.name for one in fast}
    assert {"uc-probe --json", "ring: waking"} <= names
    every = {one.name for one in jobs(Plan([C], every=True), 1.0)}
    left_out = {name for name in every - names if not name.startswith("abi: ")}
    assert left_out == {"manual pages", "ring: a kernel thread that submits"}


def test_heavy_tests_of_the_package_are_left_out_unless_all_are_asked_for():
    for every in (False, True):
        _, *package = jobs(Plan([PACKAGE], every=every), 1.0)
        assert {"tests/loop", "tests/transports"} <= {one.name for one in package}
        assert {"not heavy" in one.command for one in package} == {not every}


def test_the_tests_insist_on_io_uring_unless_another_backend_is_asked_for():
    for backend, told in (("", {"UC_REQUIRE_IO_URING": "1"}), ("epoll", {"UC_BACKEND": "epoll"})):
        _, *rest = jobs(Plan(backend=backend), 1.0)
        for one in rest:
            ring = {
                k: v
                for k, v in one.environment.items()
                if k in ("UC_REQUIRE_IO_URING", "UC_BACKEND")
            }
            assert ring == told


def test_the_host_is_run_by_name_and_its_status_tells(capsys):
    assert main(["--kernel", "host", "--suite", "c", "--job", "user_data: codec"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith(" passed, 0 failed, 0 skipped")
    assert main(["--kernel", "host", "--suite", "c", "--job", "no such job"]) == 1


def test_what_is_interrupted_is_kept_as_far_as_it_came(monkeypatch, tmp_path):
    """In the file of --json, with the job that was running, which is ended too."""
    number, file = tmp_path / "pid", tmp_path / "all.json"
    todo = [
        job(C, "echo '[       OK ] fine'"),
        job(C, INTERRUPTING, *map(str, (number, file, os.getpid()))),
    ]
    monkeypatch.setattr("guests.cli.jobs", lambda _plan, _slowness: todo)
    assert main(["--kernel", "host", "--suite", "c", "--json", str(file)]) == 130
    (result,) = json.loads(file.read_text())
    assert [one["outcome"]["passed"] for one in result["jobs"]] == [1]
    assert result["running"] == todo[1].name
    assert is_gone(int(number.read_text()))


def test_a_kernel_that_nobody_offers_is_refused(monkeypatch, capsys):
    monkeypatch.setattr("guests.cli.offered", list)
    assert main(["--kernel", "6.1"]) == 2
    assert "no such kernel" in capsys.readouterr().err
