"""What works on names answers, and refuses, as os does: the same calls in two folders."""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
from pathlib import Path

import pytest
from file_scripts import failure, not_pypy, settle
from hypotheses import examples
from hypothesis import given
from hypothesis import strategies as st

from uringcore_cffi import fs


def shape(folder: Path) -> dict[str, object]:
    """What a folder holds: names, kinds, targets, contents."""
    found: dict[str, object] = {}
    for root, folders, files in os.walk(folder):
        for name in folders + files:
            path = Path(root, name)
            inner = str(path.relative_to(folder))
            if path.is_symlink():
                found[inner] = os.readlink(path)
            elif path.is_dir():
                found[inner] = stat.S_IMODE(path.stat().st_mode)
            else:
                found[inner] = path.read_bytes(), path.stat().st_nlink
    return found


def furnish(folder: Path) -> None:
    """One of each."""
    folder.mkdir()
    (folder / "file").write_bytes(b"content")
    (folder / "empty").mkdir()
    (folder / "full").mkdir()
    (folder / "full" / "inner").write_bytes(b"inner")
    (folder / "to-file").symlink_to("file")
    (folder / "to-full").symlink_to("full")
    (folder / "dangling").symlink_to("nowhere")
    (folder / "loop").symlink_to("loop")


def plain(result: object) -> object:
    """What can be compared of a result."""
    if isinstance(result, os.stat_result):
        # the size of a folder is the file system's affair
        return (
            type(result),
            result.st_mode,
            result.st_nlink,
            stat.S_ISREG(result.st_mode) and result.st_size,
        )
    if isinstance(result, os.statvfs_result):
        return type(result), result.f_bsize, result.f_frsize, result.f_namemax, result.f_flag
    return sorted(result) if isinstance(result, list) else result


async def outcome(module, name, arguments, options, folder):
    """Call; result, or all that the exception tells."""
    try:
        return plain(await settle(getattr(module, name)(*arguments, **options)))
    except TypeError:
        return TypeError  # which words it has is the affair of each version
    except Exception as error:
        return failure(error, folder)


def below(folder: Path, argument: object) -> object:
    """An argument that begins with @ is a path."""
    if isinstance(argument, str) and argument.startswith("@"):
        return str(folder / argument[1:])
    return argument


async def both(functions, parent, steps):
    """Take the steps in two folders, with os and with ours; compare each answer and the ends."""
    found = []
    for module, name in ((os, "theirs"), (functions, "ours")):
        folder = parent / name
        furnish(folder)
        answers = []
        for function, arguments, options in steps:
            # the standard library has exists() and copyfile() elsewhere
            home = {"exists": os.path, "copyfile": shutil}.get(function, os)
            there = home if module is os else module
            own = [below(folder, each) for each in arguments]
            answers.append((function, await outcome(there, function, own, options, folder)))
        for inner, paths in (("left", shape(folder)),):
            answers.append((inner, paths))
        shutil.rmtree(folder)
        found.append([repr(each).replace(str(folder), "") for each in answers])
    theirs, mine = found
    for expected, got in zip(theirs, mine):
        assert got == expected, steps


NAMES = (
    "@file", "@empty", "@full", "@full/inner", "@to-file", "@to-full", "@dangling", "@loop",
    "@missing", "@missing/below", "@file/below", "@full/new", "@new", "@", "@full/..", "@empty/",
)  # fmt: skip
ONE = ("stat", "unlink", "rmdir", "mkdir", "readlink", "listdir", "exists", "statvfs", "makedirs")
TWO = ("rename", "replace", "symlink", "link", "copyfile")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("function", ONE)
def test_a_function_of_one_path_does_what_os_does(run, tmp_path, function, name):
    run(both(fs, tmp_path, [(function, (name,), {})]))


@pytest.mark.parametrize("function", TWO)
def test_a_function_of_two_paths_does_what_os_does(any_loop, tmp_path, function):
    for source in NAMES:
        steps = [(function, (source, target), {}) for target in NAMES]
        any_loop.run_until_complete(both(fs, tmp_path, steps))


OPTIONS = [
    ("stat", ("@to-file",), {"follow_symlinks": False}),
    ("stat", ("@dangling",), {"follow_symlinks": False}),
    ("mkdir", ("@new", 0o750), {}),
    ("mkdir", ("@new",), {"mode": 0o700}),
    ("makedirs", ("@new/a/b/c",), {}),
    ("makedirs", ("@empty",), {"exist_ok": True}),
    ("makedirs", ("@file",), {"exist_ok": True}),
    ("makedirs", ("@full/a/b", 0o711), {"exist_ok": True}),
    pytest.param(("link", ("@to-file", "@new"), {"follow_symlinks": False}), marks=not_pypy),
    ("symlink", ("anything at all", "@new"), {"target_is_directory": True}),
    ("copyfile", ("@to-file", "@new"), {"follow_symlinks": False}),
    ("copyfile", ("@to-file", "@new"), {"follow_symlinks": True}),
    ("stat", (), {}),
    ("stat", (None,), {}),
    ("stat", (1.5,), {}),
    ("stat", ("nul\0byte",), {}),
    ("unlink", ("nul\0byte",), {}),
    ("rename", ("nul\0byte", "@new"), {}),
    ("rename", ("@file", "nul\0byte"), {}),
    ("mkdir", (None,), {}),
    ("listdir", (1.5,), {}),
    ("symlink", (None, "@new"), {}),
    ("mkdir", ("@" + "x" * 300,), {}),
    ("rename", ("@file", "@" + "x" * 300), {}),
    ("stat", ("",), {}),
    ("listdir", ("",), {}),
    ("mkdir", ("@new", "mode"), {}),
]


@pytest.mark.parametrize("step", OPTIONS, ids=repr)
def test_options_and_arguments_that_are_none_are_as_in_os(run, tmp_path, step):
    if step[1] == ():
        with pytest.raises(TypeError):
            run(settle(getattr(fs, step[0])()))
        return
    run(both(fs, tmp_path, [step]))


steps = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(ONE), st.tuples(st.sampled_from(NAMES)), st.just({})),
        st.tuples(
            st.sampled_from(TWO),
            st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES)),
            st.just({}),
        ),
    ),
    max_size=12,
)


@pytest.mark.timeout(300)
@examples
@given(steps=steps)
def test_whatever_is_done_in_whatever_order_the_folder_is_as_with_os(any_loop, tmp_path, steps):
    any_loop.run_until_complete(both(fs, tmp_path, steps))


def test_paths_are_texts_bytes_or_have_a_path(run, tmp_path):
    (tmp_path / "file").write_bytes(b"12345")
    text = str(tmp_path / "file")

    async def ask():
        for path in (text, os.fsencode(text), Path(text)):
            assert await fs.exists(path)
            assert (await fs.stat(path)).st_size == 5
        assert await fs.listdir(os.fsencode(tmp_path)) == [b"file"]
        assert await fs.listdir(tmp_path) == ["file"]
        await fs.symlink(b"target", tmp_path / "link")
        assert await fs.readlink(tmp_path / "link") == "target"
        assert await fs.readlink(os.fsencode(tmp_path / "link")) == b"target"

    run(ask())


def test_names_that_are_no_text_come_back_as_the_same_bytes(run, tmp_path):
    name = os.fsdecode(b"\xff\xfe\x80")

    async def make():
        async with fs.open(tmp_path / name, "w"):
            pass
        assert await fs.listdir(tmp_path) == [name]
        assert await fs.listdir(os.fsencode(tmp_path)) == [b"\xff\xfe\x80"]
        await fs.unlink(tmp_path / name)

    run(make())


def test_stat_answers_with_every_field_of_os(run, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"x" * 10_000)
    os.utime(path, ns=(1_000_000_001, 2_000_000_003))
    for asked in (path, tmp_path, "/dev/null", "/proc/self/status"):
        expected, got = os.stat(asked), run(fs.stat(asked))
        for field in dir(expected):
            if field.startswith("st_") and not (asked == "/proc/self/status" and "time" in field):
                assert getattr(got, field) == getattr(expected, field), (asked, field)
    assert tuple(run(fs.stat(path))) == tuple(os.stat(path))


def test_stat_takes_an_open_number(run, tmp_path):
    with (tmp_path / "file").open("wb") as file:
        file.write(b"123")
        file.flush()
        assert run(fs.stat(file.fileno())).st_size == 3


def test_a_path_may_begin_at_an_open_folder(run, tmp_path):
    furnish(tmp_path / "place")
    folder = os.open(tmp_path / "place", os.O_RDONLY)

    async def ask():
        assert (await fs.stat("file", dir_fd=folder)).st_size == 7
        await fs.mkdir("made", dir_fd=folder)
        await fs.rename("file", "moved", src_dir_fd=folder, dst_dir_fd=folder)
        await fs.link("moved", "linked", src_dir_fd=folder, dst_dir_fd=folder)
        await fs.symlink("moved", "soft", dir_fd=folder)
        assert await fs.readlink("soft", dir_fd=folder) == "moved"
        await fs.unlink("linked", dir_fd=folder)
        await fs.rmdir("made", dir_fd=folder)

    run(ask())
    os.close(folder)
    assert {"moved", "soft"} <= set(os.listdir(tmp_path / "place"))
    assert not {"file", "linked", "made"} & set(os.listdir(tmp_path / "place"))


def test_listdir_without_a_path_lists_the_folder_one_is_in(run, tmp_path, monkeypatch):
    (tmp_path / "only").touch()
    monkeypatch.chdir(tmp_path)
    assert run(fs.listdir()) == ["only"]


def test_scandir_tells_of_every_entry_what_os_tells(run, tmp_path):
    furnish(tmp_path / "place")

    async def facts(entries):
        return sorted(
            [
                (
                    entry.name,
                    entry.path,
                    entry.inode(),
                    await settle(entry.is_symlink()),
                    await settle(entry.is_dir(follow_symlinks=False)),
                    await settle(entry.is_file(follow_symlinks=False)),
                    await settle(entry.is_file()) if entry.name != "loop" else None,
                    (await settle(entry.stat(follow_symlinks=False))).st_size,
                    os.fspath(entry),
                )
                for entry in entries
            ]
        )

    async def ask():
        with await fs.scandir(tmp_path / "place") as ours:
            mine = list(ours)
        with os.scandir(tmp_path / "place") as theirs:
            assert await facts(mine) == await facts(list(theirs))

    run(ask())


@pytest.mark.parametrize("count", [0, 1, 500, 3000])
def test_a_folder_of_any_size_is_listed_whole(run, tmp_path, count):
    names = [f"{'n' * (number % 200)}{number}" for number in range(count)]
    for name in names:
        (tmp_path / name).touch()
    assert sorted(run(fs.listdir(tmp_path))) == sorted(names)


@pytest.mark.parametrize("size", [0, 1, 100_000, 5_000_001])
def test_copyfile_copies_every_byte_and_returns_the_target(run, tmp_path, size):
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(os.urandom(size))
    target.write_bytes(b"x" * 200_000)
    assert run(fs.copyfile(source, target)) == target
    assert target.read_bytes() == source.read_bytes()


def test_a_file_of_the_kernel_that_seems_empty_is_copied_too(run, tmp_path):
    run(fs.copyfile("/proc/version", tmp_path / "version"))
    assert (tmp_path / "version").read_text() == Path("/proc/version").read_text()


def test_the_other_module_of_aiofiles_works_on_the_same_names(run, tmp_path):
    (tmp_path / "file").write_bytes(b"12345")
    path = tmp_path / "file"

    async def ask():
        assert await fs.os.access(path, os.R_OK)
        assert await fs.os.getcwd() == os.getcwd()
        assert await fs.ospath.getsize(path) == 5
        assert await fs.ospath.isfile(path)
        assert not await fs.ospath.isdir(path)
        assert await fs.ospath.abspath("x") == os.path.abspath("x")
        assert await fs.ospath.samefile(path, path)
        await fs.os.renames(path, tmp_path / "deep" / "er" / "file")
        assert (tmp_path / "deep" / "er" / "file").read_bytes() == b"12345"
        await fs.os.remove(tmp_path / "deep" / "er" / "file")
        await fs.os.removedirs(tmp_path / "deep" / "er")
        assert not (tmp_path / "deep").exists()

    (tmp_path / "keeps the folder").touch()
    run(ask())


def test_many_names_at_once(run, tmp_path):
    async def make(number):
        folder = tmp_path / str(number)
        await fs.mkdir(folder)
        await fs.symlink("target", folder / "link")
        assert await fs.readlink(folder / "link") == "target"
        await fs.rename(folder / "link", folder / "moved")
        assert await fs.listdir(folder) == ["moved"]
        await fs.unlink(folder / "moved")
        await fs.rmdir(folder)

    async def all_at_once():
        await asyncio.gather(*map(make, range(100)))

    run(all_at_once())
    assert list(tmp_path.iterdir()) == []
