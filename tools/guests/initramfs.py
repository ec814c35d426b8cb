"""What a guest boots into: an archive in the form that kernels unpack (cpio, "newc")."""

from __future__ import annotations

import shlex
import stat
from collections.abc import Mapping
from pathlib import Path

from guests import modules
from guests.kernels import Kernel

HERE = Path(__file__).parent
FOLDERS = ("bin", "dev", "guest", "host", "memory", "modules", "new", "proc", "sys")


def _entry(number: int, name: str, mode: int, content: bytes = b"") -> bytes:
    """One file, in the form of newc: numbers of eight hexadecimal digits, padding to four bytes."""
    named = name.encode() + b"\0"
    # inode, mode, uid, gid, links, time, size, device twice, special device twice, name, checksum
    fields = (number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(named), 0)
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + named
    return head + bytes(-len(head) % 4) + content + bytes(-len(content) % 4)


def archive(folders: tuple[str, ...], programs: Mapping[str, bytes]) -> bytes:
    """Folders, and files that may be executed, by their paths."""
    entries = [(name, stat.S_IFDIR | 0o755, b"") for name in folders]
    entries += [(name, stat.S_IFREG | 0o755, content) for name, content in programs.items()]
    entries.append(("TRAILER!!!", 0, b""))
    return b"".join(_entry(number, *entry) for number, entry in enumerate(entries, 1))


def initramfs(kernel: Kernel, busybox: Path, jobs: str, settings: Mapping[str, str]) -> bytes:
    """The archive for a kernel; ``settings`` are variables of the two scripts in it."""
    files = {
        "init": (HERE / "init").read_bytes(),
        "bin/busybox": busybox.read_bytes(),
        "guest/main": (HERE / "main").read_bytes(),
        "guest/jobs.json": jobs.encode(),
        "guest/settings": "".join(
            f"{name}={shlex.quote(value)}\n" for name, value in settings.items()
        ).encode(),
    }
    for number, (name, content) in enumerate(modules.in_order(kernel.modules)):
        files[f"modules/{number:02}-{name}.ko"] = content
    return archive(FOLDERS, files)
