"""Tests of the tests: a fault planted in each kind of rule, spelling, pass and schedule must be caught by the property
that guards it.
"""

import numpy as np
import pytest

import fdl
import fdl.numpy as jnp
from fdl import passes
from fdl.backends.dispatch import executable
from fdl.core.array import from_numpy
from fdl.core.config import config
from fdl.core.primitive import RULES
from fdl.lowering.build.control import build
from fdl.lowering.ir import spellings
from fdl.lowering.ir.interpret import interpret_program
from fdl.ops.axes import convert_p, reduce_sum_p
from fdl.ops.elementary import exp, sin
from fdl.ops.elementwise import mul
from fdl.ops.shape import pad_p, slice_p
from fdl.testing import LawError, verify
from tests.conftest import needs_compiler


def caught(test, *args):
    with pytest.raises((AssertionError, fdl.FdlError)):
        test(*args)


def broken(primitive, law):
    with pytest.raises(LawError) as caught:
        verify(primitive, laws=[law])
    assert f"`{primitive.name}` breaks the law `{law}`" in str(caught.value)


def planted(monkeypatch, kind, primitive, rule):
    monkeypatch.setitem(RULES[kind], primitive, rule)


def test_derivative_off_by_a_thousandth(monkeypatch):
    primitive = sin.primitive
    right = RULES["jvp"][primitive]

    def wrong(primals, tangents):
        out, tangent = right(primals, tangents)
        return out, mul(tangent, 1.001)

    verify(primitive, laws=["jvp"])
    planted(monkeypatch, "jvp", primitive, wrong)
    broken(primitive, "jvp")


def test_transpose_off_by_a_thousandth(monkeypatch):
    right = RULES["transpose"][reduce_sum_p]
    planted(
        monkeypatch,
        "transpose",
        reduce_sum_p,
        lambda ct, operands, **params: [mul(right(ct, operands, **params)[0], 1.001)],
    )
    broken(reduce_sum_p, "vjp")


def test_transpose_that_misplaces(monkeypatch):
    right = RULES["transpose"][slice_p]
    planted(
        monkeypatch,
        "transpose",
        slice_p,
        lambda ct, operands, **params: [fdl.ops.reverse(right(ct, operands, **params)[0], (0,))],
    )
    broken(slice_p, "vjp")


def test_batch_rule_that_mixes_lanes(monkeypatch):
    right = RULES["batch"][pad_p]

    def wrong(axis, args, batched, **params):
        out, is_batched = right(axis, args, batched, **params)
        return fdl.ops.reverse(out, (0,)), is_batched

    planted(monkeypatch, "batch", pad_p, wrong)
    broken(pad_p, "vmap")


def test_shape_rule_with_a_wrong_dtype(monkeypatch):
    planted(monkeypatch, "shape", convert_p, lambda x, **params: x)
    broken(convert_p, "forward")


@needs_compiler
def test_reference_with_a_wrong_value(monkeypatch):
    planted(monkeypatch, "impl", exp.primitive, lambda x: np.exp(x) * np.asarray(1.001, x.dtype))
    broken(exp.primitive, "C")


@needs_compiler
def test_wrong_spelling(monkeypatch, tmp_path):
    config.cache_dir = tmp_path  # where the right program is not there already
    monkeypatch.setitem(spellings.C, "sub", "{1} - {0}")
    from fdl.ops.elementwise import sub

    broken(sub.primitive, "C")


def test_lowering_rule_off_by_one(monkeypatch):
    planted(
        monkeypatch,
        "lower",
        slice_p,
        lambda b, x, *, start, limit, strides: b.view(
            tuple((z - a + s - 1) // s for a, z, s in zip(start, limit, strides, strict=True)), x, lambda i: i
        ),
    )
    broken(slice_p, "loops")


@needs_compiler
def test_illegal_pass(monkeypatch):
    """A pass that takes x * 0 for 0 is wrong for infinities."""

    def illegal(graph):
        zero = {
            e.outputs[0]: e.inputs[1]
            for e in graph.equations
            if e.primitive is mul.primitive and getattr(e.inputs[1], "value", 1) == 0
        }
        assert zero
        broadcast = [fdl.core.Literal(0.0, "float32")]
        return type(graph)(
            graph.inputs,
            graph.equations,
            tuple(broadcast[0] if a in zero else a for a in graph.outputs),
            graph.constants,
        )

    graph = fdl.make_graph(lambda x: x * 0.0)(1.0)
    args = [np.asarray(np.inf, np.float32)]
    right = interpret_program(build(passes.run_passes(graph)), args)[0]
    wrong = interpret_program(build(illegal(graph)), args)[0]
    assert np.isnan(right[0]) and not np.isnan(wrong[0])


@needs_compiler
def test_fold_that_splits_by_threads(monkeypatch):
    """If a scalar sum were shared out among threads, the bit test would see it."""
    config.tier = "compiled"
    x = from_numpy(np.random.default_rng(0).normal(size=100_000).astype(np.float32))
    graph = fdl.make_graph(jnp.sum)(x)
    program = executable(graph, "sum")
    fdl.set_num_threads(1)
    one = np.asarray(program([x])[0])
    halves = np.asarray(x)
    split = np.float32(halves[:50_001].sum()) + np.float32(halves[50_001:].sum())
    fdl.set_num_threads(2)
    assert np.asarray(program([x])[0]).tobytes() == one.tobytes()
    assert split.tobytes() != one.tobytes()
