"""tools/bench measures loops from inside: every workload works, and a loop that fails is told."""

from __future__ import annotations

import pytest

from benchmarks.inside.catalogue import WORKLOADS
from benchmarks.inside.rounds import run_rounds, workers
from benchmarks.inside.subjects import SUBJECTS, Subject
from benchmarks.inside.timing import Workload
from benchmarks.loops import KNOWN, Loop
from benchmarks.outcomes import NOT_TRIED

NAMED = {subject.name: subject for subject in SUBJECTS}
ASYNCIO = NAMED["asyncio"]


@pytest.mark.parametrize("subject", [ASYNCIO, NAMED["ours"]], ids=lambda subject: subject.name)
@pytest.mark.parametrize("workload", WORKLOADS.values(), ids=lambda workload: workload.name)
def test_every_workload_does_as_many_operations_as_asked_and_takes_time(workload, subject):
    watch = workload.work(subject, 3)
    assert watch.seconds > 0
    assert watch.cpu_seconds >= 0


def rounds_of(workload: Workload, *subjects: Subject, rounds: int = 2):
    """Measure with windows as short as can be."""
    steps: list[str] = []
    with workers(subjects, None) as working:
        results = run_rounds(workload, subjects, working, rounds, 0.001, steps.append)
    return results, steps


def test_loops_take_turns_and_none_is_always_the_first():
    other = NAMED["ours"]
    results, steps = rounds_of(WORKLOADS["sleep-0"], ASYNCIO, other)
    assert [len(results.good(subject.name)) for subject in (ASYNCIO, other)] == [2, 2]
    order = [step.rpartition(", ")[2] for step in steps]
    assert order == [ASYNCIO.label, other.label, other.label, ASYNCIO.label]
    ratio = results.ratio("asyncio", "ours", lambda timing: timing.us)
    assert ratio is not None
    assert ratio.low <= ratio.median <= ratio.high


def test_a_process_that_dies_is_a_failed_round_and_the_others_go_on():
    unknown = Subject("no-such-name", "asyncio")  # its worker refuses to start
    results, _ = rounds_of(WORKLOADS["sleep-0"], unknown, ASYNCIO)
    assert results.samples["no-such-name"] == [None, None]
    assert len(results.failures) == 2
    assert "no-such-name" in results.failures[0]
    assert len(results.good("asyncio")) == 2


def test_a_loop_from_elsewhere_that_dies_is_told_and_not_tried_again(monkeypatch):
    monkeypatch.setitem(KNOWN, "rloop", KNOWN["asyncio"])  # installed, so to say
    dying = Subject("no-such-name", "rloop")
    results, _ = rounds_of(WORKLOADS["sleep-0"], dying, ASYNCIO)
    assert results.failures == []
    assert results.skipped["no-such-name"].startswith("failed: sleep-0: ")
    assert len(results.good("asyncio")) == 2


def test_a_loop_that_is_not_installed_is_skipped_with_the_reason(monkeypatch):
    monkeypatch.setitem(KNOWN, "absent", Loop("absent", "no_such_module", "nowhere"))
    results, _ = rounds_of(WORKLOADS["sleep-0"], Subject("absent", "absent"), ASYNCIO)
    assert results.skipped == {"absent": NOT_TRIED}
    assert "absent" not in results.samples


def test_what_a_loop_does_not_have_is_skipped_with_the_workload_named():
    uvloop = NAMED["uvloop"]
    if uvloop.obstacle is not None:
        pytest.skip("uvloop is not installed")
    results, _ = rounds_of(WORKLOADS["sendfile-4k"], uvloop, ASYNCIO, rounds=1)
    assert results.skipped["uvloop"].startswith("sendfile-4k: ")
    assert len(results.good("asyncio")) == 1
