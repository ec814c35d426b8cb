"""Run an unmodified program on the loop, or report what works here.

    python -m uringcore_cffi script.py [argument...]
    python -m uringcore_cffi -m module [argument...]
    python -m uringcore_cffi doctor [--json]

The program sees the same sys.argv, sys.path and __main__ as without the first two words; one that
is called "doctor" is started as ./doctor.
"""

from __future__ import annotations

import os
import runpy
import sys

from uringcore_cffi.policy import install

USAGE = "usage: python -m uringcore_cffi (script.py | -m module | doctor) [argument...]"


def main() -> None:
    """Do what the command line asks for."""
    arguments = sys.argv[1:]
    if arguments and arguments[0] in ("-h", "--help"):
        sys.stdout.write(f"{USAGE}\n")
        return
    if arguments[:1] == ["doctor"]:
        from uringcore_cffi import doctor

        raise SystemExit(doctor.main(arguments[1:]))
    as_module = bool(arguments) and arguments[0] == "-m"
    if as_module:
        del arguments[0]
    if not arguments or arguments[0].startswith("-"):
        raise SystemExit(USAGE)
    install()
    sys.argv[:] = arguments
    if as_module:
        runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
    else:
        sys.path[0] = os.path.dirname(os.path.realpath(arguments[0]))
        runpy.run_path(arguments[0], run_name="__main__")


if __name__ == "__main__":
    main()
