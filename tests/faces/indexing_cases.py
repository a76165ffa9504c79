"""Expressions of indexing that fdl and JAX share, for `test_indexing.py`; their values are recorded from JAX 0.10.2 in
`recorded/indexing.json`.

`python -m tests.faces.indexing_cases` records them again, where JAX is installed. Names: `jnp`, `lax`, `nn`, the
transforms, `A` for `jnp.array`, and the arrays below. A case is an expression, or what fdl and what JAX evaluate where
JAX has no gradient or no such mode.
"""

import json
import math
from pathlib import Path

import numpy as np

FILE = Path(__file__).parent / "recorded" / "indexing.json"

UPDATES = ["set", "add", "subtract", "multiply", "divide", "min", "max", "power"]
MODES = ["fill", "clip", "drop", "promise_in_bounds"]
PLACES = {  # kinds of indices with duplicates, of an array (3, 4), and values that broadcast to what they select
    "A([1, 1, 0])": "A([[2.0, 3.0, 0.5, 7.0], [1.5, 2.0, 4.0, 1.0], [3.0, 1.0, 2.0, 6.0]])",
    "A([-1, 2, 2])": "A([2.0, 3.0, 0.5, 7.0])",
    "(slice(None), A([3, 0, 3]))": "A([2.0, 3.0, 0.5])",
    "(A([0, 2, 0]), A([1, 1, 1]))": "A([2.0, 3.0, 0.5])",
    "(A([[0], [-3]]), A([1, 1, -3]))": "A([[2.0, 3.0, 0.5], [4.0, 1.0, 3.0]])",
    "(A([2, 2]), slice(3, None, -2))": "A([[2.0, 3.0], [0.5, 4.0]])",
    "(None, A([1, 1]), Ellipsis)": "3.0",
    "(A([1, 1]), None, A([2, 2]))": "A([[2.0], [3.0]])",
    "(1, A([3, 3, -1]))": "A([2.0, 3.0, 4.0])",
    "(A(2), slice(1, 3))": "A([2.0, 3.0])",
    "A([True, False, True])": "A([[2.0], [3.0]])",
    "(slice(1, None), A([True, False, True, True]))": "A([2.0, 3.0, 0.5])",
    "X > 2.5": "2.0",
    "(slice(None, None, 2), 1)": "A([2.0, 3.0])",
    "(-1, slice(2, None))": "2.0",
    "A([], dtype='int32')": "2.0",
}
OUTSIDE = "A([5, -7, -1, 0, 3])"
SMALL = ["int8", "uint8", "int16", "uint32", "float16", "bfloat16", "float32"]


def _cases():
    for place, value in PLACES.items():
        yield f"X[{place}]"
        for op in UPDATES:
            yield f"X.at[{place}].{op}({value})"
    for op in UPDATES:  # the index is recorded
        yield f"jit(lambda x, i, v: x.at[i].{op}(v))(V, A([1, 1, 0]), A([2.0, 3.0, 7.0]))"
        yield f"jit(lambda x, i, v: x.at[i].{op}(v))(V, {OUTSIDE}, A([2.0, 3.0, 7.0, 0.5, 4.0]))"
        yield f"jit(lambda x, i: x.at[i].{op}(2.0))(V, 10)"
        yield f"jit(lambda x, i: x.at[i].{op}(2.0))(V, -5)"
        yield f"jit(lambda x, i: x.at[i].{op}(2.0))(V, -1)"
        for mode in MODES:
            yield f"V.at[{OUTSIDE}].{op}(A([2.0, 3.0, 7.0, 0.5, 4.0]), mode='{mode}')"
            yield f"V.at[7].{op}(2.0, mode='{mode}')"
            yield f"V.at[-7].{op}(2.0, mode='{mode}')"
        yield f"V.at[A([-1, 1])].{op}(2.0, mode='drop', wrap_negative_indices=False)"
        for dtype in SMALL:
            yield f"A([3, 5, 7]).astype('{dtype}').at[A([1, 1, 0])].{op}(A([2, 3, 2]).astype('{dtype}'))"
    for mode in [*MODES, None]:
        if mode:
            yield f"V.at[{OUTSIDE}].get(mode='{mode}')"
            yield f"M.at[A([0, 4]), 1:].get(mode='{mode}')"
            yield f"M.at[1, A([0, 4])].get(mode='{mode}')"
            yield f"M.at[7, A([0, 1])].get(mode='{mode}')"
            yield f"V.at[-7].get(mode='{mode}')"
            yield (
                f"jnp.take_along_axis(M, A([[0, 5, -4]]), 1, mode='{mode}')"
                if mode != "promise_in_bounds"
                else "jnp.take_along_axis(M, A([[0, 2, 3]]), 1, mode='clip')"
            )
        keyword = f"mode={mode!r}"
        yield f"jit(lambda x, i: x.at[i].get({keyword}))(V, {OUTSIDE})"
        yield (
            "jit(lambda x, i: jnp.take_along_axis(x, i, 0, "
            f"{'' if mode == 'promise_in_bounds' else keyword}))(V, {OUTSIDE})"
        )
        if mode != "promise_in_bounds":
            yield f"jit(grad(lambda x, i: (x.at[i].get({keyword}) * W).sum()))(V, {OUTSIDE})"
            for op in ("set", "add", "max"):
                if not (mode == "clip" and op == "max"):  # JAX's gradient is infinite there
                    yield (
                        f"jit(grad(lambda v, i: (V.at[i].{op}(v, {keyword}) * A([1.0, 10.0, "
                        f"100.0])).sum()))(A([2.0, 3.0, 7.0, 4.0, 5.0]), {OUTSIDE})"
                    )
                    yield (
                        f"jit(grad(lambda x, i: (x.at[i].{op}(W, {keyword}) * A([1.0, 10.0, "
                        f"100.0])).sum()))(V, {OUTSIDE})"
                    )
    for mode in ("fill", "clip", "wrap"):
        yield f"jnp.take(V, {OUTSIDE}, mode='{mode}')"
        yield f"jnp.take(M, A([[0, 5], [-1, -5]]), axis=1, mode='{mode}')"
        yield f"jnp.take(M, A([11, 12, -13]), mode='{mode}')"
        yield f"jnp.take(M, 4, axis=0, mode='{mode}')"
        yield f"grad(lambda x: (jnp.take(x, {OUTSIDE}, mode='{mode}', fill_value=0) * W).sum())(V)"
    yield f"jit(lambda x, i: jnp.take(x, i))(V, {OUTSIDE})"
    yield f"jit(lambda x, i: jnp.take(x, i, axis=1))(M, {OUTSIDE})"
    yield "V.at[A([5, 0])].get(mode='fill', fill_value=-5)"
    yield "A([1, 2]).at[A([5, 0])].get(mode='fill', fill_value=2.5)"
    yield "jnp.take(V, A([5, 0]), mode='fill', fill_value=7)"
    yield "jnp.take_along_axis(V, A([5, 0]), 0, mode='fill', fill_value=7)"
    for dtype in [*SMALL, "bool"]:
        yield f"jnp.take(A([1, 2]).astype('{dtype}'), A([1, 9]), mode='fill')"
    yield from _reads()
    yield from _values()
    yield from _gradients()


def _reads():
    for i in ("10", "-5", "-2"):
        yield f"jit(lambda x, i: x[i])(V, {i})"
        yield f"jit(lambda x, i: x[1, i])(M, {i})"
        yield f"lax.dynamic_slice(V, ({i},), (2,))"
        yield f"jit(lambda x, i: lax.dynamic_slice(x, (i,), (2,)))(V, {i})"
        yield f"lax.dynamic_update_slice(V, A([8.0, 9.0]), ({i},))"
        yield f"lax.dynamic_index_in_dim(V, {i})"
        yield f"nn.one_hot(A([0, 2, {i}]), 3)"
    yield "lax.fori_loop(0, 5, lambda i, c: c + V[i], 0.0)"
    yield "lax.fori_loop(0, 5, lambda i, c: c.at[i].set(1.0 * i), V)"
    yield "lax.fori_loop(-5, 5, lambda i, c: c.at[i].add(1.0), V)"
    yield "lax.scan(lambda c, i: (c, V[i]), 0.0, A([1, 5, -1, -9]))[1]"
    yield "lax.scan(lambda c, i: (c.at[i].multiply(2.0), c.sum()), V, A([1, 1, 5, -1, -9]))[0]"
    yield "jit(vmap(lambda x, i: x[i]))(M, A([7, -1, -9]))"
    yield "jit(vmap(lambda x, i: x.at[i].set(-1.0)))(M, A([7, -1, -9]))"
    yield "vmap(lambda x, i: x[i])(M, A([3, -1, 0]))"
    yield (
        "vmap(lambda x, i, v: x.at[i].multiply(v))(M, A([[0, 0], [1, 1], [2, -2]]), A([[2.0, 3.0], [4.0, 5.0], "
        "[6.0, 7.0]]))"
    )
    yield "vmap(lambda i: V.at[i].max(5.0))(A([[0, 0], [1, -1]]))"
    yield "jnp.arange(300)[A([255, 3], dtype='uint8')]"
    yield "lax.dynamic_slice(jnp.arange(300), (A(255, dtype='uint8'),), (2,))", "jnp.arange(300)[255:257]"
    yield "jnp.arange(300)[A([-1, 3], dtype='int8')]", "jnp.arange(300)[A([-1, 3])]"
    yield "jnp.zeros(200).at[A([-1, 3], dtype='int8')].add(1.0)[A([199, 3])]", "A([1.0, 1.0])"
    yield "jit(lambda i: jnp.arange(300)[i])(A([4294967295], dtype='uint32'))", "A([299])"
    yield (
        "vmap(lambda s: lax.dynamic_slice(jnp.arange(300), (s,), (2,)))(A([255, 7], dtype='uint8'))",
        "A([[255, 256], [7, 8]])",
    )
    yield "jnp.take_along_axis(M, A([[1], [0], [3]]), 1)"
    yield "jnp.take_along_axis(M, A([[1, 0, 2, 0]]), 0)"
    yield "jnp.take_along_axis(M, A([3, 11, -1]), None)"
    yield "jnp.take_along_axis(M, A([[1], [0], [3]]))"
    yield "jnp.take_along_axis(jnp.zeros((2, 0)), jnp.zeros((1, 1), int), 0)"
    yield "jnp.take(M, A([[0, 11], [5, -1]]))"
    yield "jnp.take(V, 1)"
    yield "jnp.take(jnp.zeros((0,)), A([], dtype='int32'))"
    yield "jnp.zeros((0,)).at[A([0])].set(1.0, mode='drop')"
    yield "V[A(1)]"
    yield "V[True]"
    yield "M[A(True), 1]"
    yield "V.at[True].add(1.0)"
    yield "V[A([True, False, True])]"
    yield "M[jnp.zeros((3, 4), bool)]"
    # what fdl has beyond JAX
    yield f"V.at[{OUTSIDE}].get(mode='wrap')", f"V[{OUTSIDE} % 3]"
    yield f"V.at[{OUTSIDE}].add(2.0, mode='wrap')", f"V.at[{OUTSIDE} % 3].add(2.0)"
    yield f"jnp.take_along_axis(V, {OUTSIDE}, 0, mode='wrap')", f"V[{OUTSIDE} % 3]"
    yield "V.at[-7].get(mode='wrap')", "V[2]"


def _values():
    for op, value in (
        ("set", "0.5"),
        ("add", "0.5"),
        ("multiply", "0.5"),
        ("set", "2.7"),
        ("divide", "4"),
        ("power", "2"),
    ):
        yield f"A([10, 11, 12]).at[1].{op}({value})"
        yield f"A([10, 11, 12]).at[A([1])].{op}({value})"
    for value in ("300", "-1", "250", "A(300)"):
        yield f"A([10, 11], dtype='uint8').at[1].set({value})"
        yield f"A([10, 11], dtype='uint8').at[A([1, 1])].add({value})"
        yield f"A([10, 11], dtype='uint8').at[1].subtract({value})"
    yield "A([3], dtype='int8').at[A([0, 0, 0])].multiply(A([10, 10, 3], dtype='int8'))"
    yield "A([True, False, True]).at[0].set(2)"
    yield "A([True, False, True]).at[1].add(2)"
    yield "A([True, False, True]).at[A([0, 1])].min(A([False, True]))"
    yield "A([True, False, True]).at[A([0, 1])].max(A([False, True]))"
    yield "A([True, False, True]).at[A([0, 1, 1])].add(A([False, True, True]))", "A([True, True, True])"
    yield "A([True, True, True]).at[A([0, 1, 1])].multiply(A([True, True, False]))", "A([True, False, True])"
    yield "A([1, 2, 3], dtype='float16').at[A([1])].set(A([1e6]))"
    yield "jnp.zeros(2, 'float16').at[A([0] * 5)].add(A([2048.0, 1.0, 1.0, 1.0, 1.0]))"
    yield "jnp.zeros(2, 'bfloat16').at[A([0] * 5)].add(A([256.0, 1.0, 1.0, 1.0, 1.0]))"
    yield "A([10, 11, 12]).at[0].set(A(2.5, dtype='bfloat16'))"
    yield "V.at[A([0, 0, 1])].min(A([jnp.nan, 1.0, 2.0]))"
    yield "V.at[A([0, 0, 1])].max(A([1.0, jnp.nan, 2.0]))"
    yield "A([jnp.nan, 1.0]).at[A([0, 1])].max(5.0)"
    yield "V.at[A([1, 1, 0])].apply(jnp.square)"
    yield "V.at[A([1, 1, 0])].apply(lambda v: v + 1)"
    yield "V.at[:2].apply(jnp.square)"
    yield "V.at[A([0, 2])].apply(jnp.square, unique_indices=True)"
    yield "V.at[A([1, 9, 1])].apply(jnp.square, mode='drop')"
    yield "jit(lambda x, i: x.at[i].apply(jnp.square))(V, A([1, 1, 0, 9, -1]))"


def _gradients():
    for op in ("set", "add", "subtract", "min", "max"):
        for value in ("A([2.0, 3.0, 7.0])", "A([6.0, 6.0, 4.0])"):
            yield f"grad(lambda x: (x.at[A([1, 1, 0])].{op}({value}) * A([1.0, 10.0, 100.0])).sum())(V)"
            yield f"grad(lambda v: (V.at[A([1, 1, 0])].{op}(v) * A([1.0, 10.0, 100.0])).sum())({value})"
    loop = "lambda x, v: x * A([1.0, v[0] * v[1], 1.0]) * A([v[2], 1.0, 1.0])"
    written = "lambda x, v: x.at[A([1, 1, 0])].multiply(v)"
    divided = loop.replace("x * A", "x / A").replace(") * A", ") / A")
    for value in ("A([2.0, 3.0, 7.0])", "A([0.0, 3.0, 7.0])", "A([0.0, 0.0, 0.0])"):
        for f, g in ((written, loop), (written.replace("multiply", "divide"), divided)):
            if "divide" in f and "0.0," in value:
                continue
            yield tuple(f"grad(lambda x: (({h})(x, {value}) * A([1.0, 10.0, 100.0])).sum())(V)" for h in (f, g))
            yield tuple(f"grad(lambda v: (({h})(V, v) * A([1.0, 10.0, 100.0])).sum())({value})" for h in (f, g))
            yield tuple(f"hessian(lambda v: (({h})(V, v) * A([1.0, 10.0, 100.0])).sum())({value})" for h in (f, g))
            yield tuple(
                f"jvp(lambda x, v: ({h})(x, v), (V, {value}), (A([1.0, 2.0, 3.0]), A([0.1, 0.2, 0.3])))[1]"
                for h in (f, g)
            )
    power = "lambda x, v: jnp.stack([x[0] ** v[2], x[1] ** (v[0] * v[1]), x[2]])"
    for k, of in enumerate(("x", "v")):
        yield tuple(
            (
                f"grad(lambda {of}: (({h})({'x, A([2.0, 0.5, 1.5])' if not k else 'V, v'}) * A([1.0, 10.0, "
                f"100.0])).sum())({'V' if not k else 'A([2.0, 0.5, 1.5])'})"
            )
            for h in ("lambda x, v: x.at[A([1, 1, 0])].power(v)", power)
        )
    yield (
        "grad(lambda x: (x.at[A([1, 1, 0])].apply(jnp.square) * A([1.0, 10.0, 100.0])).sum())(V)",
        "A([8.0, 8640.0, 100.0])",
    )
    yield (
        (
            "grad(lambda x: jit(lambda x, i: (x.at[i].apply(jnp.square) * A([1.0, 10.0, 100.0])).sum())(x, A([1, 1, "
            "0])))(V)"
        ),
        "A([8.0, 8640.0, 100.0])",
    )
    for i in ("10", "-5"):
        yield f"jit(grad(lambda x, i: x[i]))(V, {i})"
        yield f"jit(grad(lambda x, i: x[1, i]))(M, {i})"
    yield "jit(grad(lambda x, i: x[i, i].sum()))(M, A([1, 10]))"
    yield "jit(lambda x, i: jvp(lambda x: x[i], (x,), (x,))[1])(V, A([10, -7]))"
    yield f"jit(grad(lambda x, i: x.at[i].get(mode='promise_in_bounds').sum()))(V, {OUTSIDE})"
    yield "grad(lambda x: lax.fori_loop(0, 5, lambda i, c: c + x[i], 0.0))(V)"
    yield "hessian(lambda x: x.at[A([0, 0, 1])].add(x ** 2).sum())(V)"
    yield (
        "jvp(lambda x, v: x.at[A([1, 1, 0])].min(v), (V, A([2.0, 3.0, 7.0])), (A([1.0, 10.0, 100.0]), A([0.1, "
        "0.2, 0.3])))[1]"
    )


CASES = {case if isinstance(case, str) else case[0]: case if isinstance(case, str) else case[1] for case in _cases()}


def names(jax, jnp, lax, nn):
    """What expressions may use."""
    array = lambda x, **kwargs: jnp.array(x, **kwargs)
    given = {
        "V": jnp.array([4.0, 6.0, 5.0]),
        "M": jnp.arange(12.0).reshape(3, 4),
        "W": jnp.array([1.0, 10.0, 100.0, 1000.0, 4.5]),
    }
    given["X"] = given["M"] * 0.5 + 1
    transforms = {name: getattr(jax, name) for name in ("jit", "grad", "vmap", "jvp", "hessian")}
    return {"jnp": jnp, "lax": lax, "nn": nn, "A": array, **given, **transforms}


def record():
    """Values of all cases from JAX."""
    import jax

    scope = names(jax, jax.numpy, jax.lax, jax.nn)
    found = {}
    for case, source in CASES.items():
        value = np.asarray(eval(source, scope))
        numbers = [
            v if isinstance(v, (bool, int)) or math.isfinite(v) else repr(v)
            for v in (value.astype(float) if value.dtype.kind not in "biu" else value).reshape(-1).tolist()
        ]
        found[case] = [value.dtype.name, list(value.shape), numbers]
    FILE.write_text(
        json.dumps(found, indent=0)
        .replace(",\n", ", ")
        .replace("[\n", "[")
        .replace("\n]", "]")
        .replace('], "', '],\n"')
        + "\n"
    )


if __name__ == "__main__":
    record()
