"""`jit`, one stage after the other."""

import numpy as np
import pytest

import fdl
import fdl.numpy as jnp
from fdl import lax
from fdl.core.errors import ChoiceError, DonatedError, StructureError
from fdl.stages import Jit
from tests.conftest import needs_compiler

X = np.arange(9, dtype=np.float32).reshape(3, 3)


def f(x, n=1):
    return {"y": x @ x * n}


def test_lower_and_compile():
    lowered = fdl.jit(f, static_argnames="n").lower(X, n=2)
    assert "dot_general" in lowered.as_text()
    assert [str(a) for a in lowered.in_avals] == ["float32[3,3]"] and str(lowered.out_info) == "{'y': float32[3,3]}"
    compiled = lowered.compile()
    np.testing.assert_allclose(compiled(X, n=2)["y"], X @ X * 2)
    with pytest.raises(StructureError, match=r"compiled for \[float32\[3,3\]\], and is called with \[float32\[2,2\]\]"):
        compiled(X[:2, :2], n=2)
    with pytest.raises(TypeError):
        compiled(X.astype(np.float64), n=2)
    with pytest.raises(StructureError, match="no argument"):
        fdl.jit(f, donate_argnames="z")


def test_types_stand_for_arguments():
    g = fdl.jit(f)
    a = fdl.ShapeDtypeStruct((3, 3), "float32")
    assert str(g.eval_shape(a)["y"]) == "float32[3,3]"
    np.testing.assert_allclose(g.lower(a).compile()(X)["y"], X @ X)


def test_captured_arrays_are_no_arguments():
    captured = jnp.ones(3)
    lowered = fdl.jit(lambda x: x + captured).lower(2.0)
    assert [str(a) for a in lowered.in_avals] == ["float32*[]"]
    assert lowered.compile()(3.0).tolist() == [4.0] * 3


@needs_compiler
def test_what_a_program_costs():
    compiled = fdl.jit(lambda x: jnp.sin(x) + 1).lower(np.ones(1000, np.float32)).compile()
    assert compiled.cost_analysis()["bytes accessed"] == 8000.0 and compiled.cost_analysis()["flops"] >= 2000.0
    assert compiled.memory_analysis()["peak"] >= 8000 and "fdl_sin" in compiled.as_text()


@needs_compiler
def test_operations_are_counted_through_composites_loops_and_branches():
    x = np.ones((64, 100), np.float32)
    count = lambda f: fdl.explain(f)(x).operations
    assert 6400 <= count(lambda x: jnp.mean(x, 1)) <= 7000  # fused rows
    product = 2 * 64 * 64 * 100
    assert product <= count(lambda x: x @ x.T) < 1.1 * product
    assert 2 * product <= count(lambda x: jnp.tanh(x @ x.T) @ x) < 2.2 * product
    assert 10 * 2 * 6400 <= count(lambda x: lax.fori_loop(0, 10, lambda i, c: c * 2 + 1, x)) < 20 * 2 * 6400
    branch = count(lambda x: lax.cond(x[0, 0] > 0, lambda x: x + 1, lambda x: jnp.sin(x) + x * x, x))
    assert count(lambda x: jnp.sin(x) + x * x) <= branch < 2 * count(lambda x: jnp.sin(x) + x * x)


def test_options():
    x = jnp.ones(3)
    g = fdl.jit(donate_argnames="x", inline=True, keep_unused=True, backend="cpu", static_argnums=None)(lambda x: x + 1)
    assert isinstance(g, Jit) and g(x).tolist() == [2.0] * 3
    with pytest.raises(DonatedError):
        x + 1
    with pytest.raises(ChoiceError, match="no option fast"):
        fdl.jit(f, fast=True)

    class Scaled:
        def __init__(self, scale):
            self.scale = scale

        @fdl.jit(static_argnums=0)
        def __call__(self, x):
            return x * self.scale

    assert float(Scaled(3.0)(2.0)) == 6.0
