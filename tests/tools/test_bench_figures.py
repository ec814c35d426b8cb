"""tools/bench --check: what is promised, and whether it is kept."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from benchmarks.cli import SUITES
from benchmarks.figures import PROMISES, figures_of, judge, throughput
from benchmarks.files.catalogue import FILE_SUITES
from benchmarks.inside.catalogue import INSIDE_SUITES
from benchmarks.pairing import Results

ALL = {**SUITES, **INSIDE_SUITES, **FILE_SUITES}


def results_of(workload, samples: dict[str, list]) -> dict[str, Results]:
    """Results of one workload, made up."""
    results = Results(workload)
    results.samples = samples
    return {workload.name: results}


def timings(*us: float) -> list:
    """Samples from inside."""
    return [SimpleNamespace(us=value, cpu_us=value, count=1) for value in us]


def windows(*rates: float, busy: float = 0.5, cpu_us: float = 10.0) -> list:
    """Samples of servers."""
    return [
        SimpleNamespace(rate=rate, load_busy=busy, cpu_us=cpu_us, entries=None) for rate in rates
    ]


def test_every_promise_covers_a_workload_that_can_be_run():
    workloads = [workload for suite in ALL.values() for workload in suite]
    for promise in PROMISES:
        assert any(promise.covers(workload) for workload in workloads), promise.text


def test_a_promise_about_single_requests_does_not_cover_pipelined_or_idle_ones():
    for name in ("pipelined", "idle", "churn"):
        covered = {figure.text.rpartition(": ")[2] for figure in figures_of(ALL[name])}
        assert "our throughput / uvloop's" not in covered, name


def test_a_promise_is_kept_or_missed_by_the_median_of_the_rounds_ratios():
    workload = next(w for w in ALL["scheduling"] if w.name == "sleep-0")
    fast = results_of(workload, {"ours": timings(1, 1, 3), "uvloop": timings(2, 2, 1)})
    [verdict] = judge(fast)
    assert verdict.met is True
    assert verdict.value.median == 2.0
    slow = results_of(workload, {"ours": timings(2, 2, 1), "uvloop": timings(1, 1, 3)})
    assert [verdict.met for verdict in judge(slow)] == [False]


def test_what_is_missed_says_by_how_much_of_the_limit():
    workload = next(w for w in ALL["files"] if w.name == "file-read-1")
    samples = {"ours": timings(1, 1), "aiofiles-uvloop": timings(3, 3)}
    [verdict] = judge(results_of(workload, samples))
    assert (verdict.met, verdict.bound, verdict.missed_by) == (False, "≥ 4", "25%")
    samples["aiofiles-uvloop"] = timings(5, 5)
    [verdict] = judge(results_of(workload, samples))
    assert (verdict.met, verdict.missed_by) == (True, "")


def test_what_was_not_measured_is_neither_kept_nor_missed():
    workload = next(w for w in ALL["scheduling"] if w.name == "sleep-0")
    alone = results_of(workload, {"ours": timings(1)})
    assert [verdict.met for verdict in judge(alone)] == [None]


def test_what_was_not_asked_for_is_not_judged():
    assert judge({}) == []
    assert figures_of(ALL["drivers"]) == []


def test_throughput_is_work_per_cpu_time_where_the_load_generator_is_the_bottleneck():
    workload = ALL["http"][0]
    free = {"ours": windows(120, cpu_us=5), "uvloop": windows(100, cpu_us=20)}
    results = results_of(workload, free)[workload.name]
    assert throughput(results, "ours", "uvloop").median == pytest.approx(1.2)
    free["ours"] = windows(120, cpu_us=5, busy=0.95)
    assert throughput(results, "ours", "uvloop").median == pytest.approx(4.0)
