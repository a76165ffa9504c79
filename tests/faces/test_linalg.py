"""What `numpy.linalg` has of NumPy's other names, against NumPy."""

import numpy as np
import pytest

import fdl
import fdl.numpy as jnp
from fdl.core.errors import ChoiceError, ShapeError

RNG = np.random.default_rng(0)
T, M = RNG.normal(size=(2, 3, 4)), RNG.normal(size=(2, 4, 4))
FOUR, RIGHT = RNG.normal(size=(4, 6, 8, 3)), RNG.normal(size=(4, 6))
SMALL = np.diag([1.0, 0.1, 0.01])
own, reference = jnp.linalg, np.linalg

CALLS = {
    "outer": lambda l: l.outer(T[0, 0], T[0, 1]),
    "cross": lambda l: l.cross(T, T[:1], axis=1),
    "diagonal": lambda l: l.diagonal(M, offset=1),
    "trace": lambda l: l.trace(M, offset=-1),
    "tensorinv": lambda l: l.tensorinv(FOUR),
    "tensorsolve": lambda l: l.tensorsolve(FOUR, RIGHT),
    "tensorsolve of moved axes": lambda l: l.tensorsolve(np.moveaxis(FOUR, 3, 1), RIGHT, axes=(1,)),
    "vecdot": lambda l: l.vecdot(T, T[:1]),
    "tensordot": lambda l: l.tensordot(T, T, axes=3),
    "matrix_rank of a vector": lambda l: l.matrix_rank(np.ones(3)),
    "matrix_rank of no vector": lambda l: l.matrix_rank(np.zeros(3)),
    "matrix_rank above a bound": lambda l: l.matrix_rank(SMALL, tol=0.05),
    "pinv": lambda l: l.pinv(SMALL, rcond=0.05),
    **{f"matrix_norm {o}": lambda l, o=o: l.matrix_norm(T, ord=o) for o in ("fro", "nuc", 1, -1, 2, -2, np.inf)},
    **{
        f"vector_norm {o} {axis} {kept}": lambda l, o=o, axis=axis, kept=kept: l.vector_norm(
            T, ord=o, axis=axis, keepdims=kept
        )
        for o in (0, 1, 2, 2.5, np.inf, -np.inf)
        for axis in (None, 0, -1, (0, 2))
        for kept in (False, True)
    },
}


@pytest.mark.parametrize("name", CALLS)
def test_as_numpy(name):
    np.testing.assert_allclose(CALLS[name](own), CALLS[name](reference), rtol=1e-6, atol=1e-12)


def test_mistakes():
    with pytest.raises(ShapeError, match="no square matrix"):
        own.tensorinv(FOUR, 1)
    with pytest.raises(ShapeError, match="no square matrix"):
        own.tensorsolve(FOUR, T)
    with pytest.raises(ShapeError, match="no vectors"):
        own.outer(T, T)
    with pytest.raises(ShapeError, match="vectors of size 3"):
        own.cross(T, T)


def test_keys_say_whose_they_are():
    assert fdl.random.key(3, impl="philox4x32").tolist() == fdl.random.key(3, impl="threefry2x32").tolist() == [3, 0]
    with pytest.raises(ChoiceError, match="impl='mersenne'"):
        fdl.random.key(3, impl="mersenne")
    with pytest.raises(ShapeError, match="a key has one seed"):
        fdl.random.key(jnp.arange(3))
