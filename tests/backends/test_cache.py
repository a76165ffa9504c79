"""The disk cache: damage is noticed and mended, nothing that others could have written is run, and folders that cannot
be used cost speed alone.
"""

import dataclasses
import importlib
import json
import os
import random
import re
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

import fdl
import fdl.numpy as jnp
from fdl.backends import c, cache, dispatch, runtime, toolchain
from fdl.backends.dispatch import executable
from fdl.backends.toolchain import find_compiler
from fdl.core.array import from_numpy
from fdl.core.config import config
from fdl.core.errors import CacheError, CacheWarning, CompileError, CompileWarning
from fdl.core.primitive import OWN, RULES
from fdl.lowering.ir.spellings import C
from fdl.lowering.target import SCALAR
from fdl.ops import elementwise, mul
from fdl.transforms import make_graph
from tests.conftest import ROOT, module_names, needs_compiler

pytestmark = needs_compiler


def run(code, cwd=ROOT, options=(), **variables):
    environment = {**os.environ, "FDL_CACHE_DIR": str(config.cache_dir), "PYTHONPATH": str(ROOT), **variables}
    return subprocess.run(
        [sys.executable, *options, "-c", code],
        capture_output=True,
        text=True,
        env=environment,
        cwd=cwd,
        check=False,
        timeout=300,
    )


@pytest.fixture(autouse=True)
def _own_state(monkeypatch):
    for name, empty in (("_GIVEN_UP", {}), ("_SWEPT", set()), ("_told", [])):
        monkeypatch.setattr(cache, name, empty)
    monkeypatch.setattr(dispatch, "_told_of_cache", [])


# Damage

X = np.linspace(-2, 2, 24, dtype=np.float32).reshape(4, 6)


def graph_of(k):
    return fdl.make_graph(lambda x, y: (y * k, x.sum(0), x * k + 1))(X, X.T).lift()[0]


def compute(k):
    """The results of a program that is loaded anew."""
    return [
        np.asarray(out)
        for out in executable(graph_of(k), "damage", donated=(0,))([from_numpy(X.copy()), from_numpy(X.T.copy())])
    ]


DAMAGES = {
    "empty": lambda content, dice: b"",
    "cut off": lambda content, dice: content[: dice.randrange(len(content))],
    "garbage": lambda content, dice: dice.randbytes(dice.randrange(1, 2 * len(content))),
    "one bit": lambda content, dice: flipped(content, dice.randrange(len(content)), 1 << dice.randrange(8)),
    "zeros at the end": lambda content, dice: content[: len(content) // 2] + bytes(len(content) - len(content) // 2),
    "longer": lambda content, dice: content + dice.randbytes(9),
}


def flipped(content, place, bits):
    return content[:place] + bytes([content[place] ^ bits]) + content[place + 1 :]


def in_a_child(work):
    """Whether work ends well in a forked process: what it loads, this one has never seen."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            warnings.simplefilter("error")
            for known in (runtime._loaded, runtime._load_products):
                known.cache_clear()
            c._LOADED.clear()
            code = 0 if work() else 2
        finally:
            os._exit(code)
    return os.waitpid(child, 0)[1] == 0


def check_damages(count, kinds, tmp_path):
    """After each damage the results are those of before, and the damaged file is whole again or gone."""
    config.cache_dir, config.tier = tmp_path / "cache", "compiled"
    dice = random.Random(7)

    def first():
        np.savez(tmp_path / "want.npz", *compute(3.0))
        return True

    assert in_a_child(first)
    want = list(np.load(tmp_path / "want.npz").values())
    for i in range(count):
        files = sorted(p for kind in kinds for p in (config.cache_dir / kind).iterdir() if p.suffix in (".so", ".json"))
        path, name = dice.choice(files), list(DAMAGES)[i % len(DAMAGES)]
        path.write_bytes(DAMAGES[name](path.read_bytes(), dice))
        assert in_a_child(lambda: all(np.array_equal(a, b) for a, b in zip(compute(3.0), want, strict=True))), (
            path.name,
            name,
        )
        if path.suffix == ".so":
            assert not path.exists() or cache.is_whole(path), (path.name, name)
    assert not list(tmp_path.rglob(".tmp-*"))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_damaged_programs_are_made_anew(tmp_path):
    check_damages(18, ["plans", "programs"], tmp_path)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.parametrize("kinds, count", [(["plans", "programs"], 400), (["runtime"], 100)])
def test_all_damages_are_mended(kinds, count, tmp_path):
    check_damages(count, kinds, tmp_path)


def test_a_damaged_runtime_library_is_built_anew(tmp_path):
    config.cache_dir = tmp_path
    compiler = dataclasses.replace(find_compiler(), version="another")
    for name, damage in DAMAGES.items():
        built = []

        def build(target, name=name, built=built):
            built.append(name)
            target.write_bytes(b"the same library" * 20)

        stem = "fdl_native-abc"
        path = cache.find("runtime", stem) or cache.keep("runtime", stem, build)
        path.write_bytes(damage(path.read_bytes(), random.Random(3)))
        assert cache.find("runtime", stem) is None and not path.exists()
        assert cache.find("runtime", stem) is None and cache.keep("runtime", stem, build) == path
    assert not cache.has("runtime", runtime._stem(compiler, "f32"))


def test_plans_and_libraries_are_not_believed_under_another_name(tmp_path):
    config.cache_dir, config.tier = tmp_path, "compiled"
    first, second = compute(2.0), compute(5.0)
    one, other = sorted((tmp_path / "plans").iterdir())
    texts = one.read_text(), other.read_text()
    one.write_text(texts[1]), other.write_text(texts[0])
    for k, want in ((2.0, first), (5.0, second)):
        assert all(np.array_equal(a, b) for a, b in zip(compute(k), want, strict=True))
    one, other = sorted((tmp_path / "programs").glob("*.so"))
    assert cache.is_whole(one)
    renamed = one.with_name(f"{other.name.split('.')[0]}.{one.name.split('.')[1]}.so")
    renamed.write_bytes(one.read_bytes())
    assert not cache.is_whole(renamed) and not renamed.exists()


WRONG = {
    "library": ["../x.so", "", 3, None],
    "arena": [-1, 1.5, "8", True, 1 << 60],
    "own": [-64, None],
    "parallel": [1, "yes"],
    "in_place": [[-1], [-1, -1, 9], [-1, -1, -2], [1, -1, 0.0], [-1, 0, -1], 5],
    "products": [["f32", "x"], "f32", [3], [[]]],
}


@pytest.mark.parametrize("field", WRONG)
def test_plans_are_checked_against_the_graph(field, tmp_path):
    config.cache_dir, config.tier = tmp_path, "compiled"
    want = compute(4.0)
    (path,) = (tmp_path / "plans").iterdir()
    plan = json.loads(path.read_text().split("\n", 1)[1])
    graph = graph_of(4.0)
    assert c.Plan.read(path.stem, graph) == c.Plan(**plan)
    for value in WRONG[field]:
        cache.write_plan(path.stem, {**plan, field: value})
        assert c.Plan.read(path.stem, graph) is None, value
    cache.write_plan(path.stem, {k: v for k, v in plan.items() if k != field})
    assert c.Plan.read(path.stem, graph) is None
    assert all(np.array_equal(a, b) for a, b in zip(compute(4.0), want, strict=True))


# Whose files


def test_files_and_folders_that_others_may_write_to_are_not_used(tmp_path):
    root = tmp_path / "cache"
    config.cache_dir, config.tier = root, "compiled"
    compute(6.0)
    (library,) = (root / "programs").glob("*.so")
    library.chmod(0o722)
    assert not cache.is_whole(library) and not library.exists()
    compute(6.0)
    for part, said in ((root / "programs", "programs"), (root, "cache")):
        before = sorted(root.rglob("*"))
        part.chmod(0o777)
        with pytest.warns(CacheWarning, match=f"others may write to it .chmod go-w .*{said}"):
            assert compute(7.0 + part.stat().st_ino)[1].shape == (6,)  # noticed though the folder was used before
        assert sorted(root.rglob("*")) == before
        part.chmod(0o700)
        cache._GIVEN_UP.clear()
        cache._told.clear()


def test_symbolic_links_are_not_followed_to_libraries(tmp_path):
    config.cache_dir = tmp_path / "cache"
    path = cache.keep("programs", "abc", lambda target: target.write_bytes(b"library"))
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    assert cache.find("programs", "abc") is None


# Leftovers


def test_what_processes_left_is_swept(tmp_path):
    config.cache_dir = tmp_path
    where = cache.folder("programs")
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    names = {
        f".tmp-{cache._host()}-{ended.pid}-x": True,
        f".tmp-{cache._host()}-{ended.pid}-x.0.o": True,
        f".tmp-{cache._host()}-{os.getpid()}-y": False,
        ".tmp-other-1-z": False,
    }
    for name in [*names, ".tmp-old"]:
        (where / name).touch()
    os.utime(where / ".tmp-old", (0, 0))
    cache._SWEPT.clear()
    cache.folder("programs")
    assert {name: not (where / name).exists() for name in names} == names and not (where / ".tmp-old").exists()


def test_a_short_script_leaves_no_temporary_files(tmp_path):
    """The build of matrix products that are not needed is begun, and finished."""
    code = (
        "import fdl, fdl.numpy as jnp; from fdl.backends import runtime, toolchain; "
        "runtime.begin(toolchain.find_compiler(), ['i8'])"
    )
    assert run(code, FDL_CACHE_DIR=str(tmp_path)).returncode == 0
    files = [p.name for p in tmp_path.rglob("*") if p.is_file()]
    assert sorted(name.split("-")[0] for name in files) == ["fdl_native", "i8"]


def test_a_killed_build_is_made_again(tmp_path):
    config.cache_dir = tmp_path
    code = (
        "import os; from fdl.backends import cache; cache.keep('programs', 'abc', lambda target: "
        "os.kill(os.getpid(), 9))"
    )
    assert run(code).returncode == -9 and list(tmp_path.rglob(".tmp-*"))
    assert cache.find("programs", "abc") is None and not list(tmp_path.rglob(".tmp-*"))


def test_a_cache_for_one_process_ends_with_it(tmp_path):
    (tmp_path / "file").touch()
    code = f"""
import os, warnings, pathlib
warnings.simplefilter("ignore")
from fdl.backends import cache
from fdl.core.config import config
config.cache_dir = pathlib.Path({str(tmp_path / "file")!r})
where = cache.folder("programs")
child = os.fork()
if child:
    os.waitpid(child, 0)
    assert where.exists() and os.environ["END"] != "killed" or os.kill(os.getpid(), 9)
"""
    for end, code_of_end, left in (("killed", -9, 1), ("well", 0, 0)):
        assert run(code, TMPDIR=str(tmp_path), END=end).returncode == code_of_end
        assert len(list(tmp_path.glob("fdl-*"))) == left


# Folders that cannot be used


def test_a_full_disk_costs_speed_alone(tmp_path, monkeypatch):
    config.cache_dir = tmp_path / "full"
    real = os.fsync

    def full(number):
        if str(tmp_path) in os.readlink(f"/proc/self/fd/{number}"):
            raise OSError(28, "No space left on device")
        real(number)

    if not Path("/proc/self/fd").exists():
        pytest.skip("no /proc")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.warns(CacheWarning, match="full: No space left on device") as said:
        assert fdl.jit(lambda x: x * 2.25 + 1)(jnp.ones(3)).tolist() == [3.25] * 3
        assert fdl.jit(lambda x: x * 2.25 + 2)(jnp.ones(3)).tolist() == [4.25] * 3
    assert len(said) == 1 and not list((tmp_path / "full" / "programs").glob(".tmp-*"))


def test_where_nothing_can_be_written_the_interpreter_runs(monkeypatch):
    def nothing(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache, "_publish", nothing)
    with pytest.warns(CompileWarning, match="interpreter: compiled programs can be kept nowhere") as said:
        assert fdl.jit(lambda x: x * 2.5 + 1)(jnp.ones(3)).tolist() == [3.5] * 3
        assert fdl.jit(lambda x: x * 2.5 + 2)(jnp.ones(3)).tolist() == [4.5] * 3
    assert len(said) == 1
    config.tier = "compiled"
    with pytest.raises(CacheError, match="No space left"):
        fdl.jit(lambda x: x * 2.5 + 3)(jnp.ones(3))


def test_a_compiler_that_finds_the_disk_full_is_no_compiler_that_fails(tmp_path):
    wrapper = tmp_path / "cc"
    wrapper.write_text("#!/bin/sh\necho 'fatal error: error writing to x: No space left on device' >&2\nexit 1\n")
    wrapper.chmod(0o700)
    with pytest.raises(OSError, match="No space left"):
        toolchain.Compiler((str(wrapper),), "", SCALAR, ()).build([], tmp_path / "x.so", ())
    with pytest.raises(CompileError, match="cannot be run"):
        toolchain.Compiler((str(tmp_path / "nothing"),), "", SCALAR, ()).build([], tmp_path / "x.so", ())


def test_libraries_that_cannot_be_loaded_are_made_elsewhere(tmp_path, monkeypatch):
    config.cache_dir = tmp_path
    real = runtime.load(find_compiler())

    class Native:
        program, list_program = real.program, real.list_program

        @staticmethod
        def load(path, name):
            if path.startswith(str(tmp_path)):
                raise RuntimeError(f"{path}: failed to map segment from shared object")
            return real.load(path, name)

    monkeypatch.setattr(runtime, "load", lambda compiler: Native)
    with pytest.warns(CacheWarning, match="failed to map segment"):
        assert fdl.jit(lambda x: x * 2.75)(jnp.ones(2)).tolist() == [2.75] * 2


@pytest.mark.parametrize("name", ["-rf", "a b;ünï%s{0}"])
def test_folders_of_any_name_are_used_and_stay_where_they_were(name, tmp_path):
    (tmp_path / "other").mkdir()
    code = (
        f"import fdl, fdl.numpy, os; os.chdir({str(tmp_path / 'other')!r}); print(fdl.jit(lambda x: "
        "x + 5.5)(1.0)); os.chdir('/'); print(fdl.jit(lambda x: x + 7)(1.0))"
    )
    done = run(code, FDL_CACHE_DIR=name, cwd=tmp_path, options=["-W", "error"])
    assert done.stdout == "6.5\n8.0\n", done.stderr
    assert len(list((tmp_path / name / "programs").glob("*.so"))) == 2 and not list((tmp_path / "other").iterdir())


# What others define

RECIPE = """
import fdl, fdl.numpy as jnp
from fdl.core.dtypes import FLOATS
from fdl.lowering.ir.spellings import C
from fdl.ops import elementwise, mul
from fdl.transforms import make_graph
k = K
scaled = elementwise("scaled", lambda x: x * k, FLOATS, lambda t, y, x: mul(t, k), doc="`k x`.")
C["scaled"] = f"{{0}} * {k}f"
print(fdl.jit(scaled)(jnp.ones(2)).tolist(), fdl.jit(fdl.grad(scaled))(1.0))
"""


def test_a_changed_formula_never_meets_an_old_program(tmp_path):
    config.cache_dir = tmp_path
    for k in (2, 5, 2):
        done = run(RECIPE.replace("K\n", f"{k}.0\n"), FDL_TIER="compiled")
        assert done.stdout == f"[{k}.0, {k}.0] {k}.0\n", done.stderr


@pytest.fixture
def rows():
    """Spellings and primitives are put back."""
    saved, names = dict(C), dict(fdl.core.REGISTRY)
    yield C
    C.clear(), C.update(saved)
    for name in [n for n in fdl.core.REGISTRY if n not in names]:
        del fdl.core.REGISTRY[name]


def scaled_by(k, name="scaled_here"):
    return elementwise(name, lambda x: x * k, fdl.core.dtypes.FLOATS, lambda t, y, x: mul(t, k), doc="`k x`.")


def test_a_cell_that_runs_again_defines_anew(rows):
    config.tier = "compiled"
    for k in (2.0, 5.0):
        scaled = scaled_by(k)
        rows["scaled_here"] = f"{{0}} * {k}f"
        assert fdl.jit(scaled)(jnp.ones(2)).tolist() == [k, k]
        assert float(fdl.jit(fdl.grad(scaled))(1.0)) == k
    with pytest.raises(ValueError, match="there is an operation 'exp' already"):
        scaled_by(2.0, "exp")


def test_a_replaced_row_or_rule_of_fdl_itself_is_noticed(rows, monkeypatch):
    config.tier = "compiled"
    square = lambda: fdl.jit(lambda x: jnp.expm1(x) * 4.125)(jnp.zeros(2)).tolist()
    assert square() == [0, 0]
    rows["expm1"] = "({0} + 3)"
    assert square() == [12.375] * 2
    del rows["expm1"]
    rows["expm1"] = "fdl_expm1_{T}({args})"
    assert square() == [0, 0]
    expm1 = next(p for p in OWN if p.name == "expm1")
    for k in (2, 5):
        monkeypatch.setitem(
            RULES["lower"], expm1, lambda b, x, k=k: b.map("add", x, b.map("add", x, x)) if k == 2 else x
        )
        assert fdl.jit(lambda x: jnp.expm1(x) * 4.125)(jnp.ones(2)).tolist() == [4.125 * (3 if k == 2 else 1)] * 2


def test_a_missing_or_wrong_spelling_is_told(rows):
    scaled = scaled_by(3.0)
    for row, message in (
        (None, "scaled_here: it is not said how this is written in C"),
        ("{3} + {x}", "cannot be filled in"),
        ("no_such_function({0})", "undefined symbol: no_such_function"),
        ("{0} +", "failed with status"),
    ):
        rows.pop("scaled_here", None)
        if row:
            rows["scaled_here"] = row
        config.tier = "auto"
        with pytest.warns(CompileWarning, match=re.escape(message)):
            assert fdl.jit(lambda x: scaled(x))(jnp.ones(2)).tolist() == [3, 3]
        config.tier = "compiled"
        with pytest.raises(CompileError, match=re.escape(message)):
            fdl.jit(lambda x: scaled(x))(jnp.ones(2))


def test_an_operation_that_cannot_be_lowered_runs_on_the_interpreter():
    p = fdl.core.Primitive("unlowered").define(shape=lambda x: x, impl=lambda x: 3 * x)
    with pytest.warns(CompileWarning, match="no `lower` rule"):
        assert fdl.jit(p.bind)(jnp.ones(2)).tolist() == [3, 3]


def test_the_digest_covers_all_that_lowers():
    own = {str(path) for path in cache.own_files().values()}
    for name in module_names():
        importlib.import_module(name)
    assert len(RULES["lower"].keys() & OWN) > 60
    for kind in ("lower", "in_order", "effects"):
        rules = {p: rule for p, rule in RULES[kind].items() if p in OWN}
        assert [p for p, rule in rules.items() if rule.__code__.co_filename not in own] == []
    defining = [
        path
        for top in ("fdl", "transforms", "lowering", "backends", "stateful")
        for path in (ROOT / top).rglob("*.py")
        if re.search(r"\blower=(?!True|False|lower\b)", path.read_text())
    ]
    missing = [str(path) for path in defining if ".define(" in path.read_text() and str(path) not in own]
    assert not missing


@pytest.mark.parametrize("folder", ["core", "ops", "passes", "lowering", "backends", "transforms"])
def test_each_file_counts(folder, tmp_path, monkeypatch):
    """A changed byte in any of them is another digest, and so is another name."""
    files = cache.own_files()
    digest = cache.own_digest.__wrapped__
    before = digest()
    names = [name for name in files if name.startswith(f"{folder}/")]
    copy = tmp_path / "copy"
    assert names
    for name in names:
        copy.write_bytes(files[name].read_bytes() + b" ")
        monkeypatch.setattr(cache, "own_files", lambda name=name: {**files, name: copy})
        assert digest() != before, name
    monkeypatch.setattr(cache, "own_files", lambda: {k.replace(names[0], "x"): v for k, v in files.items()})
    assert digest() != before


def test_operations_of_users_are_not_kept_within_custom_derivatives_either():
    p = fdl.core.Primitive("a users own").define(shape=lambda x: x, impl=lambda x: 3 * x)

    def inside(of):
        @fdl.custom_jvp
        def f(x):
            return of(of(x))

        f.defjvp(lambda primals, tangents: (f(*primals), tangents[0]))
        return make_graph(lambda x: fdl.jit(f)(x) + 1)(jnp.ones(3))

    assert c.is_told_by_its_text(inside(jnp.sin))
    assert not c.is_told_by_its_text(inside(p.bind))
