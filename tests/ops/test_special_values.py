"""Every elementwise operation on every dtype that it takes, at the values where things go wrong: NaN, infinities,
signed zeros, ends of integer ranges.
"""

import itertools

import numpy as np
import pytest

from fdl.backends.dispatch import executable
from fdl.core import dtypes, interpret
from fdl.core.array import from_numpy
from fdl.core.config import config
from fdl.core.primitive import REGISTRY
from fdl.lowering.build.control import build
from fdl.lowering.ir.interpret import interpret_program
from fdl.testing.tolerances import TABLE
from fdl.testing.tolerances import wide as in_double
from fdl.transforms.stage import stage
from tests.conftest import needs_compiler

FLOAT_VALUES = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, 0.5, 1.5, -2.5, 3.25, 100.0, -7.0]

COMPLEX_PARTS = [1.0, -2.5, 0.0, -0.0, np.inf]


def values(dtype):
    if dtype == dtypes.bool_:
        return np.array([False, True])
    if dtypes.is_float(dtype):
        return np.array(FLOAT_VALUES).astype(dtype)
    if dtypes.is_complex(dtype):
        return np.array([complex(a, b) for a, b in itertools.product(COMPLEX_PARTS, repeat=2)]).astype(dtype)
    info = np.iinfo(dtype)
    return np.unique(
        np.array(
            [info.min, info.max, info.max - 1, 0, 1, 2, 3, 7, 31, -1 if info.min else 5, -3 if info.min else 6], dtype
        )
    )


def operands(dtype, arity):
    columns = itertools.product(values(dtype), repeat=arity)
    return [np.array(column, dtype) for column in zip(*columns, strict=True)]


ROWS = [
    p
    for p in REGISTRY.values()
    if p.has("lower") and "elementwise.<locals>" in getattr(p.rule("lower"), "__qualname__", "")
]


def taken(primitive):
    """(dtype, operands) of all dtypes that the primitive takes."""
    arity = len(primitive.rule("samples")[0].args)
    for dtype in dtypes.ALL:
        args = operands(dtype, arity)
        try:
            primitive.infer([from_numpy(a).aval for a in args], {})
        except TypeError:
            continue
        yield dtype, args


def graph_of(primitive, cases):
    def f(*xs):
        given = iter(xs)
        return [primitive.bind(*[next(given) for _ in args]) for _, args in cases]

    flat = [a for _, args in cases for a in args]
    return stage(f, [from_numpy(a).aval for a in flat], "values"), flat


KEEPS_SIGN = ("neg", "mul", "div", "abs", "sign", "trunc", "floor", "ceil", "round", "sqrt", "add")  # of zeros


def assert_same(got, want, dtype, name):
    got, want = np.asarray(got).reshape(-1), np.asarray(want).reshape(-1)
    if want.dtype.name not in TABLE:
        np.testing.assert_array_equal(got, want, err_msg=f"{name} {dtype}")
        return
    rtol, atol = TABLE[want.dtype.name]
    wide, reference = in_double(got), in_double(want)
    np.testing.assert_allclose(wide, reference, rtol=rtol, atol=atol, err_msg=f"{name} {dtype}")
    if name in KEEPS_SIGN:
        zero = reference == 0
        np.testing.assert_array_equal(
            np.signbit(wide[zero]), np.signbit(reference[zero]), err_msg=f"{name} {dtype} sign of zero"
        )


EXACT = ("add", "sub", "mul", "div", "neg", "eq", "ne")


@needs_compiler
@pytest.mark.parametrize("primitive", ROWS, ids=lambda p: p.name)
def test_special_values(primitive):
    config.tier = "compiled"
    cases = list(taken(primitive))
    assert cases
    graph, flat = graph_of(primitive, cases)
    want = interpret(graph, flat)
    compiled = executable(graph, primitive.name)([from_numpy(a) for a in flat])
    looped = interpret_program(build(graph), flat)
    for (dtype, _), a, b, c in zip(cases, compiled, looped, want, strict=True):
        if dtypes.is_complex(dtype) and primitive.name not in EXACT:
            continue  # tests/ops/test_complex.py has what is special to them
        b = b.view(c.dtype)
        assert_same(a, c, dtype, primitive.name)
        assert_same(b, c, dtype, primitive.name)


@needs_compiler
def test_conversions_between_all_dtypes():
    config.tier = "compiled"
    pairs = [(a, b) for a in dtypes.ALL for b in dtypes.ALL if a != b]
    convert_p = REGISTRY["convert"]

    def f(*xs):
        return [convert_p.bind(x, dtype=b, weak_type=False) for x, (_, b) in zip(xs, pairs, strict=True)]

    flat = [values(a) for a, _ in pairs]
    graph = stage(f, [from_numpy(x).aval for x in flat], "conversions")
    for (a, b), got, want in zip(
        pairs, executable(graph, "convert")([from_numpy(x) for x in flat]), interpret(graph, flat), strict=True
    ):
        np.testing.assert_array_equal(in_double(np.asarray(got)), in_double(want), err_msg=f"{a} to {b}")
