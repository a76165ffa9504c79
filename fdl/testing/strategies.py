"""Strategies of Hypothesis: arrays with the values where mistakes hide, types, trees, and whole programs.

>>> import fdl
>>> from hypothesis import given, settings
>>> from fdl.testing import strategies
>>> @settings(max_examples=20, database=None, derandomize=True)
... @given(strategies.arrays(dtype="float32", special=False))
... def test_doubling(x):
...     assert (np.asarray(fdl.jit(lambda x: x + x)(x)) == x * 2).all()
>>> test_doubling()
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fdl import lax
from fdl.ad_checkpoint import checkpoint
from fdl.core import dtypes as _dtypes
from fdl.core.array import from_numpy
from fdl.core.avals import ShapedArray
from fdl.core.dtypes import DType
from fdl.core.primitive import REGISTRY
from fdl.core.trace import aval_of
from fdl.ops.sample import Sample, Spec
from fdl.testing.tolerances import Data
from fdl.transforms import grad, jit, jvp, vmap

try:
    from hypothesis import strategies as st
except ImportError as error:
    raise ImportError(
        "fdl.testing.strategies: inputs are drawn by Hypothesis, which is not installed\n  try: pip install 'fdl[test]'"
    ) from error

__all__ = ["Program", "arrays", "avals", "dtypes", "programs", "pytrees", "shapes"]


def dtypes(kinds: str = "biufc") -> st.SearchStrategy[DType]:
    """Dtypes, as the letters say: b bool, i signed, u unsigned integers, f floats, c complex."""
    of = {"b": [_dtypes.bool_], "i": _dtypes.SIGNED, "u": _dtypes.UNSIGNED, "f": _dtypes.FLOATS, "c": _dtypes.COMPLEX}
    return st.sampled_from([d for k in kinds for d in of[k]])


def shapes(max_dims: int = 3, max_side: int = 4, min_side: int = 0) -> st.SearchStrategy[tuple[int, ...]]:
    """Shapes of up to `max_dims` axes, each from `min_side` to `max_side` long; 0 and 1 come often."""
    side = st.sampled_from([s for s in (0, 1) if s >= min_side] or [min_side]) | st.integers(min_side, max_side)
    return st.lists(side, max_size=max_dims).map(tuple)


def avals(kinds: str = "biufc", max_dims: int = 3, max_side: int = 4) -> st.SearchStrategy[ShapedArray]:
    """Types: a shape and a dtype."""
    return st.builds(ShapedArray, shapes(max_dims, max_side), dtypes(kinds))


@st.composite
def arrays(
    draw: st.DrawFn,
    shape: tuple[int, ...] | st.SearchStrategy[tuple[int, ...]] | None = None,
    dtype: Any = None,
    special: bool = True,
    low: float = -3.0,
    high: float = 3.0,
) -> Data:
    """Arrays of NumPy. `shape` and `dtype` may be strategies, and are drawn where they are not given.

    Numbers lie between `low` and `high`; with `special` a few of them are NaN, infinite, -0.0, the smallest and largest
    of the dtype, or denormal.
    """
    sides = draw(shape) if isinstance(shape, st.SearchStrategy) else draw(shapes()) if shape is None else shape
    kind = draw(dtype) if isinstance(dtype, st.SearchStrategy) else dtype
    kind = draw(dtypes()) if kind is None else _dtypes.canonical(kind)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    values = Spec(sides, kind, low, high).make(rng)
    if special and values.size and draw(st.booleans()):
        flat = values.reshape(-1)
        for _ in range(draw(st.integers(1, 3))):
            flat[draw(st.integers(0, flat.size - 1))] = draw(st.sampled_from(_specials(kind)))
    return values


def _specials(dtype: DType) -> list[Any]:
    if dtype == _dtypes.bool_:
        return [False, True]
    if _dtypes.is_integer(dtype):
        return [np.iinfo(dtype).min, np.iinfo(dtype).max, 0, 1]
    real = _dtypes.real_dtype(dtype) if _dtypes.is_complex(dtype) else dtype
    if real in (_dtypes.float32, _dtypes.float64):
        info = np.finfo(real)
        ends = [info.max, info.min, info.tiny, info.smallest_subnormal]
    else:  # the narrow floats hold these, or round them to their own ends
        ends = [2.0**-14, -(2.0**-14), 448.0]
    return [np.nan, np.inf, -np.inf, -0.0, 0.0, 1.0, *ends]


def pytrees(leaves: st.SearchStrategy[Any], max_leaves: int = 6) -> st.SearchStrategy[Any]:
    """Trees of lists, tuples and dictionaries with such leaves; empty ones too."""
    names = st.sampled_from(["a", "b", "w", "bias"])
    inner = lambda t: (
        st.lists(t, max_size=3) | st.lists(t, max_size=3).map(tuple) | st.dictionaries(names, t, max_size=3)
    )
    return st.recursive(leaves, inner, max_leaves=max_leaves)


# Programs


def _fit(x: Any, spec: Spec, tame: bool) -> Any:
    """A value as an operand that a sample describes: its elements, repeated or cut, within the interval."""
    aval = aval_of(x)
    size = int(np.prod(spec.shape))
    if aval.size == 0 or size == 0:
        return lax.full(spec.shape, 1, spec.dtype)
    flat = x.reshape(-1)
    if _dtypes.is_complex(aval.dtype) and not _dtypes.is_complex(spec.dtype):
        flat = flat.real
    if aval.dtype == _dtypes.bool_ or spec.dtype == _dtypes.bool_:
        flat = flat.astype("int32") if aval.dtype == _dtypes.bool_ else flat
    while aval_of(flat).size < size:
        flat = lax.concatenate([flat, flat], 0)
    flat = flat[:size]
    if spec.dtype == _dtypes.bool_:
        return (flat != 0).reshape(spec.shape)
    whole = _dtypes.is_integer(spec.dtype)
    if not _dtypes.is_complex(spec.dtype) and (tame or whole):
        low = max(spec.low, 0.0) if spec.dtype in _dtypes.UNSIGNED else spec.low
        flat = flat.astype("float32")
        flat = lax.select(flat == flat, flat, lax.full(flat.shape, low, "float32")) if whole else flat
        flat = lax.clamp(np.float32(low), flat, np.float32(spec.high))
    return flat.astype(spec.dtype).reshape(spec.shape)


@dataclasses.dataclass(frozen=True)
class Step:
    """One step: a primitive at one of its samples, on values drawn before, in the midst of a transform."""

    primitive: str
    sample: int
    operands: tuple[int, ...]
    around: str

    def sampled(self) -> Sample:
        found: Sample = [s for s in REGISTRY[self.primitive].rule("samples") if s.fails is None][self.sample]
        return found

    def run(self, pool: Sequence[Any], tame: bool) -> list[Any]:
        """Its results."""
        sample, primitive = self.sampled(), REGISTRY[self.primitive]
        picks = [pool[i % len(pool)] for i in self.operands]

        def f(v: Any) -> list[Any]:
            given = iter([v, *picks[1:], *picks])
            args = [_fit(next(given), a, tame) if isinstance(a, Spec) else a for a in sample.args]
            return primitive.bind_all(*args, **sample.params)

        return AROUND[self.around](f, picks[0])

    def __str__(self) -> str:
        sample = self.sampled()
        shapes = ", ".join(f"{a.dtype.name}{list(a.shape)}" for a in sample.args if isinstance(a, Spec))
        params = "".join(f", {k}={v!r}" for k, v in sample.params.items())
        around = f" in {self.around}" if self.around != "nothing" else ""
        return f"{self.primitive}({shapes}{params}) of {list(self.operands)}{around}"


def _floats(outs: Sequence[Any]) -> Any:
    return sum((o.real.astype("float32").sum() for o in outs if _dtypes.is_inexact(aval_of(o).dtype)), np.float32(0))


def _as_float(v: Any) -> Any:
    return (v.real if _dtypes.is_complex(aval_of(v).dtype) else v).astype("float32")


Body = Callable[[Any], list[Any]]
AROUND: dict[str, Callable[[Body, Any], list[Any]]] = {
    "nothing": lambda f, v: f(v),
    "jit": lambda f, v: list(jit(f)(v)),
    "checkpoint": lambda f, v: list(checkpoint(f)(v)),
    "vmap": lambda f, v: [x[1] for x in vmap(f)(lax.concatenate([v[None], v[None]], 0))],
    "grad": lambda f, v: [grad(lambda x: _floats(f(x)))(_as_float(v))],
    "jvp": lambda f, v: [jvp(lambda x: _floats(f(x)), [_as_float(v)], [_as_float(v)])[1]],
    "cond": lambda f, v: list(
        lax.cond(_as_float(v).sum() > 0, f, lambda x: [lax.full(o.shape, 0, o.dtype) for o in f(x)], v)
    ),
    "scan": lambda f, v: list(lax.scan(lambda c, _: (c, f(c)), v, None, length=2)[1]),
    "fori_loop": lambda f, v: [lax.fori_loop(0, 2, lambda i, c: c * 0.5 + _floats(f(c)) * 1e-3, _as_float(v))],
}


@dataclasses.dataclass(frozen=True)
class Program:
    """A function of arrays, in steps; `args` is an input, and its text is what it does."""

    args: tuple[Data, ...]
    steps: tuple[Step, ...]
    special: bool

    def __call__(self, *arrays: Any) -> list[Any]:
        pool: list[Any] = list(arrays)
        for step in self.steps:
            pool += step.run(pool, not self.special)
        return pool[len(arrays) :]

    def results(self) -> list[Data]:
        """What it gives for its input."""
        return [np.asarray(x) for x in self(*map(from_numpy, self.args))]

    def __repr__(self) -> str:
        count = len(self.args)
        lines = [f"x{i}: {a.dtype.name}{list(a.shape)}" for i, a in enumerate(self.args)]
        return "\n".join(["program", *lines, *(f"step {count + k}: {s}" for k, s in enumerate(self.steps))])


@st.composite
def programs(
    draw: st.DrawFn,
    max_steps: int = 6,
    primitives: Sequence[str] | None = None,
    around: Sequence[str] = tuple(AROUND),
    special: bool = False,
) -> Program:
    """Well-typed programs of all primitives, or of those that are named: each step is a primitive on values that came
    before, made to fit one of its samples, alone or inside of a transform, a loop or a branch (`around`). Without
    `special`, numbers are held where the samples have theirs.

    >>> from hypothesis import find
    >>> find(programs(primitives=["dot_general"]), lambda p: len(p.steps) == 1).steps[0].primitive
    'dot_general'
    """
    known = [p.name for p in REGISTRY.values() if p.has("samples") and p.rule("samples") and p.has("jvp")]
    args = draw(st.lists(arrays(dtype=dtypes("if"), special=special), min_size=1, max_size=2))
    steps = []
    for _ in range(draw(st.integers(1, max_steps))):
        name = draw(st.sampled_from(primitives or known))
        good = [s for s in REGISTRY[name].rule("samples") if s.fails is None]
        sample = draw(st.integers(0, len(good) - 1))
        count = max(1, sum(isinstance(a, Spec) for a in good[sample].args))
        operands = tuple(draw(st.lists(st.integers(0, 9), min_size=count, max_size=count)))
        steps.append(Step(name, sample, operands, draw(st.sampled_from(list(around)))))
    return Program(tuple(args), tuple(steps), special)
