"""tools/bench --report: one page, whole in itself, that hides no loss and no failure."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from benchmarks.pairing import Spread
from benchmarks.report.comparing import families, speed, verdict
from benchmarks.report.page import make_page
from benchmarks.report.reading import read_run

TOOLS = Path(__file__).resolve().parents[2] / "tools"
ROUNDS = 3
PEERS = {"ours": "uringcore-cffi", "uvloop": "uvloop", "raw-uring": "raw io_uring (C)"}


def server_sample(rate: float, *, busy: float = 0.5) -> dict:
    """What a window of a server showed, made up."""
    return {
        "requests": int(rate), "rate": rate, "p50_us": 9e5 / rate, "p99_us": 3e6 / rate,
        "p99_9_us": 9e6 / rate, "cpu_us": 8e5 / rate, "load_busy": busy, "verified_bytes": 0,
        "resident_bytes": 1 << 24, "entries": 0.1, "stolen": 0.0,
    }  # fmt: skip


def workload(name: str, rates: dict[str, float | None], **fields) -> dict:
    """A workload whose peers ran at these rates; None is a peer that failed every time."""
    samples = {
        peer: [rate and server_sample(rate * (1 + 0.01 * number)) for number in range(ROUNDS)]
        for peer, rate in rates.items()
    }
    cells = [{"peer": p, "cells": [PEERS[p], f"{r:,.0f}"]} for p, r in rates.items() if r]
    return {
        "workload": {
            "name": name, "title": f"The {name} <workload>", "service": "protocol",
            "connections": 10, "size": 1024, **fields,
        },
        "samples": samples,
        "table": {"headings": ["server", "req/s"], "rows": cells},
        "skipped": {"rloop": "rloop is not installed"},
        "failures": [f"{name}, {PEERS[p]}: it <died> & said no" for p, r in rates.items() if not r],
    }  # fmt: skip


def document(*workloads: dict, suite: str = "made-up") -> dict:
    """A run, made up."""
    return {
        "suite": suite,
        "command": "tools/bench made-up --only 'a&b'",
        "date": "2026-01-02T03:04:05+00:00",
        "machine": {
            "kernel": "6.1.2-made", "cpu": "Imagined <CPU>", "cpus": 2, "memory_kib": 1 << 23,
            "python": "CPython 3.11.2", "optimised": True,
        },
        "versions": {"ours": "0.1.0", "uvloop": "0.23.0"},
        "labels": PEERS,
        "workloads": {each["workload"]["name"]: each for each in workloads},
        "figures": [
            {"text": "reached", "limit": 1.0, "at_most": False, "met": True,
             "value": {"median": 1.2, "low": 1.1, "high": 1.3}},
            {"text": "not reached", "limit": 2.0, "at_most": False, "met": False,
             "value": {"median": 1.2, "low": 1.1, "high": 1.3}},
            {"text": "not tried", "limit": 2.0, "at_most": False, "met": None, "value": None},
        ],
    }  # fmt: skip


WON = workload("won", {"ours": 120.0, "uvloop": 100.0, "raw-uring": 140.0})
LOST = workload("lost", {"ours": 80.0, "uvloop": 100.0, "raw-uring": 140.0})
BROKEN = workload("broken", {"ours": None, "uvloop": 100.0, "raw-uring": 140.0})


@pytest.fixture(scope="module")
def page() -> ET.Element:
    """A page of made-up results: being well-formed XML is what this checks first."""
    text = make_page([document(WON, LOST, BROKEN)])
    assert text.startswith("<!DOCTYPE html>\n")
    return ET.fromstring(text.partition("\n")[2])


def test_ids_are_given_once_and_links_lead_to_them(page):
    ids = [element.get("id") for element in page.iter() if element.get("id")]
    assert len(ids) == len(set(ids))
    links = [a.get("href", "") for a in page.iter("a")]
    assert {link[1:] for link in links if link.startswith("#")} <= set(ids)
    assert sum(link.startswith("#") for link in links) == 3


def test_nothing_is_fetched_from_elsewhere(page):
    sources = [e.get("src") or e.get("href") for e in page.iter() if e.get("src") or e.get("href")]
    assert all(source.startswith(("data:", "#")) for source in sources)
    assert not list(page.iter("script"))
    assert not list(page.iter("link"))
    assert "url(" not in "".join(style.text or "" for style in page.iter("style"))


def test_every_workload_has_its_table_and_its_plots(page):
    headings = ["".join(heading.itertext()) for heading in page.iter("h3")]
    pictures = [picture.get("alt") for picture in page.iter("img")]
    for name in ("won", "lost", "broken"):
        title = f"The {name} <workload>"
        assert title in headings
        assert f"{title}: ratios" in pictures
        assert f"{title}: latency" in pictures


def test_every_plot_is_an_svg_picture(page):
    for picture in page.iter("img"):
        kind, _, content = picture.get("src", "").partition(",")
        assert kind == "data:image/svg+xml;base64"
        assert ET.fromstring(base64.b64decode(content)).tag.endswith("svg")


def test_machine_versions_and_command_are_told(page):
    text = "".join(page.itertext())
    for fact in ("Imagined <CPU>", "Linux 6.1.2-made", "uringcore-cffi 0.1.0", "--only 'a&b'"):
        assert fact in text


def test_a_loss_is_marked_as_a_win_is(page):
    marked = {}
    for row in page.iter("tr"):
        cells = ["".join(cell.itertext()) for cell in row]
        if cells[0] == PEERS["ours"]:
            marked[cells[1]] = row.get("class")
    assert marked == {"120": "better", "80": "worse"}
    summary = "".join(page.itertext())
    assert "1 better: The won <workload>" in summary
    assert "1 worse: The lost <workload>" in summary


def test_failed_and_skipped_peers_are_told_with_the_reason(page):
    failed = ["".join(li.itertext()) for li in page.iter("li") if li.get("class") == "failed"]
    assert failed.count("failed: broken, uringcore-cffi: it <died> & said no") == 2
    assert "uringcore-cffi failed in every round" in failed
    skipped = ["".join(li.itertext()) for li in page.iter("li") if li.get("class") == "skipped"]
    assert skipped == ["skipped: rloop: rloop is not installed"]


def test_targets_are_met_missed_or_skipped(page):
    rows = [["".join(cell.itertext()) for cell in row] for row in page.iter("tr")]
    said = {row[0]: row[-1] for row in rows if len(row) == 5}
    assert said == {
        "target": "", "reached": "met", "not reached": "missed", "not tried": "skipped",
    }  # fmt: skip


def test_the_samples_can_be_taken_away_as_json(page):
    [link] = [a for a in page.iter("a") if a.get("download")]
    content = base64.b64decode(link.get("href", "").partition(",")[2])
    assert json.loads(content) == document(WON, LOST, BROKEN)


def test_a_page_can_hold_several_suites_and_loops_measured_from_inside():
    inside = workload("sleep-0", {})
    inside["samples"] = {
        "ours": [{"us": 2.0, "cpu_us": 2.0, "count": 9}],
        "uvloop": [{"us": 3.0, "cpu_us": 3.0, "count": 9}],
    }
    inside["table"]["rows"] = [{"peer": "ours", "cells": ["uringcore-cffi", "2.00"]}]
    text = make_page([document(WON), document(inside, suite="scheduling")])
    page = ET.fromstring(text.partition("\n")[2])
    assert [heading.text for heading in page.iter("h2")] == ["made-up", "scheduling"]
    pictures = [picture.get("alt") for picture in page.iter("img")]
    assert "The sleep-0 <workload>: ratios" in pictures
    assert "The sleep-0 <workload>: latency" not in pictures


def test_the_command_makes_a_page_of_files(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(document(WON)))
    command = [sys.executable, "-m", "benchmarks.report", "a.json", "--output", "new/page.html"]
    subprocess.run(command, check=True, cwd=tmp_path, env={"PYTHONPATH": str(TOOLS)}, timeout=60)
    assert "The won &lt;workload&gt;" in (tmp_path / "new" / "page.html").read_text()


def test_speed_is_the_ratio_of_rates_until_the_load_generator_is_the_bottleneck():
    quick = workload("quick", {"ours": 120.0, "uvloop": 100.0})
    [measured] = read_run(document(quick)).workloads
    assert speed(measured, "ours", "uvloop").median == pytest.approx(1.2)
    for peer, sample in ((p, s) for p, samples in quick["samples"].items() for s in samples):
        sample["load_busy"] = 0.97
        sample["cpu_us"] = {"ours": 5.0, "uvloop": 10.0}[peer]
    [measured] = read_run(document(quick)).workloads
    assert speed(measured, "ours", "uvloop").median == pytest.approx(2.0)


def test_idle_connections_are_compared_by_memory():
    idle = workload("idle", {"ours": 1.0, "uvloop": 1.0}, mode="idle")
    for peer, kib in (("ours", 4), ("uvloop", 2)):
        for sample in idle["samples"][peer]:
            sample.update(rate=0.0, cpu_us=0.0, p50_us=0.0, connection_bytes=kib << 10)
    [measured] = read_run(document(idle)).workloads
    assert speed(measured, "ours", "uvloop").median == 0.5
    page = ET.fromstring(make_page([document(idle)]).partition("\n")[2])
    assert "1 worse: The idle <workload>" in "".join(page.itertext())
    assert [picture.get("alt") for picture in page.iter("img")][1:] == [
        "The idle <workload>: ratios"
    ]


def test_within_two_per_cent_two_are_called_the_same():
    medians = {0.97: "worse", 0.985: "same", 1.0: "same", 1.015: "same", 1.03: "better"}
    assert {m: verdict(Spread(m, m - 1, m + 1)) for m in medians} == medians
    assert verdict(None) == "unknown"


def test_workloads_that_differ_in_connections_only_are_drawn_over_connections():
    rates = {"ours": 1.0, "uvloop": 1.0}
    same = [workload(f"c{n}", rates, connections=n) for n in (100, 1, 10)]
    other = workload("big", rates, connections=1000, size=1 << 20)
    run = read_run(document(*same, other))
    [family] = families(run.workloads, "connections")
    assert family.values == [1, 10, 100]
    assert families(run.workloads, "size") == []
    text = make_page([document(*same, other)])
    assert "Over connections: The c1" in text
