"""A program outside the tree builds against the installed library through pkg-config, and runs."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

from abi_common import SKIPPED, run

PROGRAM = """
#include <stdio.h>
#include <string.h>
#include <uc.h>

int main(void)
{
    uc_ring *ring = NULL;
    struct uc_event event;
    int r = uc_ring_new(NULL, &ring);

    if (strcmp(uc_version(), VERSION) != 0)
        return 1;
    if (r < 0) {
        printf("no ring here: %s\\n", uc_error_name(r));
        return 0;
    }
    if (uc_op_nop(ring, 42, NULL) < 0 || uc_ring_wait(ring, &event, 1, -1) != 1)
        return 2;
    uc_ring_free(ring);
    printf("%s\\n", uc_version());
    return event.cookie != 42;
}
"""


def main() -> int:
    build, version, sanitize = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    meson = shutil.which("meson")
    if not meson or not shutil.which("pkg-config"):
        print("meson or pkg-config is not in PATH")
        return SKIPPED
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        run(meson, "install", "-C", build, "--no-rebuild", "--destdir", root / "stage")
        (found,) = (root / "stage").rglob("uc.pc")
        environment = {
            **os.environ,
            "PKG_CONFIG_PATH": str(found.parent),
            "PKG_CONFIG_SYSROOT_DIR": str(root / "stage"),
            "LD_LIBRARY_PATH": str(found.parent.parent),
        }
        (root / "program.c").write_text(PROGRAM)
        flags = run("pkg-config", "--cflags", "--libs", "uc", env=environment).split()
        found_version = run("pkg-config", "--modversion", "uc", env=environment).strip()
        if found_version != version:
            raise SystemExit(f"pkg-config says {found_version}, the project {version}")
        if sanitize != "none":
            flags.append(f"-fsanitize={sanitize}")
        run(
            "cc", "-std=c11", "-Wall", "-Wextra", "-Werror", f'-DVERSION="{version}"',
            "program.c", *flags, "-o", "program",
            cwd=root, env=environment,
        )  # fmt: skip
        print(run(root / "program", env=environment))
        linked = run("ldd", root / "program", env=environment)
        if str(root) not in linked:
            raise SystemExit(f"the program does not use the installed library:\n{linked}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
