"""Reading and writing by indices: values recorded from JAX, and the one rule about indices out of bounds."""

import json
import math
import subprocess
import sys

import numpy as np
import pytest

import fdl
import fdl.numpy as jnp
from fdl import lax, nn
from fdl.core.config import config
from fdl.core.errors import ChoiceError, DeferredError, IndexBoundsError, TracedValueError
from fdl.testing.tolerances import TABLE
from tests.conftest import ROOT, needs_compiler
from tests.faces.indexing_cases import CASES, FILE, OUTSIDE, names

A, V, M = jnp.array, jnp.array([4.0, 6.0, 5.0]), jnp.arange(12.0).reshape(3, 4)


def differences(values):
    """Cases whose dtype, shape or value differs from what was recorded."""
    found = []
    for case, value in values.items():
        dtype, shape, numbers = RECORDED[case]
        rtol, atol = TABLE.get(dtype, (0, 0))
        value = np.asarray(value)
        want = np.array([float(v) if isinstance(v, str) else v for v in numbers]).reshape(shape)
        exact = value.dtype.name == dtype and list(value.shape) == shape
        if not exact or not np.allclose(value.astype(np.float64), want.astype(np.float64), rtol, atol, equal_nan=True):
            found.append((case, value.dtype.name, value.tolist(), dtype, numbers))
    return found


RECORDED = json.loads(FILE.read_text())


def test_values_are_those_recorded_from_jax():
    config.tier = "interpreted"
    assert list(RECORDED) == list(CASES)
    scope = names(fdl, jnp, lax, nn)
    assert not differences({case: eval(case, scope) for case in RECORDED})


@needs_compiler
def test_compiled_values_are_those_recorded_from_jax():
    config.tier = "compiled"
    scope = names(fdl, jnp, lax, nn)
    cases = [case for case in RECORDED if "X > " not in case and "bool)" not in case][::4]
    values = fdl.jit(lambda: [eval(case, scope) for case in cases])()  # one program, so one start of the compiler
    assert not differences(dict(zip(cases, values, strict=True)))


@pytest.mark.peers
@pytest.mark.filterwarnings("ignore")
def test_recorded_values_are_those_of_jax():
    jax = pytest.importorskip("jax", reason="JAX is not installed")
    scope = names(jax, jax.numpy, jax.lax, jax.nn)
    assert not differences({case: eval(source, scope) for case, source in list(CASES.items())[::40]})


UNCHECKED = [
    "V[10]", "V[-5]", f"V[{OUTSIDE}]", f"M[1, {OUTSIDE}]", "M[3, 1]", f"V.at[{OUTSIDE}].get()",
    f"jnp.take(V, {OUTSIDE})", "jnp.take(M, A([12]))",
    f"jnp.take_along_axis(V, {OUTSIDE}, 0)",
    *(f"V.at[{i}].{op}(2.0)" for i in (OUTSIDE, "10", "-5") for op in ("set", "add", "multiply", "min", "max", "divide",
        "power")),
    "V.at[A([9, 1])].apply(jnp.square)", "grad(lambda x: x[A([5, 0])].sum())(V)", "vmap(lambda i: V[i])(A([5, 0]))",
    "V.at[A([-1])].set(1.0, wrap_negative_indices=False)",
    "vmap(lambda x, i: x.at[i].set(1.0))(M, A([5, 0, -9]))", "vmap(grad(lambda x, i: x[i]), (None, 0))(V, A([0, 5]))",
    "jvp(lambda x: x[A([5])], (V,), (V,))[0]",
    "grad(lambda x, i: x[i].sum())(V, A([5]))", "jit(lambda x: x[A([5])])(V)",
]  # fmt: skip


@pytest.mark.parametrize("case", UNCHECKED)
def test_an_index_with_a_value_raises_at_the_line(case):
    with pytest.raises(IndexBoundsError, match="out of bounds for axis"):
        eval(case, names(fdl, jnp, lax, nn))


def test_a_branch_that_is_not_taken_reads_nothing():
    guarded = lambda i, n: lax.cond(i < n, lambda: V[i], lambda: 0.0)
    for given in (jnp.arange(5), A(np.arange(5)), A([0, 1, 2, 3, 4]) + 0):
        assert fdl.vmap(lambda i: guarded(i, 3))(given).tolist() == [4.0, 6.0, 5.0, 0.0, 0.0]
        with pytest.raises(IndexBoundsError):
            fdl.vmap(lambda i: guarded(i, 4))(given).tolist()
    outside = A([7])
    assert lax.cond(outside[0] < 3, lambda: V[outside], lambda: jnp.zeros(1)).tolist() == [0.0]
    assert fdl.grad(lambda x: lax.cond(outside[0] < 3, lambda: x[outside].sum(), lambda: x.sum()))(V).tolist() == [
        1.0,
        1.0,
        1.0,
    ]
    assert lax.while_loop(lambda c: c < 0, lambda c: c + V[outside].sum(), 1.0).tolist() == 1.0
    for f in (
        lambda: lax.cond(outside[0] > 3, lambda: V[outside], lambda: jnp.zeros(1)),
        lambda: lax.while_loop(lambda c: c < 3, lambda c: c + V[outside].sum(), 1.0),
    ):
        with pytest.raises(IndexBoundsError):
            f().tolist()


def test_labels_of_cross_entropy_follow_the_rule():
    logits, labels = jnp.zeros((2, 3)), A([0, 3])
    for f in (nn.cross_entropy, nn.softmax_cross_entropy, fdl.vmap(nn.softmax_cross_entropy)):
        with pytest.raises(IndexBoundsError, match="cross_entropy: index 3 is out of bounds"):
            f(logits, labels)
    with pytest.raises(IndexBoundsError):
        fdl.grad(nn.cross_entropy)(logits, labels)
    losses = fdl.jit(nn.softmax_cross_entropy)(logits, A([-1, 3])).tolist()
    assert losses[0] == pytest.approx(math.log(3)) and math.isnan(
        losses[1]
    )  # as optax.softmax_cross_entropy_with_integer_labels


def test_a_pending_index_raises_when_it_is_computed():
    for read in (
        lambda i: V[i],
        lambda i: jnp.take(V, i),
        lambda i: V.at[i].add(1.0),
        lambda i: fdl.vmap(lambda k: V[k])(i),
        lambda i: fdl.grad(lambda x: x[i].sum())(V),
    ):
        before = V * 2
        result = read(A([1, 2]) + 5)  # nothing is computed yet
        after = result + 1
        with pytest.raises(IndexBoundsError, match=r"index [68] is out of bounds for axis 0 of size 3"):
            after.tolist()
        assert before.tolist() == [8.0, 12.0, 10.0]
        with pytest.raises(DeferredError):
            result.tolist()
    assert V[A([1, 2]) - 3].tolist() == [6.0, 5.0]


def test_the_recorded_program_and_the_line_agree_inside():
    rng = np.random.default_rng(5)
    functions = [
        lambda x, i: x[i], lambda x, i: jnp.take(x, i, axis=0), lambda x, i: x.at[i].set(2.0), lambda x,
        i: x.at[i].multiply(x[i] + 1),
        lambda x, i: x.at[i, -1].min(0.25), lambda x, i: jnp.take_along_axis(x, i[:, None], 0), lambda x,
        i: x.at[i].add(x[i]), lambda x, i: x.at[i].apply(jnp.cos),
    ]  # fmt: skip
    x, i = jnp.asarray(rng.normal(size=(5, 3)).astype("f")), jnp.asarray(rng.integers(-5, 5, 7))
    everything = lambda x, i: [f(x, i) for f in functions]
    total = lambda g: fdl.grad(lambda x: sum([(out**2).sum() for out in g(x, i)]))(x)
    for got, want in zip(
        [*fdl.jit(everything)(x, i), total(fdl.jit(everything))], [*everything(x, i), total(everything)], strict=True
    ):
        np.testing.assert_allclose(np.asarray(got), np.asarray(want), rtol=1e-5, atol=1e-6)


def test_checks_are_switched_off_by_the_setting(monkeypatch):
    monkeypatch.setattr(config, "checks", False)
    scope = names(fdl, jnp, lax, nn)
    values = [
        eval(case, scope)
        for case in (
            "V[10]",
            "V[-5]",
            "jnp.take(V, A([7]))",
            "V.at[10].set(1.0)",
            "V.at[A([5, 1])].add(1.0)",
            "M[3, 1]",
        )
    ]
    assert [np.asarray(v).tolist() for v in values[:2]] == [5.0, 4.0] and math.isnan(values[2].tolist()[0])
    assert [v.tolist() for v in values[3:]] == [[4.0, 6.0, 5.0], [4.0, 7.0, 5.0], 9.0]
    assert fdl.vmap(lambda i: V[i])(A([5, 0])).tolist() == [5.0, 4.0]


RECORDINGS = [
    "jit(lambda x, i: x[i])(V, 10)", "jit(lambda x, i: x[i])(V, -4)",
    "jit(lambda x, i: x.at[i].set(1.0))(V, A([0, 3]))", "jit(lambda x, i: x.at[i].multiply(2.0))(V, 3)",
    "jit(lambda x, i: jnp.take(x, i))(V, A([7]))", "jit(lambda x, i: jnp.take_along_axis(x, i, 0))(V, A([-9]))",
    "jit(vmap(lambda x, i: x[i]))(M, A([0, 5, 1]))",
    "vmap(jit(lambda x, i: x.at[i].add(1.0)))(M, A([0, 5, 1]))", "jit(grad(lambda x, i: x[i].sum()))(V, A([0, 5]))",
    "lax.fori_loop(0, 4, lambda i, c: c + V[i], 0.0)",
    "lax.scan(lambda c, i: (c.at[i].set(0.0), c[0]), V, A([1, 5, 0]))[0]",
    "lax.cond(True, lambda i: V[i], lambda i: V[0], 5)", "jit(nn.cross_entropy)(M, A([0, 4, 1]))",
]  # fmt: skip


@pytest.mark.parametrize("tier", ["interpreted", pytest.param("compiled", marks=needs_compiler)])
def test_checks_of_recordings_are_switched_on_by_the_setting(monkeypatch, tier):
    config.tier = tier
    scope = names(fdl, jnp, lax, nn)
    for case in RECORDINGS if tier == "interpreted" else RECORDINGS[::4]:
        np.asarray(eval(case, scope))  # raises nothing by itself
        with monkeypatch.context() as patch:
            patch.setattr(config, "checks", True)
            with pytest.raises(IndexBoundsError, match="out of bounds for axis"):
                np.asarray(eval(case, scope))
    monkeypatch.setattr(config, "checks", True)
    assert fdl.jit(lambda x, i: x.at[i].get(mode="clip"))(V, 10).tolist() == 5.0
    assert fdl.jit(lambda x, i: x.at[i].add(1.0, mode="drop"))(V, A([-9, 1])).tolist() == [4.0, 7.0, 5.0]
    assert fdl.jit(lambda x, i: x[i])(V, A([-3, 2])).tolist() == [4.0, 5.0]


@pytest.mark.parametrize(("text", "fails"), [("", True), ("0", False), ("1", True)])
def test_the_environment_switches_checks(text, fails):
    code = "import fdl.numpy as jnp; print(jnp.arange(3)[jnp.array([7])].tolist())"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={"PATH": "", "HOME": str(ROOT), "FDL_CHECKS": text, "FDL_TIER": "interpreted"},
    )
    assert (
        (done.returncode != 0) == fails
        and ("IndexBoundsError" in done.stderr) == fails
        and (fails or done.stdout == "[2]\n")
    )


def test_modes_and_masks_and_slices_that_cannot_be():
    for f in (
        lambda: jnp.take(V, 1, mode="raise"),
        lambda: V.at[1].get(mode="nearest"),
        lambda: V.at[1].set(0, mode="nearest"),
        lambda: jnp.take_along_axis(V, A([0]), 0, mode="x"),
    ):
        with pytest.raises(ChoiceError, match="is none of fill, drop, clip, wrap, promise_in_bounds"):
            f()
    for index in (
        A([True, False]),
        (slice(None), A([True, False])),
        jnp.ones((2, 4), bool),
        (Ellipsis, jnp.ones((3,), bool)),
        A([True] * 4),
        jnp.ones((3, 5), bool),
    ):
        with pytest.raises(IndexError, match="mask of shape"):
            M[index]
        with pytest.raises(IndexError, match="mask of shape"):
            M.at[index].set(0.0)
    for index in (1.0, A(1.0), A([]), np.array([]), np.float32(1), "a", A([1.0])):
        with pytest.raises(TypeError, match="an index"):
            V[index]
    for index in (A([0.0]), A([True])):
        with pytest.raises(TypeError, match="an index must be integers"):
            jnp.take(V, index)
    for index in ((0, 0), (Ellipsis, Ellipsis), (A([0]), A([0]))):
        with pytest.raises(IndexError):
            V[index]
    with pytest.raises(TracedValueError, match="dynamic_slice_in_dim"):
        fdl.jit(lambda i: V[i:])(1)
    for f in (
        lambda: lax.index_in_dim(V, 7),
        lambda: lax.index_in_dim(V, -4),
        lambda: jnp.take(jnp.zeros((0,)), A([0])),
        lambda: fdl.jit(jnp.take)(jnp.zeros((0,)), A([0])),
    ):
        with pytest.raises(IndexError):
            f()
    with pytest.raises(TypeError, match="bools cannot be subtracted"):
        (V > 5).at[0].subtract(True)


def test_an_ellipsis_without_axes_sets_arrays_apart_as_in_numpy():
    x, i = np.arange(24.0).reshape(4, 2, 3), np.array([[1], [0]])
    for index in (
        (slice(None), i, Ellipsis, i),
        (slice(None), i, i, Ellipsis),
        (None, i, 0, Ellipsis, 1),
        (Ellipsis, 1, i, i),
        (None, 1, Ellipsis, i, i),
        (slice(1), 1, ..., i),
    ):
        np.testing.assert_array_equal(np.asarray(jnp.asarray(x)[index]), x[index])
        changed = x.copy()
        changed[index] = 7.0
        np.testing.assert_array_equal(np.asarray(jnp.asarray(x).at[index].set(7.0)), changed)


def test_small_index_dtypes_name_what_they_cannot_count():
    table = jnp.arange(300)
    for dtype, index in (("uint8", 255), ("int8", -1), ("int16", -300), ("uint64", 299), ("int64", -2)):
        i = A([index], dtype=dtype)
        place = index % 300
        assert table[i].tolist() == [place] == jnp.take(table, i, mode="fill").tolist()
        assert table.at[i].set(-1)[place].tolist() == -1 and table.at[i].multiply(-1)[place].tolist() == -place
        assert fdl.jit(lambda i: table[i])(i).tolist() == [place]
        assert lax.dynamic_slice(table, (i[0],), (1,)).tolist() == [place]
        assert fdl.vmap(lambda i: lax.dynamic_slice(table, (i,), (1,)))(i).tolist() == [[place]]
        assert jnp.nonzero(nn.one_hot(i, 300))[1].tolist() == ([index] if index >= 0 else [])
    assert fdl.jit(lambda i: table[i])(A([2**63 + 5], dtype="uint64")).tolist() == [299]
    assert fdl.jit(lambda i: table[i])(A([2**40, -(2**40)], dtype="int64")).tolist() == [299, 0]


def test_many_duplicates_fold_in_order_on_any_number_of_threads():
    rng = np.random.default_rng(1)
    i, v = rng.integers(0, 50, 4000), rng.uniform(0.9, 1.1, (4000, 8)).astype("f")
    ufuncs = {"multiply": np.multiply, "min": np.minimum, "max": np.maximum, "add": np.add}
    for op, ufunc in ufuncs.items():
        want = np.ones((50, 8), "f")
        ufunc.at(want, i, v)
        got = np.asarray(
            fdl.jit(lambda x, i, v, op=op: getattr(x.at[i], op)(v))(jnp.ones((50, 8)), jnp.asarray(i), jnp.asarray(v))
        )
        np.testing.assert_allclose(got, want, rtol=2e-5)
    place = rng.integers(0, 5, 60)
    x, u = rng.uniform(0.5, 1.5, 5), rng.uniform(0.5, 1.5, 60)
    x, u = jnp.asarray(x), jnp.asarray(u)
    gradient = np.asarray(fdl.grad(lambda u: jnp.log(x.at[A(place)].multiply(u)).sum())(u))
    np.testing.assert_allclose(gradient, 1 / np.asarray(u), rtol=1e-10)  # d log(prod u) = 1/u
