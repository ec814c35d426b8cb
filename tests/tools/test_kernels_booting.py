"""tools/kernels: which kernels there are, and what one is given to boot."""

from __future__ import annotations

import io
import lzma
import shutil
import stat

import pytest

from guests import modules
from guests.initramfs import archive
from guests.jobs import PROBE, Job
from guests.kernels import ROOT, UnavailableError, choose, newest, parse
from guests.machine import run_in_guest

OFFERED = parse(
    [
        "linux-image-6.1.0-9-cloud-amd64",
        "linux-image-6.1.0-10-cloud-amd64-unsigned",
        "linux-image-6.1.0-10-cloud-amd64",
        "linux-image-6.12-cloud-amd64",
        "linux-image-6.12.9+deb12-cloud-amd64",
        "linux-image-6.12.10+deb12-cloud-amd64-unsigned",
        "linux-image-6.12.10+deb12-cloud-amd64-dbg",
    ]
)


def releases(kernels):
    """Return their names, without what they have in common."""
    return [kernel.release.removesuffix("-cloud-amd64") for kernel in kernels]


def test_each_kernel_counts_once_and_the_newest_comes_first():
    assert releases(OFFERED) == ["6.12.10+deb12", "6.12.9+deb12", "6.1.0-10", "6.1.0-9"]
    assert releases(newest(OFFERED)) == ["6.12.10+deb12", "6.1.0-10"]
    assert [kernel.series for kernel in newest(OFFERED)] == ["6.12", "6.1"]


def test_a_name_stands_for_the_newest_that_begins_so():
    assert releases(choose(["6.1"], OFFERED)) == ["6.1.0-10"]
    assert releases(choose(["6.12.9", "6.1.0-9"], OFFERED)) == ["6.12.9+deb12", "6.1.0-9"]
    for name in ("6", "6.1", "6.12"):
        assert len(choose([name, name], OFFERED)) == 1
    for name in ("6.1.0-1", "6.2", "cloud"):
        with pytest.raises(UnavailableError, match=name):
            choose([name], OFFERED)


@pytest.fixture
def folder(tmp_path):
    """Make the modules of a kernel: top needs middle and built, middle needs bottom-one."""
    kernel = tmp_path / "kernel"
    kernel.mkdir()
    (kernel / "top.ko").write_bytes(b"\x7fELF\0name=top\0depends=middle,built\0rest")
    (kernel / "middle.ko.xz").write_bytes(lzma.compress(b"\x7fELF\0depends=bottom_one\0"))
    (kernel / "bottom-one.ko").write_bytes(b"\x7fELF\0depends=\0")
    (tmp_path / "modules.builtin").write_text("kernel/drivers/built.ko\n")
    return tmp_path


def test_a_module_comes_after_those_that_it_needs(folder):
    found = modules.in_order(folder, ("top", "built", "bottom_one"))
    assert [name for name, _ in found] == ["bottom_one", "middle", "top"]
    assert all(content.startswith(b"\x7fELF") for _, content in found)


def test_a_module_that_is_nowhere_is_named(folder):
    (folder / "kernel" / "bottom-one.ko").unlink()
    with pytest.raises(modules.MissingModuleError, match="bottom_one"):
        modules.in_order(folder, ("top",))


def unpack(content: bytes):
    """Yield (path, mode, content) of what is in an archive, as the kernel reads it."""
    file = io.BytesIO(content)
    while head := file.read(110):
        assert head[:6] == b"070701"
        fields = [int(head[at : at + 8], 16) for at in range(6, 110, 8)]
        name = file.read(fields[11])
        assert name.endswith(b"\0")
        file.read(-file.tell() % 4)
        body = file.read(fields[6])
        file.read(-file.tell() % 4)
        yield name[:-1].decode(), fields[1], body


def test_an_archive_holds_what_was_put_in():
    programs = {"init": b"#!/bin/sh\n", "bin/a": bytes(range(7)), "bin/bc": b""}
    *entries, trailer = unpack(archive(("bin", "dev"), programs))
    assert trailer == ("TRAILER!!!", 0, b"")
    assert [name for name, mode, _ in entries if stat.S_ISDIR(mode)] == ["bin", "dev"]
    assert {name: body for name, mode, body in entries if stat.S_ISREG(mode)} == programs


@pytest.mark.heavy
@pytest.mark.timeout(300)
def test_a_guest_has_this_tree_a_loopback_and_a_kernel_of_its_own(tmp_path):
    """On the oldest kernel that tools/kernels has fetched; nothing is fetched for this."""
    there = parse([f"linux-image-{path.name}" for path in (ROOT / "build/kernels").glob("6*")])
    if not there or shutil.which("qemu-system-x86_64") is None:
        pytest.skip("tools/kernels has not been run here")
    program = (
        "import os, socket, pathlib; print(os.uname().release);"
        "pathlib.Path('scratch').write_text('only in memory');"
        "s = socket.create_server(('localhost', 0)); socket.create_connection(s.getsockname())"
    )
    job = Job(PROBE, "look around", ("python", "-c", program), 100.0)
    heard, log = [], []
    run_in_guest(there[-1], [job], 1024, heard.append, log.append)
    (end,) = [message for message in heard if "end" in message]
    assert (end["status"], end["output"].strip()) == (0, there[-1].release)
    assert not (ROOT / "scratch").exists()
    assert "Linux version " + there[-1].release in log[0]
