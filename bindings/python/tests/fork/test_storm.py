"""A storm of forks: a thousand children of all kinds, and a parent that serves meanwhile."""

from __future__ import annotations

import pytest

PROGRAM = """
import asyncio, gc, itertools, os, pathlib, signal, sys, threading
import uringcore_cffi
from certificates import Certificates
from echoes import serve_and_talk
from leaks import open_descriptors
from traffic import everything

CHILDREN = int(sys.argv[2])
AT_ONCE = 6
folder = pathlib.Path(sys.argv[1])
certificates = Certificates(folder)
loop = uringcore_cffi.new_event_loop()

def exits():
    os._exit(0)

def collects():
    gc.collect()
    os._exit(0)

def execs():
    os.execv("/bin/true", ["true"])

def makes_a_loop():
    made = uringcore_cffi.new_event_loop()
    made.run_until_complete(asyncio.wait_for(serve_and_talk(2), 30))
    made.close()
    assert (made.stats().stale, made.stats().in_flight) == (0, 0)
    os._exit(0)

def touches_the_old_one():
    for transport in loop._inherited.values():
        if isinstance(transport, asyncio.BaseTransport):
            transport.abort()
    try:
        loop.add_reader(0, print)
    except ChildProcessError:
        os._exit(0)

def runs_the_old_one():
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    os._exit(0)

ANYWHERE = (exits, collects, execs, touches_the_old_one)
OUTSIDE = (*ANYWHERE, makes_a_loop, runs_the_old_one)
born = 0
alive = {}
in_callbacks, outside = itertools.cycle(ANYWHERE), itertools.cycle(OUTSIDE)

def reap(room):
    # Wait for those that have ended, and for more if there is too little room.
    while alive:
        crowded = len(alive) > AT_ONCE - room
        pid, status = os.waitpid(next(iter(alive)), 0 if crowded else os.WNOHANG)
        if pid == 0:
            return
        kind = alive.pop(pid)
        assert status == 0, (kind.__name__, status)

def fork(kind):
    global born
    reap(1)
    born += 1
    pid = os.fork()
    if pid:
        alive[pid] = kind
        return
    try:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(60)
        kind()
    except BaseException as exc:
        print(kind.__name__, repr(exc), file=sys.stderr)
    finally:
        os._exit(1)

def at(moment):
    if moment in ("data", "reader", "timer", "lost") and born < goal:
        fork(next(in_callbacks))

def storm(count):
    global goal
    end = born + count
    while born < end:
        goal = min(end, born + count // 4)
        loop.run_until_complete(everything(at, 4, folder, certificates))
        for _ in range(min(end - born, count // 10)):
            fork(next(outside))
    reap(AT_ONCE)

def holdings():
    gc.collect()
    with open("/proc/self/maps") as maps:
        ends = [[int(end, 16) for end in line.split()[0].split("-")] for line in maps]
    files = sorted(name.split(":")[0] for name in open_descriptors().values())
    threads = len(os.listdir("/proc/self/task"))
    return files, threads, len(ends), sum(last - first for first, last in ends)

storm(40)
files, threads, mappings, span = holdings()
storm(CHILDREN)
after = holdings()
assert after[0] == files, (files, after[0])
assert after[1] == threads, (threads, after[1])
assert after[2] <= mappings + 8, (mappings, after[2])
assert after[3] <= span + (16 << 20), (span, after[3])
assert loop.pool_stats().leased == 0
loop.close()
assert loop.stats().in_flight == 0, loop.stats()
assert loop.stats().stale == 0, loop.stats()
assert threading.active_count() == 1
print(born, "children")
"""


@pytest.mark.heavy
@pytest.mark.timeout(200)
def test_a_thousand_children_leave_nothing_behind(run_python, tmp_path):
    """They exit, become other programs, make loops, and touch or run the old one."""
    done = run_python("-W", "ignore", "-c", PROGRAM, tmp_path, 1000, timeout=180)
    assert done.stderr == ""
    assert done.stdout == "1040 children\n"
    assert done.returncode == 0
