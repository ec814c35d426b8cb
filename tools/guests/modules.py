"""The kernel modules that a guest needs before it has a root file system.

What is a module in one kernel is built into the next. A module says itself which others it needs,
so no list made by depmod is asked for (the packages bring none).
"""

from __future__ import annotations

import lzma
import re
from pathlib import Path

# the bus, the port that results go through, the share, and the layer over it
WANTED = ("virtio_pci", "virtio_console", "virtiofs", "overlay")
_SUFFIX = re.compile(r"\.ko(?:\.xz)?$")


class MissingModuleError(Exception):
    """A kernel has come without a module; says which."""


def _name(path: str) -> str:
    return _SUFFIX.sub("", path.rpartition("/")[2]).replace("-", "_")


def read(path: Path) -> bytes:
    """A module, unpacked."""
    content = path.read_bytes()
    return lzma.decompress(content) if path.suffix == ".xz" else content


def needs(module: bytes) -> list[str]:
    """The names of the modules that have to be there before it."""
    match = re.search(rb"(?:^|\0)depends=([^\0]*)\0", module)
    return [name for name in (match[1].decode().split(",") if match else []) if name]


def in_order(folder: Path, wanted: tuple[str, ...] = WANTED) -> list[tuple[str, bytes]]:
    """(name, content) of the modules wanted and of all that they need, in the order of loading."""
    built_in = {_name(line) for line in (folder / "modules.builtin").read_text().split()}
    there = {_name(path.name): path for path in folder.rglob("*.ko*")}
    found: dict[str, bytes] = {}

    def add(name: str) -> None:
        if name in found or name in built_in:
            return
        if name not in there:
            raise MissingModuleError(f"{folder.name} has no module {name}")
        content = read(there[name])
        for other in needs(content):
            add(_name(other))
        found[name] = content

    for name in wanted:
        add(name)
    return list(found.items())
