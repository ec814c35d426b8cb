"""The results of a suite as JSON: what ``--json`` writes and ``--report`` draws."""

from __future__ import annotations

import dataclasses
import datetime as dt
import shlex
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from rich.table import Table
from rich.text import Text

from benchmarks.figures import Verdict
from benchmarks.pairing import Results


class Measured(Protocol):
    """Whoever was measured: a peer, or a loop from inside."""

    @property
    def name(self) -> str:
        """On the command line."""

    @property
    def label(self) -> str:
        """In tables."""


def plain_table(table: Table, peers: Sequence[Measured], result: Results) -> dict[str, Any]:
    """A table of the terminal without its colours; ``peer`` says whose row it is."""
    rows = zip(*([Text.from_markup(str(cell)).plain for cell in c.cells] for c in table.columns))
    shown = [peer.name for peer in peers if result.good(peer.name)]
    return {
        "headings": [" ".join(str(column.header).split()) for column in table.columns],
        "rows": [{"peer": peer, "cells": list(cells)} for peer, cells in zip(shown, rows)],
    }


def _workload(result: Results) -> dict[str, Any]:
    """A workload's fields, without those that only a program can use."""
    fields = dataclasses.asdict(result.workload)
    return {name: value for name, value in fields.items() if not callable(value)}


def as_document(
    suite: str,
    about: Mapping[str, Any],
    peers: Sequence[Measured],
    versions: Mapping[str, str],
    results: Mapping[str, Results],
    tables: Mapping[str, Table],
    verdicts: Sequence[Verdict],
) -> dict[str, Any]:
    """Everything that is known of a run; ``tables`` has the terminal's for each workload."""
    return {
        "suite": suite,
        "command": shlex.join(["tools/bench", *sys.argv[1:]]),
        "date": dt.datetime.now(dt.timezone.utc).isoformat(timespec="seconds"),
        "machine": dict(about),
        "versions": dict(versions),
        "labels": {peer.name: peer.label for peer in peers},
        "workloads": {
            name: {
                "workload": _workload(result),
                "samples": {
                    peer: [sample and dataclasses.asdict(sample) for sample in samples]
                    for peer, samples in result.samples.items()
                },
                "table": plain_table(tables[name], peers, result),
                "skipped": result.skipped,
                "failures": result.failures,
            }
            for name, result in results.items()
        },
        "figures": [
            {
                "text": verdict.figure.text,
                "limit": verdict.figure.limit,
                "at_most": verdict.figure.at_most,
                "value": verdict.value and dataclasses.asdict(verdict.value),
                "met": verdict.met,
            }
            for verdict in verdicts
        ],
    }
