"""Loops measured from inside, without a server.

Each loop lives in a process of its own, so that none sees what another leaves behind, and one that
crashes is noted and takes nobody along. The processes take turns: in a round each runs a workload
once while the others sleep, and ratios are taken within a round.

- subjects: which loops there are
- timing: how a piece of work is timed, and what a workload is
- turns, timers, waiting, threads, outside, starting: scheduling
- descriptors, files: what drivers do with a loop beside transports
- catalogue: the suites
- worker: the process of one loop
- rounds: workers in turn
- command, tables: ``tools/bench SUITE`` for these suites
"""
