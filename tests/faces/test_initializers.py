"""First values of parameters: their spread, shapes, dtypes, errors; trees as vectors."""

import math

import numpy as np
import pytest

import fdl
import fdl.numpy as jnp
from fdl import random
from fdl.core.errors import ChoiceError, DtypeError, ShapeError
from fdl.flatten_util import ravel_pytree
from fdl.nn import initializers

KEY = random.key(3)
IN, OUT = 60, 90
VARIANCES = {
    "glorot_uniform": 2 / (IN + OUT), "glorot_normal": 2 / (IN + OUT), "xavier_uniform": 2 / (IN + OUT),
    "lecun_uniform": 1 / IN, "lecun_normal": 1 / IN, "he_uniform": 2 / IN, "he_normal": 2 / IN,
    "kaiming_normal": 2 / IN,
}  # fmt: skip


@pytest.mark.parametrize("name", VARIANCES)
def test_variances(name):
    w = np.asarray(getattr(initializers, name)()(KEY, (IN, OUT)))
    assert w.shape == (IN, OUT) and w.dtype == "float32"
    np.testing.assert_allclose(w.var(), VARIANCES[name], rtol=0.05)
    assert abs(w.mean()) < 4 * math.sqrt(VARIANCES[name] / w.size)
    widest = math.sqrt(3 * VARIANCES[name]) if "uniform" in name else 2 * math.sqrt(VARIANCES[name]) / 0.8796
    assert 0.97 * widest < abs(w).max() <= widest * 1.0001


@pytest.mark.parametrize(
    "mode, n",
    [("fan_in", 9 * 8), ("fan_out", 9 * 16), ("fan_avg", 9 * 12), ("fan_geo_avg", 9 * math.sqrt(128))],
)
@pytest.mark.parametrize("distribution", ["normal", "uniform", "truncated_normal"])
def test_windows_count_as_inputs_and_outputs(mode, n, distribution):
    w = np.asarray(initializers.variance_scaling(3.0, mode, distribution)(KEY, (3, 3, 8, 16)))
    np.testing.assert_allclose(w.var(), 3.0 / n, rtol=0.2)  # five deviations of 1,152 numbers'
    turned = initializers.variance_scaling(3.0, mode, distribution, in_axis=0, out_axis=1, batch_axis=2)
    np.testing.assert_allclose(np.asarray(turned(KEY, (8, 16, 40, 9))).var(), 3.0 / n, rtol=0.2)


def test_matrices_are_orthogonal():
    w = np.asarray(initializers.orthogonal(2.0)(KEY, (6, 4)))
    np.testing.assert_allclose(w.T @ w, 4 * np.eye(4), atol=1e-5)
    kernel = np.asarray(initializers.orthogonal(column_axis=0)(KEY, (4, 3, 3)))
    np.testing.assert_allclose(kernel.reshape(4, 9) @ kernel.reshape(4, 9).T, np.eye(4), atol=1e-5)
    delta = np.asarray(initializers.delta_orthogonal()(KEY, (3, 5, 2, 4)))
    np.testing.assert_allclose(delta[1, 2] @ delta[1, 2].T, np.eye(2), atol=1e-5)
    assert np.count_nonzero(delta.any((2, 3))) == 1


def test_plain_ones():
    assert initializers.zeros(KEY, (2,)).tolist() == [0.0, 0.0]
    assert initializers.ones(KEY, (2,), jnp.int32).tolist() == [1, 1]
    assert initializers.constant(jnp.array([1.0, 2.0]))(KEY, (3, 2)).tolist() == [[1.0, 2.0]] * 3
    assert initializers.constant(7)(KEY, (2,), jnp.bfloat16).dtype == "bfloat16"
    np.testing.assert_allclose(np.asarray(initializers.normal(0.5)(KEY, (4000,))).std(), 0.5, rtol=0.05)
    assert 0.49 < float(initializers.uniform(0.5)(KEY, (4000,)).max()) < 0.5
    cut = np.asarray(initializers.truncated_normal(1.0, lower=-1.0, upper=3.0)(KEY, (4000,)))
    assert -1 < cut.min() < -0.98 and cut.max() < 3
    made = fdl.jit(lambda key: initializers.he_normal()(key, (3, 4)))(KEY)
    np.testing.assert_allclose(made, initializers.he_normal()(KEY, (3, 4)), rtol=1e-6)


def test_errors():
    for name in VARIANCES:
        with pytest.raises(ShapeError, match="no inputs and outputs"):
            getattr(initializers, name)()(KEY, (3,))
    with pytest.raises(ChoiceError):
        initializers.variance_scaling(1.0, "fan", "normal")(KEY, (3, 3))
    with pytest.raises(ChoiceError):
        initializers.variance_scaling(1.0, "fan_in", "gauss")(KEY, (3, 3))
    with pytest.raises(ShapeError):
        initializers.delta_orthogonal()(KEY, (3, 4, 2))


def test_ravel_pytree():
    tree = {"a": jnp.array([[1.0, 2.0]]), "b": (jnp.array(3, jnp.int32), [])}
    vector, back = ravel_pytree(tree)
    assert vector.tolist() == [1.0, 2.0, 3.0]
    assert back(vector + 1)["b"][0].dtype == "int32" and back(vector + 1)["a"].tolist() == [[2.0, 3.0]]
    slope = fdl.grad(lambda v: jnp.sum(back(v)["a"] ** 2))(vector)
    assert slope.tolist() == [2.0, 4.0, 0.0]
    assert ravel_pytree({})[0].shape == (0,)
    with pytest.raises(ShapeError):
        back(jnp.ones(2))
    with pytest.raises(DtypeError):
        back(jnp.ones(3, jnp.float64))
