"""Seeing it: explain, profile, the log, the doctor and the cache."""

import contextlib
import os
import subprocess
import sys

import numpy as np
import pytest

import fdl
import fdl.numpy as jnp
from fdl import nn
from tests.conftest import ROOT, needs_compiler


def test_explain_as_a_page():
    shown = fdl.explain(lambda x: nn.softmax(x @ x.T))(np.ones((20, 20), np.float32))
    page = shown.html()
    assert page.startswith("<!doctype html>") and "dot 20x20x20" in page and "&lt;" in page and "<script" not in page
    assert "test_inspection.py" in page


@needs_compiler
def test_profile_names_stages_and_lines():
    found = fdl.profile(lambda x: nn.softmax(x @ x.T), calls=2)(np.ones((64, 64), np.float32))
    assert {s.kernel for s in found.stages} >= {"product"}
    assert all(s.seconds >= s.waited >= 0 for s in found.stages) and found.seconds > 0
    assert any("test_inspection.py" in line for s in found.stages for line in s.lines) and "product" in str(found)


@needs_compiler
@pytest.mark.parametrize("f", [lambda x: x * 2, lambda x: x.sum(0), lambda x: (x, x.T @ x)])
def test_profile_of_programs_of_few_stages(f):
    found = fdl.profile(f, calls=2)(np.ones((3, 0), np.float32))
    assert len(found.stages) <= 1 and found.seconds > 0 and "a call in all" in str(found)


def run(code, **environment):
    return subprocess.run(
        [sys.executable, *code],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@needs_compiler
def test_the_log_says_why(tmp_path):
    program = (
        "import numpy as np, fdl\nf = fdl.jit(lambda d: d['a'] * 2)\n"
        "for n in (3, 4, 4): f({'a': np.ones(n, np.float32)})"
    )
    said = run(["-c", program], FDL_LOG="compile", FDL_CACHE_DIR=str(tmp_path)).stderr.splitlines()
    assert (
        len(said) == 4
        and "first call" in said[0]
        and "compiled in" in said[1]
        and "was float32[3] and is float32[4]" in said[2]
    )
    again = run(["-c", program], FDL_LOG="compile", FDL_CACHE_DIR=str(tmp_path)).stderr
    assert again.count("found in the disk cache") == 2
    assert not run(["-c", program], FDL_LOG="", FDL_CACHE_DIR=str(tmp_path)).stderr


def test_the_doctor_and_the_cache(tmp_path):
    healthy = run(["-m", "fdl", "doctor"], FDL_CACHE_DIR=str(tmp_path))
    assert "threads" in healthy.stdout and "cache" in healthy.stdout
    lacking = run(["-m", "fdl", "doctor"], FDL_CACHE_DIR=str(tmp_path), PATH="/nowhere")
    assert lacking.returncode == 1 and "mend it by" in lacking.stdout
    (tmp_path / "plans").mkdir(exist_ok=True)
    (tmp_path / "plans" / "x.json").write_text("{}")
    assert "plans/x.json" in run(["-m", "fdl", "cache"], FDL_CACHE_DIR=str(tmp_path)).stdout
    assert run(["-m", "fdl", "cache", "clear"], FDL_CACHE_DIR=str(tmp_path)).returncode == 0
    assert not [p for p in tmp_path.glob("*/*") if p.is_file()]


@needs_compiler
def test_trees_go_through_the_fast_entry():
    f = fdl.jit(lambda t, x: {"out": [t["a"] + x, (t["b"][0], None)], "x": x})
    t, x = {"a": jnp.ones(3), "b": (jnp.zeros(2), [])}, jnp.ones(3)
    f(t, x)
    calls = []
    general, f._general = f._general, lambda *args: calls.append(args) or general(*args)
    out = f(t, x)
    assert not calls and list(out) == ["out", "x"] and out["out"][1][1] is None and out["out"][0].tolist() == [2, 2, 2]
    for other in (
        {"a": jnp.ones(3), "b": [jnp.zeros(2), []]},
        {"a": jnp.ones(3), "c": (jnp.zeros(2), [])},
        {"b": (jnp.zeros(2), []), "a": jnp.ones(4)},
    ):
        calls.clear()
        with contextlib.suppress(KeyError, fdl.FdlError):
            f(other, x)
        assert calls


@needs_compiler
def test_donated_trees_are_gone_after_the_fast_entry():
    step = fdl.jit(lambda state, g: {k: v - g for k, v in state.items()}, donate_argnums=0)
    state = {"a": jnp.ones(1000), "b": jnp.zeros(1000)}
    for _ in range(4):
        old = state
        state = step(state, jnp.ones(1000))
    assert state["a"].tolist()[0] == -3
    try:
        old["a"].tolist()
    except fdl.FdlError as error:
        assert "donated" in str(error)
    else:
        raise AssertionError("a donated array can still be read")


@needs_compiler
@pytest.mark.parametrize("held", [False, True])
def test_a_donated_argument_that_is_returned_is_there(held):
    """Whether the result lies in the argument's memory, or in its own since somebody else holds that."""
    f = fdl.jit(lambda x, y: (x, x @ y), donate_argnums=0)
    y = jnp.ones((40, 40)) * 0.01
    for k in range(3):
        x = (
            jnp.asarray(np.full((40, 40), k + 1, np.float32))
            if held
            else fdl.jit(lambda v: v + 1)(jnp.full((40, 40), float(k)))
        )
        same, _ = f(x, y)
        assert (np.asarray(same) == k + 1).all()
