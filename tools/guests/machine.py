"""An emulated machine, and the same jobs on this one.

qemu is used without KVM, which is the same everywhere: also where this machine is a guest itself.
A daemon shares this machine's files; the guest mounts them read-only.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from guests.initramfs import initramfs
from guests.jobs import Job, as_json
from guests.kernels import ROOT, Kernel, UnavailableError, fetch, fetch_busybox

Hear = Callable[[dict[str, Any]], None]
PROCESSORS = 2
START_SECONDS = 30.0
BOOT_SECONDS = 180.0
# for a guest that says nothing although a job's time is over
GRACE_SECONDS = 60.0
_COMMAND_LINE = (
    # all of the kernel's complaints on the console; a panic ends the machine
    "console=ttyS0 loglevel=7 panic=-1 "
    # the processor's own clock, which can be read without leaving the guest
    "tsc=reliable "
    # what costs time here and protects nobody
    "mitigations=off audit=0 nokaslr"
)


class GuestError(Exception):
    """A guest did not boot, hung or died; says how far it had come."""


def _virtiofsd() -> str:
    """The daemon is not on PATH; where it is depends on who has packed it."""
    places = ["/usr/libexec", "/usr/lib/qemu", *os.get_exec_path()]
    found = shutil.which("virtiofsd", path=os.pathsep.join(places))
    if found is None:
        raise UnavailableError("no virtiofsd; tools/setup --kernels installs it")
    return found


@contextlib.contextmanager
def _process(command: Sequence[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A program that is killed at the end, unless it has ended by itself."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _qemu(kernel: Kernel, folder: Path, memory_mib: int) -> list[str]:
    return [
        "qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max",
        "-smp", str(PROCESSORS), "-m", str(memory_mib),
        # the daemon and the guest see the same memory
        "-object", f"memory-backend-memfd,id=memory,size={memory_mib}M,share=on",
        "-machine", "q35,memory-backend=memory",
        "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
        "-kernel", str(kernel.image), "-initrd", str(folder / "initramfs"),
        "-append", _COMMAND_LINE,
        "-serial", f"file:{folder / 'console.log'}",
        "-chardev", f"socket,id=share,path={folder / 'share'}",
        "-device", "vhost-user-fs-pci,chardev=share,tag=host",
        "-device", "virtio-serial-pci",
        "-chardev", f"socket,id=report,path={folder / 'report'}",
        "-device", "virtserialport,chardev=report,name=report",
    ]  # fmt: skip


def _wait_for_socket(path: Path, process: subprocess.Popen[bytes], log: Path) -> None:
    """The daemon listens when its socket is there."""
    deadline = time.monotonic() + START_SECONDS
    while not path.is_socket():
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.05)
            raise GuestError(f"virtiofsd: {log.read_text(errors='replace').strip()[-500:]}")
        if time.monotonic() > deadline:
            raise GuestError("virtiofsd does not listen")


def _messages(source: int, jobs: Sequence[Job]) -> Iterator[dict[str, Any]]:
    """Every message until the end; raises GuestError after a silence that no job explains."""
    limits = {job.name: job.seconds for job in jobs}
    silence, buffer = BOOT_SECONDS, bytearray()
    while select.select([source], [], [], silence)[0]:
        data = os.read(source, 1 << 16)
        if not data:
            return
        buffer += data
        *lines, rest = buffer.split(b"\n")
        buffer = bytearray(rest)
        for line in lines:
            message = json.loads(line)
            if "begin" in message:
                silence = limits[message["begin"]] + GRACE_SECONDS
            yield message
    raise GuestError(f"nothing was heard for {silence:.0f} s")


@contextlib.contextmanager
def _guest(kernel: Kernel, folder: Path, memory_mib: int) -> Iterator[int]:
    """A guest that runs, and the descriptor of what it reports."""
    with contextlib.ExitStack() as stack:
        share, log = folder / "share", folder / "virtiofsd.log"
        daemon = [_virtiofsd(), f"--socket-path={share}"]
        for option in ("source=/", "cache=always", "sandbox=chroot"):
            daemon += ["-o", option]
        _wait_for_socket(share, stack.enter_context(_process(daemon, log)), log)
        listener = stack.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(str(folder / "report"))
        listener.listen()
        listener.settimeout(START_SECONDS)
        log = folder / "qemu.log"
        stack.enter_context(_process(_qemu(kernel, folder, memory_mib), log))
        try:
            port = stack.enter_context(listener.accept()[0])
        except TimeoutError:
            said = log.read_text(errors="replace").strip()[-500:]
            raise GuestError(f"qemu does not start: {said}") from None
        yield port.fileno()


def run_in_guest(
    kernel: Kernel,
    jobs: Sequence[Job],
    memory_mib: int,
    hear: Hear,
    hear_log: Callable[[str], None],
) -> None:
    """Run jobs on a kernel. Raises GuestError, UnavailableError.

    ``hear`` is told every message as it comes, ``hear_log`` at the end what the kernel has said.
    """
    fetch(kernel)
    busybox = fetch_busybox()
    with tempfile.TemporaryDirectory(prefix="uc-guest-") as name:
        folder = Path(name)
        content = initramfs(kernel, busybox, as_json(jobs), {"TREE": str(ROOT)})
        (folder / "initramfs").write_bytes(content)
        try:
            with _guest(kernel, folder, memory_mib) as report:
                for message in _messages(report, jobs):
                    hear(message)
        finally:
            console = folder / "console.log"
            if console.exists():
                shutil.copy(console, kernel.folder)
                hear_log(console.read_text(errors="replace"))


def run_on_host(jobs: Sequence[Job], hear: Hear) -> None:
    """Run jobs here, in the same way."""
    source, report = os.pipe()
    with contextlib.ExitStack() as stack:
        stack.callback(os.close, source)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="uc-host-")))
        (folder / "jobs.json").write_text(as_json(jobs))
        command = [sys.executable, "-m", "guests.inside", folder / "jobs.json", f"/dev/fd/{report}"]
        process = subprocess.Popen(
            command,
            pass_fds=[report],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT / "tools")},
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        os.close(report)
        try:
            for message in _messages(source, jobs):
                hear(message)
        finally:
            process.terminate()
            process.wait()
