"""tools/bench http: every server answers right on every loop that is here."""

from __future__ import annotations

import pytest

from benchmarks.http_workloads import HTTP, python_with_libraries
from benchmarks.load import native_program
from benchmarks.measurement import Window, measure
from benchmarks.peers import PEERS, UnavailableError
from benchmarks.processes import Cpus

PEER = {peer.name: peer for peer in PEERS}
ONCE_EACH = {workload.service: workload for workload in HTTP}.values()


@pytest.mark.parametrize("workload", ONCE_EACH, ids=lambda workload: workload.service)
@pytest.mark.parametrize("name", ["ours", "asyncio"])
def test_every_server_answers_with_the_length_that_is_expected(name, workload):
    if native_program("bench-load") is None:
        pytest.skip("bench-load is not built")
    if python_with_libraries() is None:
        pytest.skip("the HTTP servers are not installed: tools/setup --integration")
    sample = measure(PEER[name], workload, Window(0.5, 0.1, Cpus(None, None)))
    assert sample.requests > 0


def test_without_the_libraries_a_peer_is_unavailable_and_says_how_to_get_them(monkeypatch):
    monkeypatch.setattr("benchmarks.http_workloads.python_with_libraries", lambda: None)
    with pytest.raises(UnavailableError, match="tools/setup --integration"):
        PEER["ours"].command(HTTP[0])
