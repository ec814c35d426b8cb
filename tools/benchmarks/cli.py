"""The command line of tools/bench."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks import environments
from benchmarks.buffers import command as buffers
from benchmarks.documents import as_document
from benchmarks.figures import judge
from benchmarks.files import command as files
from benchmarks.files.catalogue import FILE_SUITES
from benchmarks.http_workloads import HTTP
from benchmarks.http_workloads import versions as http_versions
from benchmarks.inside import command as inside
from benchmarks.inside.catalogue import INSIDE_SUITES
from benchmarks.load import native_program
from benchmarks.machine import machine
from benchmarks.measurement import Window
from benchmarks.pairing import Results, run_rounds
from benchmarks.peers import PEERS, QUICK_PEERS, Peer, version_of
from benchmarks.processes import Cpus
from benchmarks.tables import show, workload_table
from benchmarks.workloads import SUITES as ECHO_SUITES
from benchmarks.workloads import Workload
from terminal.showing import make_console, make_still_bar

SUITES = {**ECHO_SUITES, "http": HTTP, "all": (*ECHO_SUITES["all"], *HTTP)}
QUICK_SUITE = "quick"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tools/bench",
        description="Measures servers against each other: interleaved rounds, server and load on "
        "different CPUs, ratios within a round.",
    )
    parser.add_argument(
        "suite",
        nargs="?",
        choices=sorted([*SUITES, *INSIDE_SUITES, *FILE_SUITES, buffers.SUITE]),
        help="which workloads; not needed with --quick",
    )
    parser.add_argument(
        "--rounds", type=int, default=None, help="rounds per workload (5; 15 without servers)"
    )
    parser.add_argument(
        "--seconds", type=float, default=None, help="measured window (2; 0.1 without servers)"
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="fewer and shorter rounds; without a suite: a workload of each kind, in 3 minutes",
    )
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="NAME,...",
        help="only these workloads and peers: "
        + ", ".join(dict.fromkeys(w.name for suite in SUITES.values() for w in suite))
        + "; "
        + ", ".join(peer.name for peer in PEERS),
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every sample there")
    parser.add_argument(
        "--report", type=Path, metavar="DIR", help="write DIR/SUITE.html, with plots"
    )
    parser.add_argument(
        "--install-peers",
        action="store_true",
        help="get the other loops, and aiofiles, from PyPI, then end",
    )
    parser.add_argument(
        "--python",
        default="",
        metavar="VERSION",
        help="measure on another Python, such as 3.13, after --install-peers for it",
    )
    parser.add_argument(
        "--write-mib",
        type=int,
        default=None,
        metavar="MIB",
        help="files: how much is written (1024; 64 with --quick)",
    )
    parser.add_argument(
        "--folder", type=Path, metavar="DIR", help="files: where they are, for a while (build/)"
    )
    parser.add_argument("--check", action="store_true", help="exit 1 when a figure is missed")
    return parser


def _select(suite: str, only: list[str]) -> tuple[list[Workload], list[Peer]]:
    """The workloads and peers that ``--only`` leaves; exits on a name that is neither."""
    names = {name for item in only for name in item.split(",") if name}
    workloads = list(SUITES[suite])
    unknown = names - {w.name for w in workloads} - {p.name for p in PEERS}
    if unknown:
        raise SystemExit(
            f"tools/bench: --only {','.join(sorted(unknown))}: no such workload or peer"
        )
    chosen_workloads = [w for w in workloads if w.name in names]
    chosen_peers = [p for p in PEERS if p.name in names]
    usual_peers = list(QUICK_PEERS if suite == QUICK_SUITE else PEERS)
    return chosen_workloads or workloads, chosen_peers or usual_peers


def _run(
    console: Console, workloads: list[Workload], peers: list[Peer], rounds: int, window: Window
) -> dict[str, Results]:
    """All rounds, with a bar that is drawn only between windows: it must not disturb them."""
    results = {}
    bar = make_still_bar(console)
    with bar:
        task = bar.add_task("", total=len(workloads) * rounds * len(peers))
        done = -1

        def step(text: str) -> None:
            nonlocal done
            done += 1
            bar.update(task, completed=done, description=text, refresh=True)

        for workload in workloads:
            results[workload.name] = run_rounds(workload, peers, rounds, window, step)
            missing = len(results[workload.name].skipped) * rounds
            bar.update(task, total=(bar.tasks[0].total or 0) - missing)
    return results


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0; 1 when a server failed, or with ``--check`` a figure was missed."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.install_peers:
        environments.install(make_console(), options.python)
        return 0
    if options.suite is None:
        if not options.quick:
            parser.error("which suite? (or --quick)")
        options.suite = QUICK_SUITE
    environments.enter(options.python, sys.argv[1:] if arguments is None else arguments)
    if not 1 <= (options.rounds or 1) <= 1000 or not 0.05 <= (options.seconds or 1) <= 600:
        raise SystemExit("tools/bench: --rounds is 1 to 1000, --seconds 0.05 to 600")
    console = make_console()
    about = machine()
    console.print(f"{about['cpu']}, Linux {about['kernel']}, {about['python']}", highlight=False)
    if not about["optimised"]:
        console.print("[red]This Python was built without optimisation: no comparison holds.[/red]")
    document = _measure_of(options.suite)(console, options, about)
    if options.json:
        options.json.write_text(json.dumps(document, indent=1))
    if options.report:
        from benchmarks.report.page import write_page  # matplotlib takes its time

        page = options.report / f"{options.suite}.html"
        write_page([document], page)
        console.print(f"report: {page}", highlight=False, soft_wrap=True)
    failed = any(result["failures"] for result in document["workloads"].values())
    missed = any(figure["met"] is False for figure in document["figures"])
    return 1 if failed or (options.check and missed) else 0


def _measure_of(suite: str) -> Callable[..., dict[str, Any]]:
    """What measures a suite, shows it, and returns it as a document."""
    if suite in FILE_SUITES:
        return files.run
    if suite == buffers.SUITE:
        return buffers.run
    return inside.run if suite in INSIDE_SUITES else _measure_servers


def _usual_seconds(options: argparse.Namespace) -> float:
    """How long a window is if nobody says: the quick suite has to be done in three minutes."""
    if options.suite == QUICK_SUITE:
        return 0.6
    return 1.0 if options.quick else 2.0


def _measure_servers(
    console: Console, options: argparse.Namespace, about: Mapping[str, Any]
) -> dict[str, Any]:
    """Measure and show what the command line asks for; return it as a document."""
    rounds = options.rounds or (3 if options.quick else 5)
    seconds = options.seconds or _usual_seconds(options)
    workloads, peers = _select(options.suite, options.only)
    if native_program("bench-load") is None:
        raise SystemExit("tools/bench: bench-load is not built")
    cpus = Cpus.choose()
    if cpus.server is None:
        console.print("[yellow]Only one CPU: server and load disturb each other.[/yellow]")
    window = Window(seconds, min(0.5, seconds / 4), cpus)
    results = _run(console, workloads, peers, rounds, window)
    verdicts = judge(results)
    show(console, results, peers, verdicts)
    versions = {peer.name: version_of(peer) for peer in PEERS if version_of(peer)}
    if options.suite == "http":
        versions.update(http_versions())
    tables = {name: workload_table(result, peers) for name, result in results.items()}
    return as_document(options.suite, about, peers, versions, results, tables, verdicts)
