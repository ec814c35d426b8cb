"""The file ring of each loop: when it is made, whose it is, what becomes of it."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import gc
import os
import threading
from pathlib import Path

import pytest
from garbage import collect
from interrupts import Interrupter, Tracing
from leaks import open_descriptors
from patience import PATIENCE
from steps import turns

import uringcore_cffi
from uringcore_cffi import fs
from uringcore_cffi._handles import files
from uringcore_cffi.fs import engine as engine_module
from uringcore_cffi.fs.engine import SPENT_MAX, Engine, engine_of_running_loop

FS = Path(engine_module.__file__).parent


@pytest.fixture
def path(tmp_path):
    """Make a file of 100,000 bytes."""
    made = tmp_path / "file"
    made.write_bytes(bytes(range(250)) * 400)
    return made


@pytest.fixture
def pipe():
    """Make a pipe, its read end first."""
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


async def read_all(path):
    async with fs.open(path, "rb") as file:
        return await file.read()


def test_each_loop_has_an_engine_of_its_own_and_always_the_same(loop):
    async def ask():
        return engine_of_running_loop()

    first = loop.run_until_complete(ask())
    assert loop.run_until_complete(ask()) is first
    other = uringcore_cffi.new_event_loop()
    assert other.run_until_complete(ask()) is not first
    other.close()


def test_importing_needs_no_loop_and_no_file_means_no_ring(run_python):
    program = (
        "import os\n"
        "before = len(os.listdir('/proc/self/fd'))\n"
        "import uringcore_cffi.fs\n"
        "assert len(os.listdir('/proc/self/fd')) == before\n"
    )
    assert run_python("-c", program).stderr == ""


def test_the_ring_goes_when_the_loop_is_closed(path):
    for make in (uringcore_cffi.new_event_loop, asyncio.SelectorEventLoop):
        before = open_descriptors()
        loop = make()
        loop.run_until_complete(read_all(path))
        loop.close()
        del loop
        collect()
        assert open_descriptors() == before


def test_a_ring_that_nobody_freed_goes_when_another_is_made(path):
    """A closed loop that somebody still holds, with a file that was left open."""
    loop = asyncio.SelectorEventLoop()
    file = loop.run_until_complete(_open(path))
    left = file.raw._d.engine
    loop.close()
    uringcore_cffi.run(read_all(path))
    assert left.closed
    held = [file]
    del file

    def let_go():
        held.clear()
        collect()

    with pytest.warns(ResourceWarning):
        let_go()


async def _open(path):
    return await fs.open(path, "rb")


def test_the_ring_is_on_the_backend_of_the_loop(path):
    async def ask():
        await read_all(path)
        return engine_of_running_loop().info().backend

    for backend in ("epoll", "auto"):
        loop = uringcore_cffi.UringEventLoop(backend=backend)
        try:
            assert loop.run_until_complete(ask()) == loop.info().backend
        finally:
            loop.close()


def test_files_of_a_restricted_loop_have_a_ring_that_is_not(path):
    try:
        loop = uringcore_cffi.UringEventLoop(restrict="network", backend="uring")
    except OSError as error:
        pytest.skip(str(error))
    try:
        assert len(loop.run_until_complete(read_all(path))) == 100_000
    finally:
        loop.close()


def test_what_is_in_flight_when_the_loop_is_closed_ends_with_it(pipe):
    reader, _ = pipe

    async def begin():
        file = await fs.open(reader, "rb", buffering=0, closefd=False)
        task = asyncio.ensure_future(file.read(10))
        await turns(3)
        return file, task, engine_of_running_loop()

    loop = uringcore_cffi.new_event_loop()
    loop.set_exception_handler(lambda *_: None)  # the task is still pending, which is told
    file, task, engine = loop.run_until_complete(begin())
    assert engine.stats().in_flight == 1
    loop.close()
    assert engine.closed
    assert not engine._pending
    task._log_destroy_pending = False
    del file, task
    collect()


def test_a_loop_may_go_on_in_another_thread(path):
    """Its ring moves along."""
    loop = uringcore_cffi.new_event_loop()
    found = []
    file = loop.run_until_complete(_open(path))

    def go_on():
        found.append(loop.run_until_complete(file.read(10)))
        found.append(loop.run_until_complete(read_all(path)))

    thread = threading.Thread(target=go_on)
    thread.start()
    thread.join(PATIENCE)
    assert [len(data) for data in found] == [10, 100_000]
    loop.run_until_complete(file.close())
    loop.close()


def test_what_is_cached_needs_no_turn_but_leaves_some_to_others(loop, path):
    """Once the budget of a turn is spent the loop runs; before that it does not."""

    async def count_turns(reads):
        seen = []
        counting = True

        def count():
            seen.append(1)
            if counting:
                loop.call_soon(count)

        async with fs.open(path, "rb", buffering=0) as file:
            await file.pread(10, 0)
            await asyncio.sleep(0)
            loop.call_soon(count)
            for number in range(reads):
                await file.pread(10, number)
            got = len(seen)
            counting = False
            await turns(3)
            return got

    if engine_backend(loop) == "uring":
        assert loop.run_until_complete(count_turns(SPENT_MAX // 2)) == 0
    assert loop.run_until_complete(count_turns(10 * SPENT_MAX)) >= 8


def engine_backend(loop):
    return loop.info().backend


def test_blocks_are_used_again_and_never_while_the_kernel_has_them(loop, pipe, path):
    reader, writer = pipe

    async def work():
        engine = engine_of_running_loop()
        waiting = await fs.open(reader, "rb", buffering=0, closefd=False)
        task = asyncio.ensure_future(waiting.read(100))
        await turns(3)
        (held,) = [op.memory for op in engine._pending.values()]
        for _ in range(20):
            assert engine.block(100) is not held
        async with fs.open(path, "rb", buffering=0) as file:
            first = engine.block(100)
            engine.give_back(first)
            await file.pread(100, 0)
            assert engine.block(100) is first
        os.write(writer, b"x" * 100)
        assert await task == b"x" * 100
        await waiting.close()

    loop.run_until_complete(work())


def test_a_coroutine_that_is_thrown_away_leaves_no_descriptor(loop, tmp_path):
    """The open comes too late: it is closed by whoever sees the record."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)

    async def work():
        async with fs.open(tmp_path / "other", "w"):
            pass
        await asyncio.sleep(0.01)
        before = {name: what for name, what in open_descriptors().items() if "fifo" in what}
        opening = fs.open(fifo, "r").__await__()
        opening.send(None)  # the operation waits for a writer
        engine = engine_of_running_loop()
        while not engine._pending:
            await asyncio.sleep(0)
        opening.close()
        other = os.open(fifo, os.O_RDWR)
        while engine._pending:
            await asyncio.sleep(0.001)
        os.close(other)
        after = {name: what for name, what in open_descriptors().items() if "fifo" in what}
        assert after == before

    loop.run_until_complete(asyncio.wait_for(work(), PATIENCE))


def test_a_deadline_of_a_file_ends_its_operations(loop, pipe):
    reader, writer = pipe

    async def work():
        async with fs.open(reader, "rb", buffering=0, closefd=False, deadline=0.01) as file:
            if engine_backend(loop) == "epoll":
                os.write(writer, b"x")  # a worker's read cannot be interrupted
                return await file.read(1)
            with pytest.raises(TimeoutError):
                await file.read(1)
            os.write(writer, b"x")
            return await file.read(1)

    assert loop.run_until_complete(asyncio.wait_for(work(), PATIENCE)) == b"x"


def test_a_child_uses_no_engine_of_its_parents(loop, path, fork):
    async def work():
        file = await fs.open(path, "rb")
        assert len(await file.read(10)) == 10

        def in_child():
            with pytest.raises(ChildProcessError):
                file.read(70_000).send(None)
            asyncio.events._set_running_loop(None)
            own = asyncio.SelectorEventLoop()
            assert len(own.run_until_complete(read_all(path))) == 100_000
            with pytest.raises(ChildProcessError):
                own.run_until_complete(file.read(70_000))
            own.run_until_complete(file.close())
            own.close()

        child = fork(in_child)
        await asyncio.get_running_loop().run_in_executor(None, child.join)
        assert len(await file.read()) == 100_000 - 10
        await file.close()
        await loop.shutdown_default_executor()

    loop.run_until_complete(work())


def _is_the_engines(frame):
    return frame.f_code.co_filename == engine_module.__file__


def test_an_interrupt_at_any_call_of_the_engine_loses_no_record(path):
    """The operation that it strikes is given up; the next ones get their own answers."""
    fired, at = True, 0
    while fired:
        at += 1
        loop = uringcore_cffi.new_event_loop()
        file = loop.run_until_complete(fs.open(path, "rb", buffering=0).__aenter__())
        interrupter = Interrupter(at, strikes=_is_the_engines)

        async def work(file=file):
            await file.pread(100, 250)
            await asyncio.gather(file.pread(100, 0), fs.stat(path))

        with Tracing(interrupter):
            try:
                loop.run_until_complete(work())
            except KeyboardInterrupt:
                pass
        fired = interrupter.fired
        while tasks := asyncio.all_tasks(loop):
            for task in tasks:
                task.cancel()
            with contextlib.suppress(KeyboardInterrupt):
                loop.run_until_complete(asyncio.wait(tasks))

        async def check(file=file, at=at):
            for offset in range(10):
                data = await file.pread(5, offset)
                assert data == bytes(range(offset, offset + 5)), at
            engine = engine_of_running_loop()
            while engine._pending:
                await asyncio.sleep(0.001)
            await file.close()

        loop.run_until_complete(asyncio.wait_for(check(), PATIENCE))
        loop.close()
    assert at > 20


def test_nothing_of_the_package_but_two_rooms_sees_cffi():
    for source in FS.glob("*.py"):
        for node in ast.walk(ast.parse(source.read_text())):
            names = []
            if isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            for name in names:
                assert "cffi.ffi" not in name, source
                assert not name.startswith("cffi"), source
                assert "_ffi.library" not in name, source


def test_engines_of_dead_loops_are_not_kept():
    loop = asyncio.SelectorEventLoop()

    async def touch():
        await fs.stat("/")

    loop.run_until_complete(touch())
    loop.close()
    del loop
    collect()
    assert not [made for made in gc.get_objects() if isinstance(made, Engine) and not made.closed]
    assert files.NO_RING is not None
