"""Executables, cache, runtime library, and machines without a compiler."""

import os
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest

import fdl
import fdl.numpy as jnp
from fdl import lax, nn
from fdl.backends import cache, dispatch, toolchain
from fdl.core.array import ConcreteArray
from fdl.core.config import config
from fdl.core.errors import CacheWarning, CompileError, CompileWarning, NoCompilerWarning, SettingError
from fdl.lowering.target import AVX2, C_TARGETS, SCALAR
from fdl.ops import linear
from fdl.testing import count_compilations
from tests.conftest import ROOT, needs_compiler


def run_python(code, **env):
    full = {**os.environ, "FDL_CACHE_DIR": str(config.cache_dir), **env}
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        env=full,
        cwd=ROOT,
        check=False,
        timeout=300,
    )


@pytest.fixture
def no_compiler(monkeypatch):
    monkeypatch.setattr(config, "compiler", "no-such-compiler")
    monkeypatch.setattr(dispatch, "_warned", [])


def test_without_compiler(no_compiler):
    f = fdl.jit(lambda x: jnp.sin(x) * 2)
    with pytest.warns(NoCompilerWarning):
        y = f(jnp.ones(3))
    np.testing.assert_allclose(np.asarray(y), 2 * np.sin(1), rtol=1e-6)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fdl.jit(lambda x: x + 1)(1.0)  # warned once


def test_compiled_tier_needs_a_compiler(no_compiler):
    config.tier = "compiled"
    with pytest.raises(CompileError):
        fdl.jit(lambda x: x)(1.0)


@needs_compiler
def test_second_process_starts_no_compiler(tmp_path):
    code = """
import fdl, fdl.numpy as jnp
from fdl.testing import count_compilations
with count_compilations() as started:
    y = fdl.jit(fdl.grad(lambda x: jnp.sum(jnp.tanh(x) * x)))(jnp.ones(5))
print(started(), y.tolist())
"""
    first, second = (run_python(code, FDL_CACHE_DIR=str(tmp_path / "cache")) for _ in range(2))
    assert first.returncode == 0, first.stderr
    assert first.stdout.split()[0] == "2" and second.stdout.split()[0] == "0"  # `ones` is a program of its own
    assert first.stdout.split()[1:] == second.stdout.split()[1:]
    files = [p for p in (tmp_path / "cache").rglob("*") if p.is_file()]
    assert files and all(p.stat().st_mode & 0o077 == 0 for p in [*files, *(tmp_path / "cache").iterdir()])


@needs_compiler
def test_damaged_cache_is_rebuilt(tmp_path):
    config.cache_dir = tmp_path
    f = lambda x: jnp.cos(x) + 3.25
    fdl.jit(f)(jnp.ones(3))
    for plan in (tmp_path / "plans").iterdir():
        plan.write_text('{"library": "/etc/passwd", "arena": 0}' if plan.stat().st_size % 2 else "not json")
    np.testing.assert_allclose(
        np.asarray(fdl.jit(lambda x: jnp.cos(x) + 3.25)(jnp.ones(3))), np.cos(1) + 3.25, rtol=1e-6
    )


@needs_compiler
def test_concurrent_processes_share_a_cache(tmp_path):
    code = "import fdl, fdl.numpy as jnp; print(fdl.jit(lambda x: jnp.sin(x) + 1)(jnp.ones(2)).tolist())"
    env = {**os.environ, "FDL_CACHE_DIR": str(tmp_path)}
    running = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=env, cwd=ROOT)
        for _ in range(4)
    ]
    assert len({p.communicate(timeout=300)[0] for p in running}) == 1
    assert not list(tmp_path.rglob(".tmp-*"))


def test_cache_is_bounded(tmp_path, monkeypatch):
    config.cache_dir = tmp_path
    monkeypatch.setattr(cache, "_MAX_FILES", 10)
    for i in range(25):
        cache.write_plan(str(i), {"n": i})
    assert len(list((tmp_path / "plans").iterdir())) <= 10 and cache.read_plan("24") == {"n": 24}


@needs_compiler
def test_equal_graphs_compile_once():
    x = jnp.ones(7).block_until_ready()  # a program of its own
    with count_compilations() as started:
        for _ in range(3):
            fdl.jit(lambda x: jnp.sin(x) + 41.5)(x)
    assert started() <= 1


@needs_compiler
def test_fast_entry_declines_other_signatures():
    f = fdl.jit(lambda x, y: x * 2 + y)
    x = f(jnp.ones(3), jnp.ones(3))
    assert f._fast is not None and isinstance(f(x, x), ConcreteArray)
    assert f(jnp.ones(4), jnp.ones(4)).shape == (4,)
    assert f(jnp.ones(3), 2.0).tolist() == [4, 4, 4]
    assert f(np.ones(3, np.float32), jnp.ones(3)).tolist() == [3, 3, 3]
    assert fdl.grad(lambda v: f(v, v).sum())(jnp.ones(3)).tolist() == [3, 3, 3]
    assert f(y=jnp.ones(3), x=jnp.zeros(3)).tolist() == [1, 1, 1]
    with pytest.raises(TypeError):
        f(jnp.ones(3))
    assert f(jnp.ones((2, 3)).T[:, 0], jnp.ones(3)).tolist() == [3, 3, 3]
    views = fdl.jit(lambda x: x + 1)
    views(jnp.ones((3, 2)))
    assert views(jnp.broadcast_to(jnp.ones(2), (3, 2))).tolist() == [[2, 2]] * 3


@needs_compiler
def test_results_are_immutable_and_independent():
    f = fdl.jit(lambda x: x + 1)
    outs = [f(jnp.full((1000,), float(i))) for i in range(50)]
    assert [float(o[0]) for o in outs] == [i + 1.0 for i in range(50)]
    with pytest.raises(ValueError):
        np.asarray(outs[0])[0] = 5


@needs_compiler
def test_donated_arrays_are_gone():
    f = fdl.jit(lambda x, y: x + y, donate_argnums=0)
    x, y = jnp.ones(3), jnp.ones(3)
    assert f(x, y).tolist() == [2, 2, 2] and y.tolist() == [1, 1, 1]
    with pytest.raises(RuntimeError):
        x.tolist()
    with pytest.raises(RuntimeError):
        f(x, y)


@needs_compiler
def test_donated_memory_is_written_in_place_where_nobody_else_holds_it():
    def update(p, m, g):
        m = 0.9 * m + g
        return p - 0.1 * m, m, (g * g).sum()

    plain, donating = fdl.jit(update), fdl.jit(update, donate_argnums=(0, 1))
    fresh = fdl.jit(lambda k: (jnp.arange(60_000.0) * k, jnp.ones(60_000) * k))
    g = fresh(0.5)[0]
    for held in (False, True):
        p, m = fresh(2.0)
        want = [np.asarray(v).tobytes() for v in plain(p, m, g)]
        places, holders = {id(p._data), id(m._data)}, [p._data, m._data] if held else []
        out = donating(p, m, g)
        assert ({id(v._data) for v in out[:2]} == places) is not held
        assert [np.asarray(v).tobytes() for v in out] == want
        holders.clear()
    p, m = fresh(2.0)
    view = np.asarray(p)  # a reader outside: its memory must not change
    kept = view.tobytes()
    donating(p, m, g)
    assert view.tobytes() == kept
    p, _ = fresh(2.0)
    twice = fdl.jit(lambda a, b: (a * 2, a + b[::-1]), donate_argnums=0)
    want = np.asarray(p) * 2, np.asarray(p) + np.asarray(p)[::-1]
    for got, expected in zip(twice(p, p), want, strict=True):
        np.testing.assert_array_equal(np.asarray(got), expected)


@needs_compiler
def test_memory_that_is_read_elsewhere_is_not_given_to_a_result():
    f = lambda x, y: (x * 2, x[::-1] + y)  # the second result reads x in another order
    x, y = jnp.arange(30_000.0), jnp.ones(30_000)
    want = [np.asarray(v) for v in fdl.jit(f)(x, y)]
    made = fdl.jit(lambda: jnp.arange(30_000.0))()
    for got, expected in zip(fdl.jit(f, donate_argnums=0)(made, y), want, strict=True):
        np.testing.assert_array_equal(np.asarray(got), expected)


@needs_compiler
def test_runtime_survives_fork_and_threads():
    code = """
import os, sys, threading
import numpy as np, fdl, fdl.numpy as jnp
fdl.set_num_threads(3)
x = jnp.asarray(np.random.default_rng(0).normal(size=(300, 300)).astype("float32"))
f = fdl.jit(lambda x: jnp.tanh(x @ x) @ x)
want = np.asarray(f(x)).tobytes()
pid = os.fork()
if pid == 0:
    os._exit(0 if np.asarray(f(x)).tobytes() == want else 1)
assert os.waitpid(pid, 0)[1] == 0
wrong = []
def work():
    for _ in range(30):
        if np.asarray(f(x)).tobytes() != want:
            wrong.append(1)
threads = [threading.Thread(target=work) for _ in range(4)]
[t.start() for t in threads]; [t.join() for t in threads]
for n in (1, 7, 2, 5, 16, 3) * 5:
    fdl.set_num_threads(n)
    if np.asarray(f(x)).tobytes() != want:
        wrong.append(n)
assert not wrong
print("ok")
"""
    result = run_python(code)
    assert result.stdout == "ok\n", result.stderr


@needs_compiler
def test_functions_are_traced_safely_by_threads():
    f = fdl.jit(lambda x: jnp.sin(x) * jnp.float32(1.5))
    results = []
    threads = [threading.Thread(target=lambda n=n: results.append(f(jnp.ones(n % 3 + 1)).shape)) for n in range(12)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert sorted(results) == sorted((n % 3 + 1,) for n in range(12))


@needs_compiler
def test_denormals_are_flushed_and_the_mode_is_put_back():
    tiny = np.float32(1e-39)
    assert float(fdl.jit(lambda x: x * 0.5)(jnp.asarray(tiny))) == 0
    assert float(np.float32(tiny) * np.float32(0.5)) != 0


@needs_compiler
def test_control_flow_compiles():
    config.tier = "compiled"
    x = jnp.linspace(0, 1, 7)
    f = fdl.jit(
        lambda x: (
            lax.scan(lambda c, v: (c * v + 1, c), x[0], x),
            lax.while_loop(lambda c: c.sum() < 50, lambda c: c * 2 + 1, x),
            lax.switch(1, [jnp.sin, jnp.cos], x),
        )
    )
    (carry, ys), looped, chosen = f(x)
    c, expected = np.float32(0), []
    for v in np.asarray(x):
        expected.append(c)
        c = c * v + np.float32(1)
    np.testing.assert_allclose(np.asarray(ys), expected, rtol=1e-6)
    assert float(carry) == pytest.approx(float(c)) and float(looped.sum()) >= 50
    np.testing.assert_allclose(np.asarray(chosen), np.cos(np.asarray(x)), rtol=1e-6)
    big = jnp.ones((200, 300))
    loop = fdl.jit(lambda x: lax.scan(lambda c, _: (jnp.tanh(c) + x * 0.1, None), x, length=3)[0])
    for count in (1, 2, 7):
        fdl.set_num_threads(count)
        np.testing.assert_allclose(
            np.asarray(loop(big))[0, 0], np.tanh(np.tanh(np.tanh(1) + 0.1) + 0.1) + 0.1, rtol=1e-5
        )


@needs_compiler
def test_unwritable_or_foreign_cache_is_not_used(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "_GIVEN_UP", {})
    shared = tmp_path / "shared"
    (shared / "programs").mkdir(parents=True)
    (shared / "programs").chmod(0o777)
    for root in (shared, tmp_path / "file" / "below"):
        (tmp_path / "file").touch()
        config.cache_dir = root
        with pytest.warns(CacheWarning, match=f"are not kept in {root}"):
            assert fdl.jit(lambda x, n=root: x * 2.125)(jnp.ones(3)).tolist() == [2.125] * 3
        assert not list(shared.rglob("*.so")) or root != shared


def test_failing_compiler_is_slower_but_not_broken(monkeypatch, tmp_path):
    broken = toolchain.Compiler(("/bin/false",), "", SCALAR, ())
    monkeypatch.setattr(dispatch, "find_compiler", lambda: broken)
    config.cache_dir = tmp_path
    with pytest.warns(CompileWarning, match="/bin/false failed"):
        assert float(fdl.jit(lambda x: x * 3)(2.0)) == 6
    config.tier = "compiled"
    with pytest.raises(CompileError):
        fdl.jit(lambda x: x * 3)(2.0)


def test_failed_compiler_speaks(tmp_path):
    broken = toolchain.Compiler(("/bin/false",), "", SCALAR, ())
    with pytest.raises(CompileError, match="/bin/false failed"):
        broken.build([], tmp_path / "x.so", ())


@needs_compiler
def test_the_compiler_in_a_wheel_is_used_where_there_is_no_other(monkeypatch):
    monkeypatch.setattr(toolchain.importlib.util, "find_spec", lambda name: object() if name == "ziglang" else None)
    asked = []
    monkeypatch.setattr(toolchain, "_describe", lambda command, target: asked.append(command))
    toolchain._find.cache_clear()
    try:
        assert toolchain._find("", "auto", "/nowhere") is None
        assert asked == [(sys.executable, "-m", "ziglang", "cc")]
        asked.clear()
        assert (
            toolchain._find("/nowhere/cc", "auto", "") is None and asked == []
        )  # what was asked for by name is not replaced
    finally:
        toolchain._find.cache_clear()


def test_flags_of_one_compiler_are_not_given_to_others(monkeypatch):
    given = []

    class Started:
        returncode = 0

        def __init__(self, command, **options):
            given.append(command)

        def communicate(self):
            return "", ""

    monkeypatch.setattr(toolchain.subprocess, "Popen", Started)
    for version in ("#define __clang__ 1", "#define __GNUC__ 12"):
        toolchain.Compiler(("cc",), version, AVX2, ("-march=native", "-fno-ipa-icf")).build(
            [Path("a.c")], Path("a.so"), toolchain.PROGRAM_FLAGS
        )
    clang, gcc = given
    assert not {"-fno-ipa-icf", "-fvect-cost-model=dynamic"} & set(clang) and {
        "-fno-ipa-icf",
        "-fvect-cost-model=dynamic",
    } <= set(gcc)


@needs_compiler
@pytest.mark.parametrize("name", C_TARGETS)
def test_each_target_runs_where_the_machine_can_and_gives_the_same_bits(name, monkeypatch):
    x = jnp.asarray(np.random.default_rng(0).normal(size=(40, 70)).astype("f"))

    def f(x):
        y = jnp.tanh(x @ x.T)
        return nn.softmax(y), jnp.sum(y, axis=0), jnp.max(x), lax.scan(lambda h, r: (h @ y, r * 2), y, x)[0]

    want = [np.asarray(a).tobytes() for a in fdl.jit(f)(x)]
    widest = toolchain.host_target()
    monkeypatch.setattr(config, "target", name)
    if C_TARGETS[name].vector_bytes > widest.vector_bytes:
        with pytest.raises(SettingError, match=f"FDL_TARGET={name}: this machine has no {name}"):
            toolchain.find_compiler()
    else:
        assert toolchain.host_target().name == name
        assert [np.asarray(a).tobytes() for a in fdl.jit(f)(x)] == want


@needs_compiler
@pytest.mark.parametrize("name", C_TARGETS)
def test_a_mirrored_triangle(name, monkeypatch):
    """gcc 12 gave the last row of a 4 x 4 matrix of doubles an element of another, where it merged unrolled loads."""
    if C_TARGETS[name].vector_bytes > toolchain.host_target().vector_bytes:
        pytest.skip(f"this machine has no {name}")
    monkeypatch.setattr(config, "target", name)
    lower = np.tril(np.arange(1.0, 17.0).reshape(4, 4))
    got = fdl.jit(lambda a: jnp.tril(a, -1) + jnp.tril(a, -1).T + jnp.where(jnp.eye(4, dtype=bool), a, 0))(lower)
    assert np.asarray(got).tolist() == (lower + np.tril(lower, -1).T).tolist()
    assert np.asarray(fdl.jit(lambda a: linear.hermitian(a, True))(lower)).tolist() == got.tolist()
