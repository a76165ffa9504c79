"""Classic mistakes under transforms: each raises its class, with the facts, the user's line and a way out, on arrays
and on tensors.
"""

import math
import subprocess
import sys
import textwrap

import numpy as np
import pytest

import fdl
import fdl.numpy as jnp
import fdl.stateful as torch
from fdl import lax
from fdl.core.errors import (
    ChoiceError,
    DtypeError,
    ImmutableError,
    LeakedTracerError,
    MissingAttributeError,
    ShapeError,
    StateError,
    StructureError,
    TracedBoolError,
    TracedMaskError,
    TracedValueError,
)

X, T = jnp.arange(3.0), torch.arange(3.0)
KEPT = []


def leak(x):
    KEPT.append(x * 2)
    return x


fdl.jit(leak)(1.0)


def branch(x):
    if x.sum() > 0:
        return x
    return -x


def wait(x):
    while x.sum() > 0:
        x = x - 1
    return x


# what asks for a value: the functions for arrays and for tensors (None where that is no mistake), the class, and words
VALUES = {
    "if": (branch, branch, TracedBoolError, "`if x.sum() > 0`"),
    "while": (wait, wait, TracedBoolError, "`while x.sum() > 0`"),
    "ternary": (lambda x: 1 if x.sum() > 0 else 2, lambda x: 1 if x.sum() > 0 else 2, TracedBoolError, "`if x`"),
    "and": (lambda x: x.sum() > 0 and x, lambda x: x.sum() > 0 and x, TracedBoolError, "bool[]"),
    "not": (lambda x: not x.sum(), lambda x: not x.sum(), TracedBoolError, "float32[]"),
    "float": (lambda x: float(x.sum()), lambda x: float(x.sum()), TracedValueError, "float32[]"),
    "int": (lambda x: int(x.sum()), lambda x: int(x.sum()), TracedValueError, "float32[]"),
    "item": (lambda x: x.sum().item(), lambda x: x.sum().item(), TracedValueError, "x.item()"),
    "tolist": (lambda x: x.tolist(), lambda x: x.tolist(), TracedValueError, "x.tolist()"),
    "asarray": (np.asarray, lambda x: np.asarray(x.sum()), TracedValueError, "needs a value"),
    "numpy": (None, lambda x: x.numpy(), TracedValueError, "x.numpy()"),
    "math": (lambda x: math.sin(x.sum()), lambda x: math.sin(x.sum()), TracedValueError, "needs a value"),
    "range": (
        lambda x: list(range(x.sum().astype(int))),
        lambda x: list(range(x.sum().long())),
        TracedValueError,
        "int",
    ),
    "list index": (
        lambda x: [1, 2, 3, 4][x.sum().astype(int)],
        lambda x: [1, 2, 3, 4][x.sum().long()],
        TracedValueError,
        "needs a value",
    ),
    "size": (lambda x: jnp.zeros(x.sum().astype(int)), None, TracedValueError, "a size"),
    "identity": (lambda x: jnp.eye(x.sum().astype(int)), None, TracedValueError, "a size"),
    "mask": (lambda x: x[x > 0], lambda x: x[x > 0], TracedMaskError, "x[mask]"),
    "nonzero": (lambda x: jnp.nonzero(x), lambda x: x.nonzero(), TracedValueError, "needs a value"),
    "slice": (lambda x: x[: x.sum().astype(int)], None, TracedMaskError, "x[start:stop]"),
    "format": (lambda x: f"{x.sum():.2f}", lambda x: f"{x.sum():.2f}", TracedValueError, "needs a value"),
    "np.where": (
        lambda x: np.where(x > 0, 1, 0),
        lambda x: np.where((x > 0).numpy(), 1, 0),
        TracedValueError,
        "needs a value",
    ),
}
ROWS = {
    "jit": (fdl.jit, X, T),
    "vmap": (fdl.vmap, jnp.ones((2, 3)), torch.ones(2, 3)),
    "func.vmap": (torch.func.vmap, None, torch.ones(2, 3)),
}


@pytest.mark.parametrize("what", VALUES)
@pytest.mark.parametrize("how", ROWS)
def test_values_of_what_is_traced(what, how):
    on_array, on_tensor, error, words = VALUES[what]
    transform, array, tensor = ROWS[how]
    name = "jit(" if how == "jit" else "vmap("
    for f, x in ((on_array, array), (on_tensor, tensor)):
        if f is None or x is None:
            continue
        with pytest.raises(error) as caught:
            transform(f)(x)
        message = str(caught.value)
        assert words in message
        assert f"inside {name}" in message
        assert (
            "records the program once" if how == "jit" else "computes all lanes at once"
        ) in message or "the size of the result" in message
        assert "try:" in message
        assert "at:  test_mistakes.py" in message


@pytest.mark.parametrize("what", VALUES)
def test_values_are_there_where_only_derivatives_are_followed(what):
    """Under grad, as in JAX without jit, values are known: Python may branch on them, print them and
    index with them.
    """
    on_array, on_tensor, _, _ = VALUES[what]
    if on_array is not None:
        fdl.grad(lambda x: (on_array(x), (x * x).sum())[1])(X)
        fdl.hessian(lambda x: (on_array(x), (x * x).sum())[1])(X)
    if on_tensor is not None:
        fdl.grad(lambda x: (on_tensor(x), (x * x).sum())[1])(T)
        torch.func.grad(lambda x: (on_tensor(x), (x * x).sum())[1])(T)


@pytest.mark.parametrize("transform", [fdl.grad, torch.func.grad], ids=["grad", "func.grad"])
def test_print_shows_values_under_grad(transform, capsys):
    transform(lambda x: (print(x), (x * x).sum())[1])(X if transform is fdl.grad else T)
    assert capsys.readouterr().out.strip() in ("[0. 1. 2.]", "tensor([0., 1., 2.])")


@pytest.mark.parametrize("x", [X, T], ids=["array", "tensor"])
def test_print_says_what_it_is_where_there_is_no_value(x, capsys):
    fdl.jit(lambda x: (print(x), x)[1])(x)
    fdl.vmap(lambda x: (print(x), x)[1])(x)
    out = capsys.readouterr().out
    assert "float32[3] in jit(<lambda>)" in out
    assert "float32[] in vmap(<lambda>)" in out


def test_the_transform_that_hides_the_value_is_named():
    with pytest.raises(TracedBoolError, match=r"jit\(.*records the program once"):
        fdl.jit(fdl.grad(lambda x: branch(x).sum()))(X)
    with pytest.raises(TracedBoolError, match="computes all lanes"):
        fdl.vmap(fdl.grad(lambda x: branch(x).sum()))(jnp.ones((2, 3)))


def test_a_mistake_spoils_nothing_after_it():
    for f in (
        lambda x: jnp.eye(x.astype(int)),
        lambda x: jnp.linspace(0, 1, x.astype(int)),
        lambda x: jnp.repeat(X, x.astype(int)),
        lambda x: X.sum(axis=x.astype(int)),
    ):
        with pytest.raises((TracedValueError, ShapeError)):
            fdl.vmap(f)(X)
        assert float(fdl.grad(lambda x: x.sum())(X).sum()) == 3


def custom(fwd, bwd):
    f = fdl.custom_vjp(lambda x, y: x * y)
    f.defvjp(fwd, bwd)
    return f


def ruled(*rules):
    f = fdl.custom_jvp(lambda x, y: x * y)
    f.defjvps(*rules)
    return f


MISTAKES = {
    "a leaked value": (lambda: KEPT[0] + 1, LeakedTracerError, "left jit(leak), made at test_mistakes.py"),
    "a leaked value under jit": (
        lambda: fdl.jit(lambda x: x + KEPT[0])(1.0),
        LeakedTracerError,
        "return it from the function",
    ),
    "a leaked value under grad": (lambda: fdl.grad(lambda x: x * KEPT[0])(1.0), LeakedTracerError, "float32[]"),
    "a leaked value as an argument": (lambda: fdl.jit(lambda x: x)(KEPT[0]), LeakedTracerError, "left jit(leak)"),
    "an item is set": (lambda: X.__setitem__(0, 1.0), ImmutableError, "x.at[i].set(v)"),
    "an item is set under jit": (lambda: fdl.jit(lambda x: x.__setitem__(0, 1.0))(X), ImmutableError, "x.at[i].set(v)"),
    "an item is deleted": (lambda: X.__delitem__(0), ImmutableError, "x[mask]"),
    "a static list": (
        lambda: fdl.jit(lambda x, n: x, static_argnums=1)(1.0, [1, 2]),
        StructureError,
        "not hashable: n",
    ),
    "a static dict": (
        lambda: fdl.jit(lambda x, n: x, static_argnames="n")(1.0, n={"a": 1}),
        StructureError,
        "a tuple instead of a list",
    ),
    "a static array": (lambda: fdl.jit(lambda x, n: x, static_argnums=1)(1.0, X), StructureError, "not hashable: n"),
    "a static name that is not there": (
        lambda: fdl.jit(lambda x: x, static_argnames="foo"),
        StructureError,
        "no argument 'foo'",
    ),
    "a static number that is not there": (
        lambda: fdl.jit(lambda x: x, static_argnums=5),
        StructureError,
        "no argument 5",
    ),
    "a name for a number": (lambda: fdl.jit(lambda x: x, donate_argnums="x"), StructureError, "no argument 'x'"),
    "trees that differ": (lambda: fdl.tree.map(lambda a, b: a + b, [1, 2], [1]), StructureError, "the trees differ"),
    "an axis too many": (lambda: fdl.vmap(lambda x: x, in_axes=(0, 0))(X), StructureError, "is no prefix"),
    "an axis by name": (
        lambda: fdl.vmap(lambda x: x, in_axes="0")(X),
        StructureError,
        "in_axes has '0' for argument 0 (x)",
    ),
    "an axis that is not there": (lambda: fdl.vmap(lambda x: x, in_axes=1)(X), ShapeError, "which has no axis 1"),
    "a result's axis that is not there": (lambda: fdl.vmap(lambda x: x, out_axes=3)(X), ShapeError, "out_axes has 3"),
    "nothing is mapped": (lambda: fdl.vmap(lambda x: x, in_axes=None)(X), StructureError, "no argument is mapped"),
    "a carry that grows": (
        lambda: lax.scan(lambda c, x: (jnp.stack([c, x]), x), 0.0, X),
        ShapeError,
        "starts as float32[] and becomes float32[2]",
    ),
    "a carry of two": (
        lambda: lax.scan(lambda c, x: ((c, c), x), 0.0, X),
        StructureError,
        "return a carry like the one",
    ),
    "no pair": (lambda: lax.scan(lambda c, x: c + x, 0.0, X), StructureError, "return carry, None"),
    "three values": (lambda: lax.scan(lambda c, x: (c, x, x), 0.0, X), StructureError, "got 3 values"),
    "a loop over a number": (lambda: lax.scan(lambda c, x: (c, x), 0.0, 1.0), ShapeError, "xs=None with length=n"),
    "a condition that is no bool": (lambda: lax.while_loop(lambda c: c, lambda c: c, 1.0), ShapeError, "not one bool"),
    "a loop of more trips than it said": (
        lambda: float(fdl.grad(lambda x: lax.while_loop(lambda c: c < 9, lambda c: c * 2, x, max_trips=2))(1.0)),
        StateError,
        "a larger max_trips",
    ),
    "less than no trip": (
        lambda: lax.while_loop(lambda c: c < 9, lambda c: c * 2, 1.0, max_trips=-1),
        ChoiceError,
        "max_trips=-1",
    ),
    "half a step": (lambda: lax.fori_loop(0, 2.5, lambda i, c: c, 0.0), DtypeError, "a bound is float 2.5"),
    "a predicate of three": (lambda: lax.cond(X > 0, lambda: 1.0, lambda: 2.0), ShapeError, "jnp.where"),
    "branches of other shapes": (lambda: lax.cond(True, lambda: X, lambda: 1.0), ShapeError, "branch"),
    "branches of other trees": (
        lambda: lax.cond(True, lambda: (1.0, 2.0), lambda: 1.0),
        StructureError,
        "the same containers",
    ),
    "values for branches": (lambda: lax.cond(True, 1.0, 2.0), StructureError, "expected a function, got float"),
    "no branch": (lambda: lax.switch(0, []), StructureError, "there is no branch"),
    "an index that is no integer": (lambda: lax.switch(1.0, [lambda: 1.0]), ShapeError, "x.astype(jnp.int32)"),
    "too few cotangents": (
        lambda: fdl.grad(custom(lambda x, y: (x * y, None), lambda r, g: (g,)))(1.0, 2.0),
        StructureError,
        "a tuple of 2 cotangents, got 1",
    ),
    "no tuple of cotangents": (
        lambda: fdl.grad(custom(lambda x, y: (x * y, None), lambda r, g: g))(1.0, 2.0),
        StructureError,
        "got float32[]",
    ),
    "no residuals": (
        lambda: fdl.grad(custom(lambda x, y: x * y, lambda r, g: (g, g)))(1.0, 2.0),
        StructureError,
        "(out, residuals)",
    ),
    "too few rules": (
        lambda: fdl.grad(ruled(lambda t, out, x, y: t * y))(1.0, 2.0),
        StructureError,
        "1 rules for 2 arguments",
    ),
    "what is not linear": (lambda: fdl.linear_transpose(lambda x: x * x, 1.0)(1.0), StructureError, "not linear"),
    "a list as an operand": (lambda: X + [1, 2, 3], DtypeError, "jnp.array(x)"),
    "a list on the left": (lambda: [1, 2, 3] + X, DtypeError, "jnp.array(x)"),
    "None as an operand": (lambda: X * None, DtypeError, "without `return`"),
    "text as an operand": (lambda: X + "1", DtypeError, "add: float32[3] and str"),
    "text as an argument": (lambda: jnp.sin("1"), DtypeError, "got str"),
    "a method of tensors": (lambda: X.detach(), MissingAttributeError, "lax.stop_gradient(x)"),
    "a method of tensors under jit": (
        lambda: fdl.jit(lambda x: x.backward())(1.0),
        MissingAttributeError,
        "fdl.grad(f)(x)",
    ),
    "the length of a number": (lambda: len(jnp.float32(1)), ShapeError, "0-d"),
    "a loop over lanes": (lambda: fdl.vmap(lambda x: list(x))(X), ShapeError, "under vmap each call sees one slice"),
    "an index of a lane": (lambda: fdl.vmap(lambda x: x[0])(X), IndexError, "shape ()"),
    "a float as an index": (lambda: [1, 2][X[0]], DtypeError, "only 0-d integer arrays"),
    "a size below zero": (lambda: jnp.zeros((-1,)), ShapeError, "no array of shape (-1,)"),
    "half an element": (lambda: jnp.zeros(2.5), ShapeError, "no array of shape (2.5,)"),
    "shapes under grad": (lambda: fdl.grad(lambda x: (x + jnp.ones(4)).sum())(X), ShapeError, "(3,) and (4,)"),
    "shapes under vmap": (lambda: fdl.vmap(lambda x: x + jnp.ones(4))(jnp.ones((2, 3))), ShapeError, "(3,) and (4,)"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_mistakes(case):
    f, error, words = MISTAKES[case]
    with pytest.raises(error) as caught:
        f()
    message = str(caught.value)
    assert words in message
    assert "try:" in message
    assert "at:  test_mistakes.py" in message


def test_equality_with_what_is_no_array_is_false():
    assert (X == None) is False  # noqa: E711
    assert (X != "text") is True


PROGRAM = """
    import fdl, fdl.numpy as jnp
    def loss(x):
        return jnp.dot(x, jnp.ones(4))
    def train(x):
        return fdl.grad(fdl.jit(loss))(x)
    train(jnp.ones(3))
"""


@pytest.mark.parametrize("mode", ["user", "full"])
def test_uncaught_errors_show_the_users_lines(mode, tmp_path):
    script = tmp_path / "train.py"
    script.write_text(textwrap.dedent(PROGRAM))
    run = subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        text=True,
        env={**__import__("os").environ, "FDL_TRACEBACK": mode},
        check=False,
    )
    files = [line.split('"')[1] for line in run.stderr.splitlines() if line.strip().startswith('File "')]
    assert run.returncode == 1
    assert "ShapeError" in run.stderr
    assert [f for f in files if f == str(script)] == [str(script)] * 3
    assert (len(files) == 3) == (mode == "user")
    assert ("FDL_TRACEBACK=full" in run.stderr) == (mode == "user")
