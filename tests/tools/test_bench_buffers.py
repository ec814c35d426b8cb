"""tools/bench buffers: every way takes whole messages, in any pieces, and a failure is told."""

from __future__ import annotations

import random
import subprocess
import zlib

import pytest

from benchmarks.buffers import command
from benchmarks.buffers.command import WORKLOADS, Sample, run_rounds, suite_table
from benchmarks.buffers.ways import LENGTH, WAYS, Parser
from benchmarks.buffers.worker import sample


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
@pytest.mark.parametrize("size", [1, 70_000])
def test_every_way_receives_messages_and_finds_their_sums_right(way, size):
    taken = sample(way, size, 0.1)
    assert taken["messages"] > 0
    assert taken["cpu_us"] > 0
    assert taken["buffers"] > 0


def test_the_parser_takes_the_stream_in_any_pieces():
    chance = random.Random(1)
    message = chance.randbytes(1000)
    stream = (LENGTH.pack(len(message)) + message) * 50
    for longest in (1, 3, 1004, 5000):
        parser = Parser(zlib.crc32(message))
        place = 0
        while place < len(stream):
            count = chance.randint(1, longest)
            parser.feed(memoryview(stream)[place : place + count])
            place += count
        assert (parser.messages, parser.wrong) == (50, 0)


def test_the_parser_counts_a_message_that_is_wrong():
    parser = Parser(zlib.crc32(b"right"))
    for message in (b"right", b"wrong"):
        parser.feed(memoryview(LENGTH.pack(5) + message))
    assert (parser.messages, parser.wrong) == (2, 1)


def test_ways_take_turns_and_a_failure_is_told(monkeypatch):
    ways, steps = WAYS[:3], []

    def measure(way, workload, seconds, cpus):
        if way is ways[1]:
            raise subprocess.CalledProcessError(1, "it", stderr="a reason")
        return Sample(10, 100.0, 5.0 if way is ways[0] else 4.0, 1 << 20, 64, 3)

    monkeypatch.setattr(command, "_measure", measure)
    results = run_rounds(WORKLOADS[0], ways, 2, 0.1, steps.append)
    order = [step.rpartition(", ")[2] for step in steps]
    labels = [way.label for way in ways]
    assert order == [*labels, *labels[1:], labels[0]]
    assert len(results.failures) == 2
    assert results.failures[0].endswith("a reason")
    cells = [list(column.cells) for column in suite_table({"one": results}, ways).columns]
    assert cells[1] == [ways[0].label, ways[2].label]
    assert cells[4][1].startswith("0.80")
