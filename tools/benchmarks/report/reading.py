"""The document of a run, read back into results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from benchmarks.pairing import Results

OURS, BASE, RAW = "ours", "uvloop", "raw-uring"


@dataclass(frozen=True)
class Measured:
    """One workload of a run: its fields, its samples, and its table as the terminal shows it."""

    name: str
    fields: Mapping[str, Any]
    results: Results
    table: Mapping[str, Any]

    @property
    def title(self) -> str:
        """For readers."""
        return str(self.fields["title"])

    @property
    def idle(self) -> bool:
        """Whether its connections say nothing: then memory is all there is to compare."""
        return self.fields.get("mode") == "idle"

    @property
    def peers(self) -> list[str]:
        """Whoever has at least one good sample."""
        return [peer for peer in self.results.samples if self.results.good(peer)]

    @property
    def failed(self) -> list[str]:
        """Whoever was tried and has no good sample."""
        return [peer for peer in self.results.samples if not self.results.good(peer)]

    def has(self, field: str) -> bool:
        """Whether samples know this."""
        return any(
            getattr(sample, field, None) is not None
            for peer in self.results.samples
            for sample in self.results.good(peer)
        )


@dataclass(frozen=True)
class Run:
    """One suite, measured once."""

    document: Mapping[str, Any]
    workloads: tuple[Measured, ...]

    @property
    def suite(self) -> str:
        """Its name."""
        return str(self.document["suite"])

    def label(self, peer: str) -> str:
        """What readers call a peer."""
        return str(self.document["labels"].get(peer, peer))


def _measured(name: str, entry: Mapping[str, Any]) -> Measured:
    results: Any = Results(SimpleNamespace(**entry["workload"]))  # type: ignore[arg-type]
    results.samples = {
        peer: [None if sample is None else SimpleNamespace(**sample) for sample in samples]
        for peer, samples in entry["samples"].items()
    }
    results.skipped = dict(entry["skipped"])
    results.failures = list(entry["failures"])
    return Measured(name, entry["workload"], results, entry["table"])


def read_run(document: Mapping[str, Any]) -> Run:
    """Reads what ``as_document`` made."""
    workloads = (_measured(name, entry) for name, entry in document["workloads"].items())
    return Run(document, tuple(workloads))
