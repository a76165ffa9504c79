"""Random calls of the stateful face: functions, methods, in-place forms and losses, with the operands of
`instances.py`.

The same number makes the same call on every machine. `record_torch.py` asks PyTorch what each call gives,
`test_torch_instances.py` asks fdl.stateful.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tests.oracles.instances import SHAPES, Call, Draw

FLOATS = ("float32", "float32", "float32", "float64", "float16", "bfloat16")
WIDE = ("float32", "float64")
INTS = ("int64", "int64", "int32", "int8", "uint8", "int16")
NUMBERS = (*FLOATS, *INTS)
ALL = (*NUMBERS, "bool")
DTYPES = ("float32", "float64", "float16", "bfloat16", "int64", "int32", "int8", "uint8", "bool")


class Dtype(str):
    """The name of a dtype, which the library that is called looks up."""


def dtype(d: Draw, of: Any = DTYPES) -> Dtype:
    return Dtype(d.one(*of))


def unary(of: Any = ALL, **bounds: float) -> Any:
    return lambda d: ((d.array(of=of, **bounds),), {})


def pair(d: Draw, of: Any = ALL, **bounds: float) -> Any:
    """Two operands that broadcast: of one dtype mostly, the second a Python number at times."""
    shape = d.one(*SHAPES)
    other = d.one(shape, shape, (), tuple(1 if d.r.random() < 0.3 else n for n in shape), shape[1:])
    first = d.one(*of)
    a = d.array(first, shape, **bounds)
    if d.r.random() < 0.2:
        return a, d.one(2, -3, 0, 1, True) if not first.startswith(
            ("float", "bfloat")
        ) or d.r.random() < 0.4 else round(d.r.uniform(-3, 3), 2)
    return a, d.array(first if d.r.random() < 0.6 else d.one(*of), other, **bounds)


def binary(of: Any = ALL, **bounds: float) -> Any:
    return lambda d: (pair(d, of, **bounds), {})


def some(d: Draw, choices: dict[str, Any], share: float = 0.4) -> dict[str, Any]:
    return {k: v(d) for k, v in choices.items() if d.r.random() < share}


def reduction(
    of: Any = ALL,
    empty: bool = True,
    many: bool = True,
    none: bool = True,
    low: float = -math.inf,
    high: float = math.inf,
    **extra: Any,
) -> Any:
    """A function of `dim` and `keepdim`."""

    def draw(d: Draw) -> Any:
        x = d.array(None, d.one(*[s for s in SHAPES if empty or 0 not in s]), low, high, of)
        dim = d.axes(x.ndim) if many else d.axis(x.ndim)
        more = some(d, extra, 0.3)
        if dim is None:
            return (x,) if none else (x, 0 if x.ndim else -1), more
        return (x, dim), {**({"keepdim": True} if d.r.random() < 0.4 else {}), **more}

    return draw


def along(of: Any = ALL, empty: bool = True, **extra: Any) -> Any:
    def draw(d: Draw) -> Any:
        x = d.array(of=of, shape=d.one(*[s for s in SHAPES if empty or 0 not in s]))
        return (x,), {"dim": dim(d, x), **some(d, extra)}

    return draw


def shaped(f: Any, of: Any = ALL, ndim: int = 0, empty: bool = True) -> Any:
    def draw(d: Draw) -> Any:
        x = d.array(of=of, shape=d.one(*[s for s in SHAPES if len(s) >= ndim and (empty or 0 not in s)]))
        found = f(d, x)
        return (x, *found) if isinstance(found, tuple) else (x,), {} if isinstance(found, tuple) else found

    return draw


def distinct(d: Draw, shape: Any) -> Any:
    """Numbers of which no two are equal, in no order."""
    values = d.r.sample(range(-50, 50), math.prod(shape))
    if d.r.random() < 0.3:
        values[0] = d.one(math.nan, math.inf, -math.inf)
    return np.array(values, d.one(*WIDE)).reshape(shape)


def dim(d: Draw, x: Any) -> int:
    return d.r.randrange(-x.ndim, x.ndim) if x.ndim else d.one(0, -1)


def lists(f: Any = lambda d, shape: (), least: int = 0) -> Any:
    def draw(d: Draw) -> Any:
        shape = d.one(*[s for s in SHAPES if len(s) >= least])
        first = d.one(*ALL)
        return (
            [d.array(first if d.r.random() < 0.8 else d.one(*ALL), shape) for _ in range(d.r.randint(1, 3))],
            *f(d, shape),
        ), {}

    return draw


def products(d: Draw, least: int = 0) -> Any:
    m, k, n = (d.r.randint(least, 4) for _ in range(3))
    lead, t = d.one((), (), (2,), (3, 1)), d.one(*NUMBERS)
    a, b = d.one((m, k), (k,)), d.one((k, n), (k,))
    return d.array(t, (*lead, *a) if len(a) == 2 else a, -5, 5), d.array(
        t, (*lead, *b) if len(b) == 2 and d.r.random() < 0.5 else b, -5, 5
    )


def square(positive: bool = False, more: Any = lambda d, x: ()) -> Any:
    def draw(d: Draw) -> Any:
        n, lead = d.r.randint(1, 4), d.one((), (), (2,))
        x = d.array(d.one(*WIDE), (*lead, n, n), -3, 3)
        if positive:
            x = (x @ np.swapaxes(x, -1, -2) + np.eye(n) * 2).astype(x.dtype)
        return (x, *more(d, x)), {}

    return draw


def rhs(d: Draw, x: Any) -> Any:
    return (d.array(x.dtype.name, (*x.shape[:-1], d.r.randint(1, 3)), -3, 3),)


def indexed(value: bool = True, source: bool = False, reduce: Any = ()) -> Any:
    """A tensor, a dim, an index along it, and what is put there."""

    def draw(d: Draw) -> Any:
        x = d.array(
            of=NUMBERS if reduce else ALL, shape=d.one(*[s for s in SHAPES if s and 0 not in s]), low=-9, high=9
        )
        k = d.r.randrange(-x.ndim, x.ndim)
        n = d.r.randint(0, 3)
        index = d.array("int64", (n,), 0, x.shape[k] - 1)
        shape = list(x.shape)
        shape[k] = n
        args: list[Any] = [x, k, index]
        if source:
            args.append(d.array(x.dtype.name, tuple(shape), -9, 9))
        elif value:
            args.append(d.one(1, 0, True) if x.dtype.kind in "iub" else d.one(1.5, -2, 0))
        return tuple(args), {}

    return draw


def gathered(kind: str) -> Any:
    def draw(d: Draw) -> Any:
        x = d.array(
            of=NUMBERS if kind not in ("gather", "scatter") else ALL,
            shape=d.one((3,), (2, 3), (3, 2), (2, 1, 3), (4, 1)),
            low=-9,
            high=9,
        )
        k = d.r.randrange(-x.ndim, x.ndim)
        shape = tuple(d.r.randint(1, n) for n in x.shape)
        index = d.array("int64", shape, 0, x.shape[k] - 1)
        if kind == "gather":
            return (x, k, index), {}
        src = d.array(x.dtype.name, tuple(n + d.r.randint(0, 1) for n in shape), -9, 9)
        if kind == "scatter":  # places that are written twice have no defined value
            index = np.zeros_like(index)
            index = index[tuple(slice(0, 1) if i == k % x.ndim else slice(None) for i in range(x.ndim))]
            return (x, k, index, d.one(src, 1, True)), {}
        if kind == "scatter_add":
            return (x, k, index, src), {}
        return (x, k, index, src, d.one("sum", "prod", "mean", "amax", "amin")), {"include_self": d.one(True, False)}

    return draw


def masked(value: bool = True) -> Any:
    def draw(d: Draw) -> Any:
        x = d.array(of=ALL)
        mask = d.array("bool", d.one(x.shape, x.shape[1:], ()))
        return (x, mask, d.one(1, 0, -1 if x.dtype != np.uint8 else 1)) if value else (x, mask), {}

    return draw


def einsums(d: Draw) -> Any:
    text, *shapes = d.one(
        ("ij,jk->ik", (2, 3), (3, 2)),
        ("ii->i", (3, 3)),
        ("ii", (3, 3)),
        ("ij->ji", (2, 3)),
        ("i,j", (2,), (3,)),
        ("bij,bjk->bik", (2, 1, 3), (2, 3, 2)),
        ("...i,...i->...", (2, 3), (2, 3)),
        ("ij,ij->", (2, 3), (2, 3)),
        ("ij,j", (2, 3), (3,)),
        ("i,ij,j->", (2,), (2, 3), (3,)),
        ("ijk->ki", (2, 3, 2)),
        ("...ij,jk", (2, 2, 3), (3, 1)),
        ("Ab,bA->A", (2, 3), (3, 2)),
        ("ij,ij->ij", (2, 3), (1, 3)),
    )
    t = d.one("float32", "float64", "int64", "bfloat16")
    return (text, *(d.array(t, s, -3, 3) for s in shapes)), {}


def regression(
    low: float = -3, high: float = 3, tlow: float = -3, thigh: float = 3, numbers: bool = False, **extra: Any
) -> Any:
    """A loss of an input and a target of its shape."""

    def draw(d: Draw) -> Any:
        t, shape = d.one(*FLOATS), d.one(*SHAPES)
        x, y = d.array(t, shape, low, high), d.array(t, shape, tlow, thigh)
        return (x, np.sign(y) + (y == 0).astype(y.dtype) if numbers else y), some(
            d, {"reduction": lambda d: d.one("mean", "sum", "none"), **extra}, 0.6
        )

    return draw


def classes(log: bool = False, **extra: Any) -> Any:
    def draw(d: Draw) -> Any:
        n, c = d.r.randint(1, 4), d.r.randint(1, 4)
        inner = d.one((), (), (2,), (2, 3))
        alone = not inner and d.r.random() < 0.2
        t = d.one(*WIDE, "float32", "bfloat16")
        x = d.array(t, (c,) if alone else (n, c, *inner), -4, 4)
        y = d.array("int64", () if alone else (n, *inner), 0, c - 1)
        if d.r.random() < 0.3:
            y = np.where(d.array("bool", y.shape), -100, y)
        kwargs = some(
            d,
            {
                "reduction": lambda d: d.one("mean", "sum", "none"),
                "ignore_index": lambda d: d.one(-100, 0),
                "weight": lambda d: d.array(t, (c,), 0.1, 2),
                **extra,
            },
        )
        if not log and d.r.random() < 0.2:
            y = d.array(t, x.shape, 0, 1)
            kwargs.pop("ignore_index", None)
        return (x, y), kwargs

    return draw


def pooled(n: int, kind: str) -> Any:
    def draw(d: Draw) -> Any:
        x = d.array(
            d.one("float32", "float32", "float64", "bfloat16"),
            ((2,) if d.r.random() < 0.7 else ()) + (2, *(d.r.randint(4, 6) for _ in range(n))),
            -9,
            9,
        )
        k = d.one(2, 3) if d.r.random() < 0.6 else tuple(d.r.randint(1, 3) for _ in range(n))
        kwargs = some(
            d,
            {
                "stride": lambda d: d.r.randint(1, 3),
                "ceil_mode": lambda d: True,
                "padding": lambda d: 1 if min(k if isinstance(k, tuple) else (k,)) > 1 else 0,
            },
        )
        if kind == "max":
            kwargs |= some(
                d, {"dilation": lambda d: 2 if d.r.random() < 0.4 else 1, "return_indices": lambda d: True}, 0.2
            )
        elif kind == "avg":
            kwargs |= some(
                d, {"count_include_pad": lambda d: False, **({"divisor_override": lambda d: 3} if n > 1 else {})}, 0.3
            )
        else:
            kwargs.pop("padding", None)
            return (abs(x) + x.dtype.type(0.5), 2.0, k if n > 1 or isinstance(k, int) else k[0]), kwargs
        return (x, k), kwargs

    return draw


def adaptive(n: int) -> Any:
    def draw(d: Draw) -> Any:
        x = d.array(d.one(*WIDE), (2, 2, *(d.r.randint(3, 6) for _ in range(n))), -9, 9)
        return (
            x,
            d.one(1, 2, 3) if n == 1 or d.r.random() < 0.5 else tuple(d.one(1, 2, 4, None) for _ in range(n)),
        ), {}

    return draw


def convolved(n: int, turned: bool = False) -> Any:
    def draw(d: Draw) -> Any:
        groups = d.one(1, 1, 2)
        cin, cout = 2 * d.r.randint(1, 2), 2 * d.r.randint(1, 2)
        t = d.one("float32", "float32", "float64", "bfloat16")
        x = d.array(t, ((2,) if d.r.random() < 0.8 else ()) + (cin, *(d.r.randint(4, 6) for _ in range(n))), -2, 2)
        k = tuple(d.r.randint(1, 3) for _ in range(n))
        w = d.array(t, ((cin, cout // groups) if turned else (cout, cin // groups)) + k, -2, 2)
        b = d.array(t, (cout,), -2, 2) if d.r.random() < 0.5 else None
        kwargs = some(
            d,
            {
                "stride": lambda d: d.r.randint(1, 2),
                "padding": lambda d: d.r.randint(0, 1),
                "dilation": lambda d: d.r.randint(1, 2),
            },
        )
        if turned and kwargs.get("stride") == 2:
            kwargs |= some(d, {"output_padding": lambda d: 1})
        elif not turned and "stride" not in kwargs:
            kwargs |= some(d, {"padding": lambda d: d.one("same", "valid")}, 0.3)
        return (x, w, b), {**kwargs, "groups": groups}

    return draw


def padded(d: Draw) -> Any:
    x = d.array(of=FLOATS, shape=d.one((2, 3, 4), (1, 2, 4, 5)), low=-9, high=9)
    n = d.r.randint(1, x.ndim - 2)
    mode = d.one("constant", "constant", "reflect", "replicate", "circular")
    n = x.ndim - 2 if mode != "constant" else n
    return (x, [d.r.randint(-1 if mode == "constant" else 0, 2) for _ in range(2 * n)], mode), {
        "value": 1.5
    } if mode == "constant" and d.r.random() < 0.5 else {}


def interpolated(d: Draw) -> Any:
    n = d.r.randint(1, 3)
    x = d.array(d.one("float32", "float64"), (1, 2, *(d.r.randint(2, 5) for _ in range(n))), -9, 9)
    mode = d.one("nearest", "nearest-exact", "area", *{1: ["linear"], 2: ["bilinear", "bicubic"], 3: ["trilinear"]}[n])
    kwargs: dict[str, Any] = {
        "mode": mode,
        **d.one(
            {"size": d.r.randint(1, 7)},
            {"scale_factor": d.one(2, 0.5, 1.5, 1.3)},
            {"size": tuple(d.r.randint(1, 7) for _ in range(n))},
        ),
    }
    if "linear" in mode or mode == "bicubic":
        kwargs |= some(d, {"align_corners": lambda d: d.one(True, False), "antialias": lambda d: n == 2})
    if "scale_factor" in kwargs:
        kwargs |= some(d, {"recompute_scale_factor": lambda d: not kwargs.get("antialias")}, 0.3)
    return (x,), kwargs


def attention(d: Draw) -> Any:
    t = d.one("float32", "float32", "float64", "bfloat16")
    lead, q, k, e = d.one((2,), (1, 2), ()), d.r.randint(1, 4), d.r.randint(1, 4), d.r.randint(1, 4)
    args = [d.array(t, (*lead, n, e), -2, 2) for n in (q, k, k)]
    kwargs = d.one(
        {},
        {"is_causal": True},
        {"attn_mask": np.tril(np.ones((q, k), bool))},
        {"attn_mask": d.array(t, (q, k), -2, 2)},
        {"scale": 0.3},
        {"attn_mask": d.array("bool", (q, k))},
    )
    return tuple(args), kwargs


def normed(kind: str) -> Any:
    def draw(d: Draw) -> Any:
        t = d.one("float32", "float32", "float64", "bfloat16")
        x = d.array(t, d.one((2, 4), (3, 4), (2, 4, 3), (2, 4, 2, 3)), -5, 5)
        c = x.shape[1]
        w, b = (d.array(t, (c,), -2, 2) if d.r.random() < 0.6 else None for _ in range(2))
        if kind == "layer":
            k = d.r.randint(1, 2)
            tail = x.shape[-k:]
            return (x, tail, d.one(None, d.array(t, tail, -2, 2)), d.one(None, d.array(t, tail, -2, 2))), some(
                d, {"eps": lambda d: 1e-3}
            )
        if kind == "rms":
            return (x, x.shape[-1:], d.one(None, d.array(t, x.shape[-1:], -2, 2))), some(d, {"eps": lambda d: 1e-3})
        if kind == "group":
            return (x, d.one(1, 2, 4), w, b), {}
        if kind == "instance":
            x = d.array(t, d.one((2, 4, 3), (2, 4, 2, 3)), -5, 5)
            return (x,), {"weight": w, "bias": b}
        train = d.r.random() < 0.5
        return (x, d.array(t, (c,), -2, 2), d.array(t, (c,), 0.1, 2), w, b), {
            "training": train,
            **some(d, {"momentum": lambda d: 0.3, "eps": lambda d: 1e-3}),
        }

    return draw


def labelled(kind: str) -> Any:
    def draw(d: Draw) -> Any:
        t = d.one(*WIDE)
        kwargs = some(d, {"reduction": lambda d: d.one("mean", "sum", "none")}, 0.6)
        n, c = d.r.randint(1, 4), d.r.randint(1, 4)
        x = d.array(t, (n, c), -3, 3)
        if kind == "multi_margin":
            return (x, d.array("int64", (n,), 0, c - 1)), {
                **kwargs,
                **some(d, {"p": lambda d: 2, "margin": lambda d: 0.5, "weight": lambda d: d.array(t, (c,), 0.1, 2)}),
            }
        if kind == "multilabel_margin":
            return (x, d.array("int64", (n, c), -1, c - 1)), kwargs
        if kind == "multilabel_soft":
            return (x, d.array("bool", (n, c)).astype(t)), {
                **kwargs,
                **some(d, {"weight": lambda d: d.array(t, (c,), 0.1, 2)}),
            }
        signs = lambda s: (d.array("bool", s) * 2 - 1).astype(t)
        if kind == "ranking":
            return (x, d.array(t, (n, c), -3, 3), signs((n, c))), {**kwargs, **some(d, {"margin": lambda d: 0.5})}
        if kind == "cosine":
            return (x, d.array(t, (n, c), -3, 3), signs((n,))), {**kwargs, **some(d, {"margin": lambda d: 0.5})}
        if kind == "triplet":
            return (x, d.array(t, (n, c), -3, 3), d.array(t, (n, c), -3, 3)), {
                **kwargs,
                **some(d, {"margin": lambda d: 0.5, "p": lambda d: d.one(1.0, 2.0, 3.0), "swap": lambda d: True}),
            }
        if kind == "gaussian":
            return (x, d.array(t, (n, c), -3, 3), d.array(t, d.one((n, c), (n, 1), (n,)), 0.1, 2)), {
                **kwargs,
                **some(d, {"full": lambda d: True, "eps": lambda d: 1e-3}),
            }
        if kind == "bce":
            return (d.array(t, (n, c), 0.01, 0.99), d.array(t, (n, c), 0, 1)), {
                **kwargs,
                **some(d, {"weight": lambda d: d.array(t, d.one((c,), (n, c)), 0.1, 2)}),
            }
        return (x, d.array(t, (n, c), 0, 1)), {
            **kwargs,
            **some(
                d,
                {
                    "weight": lambda d: d.array(t, d.one((c,), (n, c)), 0.1, 2),
                    "pos_weight": lambda d: d.array(t, (c,), 0.1, 2),
                },
            ),
        }

    return draw


def embedded(bag: bool) -> Any:
    def draw(d: Draw) -> Any:
        w = d.array(d.one("float32", "float32", "float64", "bfloat16"), (5, 3), -3, 3)
        k = d.array(d.one("int64", "int32"), d.one((4,), (2, 3), *([] if bag else [(), (0,)])), 0, 4)
        if not bag:
            return (k, w), some(
                d, {"padding_idx": lambda d: d.one(0, -1, 2), "scale_grad_by_freq": lambda d: True}, 0.3
            )
        kwargs = some(d, {"mode": lambda d: d.one("sum", "mean", "max"), "padding_idx": lambda d: d.one(1, -1)})
        if k.ndim == 1:
            kwargs["offsets"] = np.array(d.one([0, 2], [0, 0, 3], [0]), k.dtype)
        elif kwargs.get("mode") == "sum" and d.r.random() < 0.5:
            kwargs["per_sample_weights"] = d.array(w.dtype.name, k.shape, -2, 2)
        return (k, w), kwargs

    return draw


def ctc(d: Draw) -> Any:
    t, n, c, s = d.r.randint(3, 6), d.r.randint(1, 2), d.r.randint(2, 4), d.r.randint(1, 2)
    x = d.array("float32", (t, n, c), -3, 3)
    x = (x - np.log(np.exp(x).sum(-1, keepdims=True))).astype(np.float32)
    return (x, d.array("int64", (n, s), 1, c - 1), np.full((n,), t), d.array("int64", (n,), 0, s)), some(
        d, {"reduction": lambda d: d.one("mean", "sum", "none"), "zero_infinity": lambda d: True}
    )


ELEMENTWISE = """abs absolute positive sign square sqrt exp exp2 expm1 log log2 log10 log1p sin cos tan sinh cosh
tanh asin acos atan asinh acosh atanh rsqrt reciprocal floor ceil trunc frac round neg negative sigmoid erf erfc
relu sgn deg2rad rad2deg sinc nan_to_num logical_not digamma lgamma erfinv logit i0""".split()
PREDICATES = "isnan isinf isfinite isposinf isneginf signbit isreal".split()
PAIRS = """add sub mul div true_divide floor_divide remainder fmod pow atan2 hypot copysign eq ne lt le gt ge
    logical_and logical_or logical_xor""".split()
ONLY_TENSORS = (
    "maximum minimum fmax fmin logaddexp logaddexp2 heaviside xlogy ldexp float_power rsub subtract multiply divide"
).split()
BITS = "bitwise_and bitwise_or bitwise_xor bitwise_left_shift bitwise_right_shift".split()
ACTIVATIONS = """relu sigmoid silu softplus gelu leaky_relu elu logsigmoid selu relu6 hardtanh hardswish
    hardsigmoid hardshrink softshrink softsign tanhshrink mish celu tanh""".split()

CALLS: dict[str, Any] = {
    **{f"torch.{n}": unary() for n in (*ELEMENTWISE, *PREDICATES)},
    **{f"Tensor.{n}_": unary() for n in ELEMENTWISE if n not in ("positive",)},
    **{
        f"{m}": unary(low=-9, high=9)
        for m in ("torch.sign", "torch.sgn", "Tensor.sign_", "Tensor.sgn_", "torch.i0", "Tensor.i0_")
    },  # of NaN and infinity PyTorch gives one thing or another
    **{
        f"torch.{n}": lambda d: ((d.array(t := d.one(*INTS), s := d.one(*SHAPES), -9, 9), d.array(t, s, -9, 9)), {})
        for n in ("gcd", "lcm")
    },
    "torch.bitwise_not": unary((*INTS, "bool")),
    **{f"torch.{n}": binary() for n in PAIRS},
    **{f"Tensor.{n}_": binary() for n in PAIRS},
    **{f"torch.{n}": binary() for n in ONLY_TENSORS},
    **{f"torch.{n}": binary((*INTS, "bool")) for n in BITS},
    **{f"Tensor.{n}_": binary((*INTS, "bool")) for n in BITS},
    **{f"Tensor.{n}": binary() for n in "__rsub__ __rfloordiv__ __rmod__ __truediv__ __mod__ __floordiv__".split()},
    "torch.div ": lambda d: (pair(d, NUMBERS), {"rounding_mode": d.one("floor", "trunc", None)}),
    **{f"torch.{n} ": lambda d: (pair(d, NUMBERS), {"alpha": d.one(2, -1, 0.5)}) for n in ("add", "sub")},
    "torch.clamp": lambda d: ((d.array(of=NUMBERS),), {"min": d.one(None, 0, 1, 0.5), "max": d.one(2, 3, 1.5, -1)}),
    "Tensor.clamp_": lambda d: ((d.array(of=NUMBERS),), {"min": d.one(0, 1, 0.5), "max": d.one(None, 2, 3)}),
    "torch.clamp ": lambda d: (
        (d.array(t := d.one(*NUMBERS), s := d.one(*SHAPES)), d.array(t, s[1:]), d.array(d.one(t, *NUMBERS), s)),
        {},
    ),
    "torch.round ": lambda d: ((d.array(of=FLOATS, low=-50, high=50),), {"decimals": d.one(0, 1, 2, -1)}),
    "torch.lerp": lambda d: (
        (d.array(t := d.one(*FLOATS), s := d.one(*SHAPES)), d.array(t, s), d.one(0.3, 0.8, d.array(t, s, 0, 1))),
        {},
    ),
    **{
        f"torch.{n}": lambda d: (
            (d.array(t := d.one(*NUMBERS), s := d.one(*SHAPES), -9, 9), d.array(t, s, -9, 9), d.array(t, s[1:], 1, 9)),
            {"value": d.one(1, 2, 0.5)},
        )
        for n in ("addcmul", "addcdiv")
    },
    "torch.where": lambda d: (
        (
            d.array("bool", (2, 3)),
            d.one(d.array(shape=d.one((2, 3), (3,), ()), of=ALL), 1.5, 2),
            d.one(d.array(shape=(2, 1), of=ALL), d.array(shape=(2, 3), of=ALL), 0, 1.5),
        ),
        {},
    ),
    "torch.nan_to_num ": lambda d: (
        (d.array(of=FLOATS),),
        some(d, {"nan": lambda d: 1.0, "posinf": lambda d: 2.0, "neginf": lambda d: -3.0}),
    ),
    "torch.isclose": lambda d: (
        (d.array(t := d.one(*NUMBERS), s := d.one(*SHAPES)), d.array(t, s)),
        some(d, {"rtol": lambda d: 0.5, "equal_nan": lambda d: True, "atol": lambda d: 1.0}),
    ),
    "torch.allclose": lambda d: ((x := d.array(of=NUMBERS), x), some(d, {"equal_nan": lambda d: True})),
    "torch.equal": lambda d: ((x := d.array(of=ALL), d.one(x, x + x)), {}),
    "torch.polygamma": lambda d: ((d.one(0, 1, 2, 3), d.array(of=("float32",), low=0.1, high=9)), {}),
    "torch.mvlgamma": lambda d: ((d.array(of=WIDE, low=2, high=9), d.one(1, 2, 3)), {}),
    **{
        f"torch.{n}": reduction(dtype=lambda d: dtype(d, ("float32", "float64", "int64", "int32", "bool")))
        for n in ("sum",)
    },
    "torch.prod": reduction(many=False, dtype=lambda d: dtype(d, ("float32", "float64", "int64", "int32", "bool"))),
    "torch.nansum": reduction(dtype=lambda d: dtype(d, WIDE)),
    "torch.mean": reduction(FLOATS, dtype=lambda d: dtype(d, WIDE)),
    "torch.nanmean": reduction(FLOATS),
    **{
        f"torch.{n}": reduction((*FLOATS, *FLOATS, "int64"), correction=lambda d: d.one(0, 1), low=-99, high=99)
        for n in ("var", "std", "var_mean", "std_mean")
    },
    **{f"torch.{n}": reduction(empty=False) for n in ("amax", "amin")},
    **{
        f"torch.{n} ": reduction(empty=False, many=False)
        for n in ("max", "min", "argmax", "argmin", "median", "nanmedian")
    },
    "torch.aminmax": lambda d: (
        (x := d.array(of=ALL, shape=d.one((3,), (2, 3), (2, 1, 3))),),
        {"dim": d.r.randrange(x.ndim), "keepdim": d.one(True, False)} if d.r.random() < 0.7 else {},
    ),
    **{f"torch.{n} ": reduction() for n in ("any", "all")},
    "torch.count_nonzero": lambda d: ((x := d.array(of=ALL), d.axes(x.ndim)), {}),
    "torch.logsumexp": lambda d: ((x := d.array(of=FLOATS), dim(d, x)), {}),
    "torch.norm": lambda d: (
        (d.array(of=WIDE, low=-9, high=9), d.one(2, 1, 3, math.inf, -math.inf, 0, "fro")),
        {"dim": 0, "keepdim": d.one(True, False)} if d.r.random() < 0.4 else {},
    ),
    "torch.dist": lambda d: (
        (
            d.array(t := d.one(*WIDE), (2, 3), -9, 9),
            d.array(t, d.one((2, 3), (3,)), -9, 9),
            d.one(2, 1, 0, 3, math.inf),
        ),
        {},
    ),
    **{
        f"torch.{n}": along(dtype=lambda d: dtype(d, ("float32", "float64", "int64", "int32", "bool")))
        for n in ("cumsum", "cumprod")
    },
    **{f"torch.{n}": along(ALL) for n in ("cummax", "cummin")},
    "torch.logcumsumexp": along(FLOATS),
    "torch.sort": along(stable=lambda d: True, descending=lambda d: True),
    "torch.argsort": lambda d: (
        (x := d.array(of=ALL),),
        {"dim": dim(d, x), "stable": True, "descending": d.one(True, False)},
    ),
    "torch.msort": shaped(lambda d, x: (), ndim=1),
    "torch.topk": lambda d: ((np.unique(d.array(of=NUMBERS, shape=(5,))), 1), {"largest": d.one(True, False)}),
    "Tensor.topk": lambda d: ((distinct(d, (3, 5)), d.r.randint(0, 5)), {"dim": -1, "largest": d.one(True, False)}),
    "torch.kthvalue": lambda d: (
        (distinct(d, d.one((5,), (3, 4))), d.r.randint(1, 3)),
        {"dim": d.one(0, -1), "keepdim": d.one(True, False)},
    ),
    "torch.mode": lambda d: (
        (d.array(of=INTS, shape=d.one((5,), (2, 4))),),
        {"dim": -1, "keepdim": d.one(True, False)},
    ),
    **{
        f"torch.{n}": lambda d: (
            (
                x := d.array(of=WIDE, shape=d.one((5,), (2, 3), (2, 3, 2)), low=-99, high=99),
                d.one(d.r.random(), 0.5, 0.0, 1.0, d.array(x.dtype.name, (3,), 0, 1)),
            ),
            {
                "dim": d.axis(x.ndim),
                "keepdim": d.one(True, False),
                **some(d, {"interpolation": lambda d: d.one("linear", "lower", "higher", "midpoint", "nearest")}),
            },
        )
        for n in ("quantile", "nanquantile")
    },
    **{
        f"torch.{n}": lambda d: (
            (
                np.sort(d.array(t := d.one("float32", "int64", "float64", "int8"), (5,), -5, 5)),
                d.array(t, d.one((), (3,), (2, 2)), -6, 6),
            ),
            {"right": d.one(True, False), "out_int32": d.one(True, False)},
        )
        for n in ("searchsorted",)
    },
    "torch.bucketize": lambda d: (
        (d.array(t := d.one("float32", "int64"), d.one((), (3,), (2, 2)), -6, 6), np.sort(d.array(t, (5,), -5, 5))),
        {"right": d.one(True, False)},
    ),
    "torch.unique": lambda d: (
        (d.array(of=INTS, shape=d.one((5,), (2, 3)), low=0, high=3),),
        {"return_inverse": d.one(True, False), "return_counts": d.one(True, False), **some(d, {"dim": lambda d: 0})},
    ),
    "torch.unique_consecutive": lambda d: (
        (d.array(of=INTS, shape=d.one((5,), (2, 3)), low=0, high=2),),
        {"return_inverse": d.one(True, False), "return_counts": d.one(True, False)},
    ),
    "torch.bincount": lambda d: (
        (d.array("int64", (5,), 0, 4),),
        some(d, {"minlength": lambda d: 7, "weights": lambda d: d.array(d.one("float32", "float64"), (5,), -3, 3)}),
    ),
    "torch.histc": lambda d: (
        (d.array(of=WIDE, shape=(6,), low=-3, high=3),),
        {"bins": d.one(3, 5), **d.one({}, {"min": -1, "max": 2})},
    ),
    "torch.reshape": shaped(
        lambda d, x: (d.one((-1,), (x.size,), (1, -1), x.shape[::-1], (*x.shape, 1)),), empty=False
    ),
    "torch.flatten": shaped(lambda d, x: d.one((), (0,), (1,), (0, -1), (-2, -1)) if x.ndim > 1 else ()),
    "Tensor.unflatten": lambda d: ((d.array(of=ALL, shape=(2, 6)), d.one(1, -1), d.one((2, 3), (3, -1))), {}),
    "torch.permute": shaped(lambda d, x: (tuple(d.r.sample(range(x.ndim), x.ndim)),)),
    "torch.transpose": shaped(lambda d, x: (dim(d, x), dim(d, x))),
    "torch.movedim": shaped(lambda d, x: (dim(d, x), dim(d, x)), ndim=1),
    "torch.swapdims": shaped(lambda d, x: (dim(d, x), dim(d, x)), ndim=1),
    "torch.squeeze": shaped(lambda d, x: d.one((), (dim(d, x),))),
    "torch.unsqueeze": shaped(lambda d, x: (d.r.randint(-x.ndim - 1, x.ndim),)),
    "torch.broadcast_to": shaped(lambda d, x: ((2, *x.shape),)),
    "Tensor.expand": shaped(lambda d, x: (d.one((2, *x.shape), (2, *(-1 for _ in x.shape))),)),
    "torch.cat": lists(lambda d, s: (d.r.randrange(-len(s), len(s)),), 1),
    "torch.stack": lists(lambda d, s: (d.r.randrange(-len(s) - 1, len(s) + 1),)),
    **{
        f"torch.{n}": lists()
        for n in (
            "hstack",
            "vstack",
            "dstack",
            "column_stack",
            "block_diag",
            "atleast_1d",
            "atleast_2d",
            "atleast_3d",
            "broadcast_tensors",
        )
    },
    "torch.cartesian_prod": lambda d: ((d.array(t := d.one(*NUMBERS), (2,)), d.array(t, (3,))), {}),
    "torch.combinations": lambda d: (
        (d.array(of=NUMBERS, shape=(4,)),),
        d.one({}, {"r": 3}, {"with_replacement": True}),
    ),
    "torch.meshgrid": lambda d: ((d.array(t := d.one(*ALL), (2,)), d.array(t, (3,))), {"indexing": d.one("xy", "ij")}),
    "torch.tile": shaped(lambda d, x: (d.one((2,), (2, 1), (1, 2, 3), (0,)),)),
    "Tensor.repeat": shaped(lambda d, x: (tuple(d.r.randint(0, 2) for _ in range(x.ndim + d.r.randint(0, 1))),)),
    "torch.repeat_interleave": shaped(
        lambda d, x: (d.one(0, 1, 3),) if d.r.random() < 0.5 or not x.ndim else (2, dim(d, x))
    ),
    "torch.flip": shaped(lambda d, x: (tuple(d.r.sample(range(x.ndim), d.r.randint(0, x.ndim))),)),
    "torch.fliplr": shaped(lambda d, x: (), ndim=2),
    "torch.flipud": shaped(lambda d, x: (), ndim=1),
    "torch.roll": shaped(
        lambda d, x: (
            (d.r.randint(-4, 4), d.r.randrange(x.ndim))
            if x.ndim < 2 or d.r.random() < 0.6
            else d.one(((1, -2), (0, 1)), (3,))
        ),
        ndim=1,
    ),
    "torch.rot90": shaped(lambda d, x: (d.r.randint(-1, 4), d.one((0, 1), (1, 0))), ndim=2),
    **{
        f"torch.{n}": shaped(lambda d, x: (d.one(1, 2, 3), dim(d, x)), ndim=1)
        for n in ("chunk", "split", "tensor_split")
    },
    "torch.split ": lambda d: ((d.array(of=ALL, shape=(6, 2)), d.one([1, 5], [2, 2, 2], [0, 6]), 0), {}),
    "torch.unbind": shaped(lambda d, x: (dim(d, x),), ndim=1),
    "torch.narrow": lambda d: ((d.array(of=ALL, shape=(4, 3)), 0, d.r.randint(0, 2), d.r.randint(0, 2)), {}),
    "torch.select": lambda d: ((d.array(of=ALL, shape=(4, 3)), d.one(0, 1, -1), d.r.randint(-3, 2)), {}),
    "torch.diagonal": shaped(lambda d, x: (d.r.randint(-2, 2), *d.r.sample(range(x.ndim), 2)), ndim=2),
    "torch.trace": lambda d: ((d.array(of=NUMBERS, shape=d.one((2, 3), (3, 3), (0, 2))),), {}),
    "torch.diag": lambda d: ((d.array(of=ALL, shape=d.one((3,), (2, 3), (3, 3), (0,))), d.r.randint(-2, 2)), {}),
    "torch.diag_embed": shaped(lambda d, x: (d.r.randint(-2, 2),), ndim=1),
    "torch.diagflat": shaped(lambda d, x: (d.r.randint(-1, 1),)),
    **{f"torch.{n}": shaped(lambda d, x: (d.r.randint(-2, 2),), ndim=2) for n in ("tril", "triu")},
    **{f"Tensor.{n}_": shaped(lambda d, x: (d.r.randint(-2, 2),), ndim=2) for n in ("tril", "triu")},
    "torch.diff": shaped(lambda d, x: {"n": d.one(0, 1, 2), "dim": dim(d, x)}, ndim=1),
    "Tensor.unfold": lambda d: ((d.array(of=ALL, shape=(2, 5)), -1, d.r.randint(1, 4), d.r.randint(1, 3)), {}),
    "torch.diagonal_scatter": lambda d: ((d.array(t := d.one(*ALL), (3, 3)), d.array(t, (3,))), {}),
    "torch.select_scatter": lambda d: (
        (d.array(t := d.one(*ALL), (2, 3)), d.array(t, (3,)), 0, d.r.randint(-2, 1)),
        {},
    ),
    "torch.slice_scatter": lambda d: (
        (d.array(t := d.one(*ALL), (4, 3)), d.array(t, (2, 3))),
        {"dim": 0, "start": 1, "end": 3},
    ),
    "torch.take": lambda d: ((d.array(of=ALL, shape=(2, 3)), d.array("int64", d.one((), (3,), (2, 2)), -6, 5)), {}),
    "torch.take_along_dim": lambda d: (
        (d.array(of=ALL, shape=(2, 3)), d.array("int64", d.one((2, 1), (1, 3), (2, 2)), 0, 1), 1),
        {},
    ),
    "torch.index_select": indexed(False),
    "torch.index_fill": indexed(),
    "torch.index_add": indexed(source=True, reduce=("add",)),
    "Tensor.index_add_": indexed(source=True, reduce=("add",)),
    "Tensor.index_fill_": indexed(),
    "torch.gather": gathered("gather"),
    "torch.scatter": gathered("scatter"),
    "torch.scatter_add": gathered("scatter_add"),
    "torch.scatter_reduce": gathered("reduce"),
    "Tensor.scatter_add_": gathered("scatter_add"),
    "Tensor.scatter_": gathered("scatter"),
    "torch.masked_fill": masked(),
    "Tensor.masked_fill_": masked(),
    "torch.masked_select": masked(False),
    "torch.nonzero": unary(),
    "torch.argwhere": unary(),
    "Tensor.__getitem__": lambda d: (
        (
            d.array(of=ALL, shape=(4, 3)),
            d.one(
                d.array("int64", (3,), -4, 3),
                d.array("bool", (4,)),
                d.array("bool", (4, 3)),
                d.array("int64", (2, 2), 0, 3),
                2,
                -1,
                None,
                True,
                False,
            ),
        ),
        {},
    ),
    "Tensor.index_put": lambda d: (
        (
            d.array(t := d.one(*NUMBERS), (4, 3), -9, 9),
            [d.array("int64", (3,), 0, 3)],
            d.array(t, d.one((3,), ()), -9, 9),
        ),
        {"accumulate": True},
    ),
    "Tensor.put_": lambda d: (
        (d.array(t := d.one(*NUMBERS), (4, 3), -9, 9), d.array("int64", (3,), 0, 11), d.array(t, (3,), -9, 9)),
        {"accumulate": True},
    ),
    "torch.cross": lambda d: ((d.array(t := d.one(*NUMBERS), (2, 3), -3, 3), d.array(t, (2, 3), -3, 3)), {"dim": -1}),
    "torch.kron": lambda d: (
        (
            d.array(shape=d.one((2, 2), (3,), (1, 2)), of=NUMBERS, low=-3, high=3),
            d.array(shape=d.one((2, 1), (2,), (2, 2)), of=NUMBERS, low=-3, high=3),
        ),
        {},
    ),
    "torch.outer": lambda d: ((d.array(of=NUMBERS, shape=(2,)), d.array(of=NUMBERS, shape=(3,))), {}),
    "torch.vander": lambda d: (
        (d.array(of=("float32", "int64"), shape=(3,), low=-3, high=3),),
        d.one({}, {"N": 2}, {"N": 4, "increasing": True}),
    ),
    "torch.cov": lambda d: (
        (d.array(of=WIDE, shape=d.one((2, 4), (5,)), low=-3, high=3),),
        {"correction": d.one(0, 1)},
    ),
    "torch.corrcoef": lambda d: ((d.array(of=WIDE, shape=(2, 4), low=-3, high=3),), {}),
    "torch.cdist": lambda d: (
        (d.array(t := d.one(*WIDE), (3, 2), -3, 3), d.array(t, (4, 2), -3, 3)),
        {"p": d.one(2.0, 1.0, 0.0, 3.0, math.inf)},
    ),
    "torch.trapezoid": lambda d: (
        (d.array(of=NUMBERS, shape=d.one((4,), (2, 4)), low=-3, high=3),),
        {"dx": d.one(1.0, 0.5)},
    ),
    "torch.cumulative_trapezoid": lambda d: ((d.array(of=NUMBERS, shape=d.one((4,), (2, 4)), low=-3, high=3),), {}),
    "torch.gradient": lambda d: (
        (d.array(of=WIDE, shape=d.one((4,), (3, 4)), low=-3, high=3),),
        some(d, {"spacing": lambda d: 2.0, "edge_order": lambda d: 2}),
    ),
    "Tensor.to": lambda d: ((d.array(of=ALL, low=0, high=100), dtype(d)), {}),
    "Tensor.type_as": lambda d: ((d.array(of=ALL, low=0, high=100), d.array(of=ALL)), {}),
    **{f"torch.{n}": lambda d: ((d.array(of=ALL),), some(d, {"dtype": dtype})) for n in ("zeros_like", "ones_like")},
    "torch.full_like": lambda d: ((d.array(of=NUMBERS), 2), some(d, {"dtype": dtype})),
    "torch.full": lambda d: ((d.one((2,), (), (0, 2)), d.one(1, 2.5, True)), some(d, {"dtype": dtype})),
    "torch.eye": lambda d: ((d.r.randint(0, 4), d.r.randint(0, 4)), some(d, {"dtype": dtype})),
    "torch.arange": lambda d: (
        d.one((5,), (2, 7), (7, 2, -2), (0.0, 1.0, 0.25), (5, 5), (-3, 3), (1.5,), (0,), (1, 4, 1.5)),
        some(d, {"dtype": dtype}, 0.3),
    ),
    "torch.linspace": lambda d: (
        (d.one(0, -1.5, 2), d.one(1, 3.5, 7), d.one(1, 2, 5, 0, 7)),
        some(d, {"dtype": lambda d: dtype(d, DTYPES[:8])}),
    ),
    "torch.logspace": lambda d: (
        (d.one(0, -1.5, 1), d.one(1, 2.0, 3), d.one(1, 2, 5)),
        some(d, {"base": lambda d: 2.0, "dtype": lambda d: dtype(d, WIDE)}),
    ),
    "torch.tril_indices": lambda d: ((d.r.randint(0, 4), d.r.randint(0, 4), d.r.randint(-2, 2)), {}),
    "torch.triu_indices": lambda d: ((d.r.randint(0, 4), d.r.randint(0, 4), d.r.randint(-2, 2)), {}),
    "torch.matmul": lambda d: (products(d), {}),
    "torch.mm": lambda d: (
        (d.array(t := d.one(*NUMBERS), (2, k := d.r.randint(0, 3)), -5, 5), d.array(t, (k, 3), -5, 5)),
        {},
    ),
    "torch.bmm": lambda d: ((d.array(t := d.one(*NUMBERS), (2, 2, 3), -5, 5), d.array(t, (2, 3, 1), -5, 5)), {}),
    "torch.mv": lambda d: ((d.array(t := d.one(*NUMBERS), (2, 3), -5, 5), d.array(t, (3,), -5, 5)), {}),
    **{
        f"torch.{n}": lambda d: ((d.array(t := d.one(*NUMBERS), (3,), -5, 5), d.array(t, (3,), -5, 5)), {})
        for n in ("dot", "vdot", "inner")
    },
    **{
        f"torch.{n}": lambda d: (
            (
                d.array(t := d.one(*NUMBERS), d.one((2, 3), (3,), ()), -5, 5),
                d.array(t, (2, 2), -5, 5),
                d.array(t, (2, 3), -5, 5),
            ),
            some(d, {"beta": lambda d: d.one(0, 2), "alpha": lambda d: d.one(2, -1)}),
        )
        for n in ("addmm",)
    },
    "torch.addmv": lambda d: (
        (d.array(t := d.one(*NUMBERS), (2,), -5, 5), d.array(t, (2, 2), -5, 5), d.array(t, (2,), -5, 5)),
        some(d, {"beta": lambda d: d.one(0, 2)}),
    ),
    "torch.addr": lambda d: (
        (d.array(t := d.one(*NUMBERS), (2, 3), -5, 5), d.array(t, (2,), -5, 5), d.array(t, (3,), -5, 5)),
        some(d, {"beta": lambda d: d.one(0, 2)}),
    ),
    "torch.baddbmm": lambda d: (
        (d.array(t := d.one(*FLOATS), (2, 2, 1), -5, 5), d.array(t, (2, 2, 3), -5, 5), d.array(t, (2, 3, 1), -5, 5)),
        some(d, {"beta": lambda d: d.one(0, 2)}),
    ),
    "torch.tensordot": lambda d: (
        (d.array("float32", (2, 3, 2), -3, 3), d.array("float32", (3, 2, 4), -3, 3)),
        {"dims": d.one(2, ([1], [0]), ([1, 2], [0, 1]), 0)},
    ),
    "torch.einsum": einsums,
    "torch.chain_matmul": lambda d: ((d.array("float32", (2, 3), -2, 2), d.array("float32", (3, 4), -2, 2)), {}),
    **{
        f"linalg.{n}": square()
        for n in ("det", "inv", "slogdet", "matrix_rank", "svdvals", "pinv", "cond", "matrix_exp", "lu_factor")
    },
    "torch.logdet": square(),
    **{f"linalg.{n}": square(True) for n in ("cholesky", "eigvalsh", "cholesky_ex", "inv_ex")},
    "linalg.solve": square(more=rhs),
    "torch.cholesky_solve": lambda d: ((rhs(d, x := np.tril(d.array("float32", (3, 3), 0.5, 2)))[0], x), {}),
    "torch.cholesky_inverse": lambda d: ((np.tril(d.array("float32", (3, 3), 0.5, 2)),), {}),
    "linalg.solve_triangular": lambda d: (
        (x := np.triu(d.array("float32", (3, 3), 0.5, 2)), rhs(d, x)[0]),
        {"upper": True, **some(d, {"unitriangular": lambda d: True})},
    ),
    "linalg.matrix_power": square(more=lambda d, x: (d.r.randint(-2, 4),)),
    "linalg.vector_norm": lambda d: (
        (
            x := d.array(of=FLOATS, low=-3, high=3, shape=d.one((3,), (2, 3), ())),
            d.one(2, 1, 3, 0, math.inf, -math.inf, 0.5, -1),
        ),
        d.one({}, {"keepdim": True}, *([{"dim": -1}] if x.ndim else [])),
    ),
    "linalg.matrix_norm": lambda d: (
        (
            d.array(of=WIDE, shape=d.one((2, 3), (2, 2, 3)), low=-3, high=3),
            d.one("fro", 1, -1, 2, -2, math.inf, -math.inf, "nuc"),
        ),
        some(d, {"keepdim": lambda d: True}),
    ),
    "linalg.multi_dot": lambda d: (
        ([d.array("float32", (2, 3), -2, 2), d.array("float32", (3, 4), -2, 2), d.array("float32", (4, 2), -2, 2)],),
        {},
    ),
    "linalg.lstsq": lambda d: ((d.array(t := d.one(*WIDE), (4, 3), -3, 3), d.array(t, (4, 2), -3, 3)), {}),
    "linalg.vecdot": lambda d: ((d.array(t := d.one(*FLOATS), (2, 3), -3, 3), d.array(t, (2, 3), -3, 3)), {}),
    "linalg.diagonal": lambda d: ((d.array(of=FLOATS, shape=(2, 3)),), {}),
    "linalg.tensorinv": lambda d: ((d.array("float64", (2, 2, 4), -3, 3),), {"ind": 2}),
    **{f"F.{n}": unary(FLOATS) for n in ACTIVATIONS},
    "F.gelu ": lambda d: ((d.array(of=FLOATS),), {"approximate": "tanh"}),
    "F.softplus ": lambda d: ((d.array(of=FLOATS),), {"beta": d.one(2, 0.5), "threshold": d.one(20, 1)}),
    "F.leaky_relu ": lambda d: ((d.array(of=FLOATS), d.one(0.2, -0.5, 0.0)), {}),
    "F.elu ": lambda d: ((d.array(of=FLOATS), d.one(2.0, 0.5)), {}),
    "F.hardtanh ": lambda d: ((d.array(of=FLOATS), -0.5, 2.0), {}),
    "F.threshold": lambda d: ((d.array(of=NUMBERS), d.one(0, 1), d.one(7, -1)), {}),
    "F.celu ": lambda d: ((d.array(of=FLOATS), 0.5), {}),
    "F.hardshrink ": lambda d: ((d.array(of=FLOATS), 0.2), {}),
    "F.softshrink ": lambda d: ((d.array(of=FLOATS), 0.2), {}),
    "F.hardsigmoid": unary(("float32", "float16", "bfloat16")),
    "F.prelu": lambda d: ((d.array(t := d.one(*FLOATS), (2, 3)), d.array(t, d.one((1,), (3,)))), {}),
    "F.glu": lambda d: ((d.array(of=FLOATS, shape=d.one((4,), (2, 4))), -1), {}),
    **{f"F.{n}": along(FLOATS, dtype=lambda d: dtype(d, WIDE)) for n in ("softmax", "log_softmax", "softmin")},
    "F.normalize": lambda d: (
        (d.array(of=WIDE, shape=d.one((2, 3), (3,)), low=-9, high=9),),
        some(d, {"p": lambda d: d.one(1.0, 3.0, math.inf), "dim": lambda d: 0}),
    ),
    "F.cosine_similarity": lambda d: (
        (d.array(t := d.one(*WIDE), (2, 3), -9, 9), d.array(t, d.one((2, 3), (3,)), -9, 9)),
        some(d, {"dim": lambda d: -1}),
    ),
    "F.pairwise_distance": lambda d: (
        (d.array(t := d.one(*WIDE), (2, 3), -9, 9), d.array(t, (2, 3), -9, 9)),
        some(d, {"p": lambda d: d.one(1.0, 3.0), "keepdim": lambda d: True}),
    ),
    "F.pdist": lambda d: (
        (d.array(of=WIDE, shape=(4, 3), low=-9, high=9),),
        some(d, {"p": lambda d: d.one(1.0, 3.0, math.inf, 0.0)}),
    ),
    "F.one_hot": lambda d: ((d.array("int64", d.one((3,), (2, 2), ()), 0, 3), d.one(4, 6, -1)), {}),
    "F.mse_loss": regression(),
    "F.l1_loss": regression(),
    "F.smooth_l1_loss": regression(beta=lambda d: d.one(0.0, 0.5, 2.0)),
    "F.huber_loss": regression(delta=lambda d: d.one(0.5, 2.0)),
    "F.soft_margin_loss": regression(numbers=True),
    "F.hinge_embedding_loss": regression(numbers=True, margin=lambda d: 0.5),
    "F.kl_div": regression(-3, 0, 0.01, 1, log_target=lambda d: False),
    "F.kl_div ": lambda d: (lambda found: (found[0], {**found[1], "log_target": True}))(regression(-3, 0, -3, 0)(d)),
    "F.poisson_nll_loss": regression(0.1, 3, 1.1, 5, log_input=lambda d: False, full=lambda d: True),
    "F.cross_entropy": classes(label_smoothing=lambda d: d.one(0.1, 0.5)),
    "F.nll_loss": classes(True),
    **{
        f"F.{n}": labelled(k)
        for n, k in {
            "multi_margin_loss": "multi_margin",
            "multilabel_margin_loss": "multilabel_margin",
            "multilabel_soft_margin_loss": "multilabel_soft",
            "margin_ranking_loss": "ranking",
            "cosine_embedding_loss": "cosine",
            "triplet_margin_loss": "triplet",
            "gaussian_nll_loss": "gaussian",
            "binary_cross_entropy": "bce",
            "binary_cross_entropy_with_logits": "logits",
        }.items()
    },
    "F.ctc_loss": ctc,
    **{f"F.max_pool{n}d": pooled(n, "max") for n in (1, 2, 3)},
    **{f"F.avg_pool{n}d": pooled(n, "avg") for n in (1, 2, 3)},
    **{f"F.lp_pool{n}d": pooled(n, "lp") for n in (1, 2)},
    **{f"F.adaptive_{k}_pool{n}d": adaptive(n) for k in ("avg", "max") for n in (1, 2)},
    **{f"F.conv{n}d": convolved(n) for n in (1, 2, 3)},
    **{f"F.conv_transpose{n}d": convolved(n, True) for n in (1, 2)},
    "F.pad": padded,
    "F.interpolate": interpolated,
    "F.scaled_dot_product_attention": attention,
    **{
        f"F.{n}": normed(k)
        for n, k in {
            "layer_norm": "layer",
            "rms_norm": "rms",
            "group_norm": "group",
            "instance_norm": "instance",
            "batch_norm": "batch",
        }.items()
    },
    "F.local_response_norm": lambda d: (
        (d.array("float32", (2, 4, 3), -5, 5), d.one(2, 3)),
        some(d, {"alpha": lambda d: 0.1, "k": lambda d: 2.0}),
    ),
    "F.linear": lambda d: (
        (
            d.array(t := d.one(*FLOATS), (*d.one((), (2,), (2, 1), (0,)), 3), -5, 5),
            d.array(t, (2, 3), -5, 5),
            d.one(None, d.array(t, (2,), -5, 5)),
        ),
        {},
    ),
    "F.bilinear": lambda d: (
        (
            d.array("float32", (2, 3), -2, 2),
            d.array("float32", (2, 4), -2, 2),
            d.array("float32", (5, 3, 4), -2, 2),
            d.one(None, d.array("float32", (5,), -2, 2)),
        ),
        {},
    ),
    "F.embedding": embedded(False),
    "F.embedding_bag": embedded(True),
    "F.unfold": lambda d: (
        (d.array("float32", (1, 2, 5, 4), -5, 5), d.one(2, (2, 3))),
        some(d, {"stride": lambda d: 2, "padding": lambda d: 1, "dilation": lambda d: 2}),
    ),
    "F.fold": lambda d: ((d.array("float32", (1, 4, 9), -5, 5), (4, 4), 2), {}),
    "F.pixel_shuffle": lambda d: ((d.array(of=FLOATS, shape=(1, 4, 2, 2)), 2), {}),
    "F.pixel_unshuffle": lambda d: ((d.array(of=FLOATS, shape=(1, 1, 4, 4)), 2), {}),
    "F.grid_sample": lambda d: (
        (d.array("float32", (1, 2, 3, 4), -5, 5), d.array("float32", (1, 2, 3, 2), -1.3, 1.3)),
        {
            "mode": d.one("bilinear", "nearest", "bicubic"),
            "padding_mode": d.one("zeros", "border", "reflection"),
            "align_corners": d.one(True, False),
        },
    ),
    "F.affine_grid": lambda d: (
        (d.array("float32", (1, 2, 3), -1, 1), (1, 1, 2, 3)),
        {"align_corners": d.one(True, False)},
    ),
    **{
        f"special.{n}": unary((*WIDE, *WIDE, "int64", "bool"))
        for n in "entr ndtr ndtri log_ndtr digamma gammaln i0e erf erfc erfinv expit exp2 expm1 log1p sinc".split()
    },
    "special.logit": lambda d: ((d.array(of=FLOATS, low=0, high=1),), some(d, {"eps": lambda d: 0.1})),
    **{f"special.{n}": binary((*WIDE, "int64")) for n in ("xlogy", "xlog1py")},
    "special.zeta": lambda d: ((d.array("float32", (3,), 1.1, 9), d.array("float32", (3,), 0.1, 9)), {}),
    "special.logsumexp": along(FLOATS, empty=False),
    **{
        f"special.{n}": lambda d: ((d.array(t := d.one(*WIDE), (4,), 0.1, 9), d.array(t, (4,), 0, 9)), {})
        for n in ("gammainc", "gammaincc")
    },
    **{f"Tensor.{n}": reduction() for n in ("sum", "any", "all")},
    "Tensor.mean": reduction(FLOATS),
    **{f"Tensor.{n}": reduction(empty=False, many=False) for n in ("max", "min")},
    "Tensor.item": lambda d: ((d.array(of=ALL, shape=d.one((), (1,), (1, 1))),), {}),
    "Tensor.tolist": unary(),
    "Tensor.fill_": lambda d: ((d.array(of=ALL), d.one(1, 0, 2.5)), {}),
    "Tensor.copy_": lambda d: (
        (d.array(shape=(2, 3), of=ALL), d.array(shape=d.one((2, 3), (3,), ()), of=ALL, low=0, high=9)),
        {},
    ),
    "Tensor.fill_diagonal_": lambda d: (
        (d.array(shape=d.one((3, 3), (2, 3), (4, 2)), of=ALL), 1),
        some(d, {"wrap": lambda d: True}),
    ),
    "Tensor.cumsum_": along(NUMBERS),
    "Tensor.addcmul_": lambda d: (
        (d.array(t := d.one(*NUMBERS), (2, 3), -9, 9), d.array(t, (3,), -9, 9), d.array(t, (2, 1), -9, 9)),
        {"value": 2},
    ),
    "Tensor.lerp_": lambda d: ((d.array(t := d.one(*FLOATS), (3,)), d.array(t, (3,)), 0.3), {}),
    "Tensor.zero_": unary(),
    "torch.renorm": lambda d: ((d.array(of=WIDE, shape=(2, 3), low=-9, high=9), d.one(1, 2, 3.0), 0, 2.0), {}),
    "torch.clip": lambda d: ((d.array(of=NUMBERS), d.one(0, 1), d.one(2, 3)), {}),
    "torch.isin": lambda d: (
        (d.array(t := d.one(*INTS), (4,), 0, 5), d.array(t, (3,), 0, 5)),
        {"invert": d.one(True, False)},
    ),
    "torch.numel": unary(),
    "torch.ravel": unary(),
    "torch.clone": unary(),
    "torch.hypot ": lambda d: ((d.array(t := d.one(*FLOATS), (3,)), d.array(t, (3,))), {}),
    "torch.masked_scatter": lambda d: (
        (d.array(t := d.one(*ALL), (2, 3)), d.array("bool", (2, 3)), d.array(t, (6,))),
        {},
    ),
    "torch.bernoulli": lambda d: ((d.array("bool", (3,)).astype(np.float32),), {}),
}

NOT_SMOOTH = {
    "kthvalue",
    "floor_divide",
    "floor_divide_",
    "vander",
    "acosh",
    "acosh_",
    "fill_diagonal_",
    "scatter_add_",
    "scatter_reduce",
    "logical_and_",
    "logical_or_",
    "logical_xor_",
    "logical_not_",
    "eq_",
    "ne_",
    "lt_",
    "le_",
    "gt_",
    "ge_",
    "digamma_",
    "digamma",
    "dist",
    "sgn",
    "sgn_",
    "gcd",
    "lcm",
    "unique",
    "unique_consecutive",
    "bincount",
    "histc",
    "bucketize",
    "searchsorted",
    "one_hot",
    "nonzero",
    "argwhere",
    "item",
    "tolist",
    "bernoulli",
    "isin",
    "matrix_rank",
    "equal",
    "allclose",
    "lu_factor",
}


# Slopes at NaN and infinity are one thing or another in PyTorch.
ONE_SIDED = {
    "torch.abs",
    "Tensor.abs_",
    "torch.absolute",
    "Tensor.absolute_",
    "torch.atan2",
    "Tensor.atan2_",
    "F.hardsigmoid",
    "torch.copysign",
    "Tensor.copysign_",
    "F.celu",
    "F.selu",
    "F.elu",
    "F.gelu",
    "torch.prod",
    "torch.pow",
    "Tensor.pow_",
}


def call(number: int) -> Call:
    """The call with this number: one of every three is a gradient."""
    names = sorted(CALLS)
    slope = number % 3 == 2
    name = names[number // 3 % len(names)] if slope else names[(number - number // 3) % len(names)]
    d = Draw(number + 10**6, tame=slope and (number % 2 == 0 or name.strip() in ONE_SIDED))
    args, kwargs = CALLS[name](d)
    if slope:
        kwargs.pop("dtype", None)
    return Call(name.strip(), tuple(args), kwargs, slope=slope and name.strip().split(".")[1] not in NOT_SMOOTH)
