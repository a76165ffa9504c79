"""Random calls of public functions: names, operands with special values, zero sizes and small dtypes, and the arguments that go with them.

The same number makes the same call on every machine: values come from `random.Random`, whose streams Python keeps.  `record.py` asks JAX what each call gives,
`test_instances.py` asks fdl.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field
from typing import Any

import ml_dtypes
import numpy as np

FLOATS = ("float32", "float32", "float32", "float64", "float16", "bfloat16")
INTS = ("int32", "int32", "int8", "uint8", "int16", "uint16", "int64", "uint32", "uint64")
ALL = (*FLOATS, *INTS, "bool")
NUMBERS = (*FLOATS, *INTS)
SHAPES = ((), (1,), (3,), (5,), (2, 3), (3, 2), (2, 1, 3), (0,), (0, 3), (2, 0), (1, 1), (4, 1), (2, 3, 2))


@dataclass
class Call:
    """`name` is a module and a function, as in "numpy.add"; operands are ndarrays, Python numbers, or lists of them."""

    name: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any] = field(default_factory=dict)
    slope: bool = False  # the gradient by the first operands that are floats, of a weighted sum

    def __str__(self) -> str:
        shown = [
            f"array({x.tolist()}, {x.dtype.name}){'' if x.size else x.shape}" if isinstance(x, np.ndarray) else repr(x)
            for x in self.args
        ]
        text = ", ".join([*shown, *(f"{k}={v!r}" for k, v in self.kwargs.items())])
        return f"{'grad of ' if self.slope else ''}{self.name}({text})"


class Draw:
    """Draws operands and arguments."""

    def __init__(self, seed: int, tame: bool = False) -> None:
        self.r = random.Random(seed)
        self.tame = tame  # no infinities, NaN or extremes

    def one(self, *of: Any) -> Any:
        return of[self.r.randrange(len(of))]

    def number(self, dtype: str, low: float = -math.inf, high: float = math.inf) -> Any:
        r = self.r
        if dtype == "bool":
            return r.random() < 0.5
        if dtype.startswith(("int", "uint")):
            info = np.iinfo(dtype)
            if not self.tame and r.random() < 0.1:
                value = self.one(info.min, info.max, info.min + 1, 0)
            else:
                value = r.randint(max(info.min, -9), 9)
            return int(min(max(value, low if low > info.min else info.min), high if high < info.max else info.max))
        bounded = math.isfinite(low) and math.isfinite(high)
        if not self.tame and not bounded and r.random() < 0.15:
            info = ml_dtypes.finfo(dtype)
            value = self.one(
                0.0,
                -0.0,
                math.inf,
                -math.inf,
                math.nan,
                float(info.max),
                -float(info.max),
                float(info.tiny),
                1.0,
                -1.0,
                float(info.eps),
                0.5,
                1.5,
                2.0,
            )
        elif bounded:
            value = self.one(low, high) if r.random() < 0.05 else r.uniform(low, high)
        else:
            value = r.gauss(0, 1) * 10.0 ** self.one(-3, -1, 0, 0, 0, 0, 1, 2)
            if r.random() < 0.15:
                value = float(round(value))
        return value if math.isnan(value) else min(max(value, low), high)

    def array(
        self, dtype: str | None = None, shape: Any = None, low: float = -math.inf, high: float = math.inf, of: Any = ALL
    ) -> np.ndarray[Any, Any]:
        dtype = dtype or self.one(*of)
        shape = self.one(*SHAPES) if shape is None else shape
        values = [self.number(dtype, low, high) for _ in range(math.prod(shape))]
        kind = np.dtype(getattr(ml_dtypes, dtype, None) or dtype)
        with np.errstate(all="ignore"):
            return np.array(values, np.float64 if kind.kind not in "iub" else kind).astype(kind).reshape(shape)

    def pair(self, of: Any = ALL, **bounds: float) -> tuple[Any, Any]:
        """Two operands that broadcast: of one dtype mostly, one of them a Python number at times."""
        shape = self.one(*SHAPES)
        other = self.one(shape, shape, (), tuple(1 if self.r.random() < 0.3 else d for d in shape), shape[1:])
        dtype = self.one(*of)
        a = self.array(dtype, shape, **bounds)
        if self.r.random() < 0.15:
            kind = self.one("float", "int") if dtype.startswith(("float", "bfloat")) else "int"
            b: Any = (
                round(self.r.uniform(-3, 3), 2)
                if kind == "float"
                else self.r.randint(0 if dtype.startswith("u") else -3, 3)
            )
        else:
            b = self.array(dtype if self.r.random() < 0.7 else self.one(*of), other, **bounds)
        return (a, b) if self.r.random() < 0.5 else (b, a)

    def axis(self, ndim: int, none: bool = True) -> Any:
        if ndim == 0:
            return None
        if none and self.r.random() < 0.3:
            return None
        return self.r.randrange(-ndim, ndim)

    def axes(self, ndim: int) -> Any:
        if ndim > 1 and self.r.random() < 0.3:
            return tuple(self.r.sample(range(ndim), self.r.randint(1, ndim)))
        return self.axis(ndim)

    def full(self, of: Any = ALL, ndim: int = 1, **bounds: float) -> np.ndarray[Any, Any]:
        """An array with axes, none of them empty."""
        return self.array(self.one(*of), self.one(*[s for s in SHAPES if len(s) >= ndim and 0 not in s]), **bounds)


def unary(of: Any = ALL, **bounds: float) -> Any:
    return lambda d: ((d.array(of=of, **bounds),), {})


def binary(of: Any = ALL, **bounds: float) -> Any:
    return lambda d: (d.pair(of, **bounds), {})


def maybe(d: Draw, **choices: Any) -> dict[str, Any]:
    """Some of these arguments."""
    return {k: v() for k, v in choices.items() if d.r.random() < 0.5}


def reduction(of: Any = ALL, empty: bool = True, **extra: Any) -> Any:
    def draw(d: Draw) -> Any:
        x = d.array(of=of) if empty else d.full(of, 0)
        more = {k: v(d) for k, v in extra.items() if d.r.random() < 0.3}
        return (x,), {"axis": d.axes(x.ndim), "keepdims": d.r.random() < 0.3, **more}

    return draw


def along(of: Any = ALL, none: bool = False, empty: bool = True, **extra: Any) -> Any:
    """A function of one axis."""

    def draw(d: Draw) -> Any:
        x = d.array(of=of, shape=d.one(*[s for s in SHAPES if s and (empty or 0 not in s)]))
        return (x,), {"axis": d.axis(x.ndim, none), **{k: v(d) for k, v in extra.items() if d.r.random() < 0.4}}

    return draw


def shaped(f: Any, of: Any = ALL, ndim: int = 0, empty: bool = True) -> Any:
    """An array, then arguments that depend on its number of axes and shape."""

    def draw(d: Draw) -> Any:
        x = d.array(of=of, shape=d.one(*[s for s in SHAPES if len(s) >= ndim and (empty or 0 not in s)]))
        found = f(d, x)
        return (x, *found) if isinstance(found, tuple) else (x,), {} if isinstance(found, tuple) else found

    def call(d: Draw) -> Any:
        args, kwargs = draw(d)
        return args, kwargs

    return call


def several(f: Any = lambda d, shape: {}, same: bool = True, least: int = 1) -> Any:
    """A list of arrays of one shape."""

    def draw(d: Draw) -> Any:
        shape = d.one(*[s for s in SHAPES if len(s) >= least])
        dtype = d.one(*ALL)
        xs = [d.array(dtype if d.r.random() < 0.8 else None, shape) for _ in range(d.r.randint(1, 3))]
        return (xs,), f(d, shape)

    return draw


def matrices(d: Draw, least: int = 0) -> Any:
    m, k, n = (d.r.randint(least, 4) for _ in range(3))
    lead = d.one((), (), (2,), (3, 1))
    dtype = d.one(*NUMBERS)
    return d.array(dtype, (*lead, m, k)), d.array(
        dtype if d.r.random() < 0.8 else None, (k, n) if d.r.random() < 0.5 else (*lead, k, n)
    )


def square(dtype: Any = ("float32", "float64"), positive: bool = False) -> Any:
    def draw(d: Draw) -> Any:
        n, lead = d.r.randint(1, 4), d.one((), (), (2,))
        x = d.array(d.one(*dtype), (*lead, n, n), -3, 3)
        if positive:
            x = (x @ np.swapaxes(x, -1, -2) + np.eye(n) * 2).astype(x.dtype)
        return (x,), {}

    return draw


def permuted(d: Draw, x: Any) -> Any:
    return (tuple(d.r.sample(range(x.ndim), x.ndim)),)


def einsums(d: Draw) -> Any:
    text, *shapes = d.one(
        ("ij,jk->ik", (2, 3), (3, 2)), ("ii->i", (3, 3)), ("ii", (3, 3)), ("ij->ji", (2, 3)), ("i,j", (2,), (3,)), ("bij,bjk->bik", (2, 1, 3), (2, 3, 2)), ("...i,...i->...", (2, 3), (2, 3)),
        ("ij,ij->", (2, 3), (2, 3)), ("ij,j", (2, 3), (3,)), ("i,ij,j->", (2,), (2, 3), (3,)), ("ijk->ki", (2, 3, 2)), ("...ij,jk", (2, 2, 3), (3, 1)),
    )  # fmt: skip
    dtype = d.one("float32", "float64", "int32", "bfloat16")
    return (text, *(d.array(dtype, s, -3, 3) for s in shapes)), {}


def widths(d: Draw, x: Any) -> Any:
    pad = d.one(1, (1, 2), [(d.r.randint(0, 2), d.r.randint(0, 2)) for _ in range(x.ndim)])
    return {"pad_width": pad, "mode": "constant", **({"constant_values": d.one(0, 2, 3)} if d.r.random() < 0.5 else {})}


F32 = ("float32", "float64", "float16", "bfloat16")
WIDE = ("float32", "float64")
M1 = {"low": -1.0, "high": 1.0}

CALLS: dict[str, Any] = {
    **{f"numpy.{n}": unary() for n in "abs absolute positive sign square sqrt exp exp2 expm1 log log2 log10 log1p sin cos tan sinh cosh tanh arcsin arccos arctan arcsinh arccosh arctanh cbrt "
       "fabs rint floor ceil trunc isnan isinf isfinite logical_not reciprocal deg2rad rad2deg sinc negative invert bitwise_not nan_to_num round shape ndim size ravel atleast_1d atleast_2d "
       "flip nonzero".split()},
    **{f"numpy.{n}": binary() for n in "add subtract multiply divide true_divide floor_divide remainder mod fmod power maximum minimum equal not_equal less less_equal greater greater_equal "
       "logical_and logical_or logical_xor arctan2 hypot logaddexp heaviside divmod outer isclose allclose array_equal".split()},
    **{f"numpy.{n}": binary((*INTS, "bool")) for n in "bitwise_and bitwise_or bitwise_xor".split()},
    **{f"numpy.{n}": binary(INTS) for n in "left_shift right_shift".split()},
    "numpy.where": lambda d: ((d.array("bool", (2, 3)), d.array(shape=d.one((2, 3), (3,), ())), d.one(d.array(shape=(2, 1)), d.array(shape=(2, 3)), 0, 1.5)), {}),
    "numpy.clip": lambda d: ((d.array(of=NUMBERS),), {"min": d.one(None, 0, 1), "max": d.one(None, 2, 3)}),
    "numpy.round ": lambda d: ((d.array(of=F32, low=-50, high=50), d.one(0, 1, 2, -1)), {}),
    **{f"numpy.{n}": reduction(dtype=lambda d: d.one("float32", "int32")) for n in ("sum", "prod")},
    "numpy.mean": reduction(dtype=lambda d: "float32"),
    **{f"numpy.{n}": reduction(ddof=lambda d: d.one(0, 1)) for n in ("var", "std")},
    **{f"numpy.{n}": reduction(empty=False, initial=lambda d: 2) for n in ("max", "min")},
    **{f"numpy.{n}": reduction(empty=False) for n in ("amax", "amin")},
    **{f"numpy.{n}": reduction() for n in ("any", "all", "count_nonzero")},
    "numpy.nansum": lambda d: reduction(F32)(d), "numpy.nanmean": reduction(F32, empty=False),
    "numpy.ptp": reduction(empty=False),
    **{f"numpy.{n}": along(none=True, empty=False, keepdims=lambda d: True) for n in ("argmax", "argmin")},
    **{f"numpy.{n}": along(none=True, dtype=lambda d: "float32") for n in ("cumsum", "cumprod")},
    **{f"numpy.{n}": along(none=True, descending=lambda d: True) for n in ("sort", "argsort")},
    "numpy.median": reduction(empty=False),
    **{f"numpy.{n}": (lambda top: lambda d: ((x := d.full(NUMBERS, 1), d.one(d.number("float32", 0, top), d.array("float32", (3,), 0, top))), {"axis": d.axes(x.ndim), "keepdims": d.one(False, True), "method": d.one("linear", "linear", "lower", "higher", "midpoint", "nearest")}))(t)
       for n, t in (("quantile", 1.0), ("percentile", 100.0))},
    "numpy.searchsorted": lambda d: ((np.sort(d.array(t := d.one("float32", "int32", "float64", "int8"), (5,), -5, 5)), d.array(t, d.one((), (3,), (2, 2)), -6, 6)), {"side": d.one("left", "right")}),
    "numpy.average": lambda d: ((x := d.full(F32, 1, low=-3, high=3),), {"axis": None, **({"weights": d.array("float32", x.shape, 0.1, 2)} if d.r.random() < 0.6 else {})}),
    "numpy.reshape": shaped(lambda d, x: (d.one((-1,), (x.size,), (1, -1), x.shape[::-1], (*x.shape, 1)),), empty=False),
    "numpy.transpose": shaped(lambda d, x: permuted(d, x) if d.r.random() < 0.7 else ()),
    "numpy.swapaxes": shaped(lambda d, x: (d.axis(x.ndim, False), d.axis(x.ndim, False)), ndim=1),
    "numpy.moveaxis": shaped(lambda d, x: (d.axis(x.ndim, False), d.axis(x.ndim, False)), ndim=1),
    "numpy.matrix_transpose": shaped(lambda d, x: (), ndim=2),
    "numpy.squeeze": shaped(lambda d, x: ()),
    "numpy.expand_dims": shaped(lambda d, x: (d.one(0, -1, (0, -1)),)),
    "numpy.broadcast_to": shaped(lambda d, x: ((2, *x.shape),)),
    "numpy.concatenate": several(lambda d, s: {"axis": d.axis(len(s))}), "numpy.stack": several(lambda d, s: {"axis": d.r.randrange(-len(s) - 1, len(s) + 1)}, least=0),
    "numpy.hstack": several(least=0), "numpy.vstack": several(least=0), "numpy.column_stack": several(),
    "numpy.tile": shaped(lambda d, x: (d.one(2, (2, 1), (1, 2, 3), 0),)),
    "numpy.repeat": shaped(lambda d, x: (d.one(0, 1, 3), d.axis(x.ndim))),
    "numpy.flip ": shaped(lambda d, x: (d.axes(x.ndim),)), "numpy.fliplr": shaped(lambda d, x: (), ndim=2), "numpy.flipud": shaped(lambda d, x: (), ndim=1),
    "numpy.roll": shaped(lambda d, x: (d.r.randint(-4, 4), d.axis(x.ndim)) if x.ndim < 2 or d.r.random() < 0.6 else ((1, -2), (0, 1)), ndim=1),
    "numpy.rot90": shaped(lambda d, x: (d.r.randint(-1, 4), d.one((0, 1), (1, 0))), ndim=2),
    "numpy.pad": shaped(widths, ndim=1, empty=False),
    "numpy.split": lambda d: ((d.array(shape=d.one((6,), (6, 2))), d.one(2, 3, [1, 4], [2, 2, 9], [])), {"axis": 0}),
    "numpy.diagonal": shaped(lambda d, x: (d.r.randint(-2, 2), *d.r.sample(range(x.ndim), 2)), ndim=2), "numpy.trace": shaped(lambda d, x: (d.r.randint(-2, 2), *d.r.sample(range(x.ndim), 2)), ndim=2),
    "numpy.diag": lambda d: ((d.array(shape=d.one((3,), (2, 3), (3, 3), (0,))), d.r.randint(-2, 2)), {}),
    **{f"numpy.{n}": shaped(lambda d, x: (d.r.randint(-2, 2),), ndim=2) for n in ("tril", "triu")},
    "numpy.diff": shaped(lambda d, x: {"n": d.one(0, 1, 2), "axis": d.axis(x.ndim, False)}, ndim=1),
    "numpy.take": lambda d: ((x := d.full(), d.array("int32", d.one((), (3,), (2, 2)), 0, 0)), {"axis": d.axis(x.ndim)}),
    "numpy.take_along_axis": lambda d: ((x := d.full(), np.zeros(x.shape, "int32")), {"axis": d.axis(x.ndim, False)}),
    "numpy.append": lambda d: ((d.array(), d.array()), {}),
    "numpy.select": lambda d: (([d.array("bool", (3,)) for _ in range(2)], [d.array(t := d.one(*ALL), (3,)), d.array(t, (3,))]), {"default": d.one(0, 1)}),
    "numpy.meshgrid": lambda d: ((d.array(shape=(2,)), d.array(shape=(3,))), {"indexing": d.one("xy", "ij")}),
    "numpy.broadcast_arrays": lambda d: ((d.array(shape=(2, 1)), d.array(shape=(3,))), {}),
    "numpy.cross": lambda d: ((d.array(of=F32, shape=(2, 3), low=-3, high=3), d.array(of=F32, shape=d.one((3,), (2, 3)), low=-3, high=3)), {}),
    "numpy.kron": lambda d: ((d.array(shape=d.one((2, 2), (3,), (1, 2)), of=NUMBERS), d.array(shape=d.one((2, 1), (2,), (2, 2)), of=NUMBERS)), {}),
    "numpy.polyval": lambda d: ((d.array(t := d.one("float32", "float64", "int32"), (3,), -2, 2), d.array(t, d.one((), (3,)), -2, 2)), {}),
    "numpy.vander": lambda d: ((d.array(of=("float32", "int32"), shape=(3,), low=-3, high=3),), d.one({}, {"N": 2}, {"N": 4, "increasing": True})),
    "numpy.cov": lambda d: ((d.array(of=WIDE, shape=d.one((2, 4), (5,)), low=-3, high=3),), {"ddof": d.one(0, 1, None)}),
    "numpy.trapezoid": lambda d: ((d.array(of=F32, shape=d.one((4,), (2, 4)), low=-3, high=3),), {"dx": d.one(1.0, 0.5)}),
    "numpy.astype": lambda d: ((d.array(low=-100, high=100), d.one("float32", "int32", "bool", "float16", "bfloat16", "float64", "int64")), {}),
    **{f"numpy.{n}": lambda d: ((d.array(),), {}) for n in ("zeros_like", "ones_like")},
    "numpy.full_like": lambda d: ((d.array(), 2), {}),
    "numpy.full": lambda d: ((d.one((2,), (), (0, 2), 3), d.one(1, 2.5, True)), {}),
    **{f"numpy.{n}": lambda d: ((d.one((2,), (), (0, 2), 3),), {"dtype": d.one("float32", "int8", "bool", "bfloat16")}) for n in ("zeros", "ones")},
    "numpy.eye": lambda d: ((d.r.randint(0, 4), d.one(None, 2, 5), d.r.randint(-2, 2)), {}), "numpy.tri": lambda d: ((d.r.randint(0, 4), d.one(None, 2, 5), d.r.randint(-2, 2)), {}), "numpy.identity": lambda d: ((d.r.randint(0, 3),), {}),
    "numpy.arange": lambda d: (d.one((5,), (2, 7), (7, 2, -2), (0.0, 1.0, 0.25), (5, 0), (-3, 3), (1.5,), (0,)), {}),
    "numpy.linspace": lambda d: ((d.one(0, -1.5, 2), d.one(1, 3.5, 2), d.one(1, 2, 5, 0)), {"endpoint": d.one(True, False)}),
    "numpy.logspace": lambda d: ((d.one(0, -1.5), d.one(1, 2.0), d.one(1, 2, 5)), {}),
    "numpy.tril_indices": lambda d: ((d.r.randint(0, 4), d.r.randint(-2, 2)), {}), "numpy.triu_indices": lambda d: ((d.r.randint(0, 4), d.r.randint(-2, 2)), {}),
    "numpy.matmul": lambda d: (matrices(d), {}),
    "numpy.dot": lambda d: (d.one((d.array("float32", (3,), -3, 3), d.array("float32", (3,), -3, 3)), (d.array("int32", (2, 3)), d.array("int32", (3,))), (d.array("float32", (2, 3)), d.array("float32", (2, 3, 2))), (d.array("float64", ()), d.array("float64", (2,)))), {}),
    "numpy.vdot": lambda d: ((d.array(t := d.one(*NUMBERS), (2, 3), -3, 3), d.array(t, (2, 3), -3, 3)), {}),
    "numpy.inner": lambda d: ((d.array(t := d.one(*NUMBERS), d.one((3,), (2, 3)), -3, 3), d.array(t, d.one((3,), (4, 3)), -3, 3)), {}),
    "numpy.tensordot": lambda d: ((d.array("float32", (2, 3, 2), -3, 3), d.array("float32", (3, 2, 4), -3, 3)), {"axes": d.one(2, ((1,), (0,)), ([1, 2], [0, 1]), 0)}),
    "numpy.einsum": einsums,
    **{f"numpy.linalg.{n}": square() for n in ("det", "inv", "slogdet", "matrix_rank", "svdvals", "pinv", "cond")},
    **{f"numpy.linalg.{n}": square(positive=True) for n in ("cholesky", "eigvalsh")},
    "numpy.linalg.solve": lambda d: ((d.array(t := d.one(*WIDE), (n := d.r.randint(1, 4), n), -3, 3), d.array(t, d.one((n,), (n, 2)), -3, 3)), {}),
    "numpy.linalg.matrix_power": lambda d: ((d.array(d.one(*WIDE), (2, 2), -2, 2), d.r.randint(-2, 4)), {}),
    "numpy.linalg.norm": lambda d: ((x := d.array(of=WIDE, shape=d.one((3,), (2, 3), (2, 3, 2)), low=-3, high=3),), d.one({"axis": -1, "ord": d.one(None, 1, 2, 3, 0, math.inf, -math.inf, 0.5, -1)}, {}, {"axis": 0, "keepdims": True}, *([{"ord": d.one("fro", 1, -1, 2, -2, math.inf, -math.inf, "nuc")}] if x.ndim == 2 else []))),
    "numpy.linalg.multi_dot": lambda d: (([d.array("float32", (2, 3), -2, 2), d.array("float32", (3, 4), -2, 2), d.array("float32", (4, 2), -2, 2)],), {}),
    "numpy.linalg.lstsq": lambda d: ((d.array(d.one(*WIDE), d.one((3, 2), (4, 3)), -3, 3), None), {}),
    **{f"lax.{n}": unary(F32) for n in "exp expm1 log log1p sin cos tan tanh sqrt rsqrt logistic erf floor ceil is_finite square".split()},
    **{f"lax.{n}": unary(NUMBERS) for n in "abs neg sign".split()}, "lax.round": unary(F32),
    **{f"lax.{n}": (lambda d: ((d.array(t := d.one(*NUMBERS), s := d.one(*SHAPES)), d.array(t, s)), {})) for n in "add sub mul div rem max min eq ne lt le gt ge".split()},
    **{f"lax.{n}": (lambda d: ((d.array(t := d.one(*INTS), s := d.one(*SHAPES)), d.array(t, s)), {})) for n in "bitwise_and bitwise_or bitwise_xor shift_left shift_right_arithmetic".split()},
    "lax.atan2": lambda d: ((d.array(t := d.one(*F32), s := d.one(*SHAPES)), d.array(t, s)), {}), "lax.pow": lambda d: ((d.array(t := d.one(*F32), s := d.one(*SHAPES), 0.1, 9.0), d.array(t, s)), {}),
    "lax.integer_pow": lambda d: ((d.array(of=F32), d.r.randint(-3, 5)), {}), "lax.reciprocal": unary(F32),
    "lax.clamp": lambda d: ((d.array(t := d.one(*NUMBERS), (), 0, 1), d.array(t, d.one(*SHAPES)), d.array(t, (), 1, 2)), {}),
    "lax.top_k": lambda d: ((d.array(of=NUMBERS, shape=d.one((5,), (2, 5))), d.r.randint(0, 5)), {}),
    **{f"lax.{n}": lambda d: ((x := d.full(NUMBERS, 1), d.r.randrange(x.ndim), np.int32), {}) for n in ("argmax", "argmin")},
    "lax.pad": lambda d: ((d.array(t := d.one(*ALL), (3,)), d.array(t, ())), {"padding_config": [(d.r.randint(-2, 2), d.r.randint(0, 2), d.r.randint(0, 2))]}),
    "lax.rev": shaped(lambda d, x: (tuple(d.r.sample(range(x.ndim), d.r.randint(0, x.ndim))),)),
    "lax.slice": lambda d: ((d.array(shape=(4, 3)), (d.r.randint(0, 1), d.r.randint(0, 2)), (d.r.randint(1, 4), 3), d.one(None, (1, 2), (2, 1))), {}),
    "lax.dynamic_slice": lambda d: ((d.array(shape=(4, 3)), (np.int32(d.r.randint(-6, 6)), d.r.randint(-2, 4)), (2, 2)), {}),
    "lax.dynamic_update_slice": lambda d: ((d.array(t := d.one(*ALL), (4, 3)), d.array(t, (2, 2)), (np.int32(d.r.randint(-6, 6)), d.r.randint(-2, 4))), {}),
    "lax.conv": lambda d: ((d.array("float32", (1, 2, 5, 4), -2, 2), d.array("float32", (3, 2, d.r.randint(1, 3), 2), -2, 2), (d.r.randint(1, 2), 1), d.one("SAME", "VALID")), {}),
    **{f"nn.{n}": unary(F32) for n in "relu sigmoid silu softplus gelu leaky_relu elu log_sigmoid selu relu6 hard_tanh".split()},
    "nn.gelu ": lambda d: ((d.array(of=F32),), {"approximate": False}),
    **{f"nn.{n}": along(F32, none=False, empty=False) for n in ("softmax", "log_softmax")}, "nn.logsumexp": reduction(F32, empty=False),
    "nn.one_hot": lambda d: ((d.array("int32", (3,), -2, 4), 3), {}),
    **{f"special.{n}": unary(WIDE) for n in "erfinv entr logit ndtr ndtri log_ndtr digamma gammaln i0 i0e erf erfc expit".split()},
    **{f"special.{n}": (lambda d: ((d.array(t := d.one(*WIDE), (4,)), d.array(t, (4,), 0.01, 9.0)), {})) for n in ("xlogy", "xlog1py")},
    "special.betaln": lambda d: ((d.array("float32", (3,), 0.1, 5), d.array("float32", (3,), 0.1, 5)), {}),
    "special.zeta": lambda d: ((d.array("float32", (3,), 1.1, 9), d.array("float32", (3,), 0.1, 9)), {}),
    "special.polygamma": lambda d: ((d.one(1, 2, 3), d.array("float32", (3,), 0.1, 9)), {}),
}  # fmt: skip

SMOOTH = """square sqrt exp exp2 expm1 log log2 log10 log1p sin cos tan sinh cosh tanh arcsin arccos arctan arcsinh arctanh cbrt reciprocal sinc negative add subtract multiply divide
    power maximum minimum arctan2 hypot logaddexp where clip sum prod mean var std max min cumsum cumprod sort median quantile average reshape transpose concatenate stack tile repeat roll pad diag
    tril diff take cross kron polyval matmul inner tensordot einsum nansum mod fmod floor_divide heaviside sign trace ptp""".split()
SLOPES = [*(f"numpy.{n}" for n in SMOOTH), *(f"numpy.linalg.{n}" for n in "det inv slogdet pinv cholesky eigvalsh svdvals solve matrix_power norm multi_dot lstsq".split()),
    *(f"lax.{n}" for n in "rsqrt logistic erf pow integer_pow clamp top_k pad dynamic_slice dynamic_update_slice conv rem atan2".split()),
    *(f"nn.{n}" for n in "relu sigmoid silu softplus gelu leaky_relu elu log_sigmoid selu relu6 hard_tanh softmax log_softmax logsumexp".split()),
    *(f"special.{n}" for n in "erfinv entr logit ndtr log_ndtr digamma xlogy xlog1py betaln i0e".split())]  # fmt: skip


def call(number: int) -> Call:
    """The call with this number: one of every eight is a gradient, of the calls in turn."""
    names = sorted(CALLS)
    if number % 8 == 7:
        name = SLOPES[number // 8 % len(SLOPES)]
        d = Draw(
            number, tame=number % 16 == 7 or name in ("numpy.var", "numpy.std")
        )  # squares of the largest numbers overflow
        args, kwargs = CALLS[name](d)
        kwargs.pop("dtype", None)  # in which gradients would be rounded
        args = tuple(
            _as_floats(x) if i < 2 or name in ("numpy.einsum", "numpy.where") else x
            for i, x in enumerate(_filled(name, args, d))
        )
        return Call(name, args, kwargs, slope=True)
    d = Draw(number)
    name = names[(number - number // 8) % len(names)]
    args, kwargs = CALLS[name](d)
    return Call(name.strip(), _filled(name, args, d), kwargs)


def _filled(name: str, args: Any, d: Draw) -> Any:
    if name == "numpy.linalg.lstsq":
        return args[0], d.array(args[0].dtype.name, (args[0].shape[0], 2), -3, 3)
    return tuple(args)


def _as_floats(x: Any) -> Any:
    """Integers and Python numbers as float32, so that there is something to differentiate."""
    if isinstance(x, np.ndarray) and x.dtype.kind in "iu" and x.dtype != np.int32:
        return x.astype(np.float32)
    if isinstance(x, list) and x and isinstance(x[0], np.ndarray):
        return [_as_floats(y) for y in x]
    return x


def undefined(c: Call) -> bool:
    """Whether there is no answer to hold fdl to: libraries give what they like, or JAX is wrong."""
    operands = [np.asarray(x) for x in c.args if isinstance(x, (np.ndarray, int, float))]
    kinds = {x.dtype.name for x in operands if x.ndim or isinstance(x, np.ndarray)}
    if (
        c.name == "numpy.power" and operands[1].dtype.kind in "iu"
    ):  # negative powers of integers, and exponents that another dtype rounds
        exponent = operands[1].astype(np.float64)
        return bool((np.abs(exponent) > 100).any() or (exponent < 0).any())
    if c.name in ("numpy.median", "numpy.quantile", "numpy.percentile") and not operands[0].ndim:
        return bool(c.kwargs.get("keepdims"))  # JAX makes an axis
    if c.name in ("numpy.remainder", "numpy.mod", "numpy.fmod", "numpy.floor_divide", "numpy.divmod"):
        return "uint64" in kinds and len(kinds) > 1  # both become floats, and large integers are rounded
    if c.slope and c.name == "numpy.hypot":
        return any(np.isinf(x.astype(np.float64)).any() for x in operands)  # JAX makes NaN of the other one's slope, 0
    if c.slope and c.name == "numpy.arctan2":
        a, b = np.broadcast_arrays(*operands)
        return bool(((a == 0) & (b == 0)).any())  # at the origin there is none: 0 here, NaN in JAX
    if c.name == "special.i0":
        return bool(np.isinf(operands[0].astype(np.float64)).any())  # infinite, of which JAX makes NaN
    if c.slope and c.name == "special.digamma":
        return bool((operands[0] <= 0).any())  # JAX's trigamma is for positive numbers
    return (
        c.slope and c.name == "special.log_ndtr" and bool((np.abs(operands[0].astype(np.float64)) > 1e150).any())
    )  # of which JAX makes NaN
