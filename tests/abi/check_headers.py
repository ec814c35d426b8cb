"""Each public header compiles alone, as C11 and as C++17, without a warning."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from abi_common import run

WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Wstrict-prototypes", "-Werror", "-fsyntax-only"]


def main() -> int:
    folders = [Path(folder) for folder in sys.argv[1:]]
    headers = sorted(f"uc/{path.name}" for folder in folders for path in folder.glob("uc/*.h"))
    includes = [f"-I{folder}" for folder in folders]
    plus = shutil.which("c++")
    if len(headers) < 10:
        print(f"only {len(headers)} headers were found: the check itself is broken")
        return 1
    with tempfile.TemporaryDirectory() as name:
        for header in [*headers, "uc.h"]:
            source = Path(name) / "alone.c"
            # Twice: a header guards itself.
            source.write_text(f"#include <{header}>\n#include <{header}>\nextern int nothing;\n")
            run("cc", "-std=c11", *WARNINGS, *includes, source)
            if plus:
                flags = [flag for flag in WARNINGS if flag != "-Wstrict-prototypes"]
                run(plus, "-std=c++17", "-x", "c++", *flags, *includes, source)
    print(f"{len(headers) + 1} headers" + ("" if plus else "; no C++ compiler here: C only"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
