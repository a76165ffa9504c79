"""Python functions that programs call: when, with what, and in which order."""

import numpy as np
import pytest

import fdl
import fdl.numpy as jnp
from fdl import debug, lax
from fdl.callbacks import io_callback, pure_callback
from fdl.core.config import config
from fdl.core.errors import ChoiceError, CompileError, MissingRuleError, ShapeError

SEEN = []
FLOAT = fdl.ShapeDtypeStruct((), "float32")


@pytest.fixture(autouse=True)
def _nothing_seen():
    SEEN.clear()


def look(x):
    debug.callback(lambda v: SEEN.append(v.tolist()), x)
    return x


def f(x):
    return look(x) * x


def loop(x):
    return lax.scan(lambda c, _: (f(c), None), x, None, length=3)[0]


def until(x):
    return lax.while_loop(lambda c: c < 20, lambda c: look(c) * 2, x)


def branch(x):
    return lax.cond(x > 1, f, lambda x: x, x)


# (function, argument, result, what is seen)
CALLS = {
    "plain": (f, 3.0, 9.0, [3.0]),
    "grad": (fdl.grad(f), 3.0, 6.0, [3.0]),
    "vmap": (fdl.vmap(f), np.arange(3, dtype=np.float32), [0.0, 1.0, 4.0], [0.0, 1.0, 2.0]),
    "vmap of grad": (fdl.vmap(fdl.grad(f)), np.arange(2, dtype=np.float32), [0.0, 2.0], [0.0, 1.0]),
    "scan": (loop, 2.0, 256.0, [2.0, 4.0, 16.0]),
    "grad of scan": (fdl.grad(loop), 2.0, 1024.0, [2.0, 4.0, 16.0]),
    "while": (until, 2.0, 32.0, [2.0, 4.0, 8.0, 16.0]),
    "branch": (branch, 2.0, 4.0, [2.0]),
    "other branch": (branch, 0.5, 0.5, []),
    "grad of branch": (fdl.grad(branch), 2.0, 4.0, [2.0]),
    "whole array": (look, np.ones(2, np.float32), [1.0, 1.0], [[1.0, 1.0]]),
}


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("name", CALLS)
def test_each_run_of_a_line_is_seen_once(name, compiled):
    function, x, result, seen = CALLS[name]
    function = fdl.jit(function) if compiled else function
    for _ in range(3):
        SEEN.clear()
        assert np.asarray(function(x)).tolist() == result
        assert seen == SEEN


def test_print(capsys):
    fdl.jit(lambda x: debug.print("{} and {x:.2f}", jnp.arange(2), x=x) or x)(1.5)
    debug.print("plain {}", 1)
    assert capsys.readouterr().out == "[0 1] and 1.50\nplain 1\n"


def sine(x, method=None):
    return pure_callback(np.sin, FLOAT, x, vmap_method=method)


def test_pure_callbacks():
    for g in (sine, fdl.jit(sine)):
        assert float(g(0.5)) == pytest.approx(np.sin(0.5)) and g(0.5).dtype == "float32"
    x = np.linspace(0, 1, 3, dtype=np.float32)
    for method in ("sequential", "sequential_unrolled", "expand_dims", "broadcast_all", "legacy_vectorized"):
        for g in (fdl.vmap(lambda x, m=method: sine(x, m)), fdl.jit(fdl.vmap(lambda x, m=method: sine(x, m)))):
            np.testing.assert_allclose(g(x), np.sin(x), rtol=1e-6)


@pytest.mark.parametrize("method, shapes", [("expand_dims", [(3,), (1,)]), ("broadcast_all", [(3,), (3,)])])
def test_what_mapped_callbacks_are_given(method, shapes):
    def g(a, b):
        SEEN.append([a.shape, b.shape])
        return np.broadcast_to(a + b, (3,))

    lanes = fdl.vmap(lambda x, y: pure_callback(g, FLOAT, x, y, vmap_method=method), (0, None))
    assert lanes(jnp.arange(3.0), 1.0).tolist() == [1.0, 2.0, 3.0] and [shapes] == SEEN


def test_trees_and_dtypes():
    types = {"a": fdl.ShapeDtypeStruct((2,), "int32"), "b": FLOAT}
    out = pure_callback(lambda t, k: {"a": t["x"] + k, "b": 1}, types, {"x": np.arange(2)}, k=3)
    assert out["a"].tolist() == [3, 4] and (out["a"].dtype, out["b"].dtype) == ("int32", "float32")


def test_mistakes():
    with pytest.raises(MissingRuleError, match="no derivative"):
        fdl.grad(sine)(1.0)
    with pytest.raises(MissingRuleError, match="vmap_method"):
        fdl.vmap(sine)(jnp.arange(3.0))
    with pytest.raises(ChoiceError, match="vmap_method='rows'"):
        sine(1.0, "rows")
    with pytest.raises(ShapeError, match=r"returned an array of shape \(\), float32\[2\] was said"):
        pure_callback(np.sin, fdl.ShapeDtypeStruct((2,), "float32"), 1.0)
    with pytest.raises(ZeroDivisionError):
        fdl.jit(lambda x: pure_callback(lambda v: 1 // 0, FLOAT, x))(1.0)
    config.tier = "compiled"
    with pytest.raises(CompileError, match="calls a Python function"):
        fdl.jit(sine)(1.0)


def test_io_callbacks_run_though_nobody_reads_them():
    def g(x):
        io_callback(lambda v: SEEN.append(v.item()) or np.float32(0), FLOAT, x)
        io_callback(lambda v: SEEN.append(-v.item()), None, x, ordered=True)
        return x

    fdl.jit(g)(2.0)
    assert SEEN == [2.0, -2.0]


def test_callbacks_of_loops_run_at_their_line():
    """Outside of `jit` too, and where nothing reads what a loop gives."""
    fdl.vmap(lambda x: (look(x), 1)[1])(jnp.arange(2.0))
    assert SEEN == [0.0, 1.0]
    lax.scan(lambda c, x: (look(c), None), 2.0, None, length=1)
    lax.while_loop(lambda c: c < 4, lambda c: look(c) + 1, 3.0)
    lax.cond(jnp.array(True), look, lambda x: x, 4.0)
    assert SEEN == [0.0, 1.0, 2.0, 3.0, 4.0]


@pytest.mark.parametrize(
    "fmt, args, kwargs, error",
    [
        ("{x} {y}", (), {"x": 1}, KeyError),
        ("{} {}", (1,), {}, IndexError),
        ("{x}", (), {"x": 1, "y": 2}, ChoiceError),
        ("x is 3", (), {"x": 3}, ChoiceError),
        ("hello", (1,), {}, ChoiceError),
    ],
)
def test_formats_take_all_that_is_given(fmt, args, kwargs, error):
    with pytest.raises(error):
        fdl.make_graph(lambda: debug.print(fmt, *args, **kwargs))()


def test_formats_may_look_into_what_they_take(capsys):
    debug.print("{0[0]:.1f} {{}} {t[a]!s:>{n}} {1.shape}", jnp.ones(2), jnp.ones(3), t={"a": 7}, n=4)
    assert capsys.readouterr().out == "1.0 {}    7 (3,)\n"
