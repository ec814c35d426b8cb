"""What cffi believes of libuc is what the compiler makes of the headers.

cffi's ABI mode checks no layout: a wrong declaration reads the wrong bytes. So everything that
is declared is compared with what a compiled program says.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("UC_BUILD_DIR") or ROOT / "build")
ROOM = ROOT / "bindings" / "python" / "src" / "uringcore_cffi" / "_ffi"


def load(name: str, path: Path):
    """Import one file without its package."""
    loader = importlib.machinery.SourceFileLoader(name, str(path))
    spec = importlib.util.spec_from_loader(name, loader)
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def ffi():
    """Load the package's own declarations, without loading libuc."""
    return load("_generated", ROOM / "_generated.py").ffi


@pytest.fixture(scope="module")
def generator():
    """Load tools/dev/gen-cdef."""
    return load("gen_cdef", ROOT / "tools" / "dev" / "gen-cdef")


@pytest.fixture(scope="module")
def compiler(tmp_path_factory):
    """Return a function that compiles C against the headers and returns the program's output."""
    command = shutil.which(os.environ.get("CC", "cc"))
    if command is None:
        pytest.skip("no C compiler")
    if not (BUILD / "include" / "uc" / "version.h").exists():
        pytest.skip(f"{BUILD} is not configured; set UC_BUILD_DIR")
    folder = tmp_path_factory.mktemp("abi")

    def run(lines, *, link: bool = True) -> str:
        source = folder / "program.c"
        source.write_text("\n".join(lines) + "\n")
        where = [f"-I{ROOT / 'include'}", f"-I{BUILD / 'include'}"]
        what = ["-o", folder / "program"] if link else ["-fsyntax-only"]
        done = subprocess.run(
            [command, "-std=c11", "-Wall", "-Werror", *where, source, *what],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        if not link:
            return ""
        return subprocess.run(
            [folder / "program"], capture_output=True, text=True, check=True
        ).stdout

    return run


def program(statements) -> list[str]:
    """Make a program of some printf() calls."""
    head = ["#include <stddef.h>", "#include <stdio.h>", "#include <uc.h>", "int main(void) {"]
    return [*head, *statements, "return 0;", "}"]


def structs(ffi) -> list[str]:
    """Name every public struct that has members: handles are typedefs of structs that have none."""
    handles, names, _ = ffi.list_types()
    return [name for name in names if name not in handles]


def constants(ffi) -> list[str]:
    """Name every constant, of enums and of #defines."""
    return [name for name in dir(ffi.dlopen(None)) if name.startswith("UC_")]


def prototypes() -> list[str]:
    """Return the functions' declarations, as they stand in cdef.h."""
    text = (ROOM / "cdef.h").read_text(encoding="utf-8")
    return re.findall(r"^[a-z][^;{}()]*\([^;{}()]*\);", text, re.MULTILINE)


def test_the_declarations_are_those_of_the_headers(generator):
    """cdef.h is what tools/dev/gen-cdef makes of include/uc now."""
    assert (ROOM / "cdef.h").read_text(encoding="utf-8") == generator.make_cdef()


def test_the_generated_module_is_that_of_the_declarations(generator):
    """_generated.py holds what cffi makes of cdef.h now."""
    cdef = (ROOM / "cdef.h").read_text(encoding="utf-8")
    assert (ROOM / "_generated.py").read_text(encoding="utf-8") == generator.make_module(cdef)


def test_every_struct_has_the_compilers_layout(ffi, compiler):
    """Size and alignment of each struct, offset and size of each member."""
    names = structs(ffi)
    assert "uc_event" in names
    assert len(names) >= 10
    statements, expected = [], []
    for name in names:
        kind = ffi.typeof(f"struct {name}")
        statements.append(
            f'printf("{name} %zu %zu\\n", sizeof(struct {name}), _Alignof(struct {name}));'
        )
        expected.append(f"{name} {ffi.sizeof(kind)} {ffi.alignof(kind)}")
        for member, field in kind.fields:
            where = f"offsetof(struct {name}, {member})"
            size = f"sizeof(((struct {name} *)0)->{member})"
            statements.append(f'printf("{name}.{member} %zu %zu\\n", {where}, {size});')
            expected.append(f"{name}.{member} {field.offset} {ffi.sizeof(field.type)}")
    assert compiler(program(statements)).splitlines() == expected


def test_every_integer_member_has_the_compilers_sign(ffi, compiler):
    """A count read as signed, or an errno read as unsigned, would pass the test of sizes."""
    statements, expected = [], []
    for name in structs(ffi):
        for member, field in ffi.typeof(f"struct {name}").fields:
            if field.type.kind != "primitive":
                continue
            signed = int(int(ffi.cast(field.type, -1)) < 0)
            kind = f"__typeof__(((struct {name} *)0)->{member})"
            statements.append(f'printf("{name}.{member} %d\\n", (({kind})-1 < 1));')
            expected.append(f"{name}.{member} {signed}")
    assert compiler(program(statements)).splitlines() == expected


def test_every_constant_has_the_compilers_value(ffi, compiler):
    """Each enumerator and each #define."""
    lib = ffi.dlopen(None)
    names = constants(ffi)
    assert len(names) > 40
    statements = [f'printf("{name} %lld\\n", (long long){name});' for name in names]
    expected = [f"{name} {getattr(lib, name)}" for name in names]
    assert compiler(program(statements)).splitlines() == expected


def test_every_function_is_declared_as_in_the_headers(ffi, compiler):
    """The compiler accepts each declaration of cdef.h beside the header's own."""
    functions = prototypes()
    declared = {name for name in dir(ffi.dlopen(None)) if name.startswith("uc_")}
    assert {re.search(r"(uc_\w+)\(", text)[1] for text in functions} == declared
    compiler(["#include <uc.h>", *functions], link=False)


def test_every_function_is_in_the_built_library(ffi):
    """dlopen() resolves lazily: a missing function would show only when it is called."""
    path = BUILD / "lib" / "libuc.so"
    if not path.exists():
        pytest.skip(f"{path} is not built; set UC_BUILD_DIR")
    lib = ffi.dlopen(str(path))
    for name in dir(lib):
        assert getattr(lib, name) is not None, name
    assert lib.uc_abi_version() == lib.UC_ABI_VERSION
