"""tools/bench files: every way to work with files does every workload, on the right bytes."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from benchmarks import cli
from benchmarks.figures import judge
from benchmarks.files import command
from benchmarks.files.catalogue import FILES, WORKLOADS
from benchmarks.files.place import BLOCK, MIB, Place, made, require
from benchmarks.files.subjects import BASE, SUBJECTS
from benchmarks.files.tables import workload_table
from benchmarks.files.worker import Way
from benchmarks.inside.rounds import run_rounds, stopping
from benchmarks.loops import LIBRARIES
from benchmarks.outcomes import NOT_TRIED
from benchmarks.pairing import Results

NAMED = {subject.name: subject for subject in SUBJECTS}
PAIRS = [(s, w) for s in SUBJECTS for w in FILES if s.can(w.method)]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A file that is read in no time."""
    with made(tmp_path_factory.mktemp("place"), MIB) as here:
        yield here


@pytest.mark.parametrize(("subject", "workload"), PAIRS, ids=lambda each: each.name)
def test_everybody_does_as_many_operations_as_asked_and_leaves_only_the_file(
    subject, workload, place, monkeypatch
):
    if subject.obstacle is not None:
        pytest.skip(subject.obstacle)
    monkeypatch.setenv("UC_BACKEND", "")  # put back behind the subject, which chooses its own
    watch = Way(subject, place, 1).work(workload, 3)
    assert watch.seconds > 0
    assert watch.cpu_seconds >= 0
    assert list(place.folder.iterdir()) == [place.readable]


def test_who_does_what_is_as_the_promises_need_it():
    doing = {w.name: {s.name for s in SUBJECTS if s.can(w.method)} for w in FILES}
    for names in doing.values():
        assert {"ours", "ours-epoll", "ours-asyncio", BASE, "aiofiles-asyncio"} <= names
    assert [name for name, names in doing.items() if "thread" in names] == ["file-write"]
    assert [name for name, names in doing.items() if "raw-uring" not in names] == ["file-write"]


@pytest.mark.parametrize("spoil", [bytes.upper, lambda data: data[:-1], lambda data: b""])
def test_a_read_of_wrong_bytes_is_no_sample(place, spoil):
    with place.readable.open("rb") as file:
        file.seek(0x61 * BLOCK)  # its stamp has a letter
        data = file.read(BLOCK)
    require(data, 0x61)
    with pytest.raises(ValueError, match="not those of block 97"):
        require(spoil(data), 0x61)
    with pytest.raises(ValueError, match="not those of block 98"):
        require(data, 0x62)


def test_the_blocks_are_the_same_ones_for_everybody_and_lie_in_the_file(place):
    blocks = place.blocks(1000)
    assert blocks == Place(place.folder, place.read_bytes).blocks(1000)
    assert set(blocks) <= set(range(place.read_bytes // BLOCK))
    assert len(set(blocks)) > 100


def test_a_library_that_is_not_installed_is_skipped_with_the_reason(place, monkeypatch):
    monkeypatch.setitem(LIBRARIES, "no_such_module", "nowhere")
    absent = type(NAMED[BASE])("absent", "absent", "asyncio", NAMED[BASE].kind, "no_such_module")
    results = run_rounds(FILES[0], [absent], {}, 1, 0.001, lambda _text: None)
    assert results.skipped == {"absent": NOT_TRIED}


def test_workers_answer_in_turn_and_what_is_written_is_as_long_as_asked(place):
    thread = NAMED["thread"]
    if thread.obstacle is not None:
        pytest.skip(thread.obstacle)
    working = {"thread": command._worker(thread, place, 2)}
    with stopping(working):
        results = run_rounds(
            WORKLOADS["file-write"], [thread], working, 2, 0.001, lambda _text: None
        )
    assert [sample.count for sample in results.good("thread")] == [2, 2]
    assert results.failures == []


def test_writing_is_measured_in_fewer_rounds():
    assert [workload.rounds(15) for workload in FILES] == [15, 15, 15, 5]
    assert WORKLOADS["file-write"].rounds(2) == 2


def timings(*us: float) -> list:
    """Samples, made up."""
    return [SimpleNamespace(us=value, cpu_us=value, count=1) for value in us]


def test_the_table_says_what_was_promised_and_whether_it_is_met():
    results = Results(WORKLOADS["file-read-1"])
    results.samples = {"ours": timings(2, 2), BASE: timings(6, 6), "raw-uring": timings(1, 1)}
    table = workload_table(results, SUBJECTS, judge({"file-read-1": results}))
    columns = {"".join(str(c.header).split()): list(c.cells) for c in table.columns}
    assert columns["speed/aiofiles,uvloop"] == ["3.00", "1.00", "6.00"]
    assert columns["CPU/raw"] == ["2.00", "6.00", "1.00"]
    assert columns["promised"] == ["≥ 4: missed by 25%", "", ""]
    results.samples[BASE] = timings(10, 10)
    table = workload_table(results, SUBJECTS, judge({"file-read-1": results}))
    assert list(table.columns[-1].cells) == ["≥ 4: met", "", ""]


def test_the_command_measures_and_writes_every_sample(tmp_path, monkeypatch, capsys):
    if NAMED["thread"].obstacle is not None:
        pytest.skip(NAMED["thread"].obstacle)
    monkeypatch.setattr(cli.environments, "enter", lambda *_: None)
    monkeypatch.setattr(command, "made", lambda folder: made(folder, MIB))
    file = tmp_path / "all.json"
    arguments = ["files", "--only", "thread", "--rounds", "2", "--write-mib", "1"]
    assert cli.main([*arguments, "--folder", str(tmp_path), "--json", str(file)]) == 0
    document = json.loads(file.read_text())
    written = document["workloads"]["file-write"]
    assert len(written["samples"]["thread"]) == 2
    assert written["table"]["rows"][0]["peer"] == "thread"
    assert {figure["met"] for figure in document["figures"]} == {None}
    assert list(tmp_path.iterdir()) == [file]
    assert "a plain loop in a thread" in capsys.readouterr().out
