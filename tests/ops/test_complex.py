"""Complex numbers against NumPy and JAX: values and derivatives, special values, dtypes, what is refused."""

import copy
import json
import pickle

import numpy as np
import pytest

import fdl
import fdl.numpy as jnp
from fdl import lax
from fdl.core import interpret
from fdl.core.array import from_numpy
from fdl.core.config import config
from fdl.core.primitive import REGISTRY
from fdl.lowering.build.control import build
from fdl.lowering.ir.nodes import Dot
from fdl.lowering.ir.rewrite import all_nodes
from fdl.lowering.pipeline import schedule
from fdl.lowering.target import AVX2
from fdl.passes import run_passes
from tests.conftest import needs_compiler
from tests.ops.complex_cases import COTANGENT, CUTS, TANGENT, cases
from tests.ops.record_complex import HOME, pairs

RECORDED = json.loads(HOME.read_text())
CASES = list(cases())
IDS = [name for name, _, _ in CASES]


def close(got, want, tolerance):
    np.testing.assert_allclose(np.array(pairs(got)), np.array(want), rtol=tolerance, atol=tolerance)


def of(f):
    return lambda *xs: f(jnp, lax, *xs)


def derivatives(f, args):
    """The value, the tangent and the cotangents that JAX was asked for."""
    tangents = tuple(from_numpy(np.full(x.shape, TANGENT).astype(x.dtype)) for x in args)
    value, tangent = fdl.jvp(f, args, tangents)
    _, pull = fdl.vjp(f, *args)
    ct = np.full(value.shape, COTANGENT if jnp.iscomplexobj(value) else COTANGENT.real).astype(value.dtype)
    return [value, tangent, *pull(from_numpy(ct))]


@pytest.mark.parametrize(("name", "f", "args"), CASES, ids=IDS)
def test_values_and_derivatives_are_those_of_jax(name, f, args):
    for got, want in zip(derivatives(of(f), [from_numpy(x) for x in args]), RECORDED[name], strict=True):
        close(got, want, 1e-11)


@needs_compiler
@pytest.mark.parametrize(("name", "f", "args"), CASES, ids=IDS)
def test_compiled_values_and_derivatives_are_those_of_jax(name, f, args):
    config.tier = "compiled"
    run = fdl.jit(lambda *xs: derivatives(of(f), xs))
    for got, want in zip(run(*[from_numpy(x) for x in args]), RECORDED[name], strict=True):
        close(got, want, 1e-11)


PARTS = [0.0, -0.0, 1.0, -1.0, 0.5, -2.0, 3.0, 25.0, -800.0, np.inf, -np.inf, np.nan]
SPECIAL = np.array([complex(a, b) for a in PARTS for b in PARTS])
FUNCTIONS = (
    "exp log log2 log10 log1p sqrt sin cos tan sinh cosh tanh arcsin arccos arctan arcsinh arccosh arctanh abs angle"
).split()


@needs_compiler
@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_special_values_are_those_of_numpy(name, dtype):
    """Compiled: at zeros, infinities, NaN and both sides of branch cuts."""
    config.tier = "compiled"
    z = np.concatenate([SPECIAL, CUTS]).astype(dtype)
    got = np.asarray(fdl.jit(getattr(jnp, name))(from_numpy(z)))
    with np.errstate(all="ignore"):
        want = getattr(np, name)(z)
    wrong = [(x, a, b) for x, a, b in zip(z, got, want, strict=True) if not same_number(x, a, b)]
    assert not wrong, wrong


def same_number(z, got, want):
    """Equal parts, with the signs of zeros where z is finite; beside a NaN C's annex G leaves signs open."""
    alone = not (np.isnan(want.real) or np.isnan(want.imag))
    for a, b in ((got.real, want.real), (got.imag, want.imag)):
        if not alone:
            a, b = abs(a), abs(b)
        if not np.isclose(a, b, rtol=1e-5, atol=1e-30, equal_nan=True):
            return False
        if b == 0 and np.isfinite(z) and np.signbit(a) != np.signbit(b):
            return False
    return True


# What JAX 0.10 gives for sums with each of these types, `*` marking weak ones, complex128 and float64 weak by their
# width there
TYPES = "bool uint8 int32 int64 bfloat16 float16 float32 float64 complex64 complex128".split()
NARROW = "complex64 complex64 complex64 complex64 complex64 complex64 complex64 complex128 complex64 complex128"
WEAK = "complex64* complex64* complex64* complex64* complex64 complex64 complex64 complex128 complex64 complex128"
SUMS = {"complex64": NARROW, "complex128": " ".join(["complex128"] * 10), "number": WEAK}


@pytest.mark.parametrize("kind", SUMS)
def test_sums_have_the_dtypes_of_jax(kind):
    x = 1j if kind == "number" else jnp.ones((), kind)
    found = [jnp.add(x, jnp.ones((), t)) for t in TYPES]
    assert [f"{y.dtype.name}{'*' if y.weak_type else ''}" for y in found] == SUMS[kind].split()
    assert jnp.add(x, 1.0).dtype.name == jnp.add(x, 1).dtype.name == SUMS[kind].split()[0].rstrip("*")


def test_arrays_are_made_and_read_as_those_of_numpy():
    z = np.array([[1 + 2j, -0.0j], [3, 1e-3j]], np.complex64)
    x = jnp.array(z)
    assert x.dtype == jnp.array([1 + 2j]).dtype == np.dtype("complex64") and jnp.array([1, 2.0, 3j])[2] == 3j
    assert np.asarray(x).tobytes() == z.tobytes() == np.asarray(jnp.array(np.from_dlpack(x))).tobytes()
    assert repr(x[0, :1]) == "Array([1.+2.j], dtype=complex64)" and str(x[1, 0]) == "(3+0j)"
    assert complex(x[0, 0]) == x[0, 0].item() == 1 + 2j and x.tolist() == z.tolist()
    for convert in (float, int):
        with pytest.raises(TypeError):
            convert(x[0, 0])
    assert pickle.loads(pickle.dumps(x)).tolist() == copy.copy(x).tolist() == z.tolist()
    assert x.real.tolist() == z.real.tolist() and x.imag.tolist() == z.imag.tolist()
    assert x.conj().tolist() == np.conj(z).tolist() and jnp.ones(2).imag.tolist() == [0, 0]
    assert (x.nbytes, x.at[0].set(1j)[0, 1].item()) == (32, 1j)


def test_a_number_keeps_its_precision_until_it_meets_its_dtype():
    z = jnp.array([1.0], "complex128")
    for f in (lambda z: z * (0.1 + 0.3j), lambda z: z * 0.1 + 0.3j):
        want = f(np.ones(1, complex))[0]
        assert f(z)[0].item() == fdl.jit(f)(z)[0].item() == want
    assert fdl.jit(lambda a, b: a * b)(z, 0.1 + 0.3j).dtype == np.complex128


REFUSED = {
    **{
        name: (lambda z, name=name: getattr(jnp, name)(z, z))
        for name in "arctan2 hypot remainder fmod floor_divide".split()
    },
    **{name: (lambda z, name=name: getattr(jnp, name)(z)) for name in "floor ceil trunc cbrt argmax argmin".split()},
    "clip": lambda z: jnp.clip(z, 0, 1),
    "top_k": lambda z: lax.top_k(z, 1),
    **{name: (lambda z, name=name: getattr(lax, name)(z, z)) for name in ("lt", "le", "gt", "ge")},
    "erf": lambda z: lax.erf(z),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_complex_meaning_says_so(name):
    with pytest.raises(TypeError, match="complex64"):
        REFUSED[name](jnp.array([1j, 2.0]))


@pytest.mark.parametrize("primitive", [p for p in REGISTRY.values() if p.has("samples")], ids=lambda p: p.name)
def test_operations_take_complex_numbers_or_refuse_them(primitive):
    """What a shape rule lets pass, a compiled program can do: no operation fails later."""
    if any(primitive.has(kind) for kind in ("stage", "called", "steps")) or primitive.name in (
        "cond",
        "while",
        "check",
    ):
        return
    for s in primitive.rule("samples"):
        args = s.make(primitive.name)
        if s.fails is None and any(a.dtype == np.float32 for a in args):
            avals = [from_numpy(a.astype(np.complex64) if a.dtype == np.float32 else a).aval for a in args]
            try:
                primitive.infer(avals, s.params)
            except TypeError:
                continue
            assert primitive.has("parts"), primitive


def test_gradients_have_the_convention_of_jax():
    z = 3 + 4j
    assert complex(fdl.grad(lambda z: jnp.abs(z) ** 2)(z)) == pytest.approx(2 * z.conjugate())
    assert complex(fdl.grad(lambda z: z.real)(z)) == 1 and complex(fdl.grad(lambda z: z.imag)(z)) == -1j
    assert complex(fdl.grad(jnp.abs)(0j)) == 0
    assert complex(fdl.grad(lambda z: z**3, holomorphic=True)(z)) == pytest.approx(3 * z**2)
    assert float(fdl.grad(lambda x: jnp.abs(jnp.exp(1j * x)) ** 2 + x)(0.3)) == pytest.approx(1.0)
    v = jnp.array([1 + 1j, 2 - 1j])
    for jacobian in (fdl.jacfwd, fdl.jacrev):
        got = jacobian(lambda v: v * v[0], holomorphic=True)(v)
        np.testing.assert_allclose(np.asarray(got), [[2 + 2j, 0], [2 - 1j, 1 + 1j]], atol=1e-6)
    assert fdl.jacrev(lambda v: jnp.abs(v))(v).dtype == np.complex64
    assert fdl.jacfwd(lambda x: x * 1j)(jnp.ones(2)).tolist() == [[1j, 0], [0, 1j]]
    second = fdl.hessian(lambda v: v[0] ** 2 * v[1], holomorphic=True)(v)
    np.testing.assert_allclose(np.asarray(second), [[4 - 2j, 2 + 2j], [2 + 2j, 0]], atol=1e-6)
    _, push = fdl.linearize(lambda z: z * z, z)
    assert complex(push(1j)) == 2j * z


def test_derivatives_ask_for_real_or_holomorphic_functions():
    z, x = jnp.array(1j), jnp.array(1.0)
    for call in (
        lambda: fdl.grad(lambda z: z * z)(z),
        lambda: fdl.grad(jnp.abs, holomorphic=True)(z),
        lambda: fdl.grad(lambda x: x * x, holomorphic=True)(x),
        lambda: fdl.jacfwd(jnp.abs)(z),
        lambda: fdl.jacrev(lambda z: z * z)(z),
    ):
        with pytest.raises(TypeError, match="holomorphic"):
            call()


def iterated(z, c):
    z, (norms, _) = lax.scan(lambda z, c: (z * z + c, (jnp.abs(z), z)), z, c)
    z = lax.cond(z.real > 0, lambda z: z, lambda z: -z, z)
    z = lax.while_loop(lambda z: jnp.abs(z) < 2, lambda z: z * (1.5 + 0.5j), z + 0.1)
    return z, norms


@needs_compiler
def test_loops_and_branches_carry_complex_numbers():
    z, c = jnp.array(0.1 + 0.2j), jnp.array([0.3 - 0.1j, -0.2j, 0.1])
    want, norms = iterated(z, c)
    got, found = fdl.jit(iterated)(z, c)
    np.testing.assert_allclose(np.asarray(got), np.asarray(want), rtol=1e-5)
    np.testing.assert_allclose(np.asarray(found), np.asarray(norms), rtol=1e-5)
    f = lambda c: jnp.sum(lax.scan(lambda z, c: (z * z + c, jnp.abs(z * c)), 0.1j, c)[1])
    direct = fdl.grad(f)(c)
    np.testing.assert_allclose(np.asarray(fdl.jit(fdl.grad(f))(c)), np.asarray(direct), rtol=1e-5)
    h = 1e-3
    for i, unit in enumerate(np.eye(3)):
        moved = [float(f(c + h * unit * w) - f(c - h * unit * w)) / (2 * h) for w in (1, 1j)]
        assert complex(direct[i]) == pytest.approx(moved[0] - 1j * moved[1], abs=2e-3)
    lanes = jnp.stack([c, c * 1j])
    np.testing.assert_allclose(np.asarray(fdl.vmap(fdl.grad(f))(lanes)[0]), np.asarray(direct), rtol=1e-5)


@needs_compiler
def test_arithmetic_has_the_bits_of_the_reference():
    """Products, quotients and sums of both parts, compiled and interpreted, infinities and zeros among them."""
    config.tier = "compiled"
    rng = np.random.default_rng(3)
    f = lambda a, b: [a * b, a / b, a - b, (a + b) * a / (b * 3), a**3]
    for dtype in ("complex64", "complex128"):
        a, b = (np.append(rng.normal(size=(500, 2)) @ [1, 1j], SPECIAL).astype(dtype) for _ in range(2))
        run = fdl.jit(f)
        compiled = run(from_numpy(a), from_numpy(b))
        graph = run.lower(from_numpy(a), from_numpy(b)).graph
        for got, want in zip(compiled, interpret(graph, [a, b]), strict=True):
            got, want = (np.asarray(x).view(np.asarray(x).real.dtype) for x in (got, want))
            assert np.array_equal(got, want, equal_nan=True)
            number = ~np.isnan(want)
            assert np.array_equal(np.signbit(got[number]), np.signbit(want[number]))


@needs_compiler
def test_conditional_loads_keep_their_places():
    """gcc 12 confuses interleaved ones where results are interleaved too."""
    config.tier = "compiled"
    z = np.arange(1, 11) + 1j * np.arange(101, 111)
    f = lambda z: jnp.pad(z, (1, 2)) * 1j
    assert fdl.jit(f)(jnp.array(z)).tolist() == (np.pad(z, (1, 2)) * 1j).tolist()


def test_parts_share_one_loop_and_stay_in_registers():
    """One kernel from interleaved memory to interleaved memory."""
    graph = fdl.jit(lambda z: jnp.exp(z) * z + 1j).lower(jnp.ones((100, 3), "complex64")).graph
    program = schedule(build(run_passes(graph)), AVX2)
    assert len(program.nodes) == 1


def test_a_product_of_matrices_is_one_real_product():
    a = jnp.ones((64, 32), "complex64")
    graph = fdl.jit(lambda a: a @ a.T).lower(a).graph
    program = schedule(build(run_passes(graph)), AVX2)
    assert sum(isinstance(n, Dot) for n in all_nodes(program.nodes)) == 1


@pytest.mark.parametrize("mode", ["full", "same", "valid"])
@pytest.mark.parametrize(("n", "k"), [(7, 3), (3, 7), (4, 4)])
def test_a_correlation_is_with_conjugates(mode, n, k):
    rng = np.random.default_rng(0)
    a, v = (rng.normal(size=size) + 1j * rng.normal(size=size) for size in (n, k))
    for x, y in ((a, v), (a.real, v), (a, v.real)):
        np.testing.assert_allclose(
            jnp.correlate(from_numpy(x), from_numpy(y), mode), np.correlate(x, y, mode), rtol=1e-12, atol=1e-12
        )


@pytest.mark.parametrize("exponent", [1, 2, 3])
@pytest.mark.parametrize("compiled", [False, pytest.param(True, marks=needs_compiler)])
def test_powers_of_infinite_numbers_are_products_of_them_alone(exponent, compiled):
    config.tier = "compiled" if compiled else config.tier
    z = np.array([complex(np.inf, 1), complex(1, np.inf), complex(np.inf, 0), complex(-0.0, 2)], np.complex64)
    with np.errstate(all="ignore"):
        want = {1: z, 2: z * z, 3: z * (z * z)}[exponent]
    got = np.asarray(fdl.jit(lambda x: x**exponent)(from_numpy(z)))
    np.testing.assert_array_equal(got.real, want.real)
    np.testing.assert_array_equal(got.imag, want.imag)


@pytest.mark.parametrize("dtype", ["float32", "int32"])
def test_no_imaginary_part_is_lost_where_a_real_dtype_is_asked_for(dtype):
    with pytest.raises(TypeError):
        np.array([1, 2j], dtype)
    for make in (
        lambda: jnp.array([1, 2j], dtype),
        lambda: jnp.asarray(2j, dtype),
        lambda: jnp.full(2, 2j, dtype),  # JAX 0.10 raises a TypeError as well
        lambda: jnp.full_like(jnp.ones(2, dtype), 2j),
    ):
        with pytest.raises(TypeError, match="2j has no place in"):
            make()
    assert jnp.array([0, 2j], bool).tolist() == np.array([0, 2j], bool).tolist()


def test_no_derivative_of_real_numbers_loses_an_imaginary_part():
    x = jnp.ones(2)
    for wrong in (
        lambda: fdl.jvp(lambda x: 2 * x, (1.0,), (1j,)),
        lambda: fdl.vjp(lambda x: 2 * x, 1.0)[1](1j),
        lambda: fdl.linear_transpose(lambda x: 2 * x, x)(x * 1j),
    ):
        with pytest.raises(TypeError, match=r"its (co)?tangent complex"):
            wrong()


EDGES = np.array([1 + 1e-30j, -1 + 1e-30j, 1 - 1e-25j, 1 + 0.5j, -1 - 2j])


@needs_compiler
@pytest.mark.parametrize("name", ["sinh", "cosh", "sin", "cos"])
def test_growth_is_infinite_only_where_it_has_to_be(name):
    config.tier = "compiled"
    z = np.array([89.2 + 0.5j, -89.2 + 1.5j, 88.9 - 3j, 0.3 - 89j, 1 + 89.3j])
    got = np.asarray(fdl.jit(getattr(jnp, name))(from_numpy(z.astype(np.complex64))))
    want = getattr(np, name)(z.astype(np.complex64).astype(complex))
    np.testing.assert_allclose(got.view(np.float32), want.astype(np.complex64).view(np.float32), rtol=5e-5)


@needs_compiler
@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_atanh_beside_its_poles(dtype):
    config.tier = "compiled"
    got = np.asarray(fdl.jit(jnp.arctanh)(from_numpy(EDGES.astype(dtype))))
    np.testing.assert_allclose(got, np.arctanh(EDGES.astype(dtype).astype(complex)), rtol=1e-6)


@needs_compiler
@pytest.mark.parametrize("name", ["less", "less_equal", "greater", "greater_equal", "maximum", "minimum"])
def test_order_is_that_of_numpy(name):
    config.tier = "compiled"
    parts = [complex(a, b) for a in (1.0, -2.0, np.nan, 0.0, np.inf) for b in (2.0, np.nan, -3.0, -0.0)]
    a, b = (x.reshape(-1) for x in np.meshgrid(parts, parts))
    known = ~(np.isnan(a) | np.isnan(b))
    got = np.asarray(fdl.jit(getattr(jnp, name))(from_numpy(a), from_numpy(b)))
    with np.errstate(invalid="ignore"):
        want = getattr(np, name)(a, b)
    np.testing.assert_array_equal(got[known], want[known])
    if want.dtype.kind == "c":
        np.testing.assert_array_equal(got, want)


@needs_compiler
def test_largest_and_products_at_places():
    config.tier = "compiled"
    z = np.array([[1 + 2j, 1 + 3j, 0.5], [complex(0, np.nan), 5, 2j], [-1, -1j, -1 - 1j]])
    got = np.asarray(fdl.jit(lambda z: jnp.max(z, 1))(from_numpy(z)))
    assert got[0] == 1 + 3j and np.isnan(got[1].real) and np.isnan(got[1].imag) and got[2] == -0.0 - 1j
    assert fdl.jit(jnp.min)(from_numpy(z[2])) == -1 - 1j
    x, u, i = np.array([1 + 1j, 2, 3j]), np.array([2j, 3 - 1j, 1j]), np.array([0, 0, 2])
    f = lambda x, u: x.at[i].multiply(u)
    want = x.copy()
    np.multiply.at(want, i, u)
    np.testing.assert_allclose(np.asarray(fdl.jit(f)(from_numpy(x), from_numpy(u))), want)
    gradient = fdl.grad(lambda x, u: f(x, u).sum(), (0, 1), holomorphic=True)(from_numpy(x), from_numpy(u))
    np.testing.assert_allclose(np.asarray(gradient[0]), [2j * (3 - 1j), 1, 1j])
    np.testing.assert_allclose(np.asarray(gradient[1]), [(1 + 1j) * (3 - 1j), (1 + 1j) * 2j, 3j])


def test_random_numbers_have_variance_one():
    z = np.asarray(fdl.random.normal(fdl.random.key(3), (20_000,), "complex64"))
    assert z.dtype == np.complex64 and abs(z.mean()) < 0.03 and abs(np.mean(z * z)) < 0.03
    assert abs(np.mean(np.abs(z) ** 2) - 1) < 0.03


# Linear algebra, against NumPy and SciPy; derivatives against differences


_R = np.random.default_rng(5)
SQUARE = _R.normal(size=(2, 4, 4)) + 1j * _R.normal(size=(2, 4, 4))
HERMITIAN = SQUARE @ SQUARE.conj().swapaxes(-1, -2) + np.eye(4)
OF_MATRICES = {
    "inv": (lambda n: n.linalg.inv, SQUARE), "det": (lambda n: n.linalg.det, SQUARE),
    "slogdet": (lambda n: lambda a: n.linalg.slogdet(a)[0] * n.linalg.slogdet(a)[1], SQUARE),
    "cholesky": (lambda n: n.linalg.cholesky, HERMITIAN), "svdvals": (lambda n: _values(n), SQUARE[:, :3]),
    "eigvalsh": (lambda n: n.linalg.eigvalsh, HERMITIAN), "pinv": (lambda n: n.linalg.pinv, SQUARE[:, :3]),
    "solve": (lambda n: lambda a: n.linalg.solve(a, SQUARE[..., :2]), HERMITIAN),
    "norm": (lambda n: lambda a: n.linalg.norm(a, 2, (-2, -1)), SQUARE), "cond": (lambda n: n.linalg.cond, SQUARE),
}  # fmt: skip


def _values(n):
    return n.linalg.svdvals if n is jnp else lambda a: n.linalg.svd(a, compute_uv=False)


@needs_compiler
@pytest.mark.parametrize("tier", ["interpreted", "compiled"])
@pytest.mark.parametrize("name", OF_MATRICES)
def test_linear_algebra_is_that_of_numpy(name, tier):
    config.tier = tier
    make, a = OF_MATRICES[name]
    np.testing.assert_allclose(np.asarray(fdl.jit(make(jnp))(from_numpy(a))), make(np)(a), rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("name", OF_MATRICES)
def test_derivatives_of_linear_algebra_are_differences(name):
    make, a = OF_MATRICES[name]
    direction = _R.normal(size=a.shape) + 1j * _R.normal(size=a.shape)
    if a is HERMITIAN:
        direction = direction + direction.conj().swapaxes(-1, -2)
    f = make(jnp)
    _, tangent = fdl.jvp(f, (from_numpy(a),), (from_numpy(direction),))
    want = (make(np)(a + 1e-6 * direction) - make(np)(a - 1e-6 * direction)) / 2e-6
    np.testing.assert_allclose(np.asarray(tangent), want, rtol=2e-6, atol=2e-7)
    out, pull = fdl.vjp(f, from_numpy(a))
    ct = np.cos(np.arange(out.size)).reshape(out.shape) * (1 - 0.5j if jnp.iscomplexobj(out) else 1)
    (back,) = pull(from_numpy(ct))
    np.testing.assert_allclose(
        np.sum(np.asarray(back) * direction).real, np.sum(ct * np.asarray(tangent)).real, rtol=1e-8
    )


MISSING = np.array([1 + 2j, complex(np.nan, 1), -3, complex(1, np.nan), 1 + 1j])


@pytest.mark.parametrize("name", ["max", "min", "sum", "prod", "mean", "cumsum", "cumprod", "var", "std"])
def test_reductions_pass_over_complex_nan(name):
    f = getattr(jnp, f"nan{name}")
    want = getattr(np, f"nan{name}")(MISSING)
    for found in (f(MISSING), fdl.jit(f)(MISSING)):
        np.testing.assert_allclose(np.asarray(found), want, rtol=1e-12)
        assert found.dtype == want.dtype


def test_complex_numbers_are_found_in_order():
    ordered = np.sort(MISSING[[0, 2, 4]])
    for side in ("left", "right"):
        found = jnp.searchsorted(ordered, MISSING, side=side)
        assert found.tolist() == np.searchsorted(ordered, MISSING, side=side).tolist()
    assert jnp.isin(MISSING, ordered).tolist() == [True, False, True, False, True]
    assert len(jnp.unique(MISSING)) == 4 and len(jnp.unique(MISSING, equal_nan=False)) == 5
    assert np.isnan(np.asarray(jnp.nanmax(MISSING[1:2])))


@pytest.mark.parametrize("name", ["sinc", "rint", "corrcoef", "interp", "interp within"])
def test_functions_of_complex_numbers_are_numpys(name):
    z = np.array([[1 + 2j, 0.25, -3.5j, 0], [2 - 1j, 0.5 + 0.5j, 3, -1]])
    calls = {
        "sinc": lambda np: np.sinc(z),
        "rint": lambda np: np.rint(z),
        "corrcoef": lambda np: np.corrcoef(z),
        "interp": lambda np: np.interp(np.array([-1.0, 0.5, 2.25, 9.0]), np.arange(4.0), z[0]),
        "interp within": lambda np: np.interp(np.array([-1.0, 9.0]), np.arange(4.0), z[0], left=1j, right=2.0),
    }
    call = calls[name]
    for found in (call(jnp), fdl.jit(lambda: call(jnp))()):
        np.testing.assert_allclose(np.asarray(found), call(np), rtol=1e-12, atol=1e-12)
