"""The table of docs/accuracy.md: elementary functions in both tiers and all float dtypes, their special values, and
recorded values of special functions.
"""

import json
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

import fdl
import fdl.numpy as jnp
import fdl.stateful as torch
from fdl import nn, special
from fdl.core.config import config
from tests.conftest import needs_compiler
from tests.lowering import ulp

BOUNDS = ulp.bounds()
WIDE = np.finfo(np.longdouble).nmant > 60
ONE, TWO = ([name for name, case in ulp.CASES.items() if case.operands == n] for n in (1, 2))
# What the interpreter takes from elsewhere: CPython's error and gamma functions.
INTERPRETED = BOUNDS | {"erfc": {"float32": 1, "float64": 3}}


def operands(dtype, count):
    x = ulp.numbers(dtype, count)
    return {1: (x,), 2: (x, np.random.default_rng(1).permutation(x))}


def check(results, dtype, given, bounds):
    wide = np.float64 if dtype == "float32" else np.longdouble
    for name, got in results.items():
        xs = given[ulp.CASES[name].operands]
        with np.errstate(all="ignore"):
            exact = ulp.CASES[name].exact(*(x.astype(wide) for x in xs))
        off = ulp.error(np.asarray(got), exact, dtype)
        if name == "lgamma" and bounds is INTERPRETED:
            with np.errstate(all="ignore"):
                off = np.where(np.abs(np.asarray(got) - exact) < 5e-15, 0, off)
        at = off.argmax()
        assert off[at] <= bounds[name][dtype], (name, off[at], [x[at] for x in xs], np.asarray(got)[at], exact[at])


def test_the_table_has_all_functions():
    assert BOUNDS.keys() == ulp.CASES.keys()
    assert max(max(row.values()) for name, row in BOUNDS.items() if name != "lgamma") <= 2


@needs_compiler
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_compiled_functions(dtype):
    """One program has all functions.  All floats take minutes a function: `python -m tests.lowering.ulp`."""
    if dtype == "float64" and not WIDE:
        pytest.skip("no type wider than float64 here")
    config.tier = "compiled"
    given = operands(dtype, 25_000 if dtype == "float32" else 4000)
    results = fdl.jit(
        lambda x, y: {n: c.function(x) if c.operands == 1 else c.function(x, y) for n, c in ulp.CASES.items()}
    )(*map(jnp.asarray, given[2]))
    check(results, dtype, given, BOUNDS)


@needs_compiler  # for what they are compared with
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_interpreted_functions(dtype):
    if dtype == "float64" and not WIDE:
        pytest.skip("no type wider than float64 here")
    config.tier = "interpreted"
    given = operands(dtype, 1500)
    check(
        {n: c.function(*map(jnp.asarray, given[c.operands])) for n, c in ulp.CASES.items()}, dtype, given, INTERPRETED
    )


@needs_compiler
@pytest.mark.parametrize("tier", ["compiled", "interpreted"])
@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_narrow_floats_are_rounded_once_more(dtype, tier):
    """Nearly always the nearest number, and never another one than its neighbour: the float32 in between may be the
    other side of a half.
    """
    config.tier = tier
    x = np.arange(1 << 16, dtype=np.uint16).view(dtype)
    with np.errstate(all="ignore"):
        size = np.abs(x.astype(np.float64))
    x = x[(size < np.inf) & (size >= float(ml_dtypes.finfo(dtype).tiny))]
    functions = {n: ulp.CASES[n].function for n in ONE}
    compute = lambda x: {n: f(x) for n, f in functions.items()}
    results = (fdl.jit(compute) if tier == "compiled" else compute)(jnp.asarray(x))
    for name, got in results.items():
        got = np.asarray(got)
        assert got.dtype == dtype
        with np.errstate(all="ignore"):
            exact = ulp.CASES[name].exact(x.astype(np.float64))
            want = exact.astype(np.float32).astype(dtype)
            normal = (np.abs(exact) >= float(ml_dtypes.finfo(dtype).tiny)) | ~np.isfinite(exact)
            different = (got != want) & ~(np.isnan(got.astype(float)) & np.isnan(exact)) & normal
        steps = np.abs(got.view(np.int16).astype(int) - want.view(np.int16).astype(int))
        assert different.mean() < 1e-3 and steps[different].max(initial=0) <= 1, (
            name,
            x[different][:3],
            got[different][:3],
            want[different][:3],
        )


# At NaN, inf, -inf, 0, -0, 1e30, -1e30: C99, annex F, and IEEE 754-2019, 9.2.
NAN, INF = np.nan, np.inf
SPECIAL = {
    "exp": [NAN, INF, 0.0, 1, 1, INF, 0.0],
    "exp2": [NAN, INF, 0.0, 1, 1, INF, 0.0],
    "expm1": [NAN, INF, -1, 0.0, -0.0, INF, -1],
    "log": [NAN, INF, NAN, -INF, -INF, np.log(1e30), NAN],
    "log2": [NAN, INF, NAN, -INF, -INF, np.log2(1e30), NAN],
    "log10": [NAN, INF, NAN, -INF, -INF, 30, NAN],
    "log1p": [NAN, INF, NAN, 0.0, -0.0, np.log(1e30), NAN],
    "sin": [NAN, NAN, NAN, 0.0, -0.0, None, None],
    "cos": [NAN, NAN, NAN, 1, 1, None, None],
    "tan": [NAN, NAN, NAN, 0.0, -0.0, None, None],
    "arcsin": [NAN, NAN, NAN, 0.0, -0.0, NAN, NAN],
    "arccos": [NAN, NAN, NAN, np.pi / 2, np.pi / 2, NAN, NAN],
    "arctan": [NAN, np.pi / 2, -np.pi / 2, 0.0, -0.0, np.pi / 2, -np.pi / 2],
    "sinh": [NAN, INF, -INF, 0.0, -0.0, INF, -INF],
    "cosh": [NAN, INF, INF, 1, 1, INF, INF],
    "tanh": [NAN, 1, -1, 0.0, -0.0, 1, -1],
    "arcsinh": [NAN, INF, -INF, 0.0, -0.0, np.log(2e30), -np.log(2e30)],
    "arccosh": [NAN, INF, NAN, NAN, NAN, np.log(2e30), NAN],
    "arctanh": [NAN, NAN, NAN, 0.0, -0.0, NAN, NAN],
    "sqrt": [NAN, INF, NAN, 0.0, -0.0, 1e15, NAN],
    "rsqrt": [NAN, 0.0, NAN, INF, -INF, 1e-15, NAN],
    "cbrt": [NAN, INF, -INF, 0.0, -0.0, 1e10, -1e10],
    "sigmoid": [NAN, 1, 0.0, 0.5, 0.5, 1, 0.0],
    "softplus": [NAN, INF, 0.0, np.log(2), np.log(2), 1e30, 0.0],
    "erf": [NAN, 1, -1, 0.0, -0.0, 1, -1],
    "erfc": [NAN, 0.0, 2, 1, 1, 0.0, 2],
    "lgamma": [NAN, INF, INF, INF, INF, None, None],
}


@needs_compiler
@pytest.mark.parametrize("tier", ["compiled", "interpreted"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_special_values(dtype, tier):
    config.tier = tier
    x = jnp.asarray(np.array([NAN, INF, -INF, 0.0, -0.0, 1e30, -1e30], dtype))
    compute = lambda x: {n: ulp.CASES[n].function(x) for n in ONE}
    for name, got in (fdl.jit(compute) if tier == "compiled" else compute)(x).items():
        for at, g, w in zip(np.asarray(x), np.asarray(got), SPECIAL[name], strict=True):
            if w is not None:
                np.testing.assert_allclose(g, w, rtol=1e-6, err_msg=f"{name} {at}")
                assert w != w or np.signbit(g) == np.signbit(w), (name, at, g, w)


# Operands that went wrong once, or where errors are largest; values of mpmath 1.3, 21 digits.
HARD = {
    "float32": [
        ("arccosh", 2.6e38, "89.1468921819961740483"),
        ("arccosh", 1.0000001, "0.000488281245149361720649"),
        ("cbrt", 8.488686e37, "4394877966280.76634407"),
        ("sinh", 88.91328, "2.058332024611800889e+38"),
        ("cosh", -88.91328, "2.058332024611800889e+38"),
        ("tanh", 0.11995932, "0.119387195741919756722"),
        ("tanh", 0.8841791, "0.70850676435349642094"),
        ("log10", 0.331694, "-0.47926237528530325982"),
        ("log2", 1.4016997, "0.487177260718392178013"),
        ("log1p", 3e38, "88.596845824274430935"),
        ("log1p", 0.3977177, "0.334840702328168975263"),
        ("expm1", 2.3509105e-38, "2.35091050919026569114e-38"),
        ("expm1", 0.35043675, "0.419687457554952964081"),
        ("softplus", -12.32, "0.00000446160529254657106377"),
        ("softplus", 0.00037142794, "0.69333291177709922756"),
        ("exp2", 127.99999, "3.40280567412732569421e+38"),
        ("exp", -27.330153, "1.35103181014748199203e-12"),
        ("sigmoid", -16.6802, "5.70007943192783317296e-8"),
        ("erf", 0.97997206, "0.834219439347778142173"),
        ("erfc", 1.533255, "0.0301320677225549256586"),
        ("erfc", 9.1, "6.69685365581168853692e-38"),
        ("arcsin", -0.0075546973, "-0.00755476920244654395088"),
        ("arctanh", 0.2402664, "0.245056811807264479477"),
        ("rsqrt", 2.0865568e-25, "2189197243285.04074365"),
        ("tan", 4.7015403e30, "0.807159632920556254902"),
    ],
    "float64": [
        ("exp2", -0.5, "0.707106781186547524401"),
        ("exp2", 1023.9999, "1.79756853258798865209e+308"),
        ("arccosh", 1.3636209251281331e308, "710.199499429393063638"),
        ("arccosh", 1.0000000000000002, "2.10734242554470155035e-8"),
        ("cbrt", -8.797635356228584e307, "-4.44756174236742413876e+102"),
        ("sinh", -710.4, "-1.66636428328064958422e+308"),
        ("cosh", 710.4, "1.66636428328064958422e+308"),
        ("log10", 1.7144652402056706, "0.234128684469977542296"),
        ("log10", 1000.0, "3.0"),
        ("log2", 8.0, "3.0"),
        ("arcsin", 0.4702572320838524, "0.489582226793192603014"),
        ("arccos", 0.9196969392269767, "0.403488416366445965825"),
        ("tanh", -0.21618358169595298, "-0.21287756659804731496"),
        ("erf", 0.9999999977235211, "0.842700792004731410454"),
        ("erfc", 1.2304505753297137, "0.081837968154991672328"),
        ("erfc", 26.5, "2.21090766426373427593e-307"),
        ("sigmoid", -6.34134172542922e-05, "0.499984146645691739489"),
        ("tan", -0.7787385115974799, "-0.986768617193621540328"),
        ("rsqrt", 0.06279464497748743, "3.99060456750429738763"),
    ],
}


@needs_compiler
@pytest.mark.parametrize("tier", ["compiled", "interpreted"])
@pytest.mark.parametrize("dtype", HARD)
def test_hard_operands(dtype, tier):
    if dtype == "float64" and not WIDE:
        pytest.skip("no type wider than float64 here")
    config.tier = tier
    bounds = BOUNDS if tier == "compiled" else INTERPRETED
    compute = lambda xs: [ulp.CASES[name].function(x) for (name, _, _), x in zip(HARD[dtype], xs, strict=True)]
    got = (fdl.jit(compute) if tier == "compiled" else compute)(
        [jnp.asarray(np.array(x, dtype)) for _, x, _ in HARD[dtype]]
    )
    for (name, x, exact), value in zip(HARD[dtype], got, strict=True):
        off = ulp.error(np.asarray(value), np.longdouble(exact), dtype)
        assert off <= bounds[name][dtype], (name, x, value, exact, off)


@needs_compiler
@pytest.mark.parametrize("tier", ["compiled", "interpreted"])
def test_sums_of_exponentials(tier):
    """Values of mpmath; gradients are shares, of equal operands one half."""
    config.tier = tier
    wrap = fdl.jit if tier == "compiled" else lambda f: f
    f32 = np.float32
    pairs = [(-12.32, 0.0, 4.4616053e-06), (0.0, -12.32, 4.4616053e-06)]
    pairs += [
        (INF, 1.0, INF),
        (-INF, -INF, -INF),
        (INF, INF, INF),
        (-INF, 2.0, 2.0),
        (NAN, 1.0, NAN),
        (1000.0, 1000.0, 1000.6931),
    ]
    a, b, want = np.array(pairs, f32).T
    np.testing.assert_allclose(np.asarray(wrap(jnp.logaddexp)(a, b)), want, rtol=2e-7)
    np.testing.assert_allclose(torch.logaddexp(torch.tensor(a), torch.tensor(b)).numpy(), want, rtol=2e-7)
    np.testing.assert_allclose(
        torch.logaddexp2(torch.tensor(f32(-17)), torch.tensor(f32(0))).item(), 1.1006848e-05, rtol=2e-7
    )
    np.testing.assert_allclose(np.asarray(wrap(nn.softplus)(f32(-12.32))), 4.4616053e-06, rtol=2e-7)
    np.testing.assert_allclose(np.asarray(wrap(nn.log_sigmoid)(f32(12.32))), -4.4616053e-06, rtol=2e-7)
    np.testing.assert_allclose(
        torch.logcumsumexp(torch.tensor(np.array([-12.32, 0.0], f32)), 0).numpy(), [-12.32, 4.4616053e-06], rtol=2e-7
    )
    for at, shares in (
        ((INF, 1.0), (1, 0)),
        ((1.0, 1.0), (0.5, 0.5)),
        ((0.0, -1.0), (0.7310586, 0.2689414)),
        ((-200.0, 0.0), (0, 1)),
    ):
        np.testing.assert_allclose(
            [float(g) for g in wrap(fdl.grad(jnp.logaddexp, argnums=(0, 1)))(*map(f32, at))], shares, rtol=2e-7
        )


@needs_compiler
@pytest.mark.parametrize("tier", ["compiled", "interpreted"])
def test_powers_of_two_end_in_infinity(tier):
    config.tier = tier
    wrap = fdl.jit if tier == "compiled" else lambda f: f
    x = np.array([1023.5, 1024.0, 1024.5, 1064.9491, 1500.0, 1e300, INF, -1080.0])
    want = [1.2711610061536462e308, INF, INF, INF, INF, INF, INF, 0.0]
    for f in (
        jnp.exp2,
        lambda x: 2.0**x,
        lambda x: jnp.power(jnp.float64(2.0), x),
        lambda x: jnp.power(1 / jnp.float64(2.0), -x),
    ):
        np.testing.assert_allclose(np.asarray(wrap(f)(jnp.asarray(x))), want, rtol=4e-16)
    np.testing.assert_allclose(torch.exp2(torch.tensor(x)).numpy(), want, rtol=4e-16)
    np.testing.assert_allclose(torch.pow(2.0, torch.tensor(x)).numpy(), want, rtol=4e-16)


def test_steps_keep_nan():
    np.testing.assert_array_equal(np.asarray(jnp.heaviside(jnp.array([NAN, -1.0, 0.0, 2.0]), 0.5)), [NAN, 0, 0.5, 1])
    np.testing.assert_array_equal(torch.heaviside(torch.tensor([NAN, 0.0]), torch.tensor([0.0, 0.0])).numpy(), [NAN, 0])


RECORDED = json.loads((Path(__file__).parent / "recorded_special.json").read_text())
RECORDED.pop("source")
FUNCTIONS = {"trigamma": lambda x: special.polygamma(1, x)}
FOUR = dict.fromkeys(RECORDED, 4) | {"digamma": 5, "ndtri": 5, "log_ndtr": 60, "logit": 2}


@needs_compiler
@pytest.mark.parametrize("tier", ["compiled", "interpreted"])
def test_special_functions(tier):
    """Recorded values of mpmath, 120 digits; next to zeros an absolute error."""
    if not WIDE:
        pytest.skip("no type wider than float64 here")
    config.tier = tier
    compute = lambda given: {name: FUNCTIONS.get(name, getattr(special, name, None))(*xs) for name, xs in given.items()}
    for dtype in ("float32", "float64") if tier == "interpreted" else ("float64",):  # floats are worked out in doubles
        given = {name: [jnp.asarray(np.array(x, dtype)) for x in row["operands"]] for name, row in RECORDED.items()}
        for name, got in (fdl.jit(compute) if tier == "compiled" else compute)(given).items():
            exact = np.array(RECORDED[name]["value"], np.longdouble) + np.array(RECORDED[name]["rest"], np.longdouble)
            off = ulp.error(np.asarray(got), exact, dtype)
            absolute = np.abs(np.asarray(got) - exact) / np.finfo(dtype).eps
            off = np.where(np.abs(exact) < 0.5, np.minimum(off, absolute), off)
            assert off.max() <= (1 if dtype == "float32" else FOUR[name]), (
                name,
                dtype,
                off.max(),
                [np.asarray(x)[off.argmax()] for x in given[name]],
            )


def test_ends_of_special_functions():
    """As scipy.special 1.17 has them; `i0(713)` of mpmath, where SciPy overflows."""
    s = np.array([1, 1, 0.5, 2, 2, 2.5, 2, 3, 3, INF, INF, 2, 2, NAN, 30, 500, 4, 2])
    q = np.array([1, 5, 1, 0, -3, -0.5, -0.5, -2.5, -0.5, 1, 0.5, INF, 1e300, 1, 0.5, 3, 1e10, NAN])
    want = [INF, INF, NAN, INF, INF, NAN]
    want += [
        8.934802200544679,
        0.05410202582086,
        0.4143983221171599,
        1,
        INF,
        0,
        1e-300,
        NAN,
        1073741824.0000052,
        2.750252956203138e-239,
        3.333333333833333e-31,
        NAN,
    ]
    np.testing.assert_allclose(np.asarray(special.zeta(s, q)), want, rtol=1e-12)
    np.testing.assert_array_equal(
        np.asarray(special.digamma(np.array([INF, NAN, -1.0, 0.0, -0.0]))), [INF, NAN, NAN, -INF, INF]
    )
    np.testing.assert_array_equal(
        np.asarray(special.erfinv(np.array([0.0, -0.0, 1, -1, 1.5, NAN]))), [0, 0, INF, -INF, NAN, NAN]
    )
    np.testing.assert_allclose(
        np.asarray(special.i0(np.array([0.0, INF, -INF, NAN, 713, 720]))),
        [1, INF, INF, NAN, 6.705128263671e307, INF],
        rtol=1e-10,
    )
    np.testing.assert_array_equal(np.asarray(special.i1e(np.array([0.0, INF, -INF]))), [0, 0, 0])
    np.testing.assert_array_equal(np.asarray(special.logit(np.array([0.0, 1, 0.5, 2]))), [-INF, INF, 0, NAN])
    slopes = [float(fdl.grad(f)(x)) for f, x in ((special.i0, 1.5), (special.i1, 1.5), (special.i0e, -2.0))]
    np.testing.assert_allclose(slopes, [0.981666428577908, 0.992278904054286, 0.093239033304733], rtol=1e-6)


def test_gradients_of_angles_do_not_overflow():
    """Of atan2: b / (a**2 + b**2), whose squares leave the range long before it."""
    for size in (1e-30, 1.0, 1e30):
        a, b = np.float32(size), np.float32(2 * size)
        slopes = [float(g) * size for g in fdl.grad(jnp.arctan2, argnums=(0, 1))(a, b)]
        np.testing.assert_allclose(slopes, [0.4, -0.2], rtol=1e-6)
    np.testing.assert_allclose(float(fdl.grad(jnp.arcsinh)(np.float32(1e30))), 1e-30, rtol=1e-6)
