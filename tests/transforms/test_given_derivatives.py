"""What users give in the place of derivatives: transposes, gradients, and closures made arguments."""

import pytest

import fdl
import fdl.numpy as jnp
from fdl.core.errors import ShapeError, StructureError
from fdl.custom_derivatives import closure_convert, custom_gradient, linear_call


def double(x):
    """Twice x, with a transpose that is ten times too large."""
    return linear_call(lambda r, x: x * r, lambda r, ct: ct * r * 10, 2.0, x)


def test_linear_call():
    assert float(double(3.0)) == 6.0
    assert [float(v) for v in fdl.jvp(double, (3.0,), (1.0,))] == [6.0, 2.0]
    for gradient in (fdl.grad(double), fdl.jit(fdl.grad(double))):
        assert float(gradient(3.0)) == 20.0
    assert fdl.vmap(double)(jnp.arange(3.0)).tolist() == [0.0, 2.0, 4.0]
    assert fdl.vmap(fdl.grad(double))(jnp.arange(3.0)).tolist() == [20.0] * 3
    assert float(fdl.linear_transpose(lambda ct: fdl.linear_transpose(double, 1.0)(ct)[0], 1.0)(1.0)[0]) == 2.0


def test_linear_call_varies_with_its_residuals():
    f = lambda a: linear_call(lambda r, x: x * r * r, lambda r, ct: ct * r * r, a, 3.0)
    assert float(fdl.grad(f)(2.0)) == 12.0 and float(fdl.grad(fdl.grad(f))(2.0)) == 6.0
    closed = lambda a, x: linear_call(lambda _, x: x * a, lambda _, ct: ct * a, None, x)
    assert [float(v) for v in fdl.grad(closed, (0, 1))(2.0, 5.0)] == [5.0, 2.0]


def test_mistakes_of_linear_call():
    with pytest.raises(StructureError, match="fun_transpose returned"):
        linear_call(lambda r, x: x, lambda r, ct: (ct, ct), None, 1.0)


def test_closure_convert():
    def f(a):
        constant = jnp.ones(2)
        g, hoisted = closure_convert(lambda x, n: (x * a + constant.sum(), n), 1.0, 2)
        return g(3.0, 5, *hoisted)[0]

    assert float(f(2.0)) == 8.0
    assert float(fdl.grad(f)(2.0)) == 3.0
    counts = []
    fdl.grad(lambda a: counts.append(len(closure_convert(lambda x: x * a, 1.0)[1])) or a)(2.0)
    assert counts == [1]
    g, hoisted = closure_convert(lambda x: x + jnp.ones(2), 1.0)
    assert hoisted == [] and g(1.0).tolist() == [2.0, 2.0]
    with pytest.raises(StructureError, match="closure_convert: called with"):
        g((1.0, 2.0))


def test_custom_gradient():
    @custom_gradient
    def clipped(x):
        return x * x, lambda ct: 0.5 * ct * x

    assert float(clipped(3.0)) == 9.0
    for gradient in (fdl.grad(clipped), fdl.jit(fdl.grad(clipped))):
        assert float(gradient(3.0)) == 1.5
    assert fdl.vmap(fdl.grad(clipped))(jnp.arange(3.0)).tolist() == [0.0, 0.5, 1.0]

    @custom_gradient
    def product(x, y):
        return {"z": x * y}, lambda ct: (ct["z"] * y * 2, ct["z"] * x * 3)

    f = lambda x, y: product(x, y)["z"]
    assert [float(v) for v in fdl.grad(f, (0, 1))(3.0, 4.0)] == [8.0, 9.0]
    assert float(fdl.grad(fdl.grad(lambda x: f(x, x)))(2.0)) == 5.0, "the derivative of 5 x"


def test_linear_call_gives_cotangents_of_the_values_shapes():
    with pytest.raises(ShapeError, match=r"fun_transpose returned float32\[1\] for float32\[3\]"):
        linear_call(lambda r, x: x * r, lambda r, ct: ct[:1], 2.0, jnp.ones(3))
