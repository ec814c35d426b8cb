"""tools/bench: who is measured under what, and what becomes of those who fail."""

from __future__ import annotations

import dataclasses
import resource
import sys

import pytest

from benchmarks import limits
from benchmarks.load import native_program
from benchmarks.measurement import Window, measure
from benchmarks.outcomes import obstacle, read_reasons, why, write_reasons
from benchmarks.pairing import Results, run_rounds
from benchmarks.peers import PEERS, QUICK_PEERS, Peer
from benchmarks.processes import Cpus
from benchmarks.services import SERVICES
from benchmarks.tables import workload_table
from benchmarks.workloads import QUICK, SUITES, Workload

PEER = {peer.name: peer for peer in PEERS}
WINDOW = Window(0.1, 0.05, Cpus(None, None))
ONE = Workload("one", "one", "protocol", 1, 100)


@pytest.fixture
def _built():
    if native_program("bench-load") is None:
        pytest.skip("bench-load is not built")


def small(workload: Workload) -> Workload:
    """The workload with few connections: its kind is what counts."""
    return dataclasses.replace(workload, connections=min(workload.connections, 3))


def one_of_each_kind() -> list[Workload]:
    """A workload for each service and way to talk."""
    kinds = {(w.service, w.mode, w.depth > 1, w.discard): w for w in SUITES["all"]}
    return [small(workload) for workload in kinds.values()]


@pytest.mark.usefixtures("_built")
@pytest.mark.parametrize("workload", one_of_each_kind(), ids=lambda workload: workload.name)
@pytest.mark.parametrize("name", ["ours", "asyncio"])
def test_every_kind_of_workload_is_served_and_proven(name, workload):
    sample = measure(PEER[name], workload, WINDOW, proven=False)
    assert (sample.requests == 0) == workload.idle
    assert sample.syscalls is not None or sample.no_syscalls
    assert (sample.connection_bytes is not None) == workload.idle


def failing(name: str, *, foreign: bool) -> Peer:
    """A server that dies with an exception."""
    command = [sys.executable, "-c", "raise ValueError('not today')"]
    services = frozenset(SERVICES)
    return Peer(name, name, services, lambda _workload: command, foreign=foreign)


@pytest.mark.usefixtures("_built")
def test_who_fails_is_not_tried_again_and_the_others_go_on():
    steps = []
    peers = [failing("theirs", foreign=True), failing("ours-too", foreign=False), PEER["asyncio"]]
    results = run_rounds(ONE, peers, 2, WINDOW, steps.append)
    assert len(results.good("asyncio")) == 2
    assert results.samples["theirs"] == results.samples["ours-too"] == [None, None]
    assert results.skipped["theirs"].startswith("failed: ValueError: not today")
    (failure,) = results.failures
    assert failure.startswith("one, ours-too: ")


@pytest.mark.usefixtures("_built")
def test_a_peer_that_sends_wrong_bytes_has_no_sample():
    """Its rate would be right: only the proof compares."""
    command = [sys.executable, "-c", SPOILING_SERVER]
    peer = Peer("spoiler", "spoiler", frozenset(SERVICES), lambda _workload: command, foreign=True)
    results = run_rounds(ONE, [peer], 1, WINDOW, lambda _text: None)
    assert results.good("spoiler") == []
    assert "byte 99 is" in results.skipped["spoiler"]


SPOILING_SERVER = """
import asyncio, sys

async def echo(reader, writer):
    while data := await reader.readexactly(100):
        writer.write(data[:-1] + bytes([data[-1] ^ 1]))

async def main():
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    print("port", server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)

asyncio.run(main())
"""


def test_a_workload_that_takes_more_files_than_allowed_is_skipped(monkeypatch):
    def refuse(_which, _limits):
        raise PermissionError

    monkeypatch.setattr(resource, "getrlimit", lambda _which: (100, 200))
    monkeypatch.setattr(resource, "setrlimit", refuse)
    many = dataclasses.replace(ONE, connections=10_000)
    results = run_rounds(many, [PEER["asyncio"]], 1, WINDOW, lambda _text: None)
    assert "takes 10,100 open files, and the limit is 200" in results.skipped["asyncio"]


def test_the_soft_limit_of_open_files_is_raised_where_the_hard_one_allows(monkeypatch):
    raised = []
    monkeypatch.setattr(resource, "getrlimit", lambda _which: (100, 20_000))
    monkeypatch.setattr(resource, "setrlimit", lambda _which, to: raised.append(to))
    assert limits.allow_files(10_100) is None
    assert raised == [(10_100, 20_000)]


def test_a_name_stands_for_one_workload_in_all_suites():
    named: dict[str, Workload] = {}
    for suite in SUITES.values():
        for workload in suite:
            assert named.setdefault(workload.name, workload) == workload
    assert list(named) == [workload.name for workload in SUITES["all"]]


def test_what_is_quick_is_part_of_all_and_measures_ours_beside_others():
    assert set(QUICK) <= set(SUITES["all"])
    assert {peer.name for peer in QUICK_PEERS} == {"ours", "uvloop", "asyncio", "raw-uring"}


def test_every_workload_has_a_service_and_somebody_who_serves_it():
    for workload in SUITES["all"]:
        assert workload.service in SERVICES
        assert workload.service in PEER["ours"].services


def test_idle_connections_have_columns_of_their_own():
    idle = dataclasses.replace(ONE, mode="idle")
    headings = [column.header for column in workload_table(Results(idle), PEERS).columns]
    assert "KB per\nconnection" in headings
    assert "req/s" not in headings


def test_a_loop_that_was_not_to_be_had_is_missing_for_the_reason_noted(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    assert read_reasons(tmp_path) == {}
    assert "--install-peers" in obstacle("lustr")
    write_reasons(tmp_path, {"lustr": "needs a compiler"})
    assert obstacle("lustr") == "needs a compiler"
    assert obstacle("asyncio") is None


@pytest.mark.parametrize(
    ("output", "line"),
    [
        (
            "ERROR: Ignored: 0.1 Requires-Python >=3.13; 0.2 Requires-Python >=3.14\nERROR: no x\n",
            "there is none for this Python: needs >=3.14",
        ),
        (
            "Collecting x\nerror: subprocess-exited-with-error\nerror: linker `cc` not found\n",
            "error: linker `cc` not found",
        ),
        ("Traceback\nImportError: no such symbol\n", "ImportError: no such symbol"),
        ("", "it said nothing"),
    ],
)
def test_the_reason_is_the_line_that_says_most(output, line):
    assert why(output) == line
