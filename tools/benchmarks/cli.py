"""The command line of tools/bench."""

from __future__ import annotations

import argparse
import dataclasses
import json
import platform
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks.figures import Verdict, judge
from benchmarks.load import native_program
from benchmarks.measurement import Window
from benchmarks.pairing import Results, run_rounds
from benchmarks.peers import PEERS, Peer, version_of
from benchmarks.processes import Cpus
from benchmarks.tables import show
from benchmarks.workloads import SUITES, Workload
from terminal.showing import make_console


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tools/bench",
        description="Measures servers against each other: interleaved rounds, server and load on "
        "different CPUs, ratios within a round.",
    )
    parser.add_argument("suite", choices=sorted(SUITES), help="which workloads")
    parser.add_argument("--rounds", type=int, default=None, help="rounds per workload (5)")
    parser.add_argument("--seconds", type=float, default=None, help="measured window (2)")
    parser.add_argument("--quick", action="store_true", help="3 rounds of 1 s")
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="NAME,...",
        help="only these workloads and peers: "
        + ", ".join([w.name for suite in SUITES.values() for w in suite])
        + "; "
        + ", ".join(peer.name for peer in PEERS),
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every sample there")
    parser.add_argument("--check", action="store_true", help="exit 1 when a figure is missed")
    return parser


def _select(suite: str, only: list[str]) -> tuple[list[Workload], list[Peer]]:
    """The workloads and peers that ``--only`` leaves; exits on a name that is neither."""
    names = {name for item in only for name in item.split(",") if name}
    workloads, peers = list(SUITES[suite]), list(PEERS)
    unknown = names - {w.name for w in workloads} - {p.name for p in peers}
    if unknown:
        raise SystemExit(
            f"tools/bench: --only {','.join(sorted(unknown))}: no such workload or peer"
        )
    chosen_workloads = [w for w in workloads if w.name in names]
    chosen_peers = [p for p in peers if p.name in names]
    return chosen_workloads or workloads, chosen_peers or peers


def optimised_python() -> bool:
    """Whether this interpreter was built with profile-guided optimisation.

    The distributions' own are, but do not record how; others say so in their configuration.
    """
    if Path(sys.executable).resolve().parent == Path("/usr/bin"):
        return True
    return "--enable-optimizations" in (sysconfig.get_config_var("CONFIG_ARGS") or "")


def machine() -> dict[str, Any]:
    """What the numbers were made on."""
    model = ""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return {
        "kernel": platform.release(),
        "cpu": model,
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "optimised": optimised_python(),
    }


def _as_json(
    suite: str, results: Mapping[str, Results], verdicts: Sequence[Verdict]
) -> dict[str, Any]:
    return {
        "suite": suite,
        "machine": machine(),
        "versions": {peer.name: version_of(peer) for peer in PEERS if version_of(peer)},
        "workloads": {
            name: {
                "workload": dataclasses.asdict(result.workload),
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


def _run(
    console: Console, workloads: list[Workload], peers: list[Peer], rounds: int, window: Window
) -> dict[str, Results]:
    """All rounds, with a bar that is drawn only between windows: it must not disturb them."""
    results = {}
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        auto_refresh=False,
        transient=True,
    )
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
    options = _parser().parse_args(arguments)
    rounds = options.rounds or (3 if options.quick else 5)
    seconds = options.seconds or (1.0 if options.quick else 2.0)
    if not 1 <= rounds <= 1000 or not 0.05 <= seconds <= 600:
        raise SystemExit("tools/bench: --rounds is 1 to 1000, --seconds 0.05 to 600")
    workloads, peers = _select(options.suite, options.only)
    console = make_console()
    if native_program("bench-load") is None:
        print("tools/bench: bench-load is not built", file=sys.stderr)
        return 1
    about = machine()
    console.print(f"{about['cpu']}, Linux {about['kernel']}, {about['python']}", highlight=False)
    if not about["optimised"]:
        console.print("[red]This Python was built without optimisation: no comparison holds.[/red]")
    cpus = Cpus.choose()
    if cpus.server is None:
        console.print("[yellow]Only one CPU: server and load disturb each other.[/yellow]")
    window = Window(seconds, min(0.5, seconds / 4), cpus)
    results = _run(console, workloads, peers, rounds, window)
    verdicts = judge(options.suite, results)
    show(console, results, peers, verdicts)
    if options.json:
        options.json.write_text(json.dumps(_as_json(options.suite, results, verdicts), indent=1))
    failed = any(result.failures for result in results.values())
    missed = any(verdict.met is False for verdict in verdicts)
    return 1 if failed or (options.check and missed) else 0
