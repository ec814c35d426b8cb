"""What stands where on the page."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.report import plots
from benchmarks.report.comparing import families, speed, verdict
from benchmarks.report.markup import data_url, element, picture, table, text
from benchmarks.report.reading import BASE, OURS, Measured, Run, read_run

CSS = Path(__file__).with_name("page.css")

LEGEND = (
    "Every peer ran once in each round, in an order that rotates; a ratio is taken within a round, "
    "and a bar is the median of the rounds' ratios, its whisker the lowest and the highest round. "
    "Blue is better than uvloop, red is worse, grey is the same within 2 %. Speed is the ratio of "
    "rates, or of work per CPU time where the load generator was the bottleneck; of connections "
    "that idle, how many fit into the same memory."
)


def write_page(documents: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Writes one page about one or several runs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(make_page(documents), encoding="utf-8")


def make_page(documents: Sequence[Mapping[str, Any]]) -> str:
    """The page as text."""
    runs = [read_run(document) for document in documents]
    title = "Benchmarks: " + ", ".join(run.suite for run in runs)
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", text(title)),
        element("style", CSS.read_text()),
    )
    body = [element("h1", text(title)), element("p", text(LEGEND), class_="note")]
    for run in runs:
        body += _run(run)
    page = element("html", head, element("body", "\n".join(body)), lang="en")
    return f"<!DOCTYPE html>\n{page}\n"


def _run(run: Run) -> list[str]:
    parts = [
        element("h2", text(run.suite), id=f"suite-{run.suite}"),
        _facts(run),
        _contents(run),
        *_picture(plots.overview(run), f"{run.suite}: ours to uvloop under every workload"),
        *_summary(run),
        *_figures(run.document["figures"]),
        *_missing(run),
    ]
    for field in ("connections", "size"):
        for family in families([each for each in run.workloads if not each.idle], field):
            names = ", ".join(member.title for member in family.members)
            parts.append(element("h3", text(f"Over {field}: {names}")))
            parts += _picture(plots.scaling(run, family), f"{names}: by {field}")
    for measured in run.workloads:
        parts += _workload(run, measured)
    return parts


def _facts(run: Run) -> str:
    """Machine, versions, command, and the samples to take away."""
    about, versions = run.document["machine"], run.document["versions"]
    content = json.dumps(run.document, indent=1).encode()
    download = element(
        "a",
        text(f"{run.suite}.json, every sample"),
        href=data_url("application/json", content),
        download=f"{run.suite}.json",
    )
    facts = {
        "Processor": text(f"{about['cpu']}, {about['cpus']} CPUs"),
        "Memory": text(f"{about['memory_kib'] / (1 << 20):.1f} GiB"),
        "Kernel": text(f"Linux {about['kernel']}"),
        "Python": text(
            about["python"] + ("" if about["optimised"] else ", built without optimisation")
        ),
        "Versions": text(
            ", ".join(f"{run.label(name)} {version}" for name, version in versions.items())
        ),
        "Command": element("code", text(run.document["command"])),
        "Date": text(run.document["date"]),
        "Data": download,
    }
    return element(
        "dl", *(element("dt", name) + element("dd", value) for name, value in facts.items())
    )


def _anchor(run: Run, measured: Measured) -> str:
    return f"{run.suite}-{measured.name}"


def _contents(run: Run) -> str:
    links = (
        element("a", text(measured.name), href="#" + _anchor(run, measured))
        for measured in run.workloads
    )
    return element("nav", " ".join(links))


def _picture(svg: bytes | None, description: str) -> list[str]:
    return [] if svg is None else [picture(svg, description)]


def _summary(run: Run) -> list[str]:
    """How often ours won and lost, and where."""
    names: dict[str, list[str]] = {}
    for measured in run.workloads:
        names.setdefault(verdict(speed(measured, OURS, BASE)), []).append(measured.title)
    said = []
    for kind in ("better", "same", "worse"):
        if kind in names:
            count = element("b", text(f"{len(names[kind])} {kind}"), class_=kind)
            said.append(count + text(": " + "; ".join(names[kind])))
    return [element("p", text("Ours against uvloop. ") + ". ".join(said) + ".")] if said else []


def _figures(figures: Iterable[Mapping[str, Any]]) -> list[str]:
    rows = []
    for figure in figures:
        bound = f"{'≤' if figure['at_most'] else '≥'} {figure['limit']:g}"
        value = figure["value"]
        measured = ["not measured", ""]
        if value is not None:
            measured = [f"{value['median']:.3f}", f"{value['low']:.3f} to {value['high']:.3f}"]
        word = {True: "met", False: "missed", None: "skipped"}[figure["met"]]
        rows.append((word, [figure["text"], bound, *measured, word]))
    if not rows:
        return []
    return [
        element("h3", "Targets"),
        table(["target", "must be", "median", "rounds", ""], rows),
    ]


def _missing(run: Run) -> list[str]:
    """Who is not in the numbers, and why."""
    lines: dict[str, str] = {}
    for measured in run.workloads:
        for failure in measured.results.failures:
            lines[f"failed: {failure}"] = "failed"
    for measured in run.workloads:
        for peer, reason in measured.results.skipped.items():
            word = "failed" if reason.startswith("failed") else "skipped"
            lines[f"{word}: {run.label(peer)}: {reason.removeprefix('failed: ')}"] = word
    if not lines:
        return []
    items = (element("li", text(line), class_=kind) for line, kind in lines.items())
    return [element("h3", "Skipped and failed"), element("ul", *items)]


def _workload(run: Run, measured: Measured) -> list[str]:
    rows = []
    for row in measured.table["rows"]:
        peer = row["peer"]
        kind = "unknown" if peer == BASE else verdict(speed(measured, peer, BASE))
        rows.append((kind, row["cells"]))
    parts = [
        element("h3", text(measured.title), id=_anchor(run, measured)),
        table(measured.table["headings"], rows),
    ]
    failed = [
        element("li", text(f"{run.label(peer)} failed in every round"), class_="failed")
        for peer in measured.failed
    ]
    failed += [
        element("li", text(f"failed: {failure}"), class_="failed")
        for failure in measured.results.failures
    ]
    parts += [element("ul", *failed)] if failed else []
    parts += _picture(plots.ratios(run, measured), f"{measured.title}: ratios")
    parts += _picture(plots.latency(run, measured), f"{measured.title}: latency")
    return parts
