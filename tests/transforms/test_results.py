"""What functions may return under transforms, and may be given: constants, inputs, None, integers, aux of any kind.
Values are JAX 0.10.2's.
"""

import numpy as np
import pytest

import fdl
import fdl.numpy as jnp
import fdl.stateful as torch
from fdl import lax, nn
from fdl.core.errors import DtypeError, NonScalarError, ShapeError, StructureError


def values(tree):
    return fdl.tree.map(lambda x: np.asarray(x).tolist(), tree)


F0 = np.zeros((), fdl.float0)
RESULTS = {
    "grad of a constant": (lambda: fdl.grad(lambda x: 1.0)(3.0), 0.0),
    "grad of a constant, arrays": (lambda: fdl.grad(lambda x: 1.0)(jnp.ones(3)), [0, 0, 0]),
    "grad of a constant, trees": (
        lambda: fdl.grad(lambda p: 1.0)({"a": jnp.ones(2), "b": (2.0,)}),
        {"a": [0, 0], "b": (0,)},
    ),
    "grad of a NumPy constant": (lambda: fdl.grad(lambda x: np.float32(1))(3.0), 0.0),
    "grad of a NumPy array": (lambda: fdl.grad(lambda x: np.ones((), np.float32))(3.0), 0.0),
    "grad of an array outside": (lambda: fdl.grad(lambda x: jnp.float32(2))(3.0), 0.0),
    "value and grad of a constant": (lambda: fdl.value_and_grad(lambda x: 1.0)(3.0), (1.0, 0.0)),
    "grad of what is given": (lambda: fdl.grad(lambda x: x)(3.0), 1.0),
    "grad of a constant by keyword": (lambda: fdl.grad(lambda x, y=0: 1.0)(1.0, y=3), 0.0),
    "grad of a jitted constant": (lambda: fdl.grad(fdl.jit(lambda x: 1.0))(1.0), 0.0),
    "grad of a checkpointed constant": (lambda: fdl.grad(fdl.checkpoint(lambda x: 1.0))(1.0), 0.0),
    "jit grad of a constant": (lambda: fdl.jit(fdl.grad(lambda x: 1.0))(1.0), 0.0),
    "vmap grad of a constant": (lambda: fdl.vmap(fdl.grad(lambda x: 1.0))(jnp.ones(3)), [0, 0, 0]),
    "grad of grad of what is linear": (lambda: fdl.grad(fdl.grad(lambda x: 2 * x))(1.0), 0.0),
    "grad of a branch that is constant": (
        lambda: fdl.grad(lambda x: lax.cond(x > 0, lambda x: 1.0, lambda x: x, x))(1.0),
        0.0,
    ),
    "grad of a half constant": (lambda: fdl.grad(lambda x: 1.0)(jnp.ones((), jnp.float16)), 0.0),
    "grad with None in a tree": (lambda: fdl.grad(lambda p: p["a"] * 2)({"a": 1.0, "b": None}), {"a": 2.0, "b": None}),
    "vjp of a constant": (lambda: fdl.vjp(lambda x: 1.0, 3.0)[1](1.0), (0.0,)),
    "vjp of what is given": (lambda: fdl.vjp(lambda x: x, 3.0)[1](2.0), (2.0,)),
    "vjp of an integer": (lambda: fdl.vjp(lambda x: 1, 3.0)[1](F0), (0.0,)),
    "vjp of None": (lambda: fdl.vjp(lambda x: None, 3.0)[1](None), (0.0,)),
    "vjp without a use": (lambda: fdl.vjp(lambda x, y: x, 3.0, jnp.ones(2))[1](1.0), (1.0, [0, 0])),
    "jvp of a constant": (lambda: fdl.jvp(lambda x: 1.0, (3.0,), (1.0,)), (1.0, 0.0)),
    "jvp of what is given": (lambda: fdl.jvp(lambda x: x, (3.0,), (2.0,)), (3.0, 2.0)),
    "jvp of None": (lambda: fdl.jvp(lambda x: (None, x), (3.0,), (1.0,)), ((None, 3.0), (None, 1.0))),
    "jvp with an integer": (lambda: fdl.jvp(lambda x, n: x * n, (3.0, 2), (1.0, F0)), (6.0, 2.0)),
    "linearize a constant": (lambda: fdl.linearize(lambda x: 1.0, 3.0)[1](1.0), 0.0),
    "linearize what is given": (lambda: fdl.linearize(lambda x: x, 3.0)[1](2.0), 2.0),
    "jacfwd of a constant": (lambda: fdl.jacfwd(lambda x: jnp.ones(2))(jnp.ones(3)), [[0, 0, 0], [0, 0, 0]]),
    "jacfwd of an integer": (lambda: fdl.jacfwd(lambda x: 3)(1.0), 0),
    "jacrev of a constant": (lambda: fdl.jacrev(lambda x: 1.0)(jnp.ones(3)), [0, 0, 0]),
    "jacrev of trees": (
        lambda: fdl.jacrev(lambda p: {"o": p["a"] * 2, "c": 1.0})({"a": 1.0, "b": 1.0}),
        {"o": {"a": 2.0, "b": 0.0}, "c": {"a": 0.0, "b": 0.0}},
    ),
    "hessian of a constant": (lambda: fdl.hessian(lambda x: 1.0)(jnp.ones(2)), [[0, 0], [0, 0]]),
    "hessian of a sum": (lambda: fdl.hessian(lambda x: x.sum())(jnp.ones(2)), [[0, 0], [0, 0]]),
    "jacfwd with aux": (lambda: fdl.jacfwd(lambda x: (x * 2, {"a": x}), has_aux=True)(1.0), (2.0, {"a": 1.0})),
    "jacrev with aux": (lambda: fdl.jacrev(lambda x: (x * 2, {"a": x}), has_aux=True)(1.0), (2.0, {"a": 1.0})),
    "hessian with aux": (lambda: fdl.hessian(lambda x: (x**3, {"a": x}), has_aux=True)(1.0), (6.0, {"a": 1.0})),
    "aux is text": (lambda: fdl.grad(lambda x: (x, "hi"), has_aux=True)(3.0)[0], 1.0),
    "aux is None": (lambda: fdl.grad(lambda x: (x, None), has_aux=True)(3.0), (1.0, None)),
    "aux beside a constant": (
        lambda: fdl.value_and_grad(lambda x: (1.0, {"k": x}), has_aux=True)(2.0),
        ((1.0, {"k": 2.0}), 0.0),
    ),
    "aux of jvp": (lambda: fdl.jvp(lambda x: (x * x, {"a": x}), (3.0,), (1.0,), has_aux=True), (9.0, 6.0, {"a": 3.0})),
    "aux of vjp": (lambda: fdl.vjp(lambda x: (x * x, x + 1), 3.0, has_aux=True)[2], 4.0),
    "aux under jit": (
        lambda: fdl.jit(lambda x: fdl.grad(lambda x: (x * x, [x, "text"]), has_aux=True)(x)[1][0])(3.0),
        3.0,
    ),
}


@pytest.mark.parametrize("case", RESULTS)
def test_results(case):
    f, expected = RESULTS[case]
    assert values(f()) == expected


def test_aux_is_handed_through_as_it_is():
    kept = object()
    aux = fdl.grad(lambda x: (x * 2, {"text": "hi", "kept": kept, "count": 2, "array": x + 1}), has_aux=True)(1.0)[1]
    assert (aux["text"], aux["kept"] is kept, aux["count"], float(aux["array"])) == ("hi", True, 2, 2.0)


REFUSED = {
    "an integer": (lambda: fdl.grad(lambda x: 1)(3.0), NonScalarError, "int32[]"),
    "a bool": (lambda: fdl.grad(lambda x: True)(3.0), NonScalarError, "bool[]"),
    "None": (lambda: fdl.grad(lambda x: None)(3.0), NonScalarError, "without `return`"),
    "text": (lambda: fdl.grad(lambda x: "a")(3.0), DtypeError, "str"),
    "a tuple": (lambda: fdl.grad(lambda x: (x, x))(3.0), NonScalarError, "has_aux=True"),
    "a list of one": (lambda: fdl.grad(lambda x: [x])(3.0), NonScalarError, "list of float32[]"),
    "a vector": (lambda: fdl.grad(lambda x: x)(jnp.ones(3)), NonScalarError, "float32[3]"),
    "an integer argument": (lambda: fdl.grad(lambda n: n * 2.0)(3), DtypeError, "argument 0 (n)"),
    "an integer in a tree": (
        lambda: fdl.grad(lambda a, p: p["w"] * 2.0, argnums=1)(1.0, {"w": 1}),
        DtypeError,
        "argument 1 (p['w'])",
    ),
    "an integer for jacfwd": (lambda: fdl.jacfwd(lambda n: n * 2.0)(1), DtypeError, "argument 0 (n)"),
    "an integer for jacrev": (lambda: fdl.jacrev(lambda n: n * 2.0)(1), DtypeError, "argument 0 (n)"),
    "an integer of jacrev": (lambda: fdl.jacrev(lambda x: 3)(1.0), DtypeError, "int32[]"),
    "one value with aux": (
        lambda: fdl.grad(lambda x: x, has_aux=True)(3.0),
        StructureError,
        "(value, aux), got float32[]",
    ),
    "three values with aux": (lambda: fdl.grad(lambda x: (x, x, x), has_aux=True)(3.0), StructureError, "got 3 values"),
    "an argument that is not there": (
        lambda: fdl.grad(lambda x, y: x * y, argnums=2)(2.0, 3.0),
        StructureError,
        "2 positional arguments",
    ),
    "an argument by name": (lambda: fdl.grad(lambda x, y: x * y, argnums="x")(2.0, 3.0), StructureError, "argnums='x'"),
    "no function": (
        lambda: fdl.grad(jnp.sum(jnp.ones(3)))(jnp.ones(3)),
        StructureError,
        "expected a function, got float32[]",
    ),
    "no function for jit": (lambda: fdl.jit(3.0), StructureError, "expected a function, got float"),
    "no function for vmap": (lambda: fdl.vmap(jnp.ones(3)), StructureError, "vmap(f)(x), not vmap(f(x))"),
    "a tangent of an integer": (lambda: fdl.jvp(lambda n: n * 2.0, (3,), (1,)), DtypeError, "float0"),
    "a tangent of another shape": (
        lambda: fdl.jvp(lambda x: x * 2, (jnp.ones(3),), (jnp.ones(2),)),
        ShapeError,
        "(3,), its tangent (2,)",
    ),
    "two tangents": (lambda: fdl.jvp(lambda x: x * 2, (3.0,), (1.0, 2.0)), StructureError, "jvp: the tangents"),
    "a cotangent of another shape": (
        lambda: fdl.vjp(lambda x: x * 2, jnp.ones(3))[1](jnp.ones(2)),
        ShapeError,
        "its cotangent (2,)",
    ),
    "one cotangent for two": (lambda: fdl.vjp(lambda x: (x, x), 3.0)[1](1.0), StructureError, "vjp: the cotangents"),
    "text for jit": (lambda: fdl.jit(lambda x, mode: x)(1.0, "fast"), DtypeError, "argument 1 (mode) is str 'fast'"),
    "text by keyword": (
        lambda: fdl.jit(lambda x, *, mode: x)(1.0, mode="fast"),
        DtypeError,
        "argument mode is str 'fast'",
    ),
    "text after a static argument": (
        lambda: fdl.jit(lambda n, x, mode: x, static_argnums=0)(2, 1.0, "fast"),
        DtypeError,
        "argument 2 (mode)",
    ),
    "an object in a tree": (
        lambda: fdl.vmap(lambda p: p["w"])({"w": [jnp.ones(2), object()]}),
        DtypeError,
        "argument 0 (p['w'][1]) is object",
    ),
    "sizes that differ": (
        lambda: fdl.vmap(lambda x, y: x + y)(jnp.ones(3), jnp.ones(4)),
        ShapeError,
        "argument 0 (x) has size 3, argument 1 (y) has size 4",
    ),
    "nothing to map": (
        lambda: fdl.vmap(lambda x, y: x + y)(jnp.ones(3), 1.0),
        ShapeError,
        "argument 1 (y) has shape ()",
    ),
    "text in a carry": (
        lambda: lax.scan(lambda c, x: (c, x), {"a": "text"}, jnp.ones(3)),
        DtypeError,
        "init['a'] is str 'text'",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refusals(case):
    f, error, words = REFUSED[case]
    with pytest.raises(error) as caught:
        f()
    message = str(caught.value)
    assert words in message
    assert "try:" in message
    assert "at:  test_results.py" in message


# slopes at large negative and positive values: limits, by mpmath, which PyTorch 2.13 has too where it has the function
LARGE = {
    "tanh(x) x": (lambda m: lambda x: m.tanh(x) * x, -1.0, 1.0),
    "x tanh(x)": (lambda m: lambda x: x * m.tanh(x), -1.0, 1.0),
    "sigmoid(x) x": (lambda m: lambda x: SIGMOID[m](x) * x, 0.0, 1.0),
    "sigmoid": (lambda m: SIGMOID[m], 0.0, 0.0),
    "silu": (lambda m: NN[m].silu, 0.0, 1.0),
    "softplus": (lambda m: NN[m].softplus, 0.0, 1.0),
    "erf(x) x": (lambda m: lambda x: ERF[m](x) * x, -1.0, 1.0),
    "arctan(x) x": (lambda m: lambda x: ATAN[m](x) * x, -np.pi / 2, np.pi / 2),
    "logsumexp": (lambda m: lambda x: LOGSUMEXP[m](m.stack([x, 0 * x])), 0.0, 1.0),
    "softmax": (lambda m: lambda x: SOFTMAX[m](m.stack([x, 0 * x]))[0], 0.0, 0.0),
    "x / (1 + |x|) x": (lambda m: lambda x: x / (1 + abs(x)) * x, -1.0, 1.0),
}
SIGMOID = {jnp: nn.sigmoid, torch: torch.sigmoid}
NN = {jnp: nn, torch: torch.nn.functional}
ERF = {jnp: fdl.special.erf, torch: torch.erf}
ATAN = {jnp: jnp.arctan, torch: torch.atan}
LOGSUMEXP = {jnp: nn.logsumexp, torch: lambda x: torch.logsumexp(x, 0)}
SOFTMAX = {jnp: nn.softmax, torch: lambda x: torch.softmax(x, 0)}


@pytest.mark.parametrize("case", LARGE)
def test_slopes_at_the_ends_of_float32(case):
    """No derivative is zero times infinity: not at the largest numbers either."""
    make, low, high = LARGE[case]
    for sign, expected in ((-1, low), (1, high)):
        found = []
        for x in (1e20, 3.4e38, 3.4028235e38):
            f = make(jnp)
            found += [
                fdl.grad(f)(sign * x),
                fdl.jit(fdl.grad(f))(sign * x),
                fdl.vmap(fdl.grad(f))(jnp.array([sign * x]))[0],
                fdl.jvp(f, (sign * x,), (1.0,))[1],
            ]
            t = torch.tensor(sign * x, requires_grad=True)
            make(torch)(t).backward()
            found.append(t.grad)
        np.testing.assert_allclose([float(v) for v in found], expected, rtol=1e-6)


@pytest.mark.parametrize("x", [3.4e38, -3.4028235e38])
def test_the_gradient_of_a_norm_that_overflows_is_zero(x):
    """As in JAX 0.10.2 and PyTorch 2.13: the norm is infinite, and its slope is x over infinity."""
    f = lambda x: jnp.linalg.norm(jnp.stack([x, x]))
    t = torch.tensor(x, requires_grad=True)
    torch.stack([t, t]).norm().backward()
    assert [float(fdl.grad(f)(x)), float(fdl.jit(fdl.grad(f))(x)), float(t.grad)] == [0, 0, 0]
