"""What the library exports is what its version script lists and what the headers declare; it needs
nothing but libc."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from abi_common import names_in_headers, names_in_map, run

# Thread-local storage is the loader's, which is libc's.
LIBC = {"libc.so.6", "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"}


def exported(library: Path) -> set[str]:
    names = set()
    for line in run("readelf", "--wide", "--dyn-syms", library).splitlines():
        words = line.split()
        if len(words) >= 8 and words[4] in ("GLOBAL", "WEAK") and words[6] not in ("UND", "ABS"):
            names.add(words[7].split("@")[0])
    return names


def needed(library: Path) -> set[str]:
    return set(re.findall(r"\(NEEDED\).*\[(.+)\]", run("readelf", "--dynamic", library)))


def show(what: str, names: set[str]) -> bool:
    for name in sorted(names):
        print(f"{what}: {name}")
    return bool(names)


def main() -> int:
    library, script, sanitize = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    headers = [Path(folder) for folder in sys.argv[4:]]
    in_map, declared, found = names_in_map(script), names_in_headers(headers), exported(library)
    soname = re.findall(r"\(SONAME\).*\[(.+)\]", run("readelf", "--dynamic", library))
    wrong = show("in the version script, not exported", in_map - found)
    wrong |= show("exported, not in the version script", found - in_map)
    wrong |= show("declared, not exported", declared - found)
    wrong |= show("exported, not declared", found - declared)
    if sanitize == "none":
        wrong |= show("a library too many is needed", needed(library) - LIBC)
    wrong |= show("unexpected name", {name for name in found if not name.startswith("uc_")})
    if soname != ["libuc.so.0"]:
        print(f"the soname is {soname}")
        wrong = True
    if len(found) < 50:
        print(f"only {len(found)} names were found: the check itself is broken")
        wrong = True
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
