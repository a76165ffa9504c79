"""The functional face against what JAX gave, as `record.py` wrote it down: values, gradients, compiled and batched."""

import numpy as np
import pytest

import fdl
import fdl.numpy as jnp
from tests.conftest import needs_compiler
from tests.faces.names.cases import CASES
from tests.faces.names.data import ARRAYS
from tests.faces.names.evaluate import leaves, plain, recorded, run, split, weighted_sum
from tests.faces.names.modules import MODULES

RECORDED = {family: recorded(family) for family in CASES}
ROWS = [(family, case) for family, kinds in CASES.items() for cases in kinds.values() for case in cases]
TOLERANCE = {"float32": 2e-6, "float64": 2e-6, "float16": 2e-3, "bfloat16": 1e-2}  # of what JAX has in float32


def agree(found, expected, case):
    """Whether leaves have the dtypes, shapes and values of recorded ones."""
    assert len(found) == len(expected), case
    for leaf, (dtype, shape, values) in zip(found, expected, strict=True):
        own_dtype, own_shape, own = plain(leaf)
        assert (own_dtype, own_shape) == (dtype, shape), (case, own_dtype, own_shape, dtype, shape)
        tolerance = TOLERANCE.get(dtype, 0.0)
        scale = max((abs(v) for v in values if abs(v) < np.inf), default=0.0)
        np.testing.assert_allclose(own, values, rtol=tolerance, atol=tolerance * scale, err_msg=case)


def cases(family, *kinds):
    """Cases of some kinds of a family."""
    return [c for kind in kinds for c in CASES[family].get(kind, ())]


def value(case, arrays):
    return leaves(run(split(case)[1], MODULES, arrays))


def gradients(case, arrays):
    names, text = split(case)
    of = lambda *xs: weighted_sum(run(text, MODULES, {**arrays, **dict(zip(names, xs, strict=True))}), jnp)
    return list(fdl.grad(of, tuple(range(len(names))))(*[arrays[name] for name in names]))


def as_arrays():
    return {name: jnp.asarray(x) for name, x in ARRAYS.items()}


@pytest.mark.parametrize("family, case", ROWS)
def test_values(family, case):
    agree(value(case, as_arrays()), RECORDED[family][case]["values"], case)


@pytest.mark.parametrize("family, case", [(f, c) for f, c in ROWS if split(c)[0]])
def test_gradients(family, case):
    agree(gradients(case, as_arrays()), RECORDED[family][case]["gradients"], case)


@needs_compiler
@pytest.mark.parametrize("family", CASES)
def test_compiled(family):
    """All calls of a family, and all their gradients, are one program each."""
    for of, kind, chosen in ((value, "values", ("traced", "smooth")), (gradients, "gradients", ("smooth",))):
        rows = cases(family, *chosen)
        program = fdl.jit(lambda arrays, rows=rows, of=of: [of(case, arrays) for case in rows])
        for case, found in zip(rows, program(as_arrays()), strict=True):
            agree(found, RECORDED[family][case][kind], f"jit: {case}")


@pytest.mark.parametrize("family", CASES)
def test_batched(family):
    """A batch of two is both of its members, with the arrays as they are and turned round."""
    lanes = [as_arrays(), {name: jnp.flip(x) for name, x in as_arrays().items()}]
    stacked = {name: jnp.stack([lane[name] for lane in lanes]) for name in ARRAYS}
    for case in cases(family, "traced", "smooth"):
        found = leaves(fdl.vmap(lambda arrays, case=case: value(case, arrays))(stacked))
        for i, lane in enumerate(lanes):
            expected = [plain(leaf) for leaf in value(case, lane)]
            agree([leaf[i] for leaf in found], expected, f"vmap, {i}: {case}")
