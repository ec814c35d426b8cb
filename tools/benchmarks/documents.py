"""The results of a suite as JSON: what ``--json`` writes and ``--report`` draws."""

from __future__ import annotations

import dataclasses
import datetime as dt
import shlex
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

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
    verdicts: Sequence[Verdict],
) -> dict[str, Any]:
    """Everything that is known of a run."""
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
