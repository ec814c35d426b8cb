"""The suites of workloads that are measured from inside."""

from __future__ import annotations

from benchmarks.inside import (
    descriptors,
    files,
    outside,
    starting,
    threads,
    timers,
    turns,
    waiting,
)
from benchmarks.inside.timing import Workload

SCHEDULING = (
    Workload("call-soon-chain", "call_soon, a turn each", turns.call_soon_chain),
    Workload("call-soon-batch", "call_soon, 1,000 in a turn", turns.call_soon_batch),
    Workload("call-later-cancel", "call_later and cancel", timers.call_later_cancel),
    Workload("call-later-fires", "call_later that fires", timers.call_later_fires),
    Workload("sleep-0", "sleep(0)", turns.sleep_zero),
    Workload("gather-100", "gather of 100", turns.gather),
    Workload("task", "create_task and await", turns.create_task),
    Workload("future", "future, set and awaited", waiting.future),
    Workload("queue", "Queue, put and get", waiting.queue),
    Workload("lock", "Lock that two want", waiting.lock),
    Workload("threadsafe", "call_soon_threadsafe, in a row", threads.threadsafe),
    Workload("threadsafe-wake", "call_soon_threadsafe, one by one", threads.threadsafe_wake),
    Workload("executor", "run_in_executor", threads.executor),
    Workload("spawn", "subprocess", outside.spawn),
    Workload("getaddrinfo", "getaddrinfo of an address", outside.literal_address),
    Workload("new-loop", "new loop, run, close", starting.new_loop),
    Workload("import", "import, new process", starting.imported),
    Workload("start", "import, run, close, new process", starting.started),
)

DRIVERS = (
    Workload("ping-pong-1", "add_reader: a pair of sockets", descriptors.ping_pong(1)),
    Workload("ping-pong-50", "add_reader: 50 pairs of sockets", descriptors.ping_pong(50)),
    Workload("ping-pong-far", "add_reader: another process", descriptors.far_ping_pong),
    Workload("add-and-remove", "add_reader and remove_reader", descriptors.add_and_remove),
    Workload("wait-once", "add_reader for one event", descriptors.wait_once),
    Workload("sendfile-4k", "sock_sendfile of 4 KiB", files.send_file(4096)),
    Workload("sendfile-100k", "sock_sendfile of 100 KB", files.send_file(100_000)),
    Workload("sendfile-10m", "sock_sendfile of 10 MB", files.send_file(10_000_000)),
)

INSIDE_SUITES: dict[str, tuple[Workload, ...]] = {"drivers": DRIVERS, "scheduling": SCHEDULING}
"""What ``tools/bench SUITE`` can run."""

WORKLOADS = {workload.name: workload for suite in INSIDE_SUITES.values() for workload in suite}
