"""Files beyond one loop: killed processes, forked children, threads, loops that end."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from garbage import collect, needs_prompt_deaths
from leaks import open_descriptors
from patience import PATIENCE
from slow_files import pipes, waiting
from steps import soon
from writer_of_records import record

import uringcore_cffi
from uringcore_cffi import fs

TOLD = 40


@pytest.mark.parametrize("tasks", [1, 8])
@pytest.mark.parametrize("buffering", [0, -1])
def test_what_fsync_returned_for_is_there_when_the_process_is_killed(tmp_path, tasks, buffering):
    command = [sys.executable, "-m", "writer_of_records", tmp_path, str(tasks), str(buffering)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    last: dict[int, int] = {}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as writer:
        assert writer.stdout is not None
        for _ in range(TOLD):
            task, number = map(int, writer.stdout.readline().split())
            last[task] = number
        writer.kill()
        for line in writer.stdout.read().splitlines(keepends=True):
            if line.endswith(b"\n"):
                task, number = map(int, line.split())
                last[task] = number
    for task, number in last.items():
        data = (tmp_path / str(task)).read_bytes()
        told = b"".join(record(task, n) for n in range(number + 1))
        assert data.startswith(told)
        after = b"".join(record(task, number + n) for n in range(1, 10))
        assert after.startswith(data[len(told) :])


def test_a_forked_child_is_refused_the_files_of_its_parent(tmp_path, fork):
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")

    async def parent():
        async with fs.open(path, "r+b") as file:
            assert await file.read(2) == b"01"

            def child():
                asyncio.set_event_loop(None)
                asyncio.events._set_running_loop(None)
                uringcore_cffi.run(refused(file))

            fork(child).join()
            assert await file.read(2) == b"23"
            await file.seek(0)
            await file.write(b"parent")

    async def refused(file):
        for coroutine in (file.pread(1, 0), file.pwrite(b"child", 0), file.fsync()):
            with pytest.raises(ChildProcessError):
                await coroutine

    uringcore_cffi.run(parent())
    assert path.read_bytes() == b"parent6789"


def test_a_forked_child_opens_files_of_its_own(tmp_path, fork):
    async def use(name):
        async with fs.open(tmp_path / name, "w+") as file:
            await file.write(name)
            await file.seek(0)
            assert await file.read() == name

    async def parent():
        await use("before")

        def child():
            asyncio.events._set_running_loop(None)
            uringcore_cffi.run(use("child"))

        fork(child).join()
        await use("after")

    uringcore_cffi.run(parent())
    assert {p.name for p in tmp_path.iterdir()} == {"before", "child", "after"}


def test_what_waits_in_a_buffer_is_written_by_the_parent_alone(tmp_path, fork):
    path = tmp_path / "file"

    async def parent():
        files = [await fs.open(path, "wb")]
        await files[0].write(b"once")

        def child():
            asyncio.events._set_running_loop(None)
            files.clear()  # its finalizer runs
            collect()
            assert path.read_bytes() == b""

        fork(child).join()
        await files[0].close()

    uringcore_cffi.run(parent())
    assert path.read_bytes() == b"once"


def test_a_child_may_be_forked_while_files_wait(fork):
    with pipes() as [(reader, writer)]:

        async def parent():
            async with fs.open(reader, "rb", 0, closefd=False) as file:
                [task] = await waiting(file.read(10))
                fork(lambda: None).join()
                os.write(writer, b"for the parent")
                assert await soon(task) == b"for the pa"

        uringcore_cffi.run(parent())


@pytest.mark.parametrize("make", [uringcore_cffi.new_event_loop, asyncio.SelectorEventLoop])
def test_loops_in_threads_use_files_at_the_same_time(tmp_path, make):
    failures: list[BaseException] = []

    async def work(number):
        for turn in range(100):
            path = tmp_path / f"{number}-{turn}"
            async with fs.open(path, "w+b") as file:
                await file.write(b"%d" % number * 1000)
                await file.seek(0)
                assert await file.read() == b"%d" % number * 1000

    def run(number):
        loop = make()
        try:
            loop.run_until_complete(work(number))
        except BaseException as error:
            failures.append(error)
        finally:
            loop.close()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE * 2)
        assert not thread.is_alive()
    assert failures == []
    assert len(os.listdir(tmp_path)) == 400


def test_a_loop_that_is_run_again_uses_files_again(any_loop, tmp_path):
    async def append(text):
        async with fs.open(tmp_path / "file", "a") as file:
            await file.write(text)

    for text in "abc":
        any_loop.run_until_complete(append(text))
    assert (tmp_path / "file").read_text() == "abc"


def test_a_file_that_was_never_closed_is_closed_with_the_warning_of_the_built_in(run, tmp_path):
    async def leave():
        file = await fs.open(tmp_path / "file", "rb")
        return file.fileno()

    (tmp_path / "file").touch()

    def forget():
        number = run(leave())
        collect()
        return number

    with pytest.warns(ResourceWarning, match="unclosed file .*file"):
        number = forget()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(number)


def test_a_file_whose_loop_has_ended_can_be_closed_by_the_next(tmp_path):
    async def leave():
        file = await fs.open(tmp_path / "file", "wb")
        await file.write(b"kept")
        return file

    async def close(file):
        await file.close()

    file = uringcore_cffi.run(leave())
    uringcore_cffi.run(close(file))
    assert (tmp_path / "file").read_bytes() == b"kept"


def _ring_mappings() -> int:
    return Path("/proc/self/maps").read_text().count("[io_uring]")


@pytest.mark.parametrize("make", [uringcore_cffi.new_event_loop, asyncio.SelectorEventLoop])
def test_a_hundred_loops_that_used_files_leave_nothing(tmp_path, make):
    async def use():
        async with fs.open(tmp_path / "file", "w") as file:
            await file.write("text")

    def once():
        loop = make()
        loop.run_until_complete(use())
        loop.close()

    once()
    collect()
    descriptors, threads, mappings = open_descriptors(), threading.active_count(), _ring_mappings()
    for _ in range(100):
        once()
    collect()
    assert len(open_descriptors()) <= len(descriptors)
    assert threading.active_count() <= threads
    assert _ring_mappings() <= mappings


@needs_prompt_deaths
def test_a_loop_that_is_closed_while_a_file_waits_lets_go_of_it():
    """The task is destroyed as any that was pending, and what it waited for reads nothing."""
    with pipes() as [(reader, writer)]:
        loop = uringcore_cffi.new_event_loop()
        told: list[str] = []
        loop.set_exception_handler(lambda _, context: told.append(context["message"]))

        async def leave():
            file = await fs.open(reader, "rb", 0, closefd=False)
            return file, await waiting(file.read(10))

        file, tasks = loop.run_until_complete(leave())
        loop.close()
        del tasks
        collect()
        assert told == ["Task was destroyed but it is pending!"]
        os.write(writer, b"0123456789")
        assert os.read(reader, 10) == b"0123456789"

        async def close():
            await file.close()

        uringcore_cffi.run(close())


@pytest.mark.parametrize("mode", ["w", "wb"])
@pytest.mark.parametrize("buffering", [-1, 0])
def test_a_child_process_goes_on_where_the_file_is_and_the_file_where_the_child_was(
    run, tmp_path, mode, buffering
):
    path = tmp_path / "log"
    if mode == "w" and not buffering:
        buffering = 1

    async def work():
        async with fs.open(path, mode, buffering) as file:
            number = file.fileno()
            for word in ("one", "two"):
                await file.write(word + "\n" if mode == "w" else word.encode() + b"\n")
                await file.flush()
                assert os.lseek(number, 0, os.SEEK_CUR) == os.stat(path).st_size
                os.write(number, b"child\n")  # as a child does, that has the same description

    run(work())
    assert path.read_bytes() == b"one\nchild\ntwo\nchild\n"


@needs_prompt_deaths
def test_who_waited_for_a_file_on_a_loop_that_was_closed_is_not_waited_for():
    async def leave(file):
        return await waiting(file.read(1), file.read(1))

    with pipes() as [(reader, writer)]:
        loop = uringcore_cffi.new_event_loop()
        file = loop.run_until_complete(opened(reader))
        tasks = loop.run_until_complete(leave(file))
        loop.close()
        for task in tasks:
            task._log_destroy_pending = False
        del tasks, task
        collect()
        os.write(writer, b"x")
        assert uringcore_cffi.run(soon(file.read(1))) == b"x"
        uringcore_cffi.run(file.close())


async def opened(number):
    return await fs.open(number, "rb", 0, closefd=False)
