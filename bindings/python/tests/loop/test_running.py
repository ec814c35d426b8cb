"""install(), the policy, run() and ``python -m uringcore_cffi``; what a program leaves behind."""

from __future__ import annotations

import asyncio
import signal
import sys

import pytest

import uringcore_cffi


@pytest.fixture
def _policy():
    """Put asyncio's own policy back afterwards."""
    yield
    from uringcore_cffi._loop.compat import set_policy

    set_policy(None)


@pytest.mark.usefixtures("_policy")
def test_install_makes_asyncio_use_this_loop():
    """asyncio.run() and asyncio.new_event_loop() give ours; the policy is ours."""
    uringcore_cffi.install()

    async def main():
        return type(asyncio.get_running_loop())

    assert asyncio.run(main()) is uringcore_cffi.UringEventLoop
    loop = asyncio.new_event_loop()
    loop.close()
    assert type(loop) is uringcore_cffi.UringEventLoop


def test_the_policy_makes_this_loop():
    """new_event_loop() of the policy object, without installing it."""
    loop = uringcore_cffi.EventLoopPolicy().new_event_loop()
    assert type(loop) is uringcore_cffi.UringEventLoop
    assert isinstance(loop, asyncio.AbstractEventLoop)
    loop.close()


def test_run_returns_what_the_coroutine_returns():
    """On our loop, which is closed afterwards; debug mode when asked for."""
    loops = []

    async def main(result):
        loops.append(asyncio.get_running_loop())
        return result, loops[-1].get_debug()

    assert uringcore_cffi.run(main(1)) == (1, False)
    assert uringcore_cffi.run(main(2), debug=True) == (2, True)
    assert all(loop.is_closed() for loop in loops)
    assert type(loops[0]) is uringcore_cffi.UringEventLoop


def test_run_raises_what_the_coroutine_raises():
    """And cancels what is still running, shuts generators and the executor down."""
    ended = []

    async def background():
        try:
            await asyncio.sleep(3600)
        finally:
            ended.append("task")

    async def generator():
        try:
            yield 1
        finally:
            ended.append("generator")

    async def main():
        kept.append(asyncio.ensure_future(background()))
        kept.append(generator())
        await kept[-1].__anext__()
        await asyncio.get_running_loop().run_in_executor(None, int)
        raise ZeroDivisionError

    kept = []
    with pytest.raises(ZeroDivisionError):
        uringcore_cffi.run(main())
    assert ended == ["task", "generator"]


def test_run_refuses_what_it_cannot_run():
    """Something that is no coroutine, and a thread whose loop runs already."""

    async def main():
        coroutine = asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="running event loop"):
            uringcore_cffi.run(coroutine)
        coroutine.close()

    uringcore_cffi.run(main())
    with pytest.raises((ValueError, TypeError), match="coroutine"):
        uringcore_cffi.run(5)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="asyncio.Runner came with 3.11")
def test_a_loop_factory_is_all_that_a_runner_needs():
    """asyncio.Runner keeps one loop of ours for several coroutines."""

    async def main():
        return asyncio.get_running_loop()

    with asyncio.Runner(loop_factory=uringcore_cffi.new_event_loop) as runner:
        assert runner.run(main()) is runner.run(main()) is runner.get_loop()


PROGRAM = """
import asyncio, sys
import helper

async def main():
    print(type(asyncio.get_running_loop()).__name__, __name__, sys.argv, helper.WORD)
    print(sys.modules["__main__"].__dict__ is globals())

asyncio.run(main())
MORE
"""


def write_program(folder, more: str = ""):
    """Write a program and a module that it imports from its own folder."""
    (folder / "helper.py").write_text("WORD = 'helped'\n")
    script = folder / "program.py"
    script.write_text(PROGRAM.replace("MORE", more))
    return script


def test_a_script_runs_unmodified(run_python, tmp_path):
    """It sees its own argv, its folder on sys.path, and is __main__; its loop is ours."""
    script = write_program(tmp_path)
    done = run_python("-m", "uringcore_cffi", script, "-x", "two")
    assert done.stderr == ""
    first, second = done.stdout.splitlines()
    assert first == f"UringEventLoop __main__ {[str(script), '-x', 'two']} helped"
    assert second == "True"
    assert done.returncode == 0


def test_a_module_runs_unmodified(run_python, tmp_path):
    """-m finds it from the current folder, as python -m does."""
    script = write_program(tmp_path)
    done = run_python("-m", "uringcore_cffi", "-m", "program", "--flag", cwd=tmp_path)
    assert done.stderr == ""
    first, second = done.stdout.splitlines()
    assert first == f"UringEventLoop __main__ {[str(script), '--flag']} helped"
    assert second == "True"
    assert done.returncode == 0


def test_a_package_runs_by_its_main_module(run_python, tmp_path):
    """python -m package means package/__main__.py."""
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text("print(__name__, __package__)\n")
    done = run_python("-m", "uringcore_cffi", "-m", "package", cwd=tmp_path)
    assert (done.stdout, done.stderr, done.returncode) == ("__main__ package\n", "", 0)


@pytest.mark.parametrize(
    ("more", "code"), [("sys.exit(7)", 7), ("raise SystemExit", 0), ("sys.exit('words')", 1)]
)
def test_the_exit_code_is_the_programs(run_python, tmp_path, more, code):
    """sys.exit() ends python -m uringcore_cffi as it ends python."""
    done = run_python("-m", "uringcore_cffi", write_program(tmp_path, more))
    assert done.returncode == code
    assert done.stderr == ("words\n" if "words" in more else "")


def test_an_exception_ends_the_program_with_its_traceback(run_python, tmp_path):
    """Exit code 1, and the last line is the exception's."""
    script = write_program(tmp_path, "1 / 0")
    done = run_python("-m", "uringcore_cffi", script)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "ZeroDivisionError: division by zero"
    assert str(script) in done.stderr


@pytest.mark.parametrize("arguments", [(), ("-m",), ("--wrong",), ("-m", "-x")])
def test_a_wrong_command_line_is_told_the_usage(run_python, arguments):
    """One line on stderr and exit code 1."""
    done = run_python("-m", "uringcore_cffi", *arguments)
    assert done.returncode == 1
    assert done.stderr.startswith("usage: python -m uringcore_cffi ")
    assert done.stderr.count("\n") == 1


def test_help_is_the_usage(run_python):
    """On stdout, with exit code 0."""
    done = run_python("-m", "uringcore_cffi", "--help")
    assert done.stdout.startswith("usage: python -m uringcore_cffi ")
    assert (done.stderr, done.returncode) == ("", 0)


def test_what_is_missing_is_named(run_python, tmp_path):
    """A script or module that does not exist ends with an error that names it."""
    done = run_python("-m", "uringcore_cffi", tmp_path / "nothing.py")
    assert done.returncode != 0
    assert "nothing.py" in done.stderr.splitlines()[-1]
    done = run_python("-m", "uringcore_cffi", "-m", "no_such_module_at_all")
    assert done.returncode != 0
    assert "no_such_module_at_all" in done.stderr.splitlines()[-1]


def test_an_option_that_there_is_not_is_one_error(run_python):
    """The loop that was never made does not complain when it is collected."""
    program = "import uringcore_cffi; uringcore_cffi.new_event_loop(nonsense=1)"
    done = run_python("-c", program)
    assert done.stderr.splitlines()[-1].startswith("TypeError")
    assert "__del__" not in done.stderr


INTERRUPTED = """
import asyncio, os, signal, sys
import uringcore_cffi

async def background():
    try:
        await asyncio.sleep(3600)
    finally:
        print("background ended")

async def main():
    task = asyncio.ensure_future(background())
    asyncio.get_running_loop().call_later(0.01, os.kill, os.getpid(), signal.SIGINT)
    try:
        await asyncio.sleep(3600)
    except asyncio.CancelledError:
        print("main cancelled")
        raise
    finally:
        await asyncio.sleep(0)
        print("main ended")

run = {"asyncio": asyncio.run, "uringcore": uringcore_cffi.run}[sys.argv[1]]
try:
    run(main())
except KeyboardInterrupt:
    print("interrupted")
    if sys.argv[2] == "raise":
        raise
"""


@pytest.mark.parametrize("way", ["raise", "catch"])
def test_an_interrupt_ends_run_as_it_ends_asyncios(run_python, way):
    """SIGINT: the same steps in the same order, the same exit code, the same last line."""
    ours, stock = (run_python("-c", INTERRUPTED, name, way) for name in ("uringcore", "asyncio"))
    assert ours.stdout == stock.stdout
    assert sorted(ours.stdout.splitlines()) == [
        "background ended",
        "interrupted",
        "main cancelled",
        "main ended",
    ]
    assert ours.returncode == stock.returncode == (-signal.SIGINT if way == "raise" else 0)
    assert ours.stderr.splitlines()[-1:] == stock.stderr.splitlines()[-1:]


UNCLOSED = """
import asyncio, socket
import uringcore_cffi
from garbage import collect

class Ends(asyncio.Protocol):
    def connection_lost(self, exc):
        ended.set_result(None)

loop = uringcore_cffi.new_event_loop()
ended = loop.create_future()
listener = socket.create_server(("127.0.0.1", 0))

async def main():
    transport, _ = await loop.create_connection(Ends, *listener.getsockname())
    return transport

transport = loop.run_until_complete(main())
peer, _ = listener.accept()
END
peer.close()
listener.close()
"""


def warned(run_python, end: str) -> list[str]:
    """Run a program that leaves something open; return the warnings and whatever else it said."""
    done = run_python("-W", "always::ResourceWarning", "-c", UNCLOSED.replace("END", end))
    assert done.returncode == 0, done.stderr
    hints = ("ResourceWarning: Enable tracemalloc", "  _warn(", "  self.close", "  peer.close")
    return [line for line in done.stderr.splitlines() if not line.startswith(hints)]


def test_an_unclosed_transport_is_warned_of(run_python):
    """Once, with its repr; its socket is closed all the same."""
    lines = warned(run_python, "loop.close(); del transport; collect()")
    assert len(lines) == 1, lines
    assert "ResourceWarning: unclosed transport <SocketTransport" in lines[0]


def test_an_unclosed_loop_is_warned_of(run_python):
    """Once; it is closed all the same."""
    end = "transport.close(); loop.run_until_complete(ended); del loop, ended; collect()"
    lines = warned(run_python, end)
    assert len(lines) == 1, lines
    assert "ResourceWarning: unclosed event loop <UringEventLoop" in lines[0]


def test_what_is_closed_is_not_warned_of(run_python):
    """No word on stderr when everything was closed in order."""
    end = "transport.close(); loop.run_until_complete(ended); loop.close()"
    assert warned(run_python, end) == []


@pytest.mark.parametrize(
    "end",
    [
        "pass",
        "loop.close()",
        "transport.abort()",
        "transport.write(b'x' * 10_000_000)",
        "transport.write(b'x' * 10_000_000); loop.close()",
        "loop.call_later(3600, print); loop.call_soon(print)",
        "listener.setblocking(False); kept = loop.create_task(loop.sock_accept(listener)); MORE",
        "import builtins; builtins.kept = (loop, transport)",
        "import sys; sys.kept = (loop, transport); sys.exit(0)",
    ],
)
def test_the_interpreter_ends_cleanly_whatever_is_left_open(run_python, end):
    """Exit code 0 and an empty stderr: nothing fails or crashes while modules are torn down."""
    more = "loop.run_until_complete(asyncio.sleep(0)); kept._log_destroy_pending = False"
    program = UNCLOSED.replace("END", end).replace("MORE", more)
    done = run_python("-W", "ignore::ResourceWarning", "-c", program)
    assert done.stderr == ""
    assert done.returncode == 0


def test_a_thread_that_outlives_the_loop_does_no_harm(run_python):
    """A daemon thread calls call_soon_threadsafe() until the interpreter is gone."""
    program = """
import threading, uringcore_cffi
loop = uringcore_cffi.new_event_loop()

def call():
    try:
        while True:
            loop.call_soon_threadsafe(int)
            started.set()
    except RuntimeError:
        pass

started = threading.Event()
threading.Thread(target=call, daemon=True).start()
started.wait()
loop.call_later(0.01, loop.stop)
loop.run_forever()
loop.close()
"""
    done = run_python("-c", program)
    assert (done.stderr, done.returncode) == ("", 0)
