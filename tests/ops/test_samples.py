"""Tests generated from the samples beside each operation: the laws of `fdl.testing`, for all primitives."""

import numpy as np
import pytest

from fdl.backends.dispatch import can_compile
from fdl.core import dtypes
from fdl.core.array import from_numpy
from fdl.core.config import config
from fdl.core.primitive import REGISTRY
from fdl.core.pytree import tree_leaves
from fdl.testing import verify
from fdl.testing.control import CONTROL
from fdl.testing.laws import LAWS
from fdl.transforms.stage import stage

WITH_SAMPLES = [p for p in REGISTRY.values() if p.has("samples") and p.rule("samples")]
IDS = [p.name for p in WITH_SAMPLES]


def good(primitive):
    return [s for s in primitive.rule("samples") if s.fails is None]


WIDE = {dtypes.float32: dtypes.float64, dtypes.complex64: dtypes.complex128}


def differentiable(primitive):
    """Samples with a derivative to check: some operand of float32 or complex64, and a result that varies."""
    out = []
    for s in good(primitive):
        args = s.make(primitive.name)
        inexact = [a for a in args if a.dtype in WIDE]
        result = np.asarray(primitive.reference(args, s.params)[0])
        if (
            inexact
            and all(np.isfinite(a).all() for a in inexact)
            and result.size
            and result.dtype in (*WIDE, *WIDE.values())
        ):
            out.append(s)
    return out


def first(primitive, *args, **params):
    """The result; of several the first, which carries the derivative."""
    out = primitive.bind(*args, **params)
    return out[0] if primitive.multiple_results else out


def joint_graph(primitive, samples):
    """All samples of a primitive as one graph, so that they share a compiler start."""
    args = [s.make(primitive.name) for s in samples]
    flat = [a for group in args for a in group]

    def f(*xs):
        given, outs = iter(xs), []
        for s, group in zip(samples, args, strict=True):
            outs += tree_leaves(primitive.bind(*[next(given) for _ in group], **s.params))
        return outs

    graph = stage(f, [from_numpy(a).aval for a in flat], "samples")
    graph.check()
    return graph, flat


OVER_ALL = ("forward", "loops", "C", "jvp", "vjp", "vmap")  # the others over two samples of each primitive


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("primitive", WITH_SAMPLES, ids=IDS)
def test_laws(primitive, law):
    if law == "C" and not can_compile():
        pytest.skip("needs a C compiler")
    config.tier = "compiled" if law == "C" else config.tier
    verify(primitive, good(primitive)[: None if law in OVER_ALL else 2], laws=[law])


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("name", CONTROL)
def test_laws_of_control_flow(name, law):
    if law == "C" and not can_compile():
        pytest.skip("needs a C compiler")
    function, samples = CONTROL[name]
    verify(function, samples, laws=[law])


@pytest.mark.parametrize("primitive", WITH_SAMPLES, ids=IDS)
def test_bad_samples_raise(primitive):
    for s in primitive.rule("samples"):
        if s.fails is not None:
            with pytest.raises(s.fails):
                primitive.bind(*map(from_numpy, s.make(primitive.name)), **s.params)
