"""What JAX's libraries take beside its functions: where arrays lie, maps over devices, wrapped functions, names."""

import dataclasses
import math
import subprocess
import sys

import numpy as np
import pytest

import fdl
import fdl.numpy as jnp
from fdl import api_util, lax, sharding
from fdl.core.errors import ChoiceError, ShapeError, StateError, StructureError
from fdl.extend import core, linear_util
from fdl.numpy import linalg
from fdl.scipy import fft
from fdl.special import betainc
from tests.conftest import ROOT


def test_arrays_lie_on_the_one_device():
    (device,) = fdl.devices()
    mesh = fdl.make_mesh((1, 1), ("x", "y"))
    named = fdl.NamedSharding(mesh, fdl.P("x", None))
    x = fdl.device_put(np.ones((2, 3), np.float32), named)
    assert x.sharding == sharding.SingleDeviceSharding(device) and x.sharding.device_set == {device}
    assert named.shard_shape((2, 3)) == (2, 3) and named.is_equivalent_to(x.sharding, 2)
    assert named == fdl.NamedSharding(mesh, sharding.PartitionSpec("x", None)) and hash(named) == hash(named)
    assert repr(fdl.P("x")) == "PartitionSpec('x',)" and fdl.P("x")[0] == "x"
    assert mesh.size == 1 and mesh.abstract_mesh == sharding.AbstractMesh((1, 1), ("x", "y"))
    assert sharding.get_mesh().empty
    with mesh, fdl.set_mesh(fdl.make_mesh((1,), ("z",))):
        assert sharding.get_mesh().axis_names == ("z",)
        assert lax.with_sharding_constraint(x, fdl.P("z")) is x
        with pytest.raises(ChoiceError, match="no axis 'x'"):
            lax.with_sharding_constraint(x, fdl.P("x"))
    assert sharding.get_mesh().empty and sharding.get_abstract_mesh().axis_names == ()


@pytest.mark.parametrize(
    "make, error, text",
    [
        (lambda: fdl.make_mesh((2,), ("x",)), ChoiceError, "a mesh of 2 devices"),
        (lambda: sharding.Mesh(["tpu"], ("x",)), ChoiceError, "no mesh of 1 devices"),
        (lambda: sharding.Mesh(fdl.devices(), ("x", "y")), ShapeError, "2 names"),
        (lambda: fdl.NamedSharding(fdl.make_mesh((1,), ("x",)), fdl.P("y")), ChoiceError, "no axis 'y'"),
        (lambda: fdl.pmap(lambda x: x)(jnp.ones(2)), ShapeError, "an axis of 2 elements"),
        (lambda: fdl.shard_map(lambda x: x, mesh=fdl.make_mesh((1,), ("x",)), axis_names={"y"}), ChoiceError, "'y'"),
    ],
)
def test_what_is_of_several_devices_is_refused(make, error, text):
    with pytest.raises(error, match=text):
        make()


def test_maps_over_one_device():
    f = fdl.pmap(lambda x, y: lax.psum(x, "i") * y, axis_name="i", in_axes=(0, None))
    assert f(jnp.ones((1, 2)), 3.0).tolist() == [[3, 3]]
    power = fdl.pmap(lambda x, n: x**n, static_broadcasted_argnums=1)
    assert power(jnp.full((1, 2), 2.0), 3).tolist() == [[8, 8]]
    mesh = fdl.make_mesh((1, 1), ("i", "j"))
    both = fdl.shard_map(
        lambda x: {"mean": lax.pmean(lax.pmean(x, "i"), "j"), "place": lax.axis_index("j")},
        mesh=mesh, in_specs=fdl.P("i"), out_specs=fdl.P(),
    )  # fmt: skip
    found = fdl.jit(both)(jnp.arange(3.0))
    assert found["mean"].tolist() == [0, 1, 2] and found["place"] == 0
    assert fdl.grad(lambda x: both(x)["mean"].sum())(jnp.ones(2)).tolist() == [1, 1]
    swapped = fdl.vmap(lambda x: lax.pswapaxes(x, "i", 0), axis_name="i")(jnp.arange(4).reshape(2, 2))
    assert swapped.tolist() == [[0, 2], [1, 3]]


def test_functions_of_trees_as_functions_of_leaves():
    leaves, tree = fdl.tree_util.tree_flatten((({"a": 1.0, "b": 2.0},), {"c": 3.0}))
    flat, out_tree = api_util.flatten_fun(linear_util.wrap_init(lambda x, c: (x["a"] + c, [x["b"]])), tree)
    with pytest.raises(StateError, match="nothing has been stored"):
        out_tree()
    assert flat.call_wrapped(*leaves) == [4.0, 2.0]
    assert fdl.tree_util.tree_unflatten(out_tree(), "xy") == ("x", ["y"])
    with pytest.raises(StateError, match="written once"):
        flat.call_wrapped(*leaves)
    with pytest.raises(StructureError, match="lists of 1, 2"):
        api_util.safe_map(max, [1], [1, 2])

    @linear_util.transformation
    def scaled(factor, *args):
        found = yield tuple(factor * x for x in args), {}
        yield found + 1

    twice = scaled(scaled(linear_util.wrap_init(lambda x, power: x**power, {"power": 2}), 3), 2)
    assert twice.call_wrapped(1) == 38


def test_which_transforms_run():
    state = core.get_opaque_trace_state()
    seen = []

    def f(x):
        seen.append(core.get_opaque_trace_state() == state)
        with core.take_current_trace() as taken:
            seen.append(core.get_opaque_trace_state() == state)
            with core.set_current_trace(taken):
                return x * 2

    assert float(fdl.grad(f)(1.0)) == 2 and seen == [False, True]
    graph = fdl.make_jaxpr(lambda x: (x, x + 1))(jnp.ones(2))
    assert isinstance(graph, core.Jaxpr)
    assert [y.tolist() for y in core.jaxpr_as_fun(graph)(jnp.zeros(2))] == [[0, 0], [1, 1]]


def test_a_choice_as_older_programs_write_it():
    assert float(lax.cond(True, lambda x: x + 1, lambda x: x - 1, operand=3.0)) == 4
    assert lax.cond(False, lambda x: 1, lambda x: 2, operand=None) == 2
    assert float(lax.cond(False, 1.0, lambda a: a, 2.0, lambda b: b * 10)) == 20


def test_zeros_like_what_has_a_shape_and_a_dtype():
    like = fdl.eval_shape(lambda x: x.sum(0), jnp.ones((2, 3)))
    assert (
        jnp.zeros_like(like).tolist() == [0, 0, 0]
        and jnp.ones_like(fdl.ShapeDtypeStruct((1,), "int32")).dtype == "int32"
    )


def test_trees_are_folded_from_a_first_value():
    assert fdl.tree.reduce(lambda a, b: f"{a}{b}", [1, 2], "x") == fdl.tree.reduce(
        str.__add__, ["1", "2"], initializer="x"
    )
    assert fdl.tree.reduce(max, [], 7) == 7


PROGRAM = """
import dataclasses, importlib.metadata, jax, jax.numpy as jnp
@dataclasses.dataclass
class Held:
    x: object
made = jax.tree.map(lambda x: Held(x), [1, 2])
print(jax.tree.map(lambda h: h.x + 1, made), jax.__version_info__ >= (0, 10), jax.version.__version__)
print(importlib.metadata.version("jax") == jax.__version__)
import jax._src.traceback_util, jax.extend.core
from jax._src.flatten_util import ravel_pytree
print(ravel_pytree({"a": jnp.ones(2)})[0].tolist(), jax.dtypes.issubdtype(jnp.ones(1).dtype, jax.dtypes.prng_key))
"""


def test_in_jaxs_place_dataclasses_are_leaves(tmp_path):
    (tmp_path / "script.py").write_text(PROGRAM)
    command = [sys.executable, "-m", "fdl", str(tmp_path / "script.py")]
    found = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert found.stdout.splitlines() == ["[2, 3] True 0.10.2", "True", "[1.0, 1.0] False"], found.stderr

    @dataclasses.dataclass
    class Held:
        x: float

    assert fdl.tree.map(lambda x: x + 1, Held(1)) == Held(2)


@pytest.mark.parametrize("dtype, tolerance", [("float32", 1e-5), ("float64", 1e-12)])
@pytest.mark.parametrize("n", [1, 2, 3, 4, 7])
def test_cosine_transforms_by_their_matrix(n, dtype, tolerance):
    x = np.random.default_rng(n).standard_normal((2, n)).astype(dtype)
    places = np.arange(n)
    matrix = 2 * np.cos(np.pi * places[:, None] * (2 * places + 1) / (2 * n))
    scale = np.where(places == 0, np.sqrt(1 / (4 * n)), np.sqrt(1 / (2 * n)))[:, None]
    for norm, m in ((None, matrix), ("ortho", matrix * scale)):
        found = fft.dct(jnp.asarray(x), norm=norm)
        assert found.dtype == dtype
        np.testing.assert_allclose(found, x @ m.T, atol=tolerance * n)
        np.testing.assert_allclose(fft.idct(jnp.asarray(x), norm=norm), x @ np.linalg.inv(m).T, atol=tolerance * n)
        np.testing.assert_allclose(fft.dct(jnp.asarray(x.T), axis=0, norm=norm), (x @ m.T).T, atol=tolerance * n)
    np.testing.assert_allclose(fft.idctn(fft.dctn(jnp.asarray(x))), x, atol=tolerance * n)


def test_cosine_transforms_of_other_sizes_and_what_is_refused():
    x = jnp.arange(1.0, 5.0)
    assert fft.dct(x, n=2).tolist() == fft.dct(x[:2]).tolist()
    np.testing.assert_allclose(fft.dct(x, n=6), fft.dct(jnp.concatenate([x, jnp.zeros(2)])), atol=1e-5)
    np.testing.assert_allclose(fft.dctn(jnp.ones((2, 3, 4)), s=(3, 2)).shape, (2, 3, 2))
    assert fft.dct(jnp.array([1, 2])).dtype == "float32"
    jacobian = fdl.jit(fdl.jacobian(fft.dct))(x)
    np.testing.assert_allclose(linalg.solve(jacobian, fft.dct(x)), x, rtol=1e-4)
    for given in ({"type": 3}, {"norm": "forward"}, {"n": 0}):
        with pytest.raises(ChoiceError, match="dct"):
            fft.dct(x, **given)
    with pytest.raises(ChoiceError, match="1 sizes for 2 axes"):
        fft.dctn(jnp.ones((2, 2)), s=(2,), axes=(0, 1))


def _share(a, b, x):
    """The incomplete beta function of whole orders: a sum of binomials (Abramowitz and Stegun, 26.5.24)."""
    n = a + b - 1
    return math.fsum(math.comb(n, j) * x**j * (1 - x) ** (n - j) for j in range(a, n + 1))


def test_the_incomplete_beta_function():
    for a, b in ((1, 1), (2, 3), (7, 1), (1, 20), (30, 25)):
        for x in (1e-3, 0.2, 0.5, 0.77, 0.999):
            found = float(betainc(np.float64(a), np.float64(b), np.float64(x)))
            assert math.isclose(found, _share(a, b, x), rel_tol=1e-11), (a, b, x)
            assert math.isclose(float(betainc(a, b, x)), _share(a, b, x), rel_tol=2e-6, abs_tol=1e-30)
    # mpmath, 30 digits
    for a, b, x, want in (
        (0.5, 0.5, 0.3, 0.369010119565545), (0.01, 400.0, 1e-4, 0.973456595955856),
        (1e3, 2e3, 0.33, 0.350632676134183), (2.5, 1e-2, 0.9, 0.0116781271649929),
    ):  # fmt: skip
        assert math.isclose(float(betainc(*map(np.float64, (a, b, x)))), want, rel_tol=1e-11), (a, b, x)
    edges = betainc(jnp.array([2.0, 2.0, 2.0, 2.0, -1.0, jnp.nan]), 3.0, jnp.array([0.0, 1.0, -0.1, 1.1, 0.5, 0.5]))
    np.testing.assert_array_equal(edges, [0, 1, np.nan, np.nan, np.nan, np.nan])
    assert betainc(jnp.zeros((0, 2)), 1.0, 0.5).shape == (0, 2)
    by_all = fdl.jit(fdl.grad(betainc, argnums=(0, 1, 2)))(np.float64(2), np.float64(3), np.float64(0.4))
    # the last one is the density 12 x (1 - x)^2; the others are mpmath's
    np.testing.assert_allclose(by_all, [-0.24086937608756, 0.156344336413599, 1.728], rtol=1e-9)
