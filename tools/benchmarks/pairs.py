"""Two servers at the same time, loaded in turn: ``python -m benchmarks.pairs A B WORKLOAD...``.

A side is a loop (``uvloop``, ``uringcore``), a loop with options as JSON
(``uringcore{"busy_poll_us":100}``), or another clone of this project that has been built (a folder
with ``build/``), whose loop and library are run then. Before and after a change: the clone of the
commit before, and ``uringcore``. What decides is the CPU time of the server's process for each
request, B's to A's within each pair: a machine's speed drifts less between the two windows of a
pair than between two runs.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.loops import COMMON, OURS
from benchmarks.measurement import load_shortly
from benchmarks.processes import Cpus, ServerProcess, python_command
from benchmarks.workloads import SUITES, Workload

# The other tree's package goes in front; tools/ stays this tree's.
_START = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); from benchmarks.servers import main; main()"
)
WORKLOADS = {workload.name: workload for workload in SUITES["all"] if not workload.idle}


def command_of(side: str, service: str) -> list[str]:
    """How to start a side; SystemExit for what is none."""
    loop, brace, options = side.partition("{")
    more = ["--options", brace + options] if brace else []
    if loop in COMMON:
        return [*python_command("benchmarks.servers", loop, service), *more]
    tree = Path(loop)
    library = tree / "build" / "lib" / "libuc.so"
    if not library.exists():
        raise SystemExit(f"benchmarks.pairs: {side!r} is neither one of {', '.join(COMMON)} nor a "
                         f"folder with build/lib/libuc.so")  # fmt: skip
    package = str(tree / "bindings" / "python" / "src")
    server = [sys.executable, "-c", _START, package, OURS, service, *more]
    return ["env", f"UC_LIBRARY={library}", *server]


def compare(sides: tuple[str, str], workload: Workload, pairs: int, seconds: float) -> list[float]:
    """B's CPU time for each request over A's, pair by pair; the first pair is not counted."""
    cpus = Cpus.choose()
    one, other = (command_of(side, workload.service) for side in sides)
    ratios = []
    with ServerProcess(one, cpus.server) as a, ServerProcess(other, cpus.server) as b:
        for pair in track(range(pairs + 1), workload.name, transient=True):
            cpu_us = {}
            for server in (a, b) if pair % 2 else (b, a):
                result = load_shortly(server, workload, cpus.load, seconds)
                cpu_us[server.pid] = result.server_cpu_per_request
            ratios.append(cpu_us[b.pid] / cpu_us[a.pid])
    return ratios[1:]


def main() -> None:
    """Compares, and prints a line for each workload."""
    parser = argparse.ArgumentParser(prog="benchmarks.pairs", description=__doc__)
    parser.add_argument("a", help="loop, or folder of a built clone")
    parser.add_argument("b", help="the same")
    parser.add_argument("workloads", nargs="+", choices=sorted(WORKLOADS), metavar="WORKLOAD",
                        help=", ".join(sorted(WORKLOADS)))  # fmt: skip
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--seconds", type=float, default=0.3, help="of each window")
    arguments = parser.parse_args()
    table = Table(title=f"CPU time for a request: {arguments.b} to {arguments.a}")
    for column in ("workload", "median", "quartiles", "pairs"):
        table.add_column(column, justify="left" if column == "workload" else "right")
    for name in arguments.workloads:
        sides = (arguments.a, arguments.b)
        ratios = compare(sides, WORKLOADS[name], arguments.pairs, arguments.seconds)
        low, middle, high = statistics.quantiles(ratios, n=4)
        table.add_row(WORKLOADS[name].title, f"{middle:.3f}", f"{low:.3f} to {high:.3f}",
                      str(len(ratios)))  # fmt: skip
    Console().print(table)


if __name__ == "__main__":
    main()
