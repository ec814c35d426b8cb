"""However a child comes to its end, its busy parent goes on, and hears nothing of it but that."""

from __future__ import annotations

import pytest

# A whole interpreter ends in each child: exit handlers, and garbage of everything inherited.
PROGRAM = """
import asyncio, atexit, gc, os, pathlib, signal, sys
import uringcore_cffi
from certificates import Certificates
from traffic import everything

folder = pathlib.Path(sys.argv[1])
children = []
passed = 0

def at(moment):
    global passed
    if moment != "data" or len(children) == 8:
        return
    passed += 1
    if passed % 3:
        return
    children.append(os.fork())
    if children[-1] == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(40)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # tasks of the parent complain of being ended
        atexit.register(gc.collect)
        HOW

parent = os.getpid()
loop = uringcore_cffi.new_event_loop()
try:
    loop.run_until_complete(everything(at, 12, folder, Certificates(folder)))
finally:
    if os.getpid() == parent:
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
assert len(children) == 8
for pid in children:
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert status == 5, status
assert loop.stats().stale == 0, loop.stats()
assert loop.stats().in_flight == 0, loop.stats()
print("undisturbed")
"""


@pytest.mark.heavy
@pytest.mark.parametrize(
    "how",
    [
        "os._exit(5)",
        "sys.exit(5)",
        "globals().pop('loop'); gc.collect(); sys.exit(5)",
        "os.execv(sys.executable, [sys.executable, '-c', 'import sys; sys.exit(5)'])",
        "loop.stop(); atexit.register(os._exit, 5); atexit.register(gc.collect)",
        "raise SystemExit(5)",
    ],
)
def test_the_end_of_a_child_is_not_felt_by_a_busy_parent(run_python, tmp_path, how):
    done = run_python("-W", "ignore", "-c", PROGRAM.replace("HOW", how), tmp_path)
    assert done.stderr == ""
    assert done.stdout == "undisturbed\n"
    assert done.returncode == 0


def test_a_child_killed_by_a_signal_is_not_felt_by_a_busy_parent(run_python, tmp_path):
    program = PROGRAM.replace("HOW", "os.kill(os.getpid(), signal.SIGKILL)")
    program = program.replace("status == 5", "status == -9")
    done = run_python("-W", "ignore", "-c", program, tmp_path)
    assert done.stderr == ""
    assert done.stdout == "undisturbed\n"
