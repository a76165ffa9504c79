"""The table of what the runtime library may leave to Python agrees with its C sources; twins exist; a page shows it."""

import pkgutil
import re
import subprocess

import pytest

from fdl.backends import native, runtime
from fdl.backends.native import REASONS, TABLE
from fdl.backends.toolchain import INCLUDE, RUNTIME_FLAGS, find_compiler
from fdl.stateful.core import methods
from tests.conftest import ROOT, needs_compiler
from tests.native import c_source

FLOORS = ["lowering", "backends", "transforms", "stateful"]
SETS_UP = {  # and `call`, which runs a function of a library, has no twin
    "arrays", "call", "declined", "following", "list_program", "load", "looking", "products", "program", "recording",
    "set_threads", "taping", "tensors", "ways",
}  # fmt: skip
CALLED = {  # what these make tries
    "method": "answer", "operator": "operate", "look": "look_at", "looks": "see_value", "picker": "pick",
    "picks": "pick_tensor",
}  # fmt: skip
KNOWN, EXPORTED = c_source.functions(), c_source.exported()


def test_each_exported_function_is_in_the_table():
    assert EXPORTED.keys() == TABLE.keys() | SETS_UP
    assert not any(c_source.reasons_of(EXPORTED[name], KNOWN) for name in SETS_UP)


@pytest.mark.parametrize("name", TABLE)
def test_a_row_says_what_the_source_says(name):
    row, function = TABLE[name], CALLED.get(name, EXPORTED[name])
    assert len(set(row.declines)) == len(row.declines)
    around = c_source.reasons_of("call_method", KNOWN) if name in CALLED else frozenset()
    assert set(row.declines) == c_source.reasons_of(function, KNOWN) | around
    assert row.source == KNOWN[function].source


@pytest.mark.parametrize("name", TABLE)
def test_a_twin_is_there(name):
    assert callable(pkgutil.resolve_name(TABLE[name].twin))


def test_each_reason_is_one():
    assert {name for row in TABLE.values() for name in row.declines} == REASONS.keys()


@needs_compiler
def test_the_library_has_what_the_sources_export():
    module = runtime.load(find_compiler())
    made = {"run", "fast", "fill"}  # by `program`
    assert {name for name in dir(module) if callable(getattr(module, name))} == EXPORTED.keys() - made | {"Buffer"}


@needs_compiler
def test_all_methods_that_can_be_are_taken_over():
    native.NATIVE.arrive(runtime.load(find_compiler()))
    assert not methods._RECORDED


def test_the_page_shows_the_table():
    text = (ROOT / "docs" / "native.md").read_text()
    rows = [
        f"| `{name}` | `{row.source}` | `{row.twin}` | {', '.join(row.declines) or 'nothing'} |"
        for name, row in TABLE.items()
    ]
    assert "\n".join(rows) in text
    assert "\n".join(f"| {name} | {said} |" for name, said in REASONS.items()) in text


@pytest.mark.parametrize("path", c_source.FILES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_a_file_is_short_and_includes_lower_floors_alone(path):
    assert c_source.code_of(path).count("\n") < 500
    assert path.read_text().startswith("/* ")
    own = FLOORS.index(path.relative_to(ROOT).parts[0])
    for name in re.findall(r'#include "(.*)"', path.read_text()):
        place = (path.parent / name).resolve()
        floor = place.relative_to(ROOT).parts[0] if place.exists() else "lowering"
        assert FLOORS.index(floor) <= own, name


@needs_compiler
@pytest.mark.parametrize("path", c_source.FILES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_a_file_compiles_by_itself_without_a_warning(path):
    compiler, (_, parts) = find_compiler(), runtime.library_parts()
    flags = [f for f in RUNTIME_FLAGS if f not in ("-w", "-shared")]
    warnings = ["-Wall", "-Wextra", "-Wshadow", "-Werror", "-Wno-missing-field-initializers", "-Wno-unused-function"]
    command = [*compiler.command, *flags, *warnings, f"-I{INCLUDE}", parts[0], "-fsyntax-only", "-x", "c", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", KNOWN)
def test_a_function_is_short(name):
    assert KNOWN[name].lines <= 60
