"""What a call gives in fdl or in JAX, as a list of ndarrays; and whether two such lists agree."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np

import fdl
import fdl.lax
import fdl.nn
import fdl.numpy
import fdl.special
from fdl.testing.tolerances import TABLE

FDL = {"numpy": fdl.numpy, "lax": fdl.lax, "nn": fdl.nn, "special": fdl.special}

Results = list[np.ndarray[Any, Any]]


def is_float(x: Any) -> bool:
    return isinstance(x, np.ndarray) and (x.dtype.kind == "f" or x.dtype.name == "bfloat16")


def function(library: Any, name: str) -> Any:
    """The function of this name: `library` maps the first part of a name to a module."""
    head, *rest = name.split(".")
    found = library[head]
    for part in rest:
        found = getattr(found, part)
    return found


def mapped(f: Any, x: Any) -> Any:
    """A function for the ndarrays in operands, lists included."""
    if isinstance(x, list):
        return [mapped(f, y) for y in x]
    return f(x) if isinstance(x, np.ndarray) else x


def ndarrays(call: Any) -> Results:
    """The ndarrays among the operands, in order."""
    found: Results = []
    for x in call.args:
        mapped(found.append, x)
    return found


def has_wide(call: Any) -> bool:
    """Whether an operand has 64 bits, which JAX knows as a mode alone: there, integers give float64."""
    return any(x.dtype.itemsize == 8 for x in ndarrays(call))


def flat(out: Any) -> list[Any]:
    if isinstance(out, (tuple, list)) and not (out and all(isinstance(d, int) for d in out)):
        return [y for x in out for y in flat(x)]
    return [out]


def results(call: Any, f: Any, asarray: Any, grad: Any) -> list[Any]:
    """Results of a call whose function is `f`, in the library's arrays."""
    args = [mapped(asarray, x) for x in call.args]
    if not call.slope:
        return flat(f(*args, **call.kwargs))
    chosen, rebuild = _differentiated(call.args, args)
    if not chosen:
        return []
    return list(grad(lambda *xs: _weighted(flat(f(*rebuild(xs), **call.kwargs))), tuple(range(len(chosen))))(*chosen))


def _differentiated(given: Any, args: Any) -> tuple[list[Any], Any]:
    """The operands that are arrays of floats, and what puts others in their places."""
    places = [
        (i, k) for i, x in enumerate(given) for k, y in enumerate(x if isinstance(x, list) else [x]) if is_float(y)
    ]

    def rebuild(xs: Any) -> list[Any]:
        made = [list(x) if isinstance(x, list) else x for x in args]
        for (i, k), x in zip(places, xs, strict=True):
            if isinstance(made[i], list):
                made[i][k] = x
            else:
                made[i] = x
        return made

    return [args[i][k] if isinstance(args[i], list) else args[i] for i, k in places], rebuild


def _weighted(outs: list[Any]) -> Any:
    total: Any = 0.0
    for out in outs:
        if hasattr(out, "dtype") and (np.dtype(out.dtype).kind == "f" or np.dtype(out.dtype).name == "bfloat16"):
            weights = np.cos(np.arange(int(np.prod(out.shape)), dtype=np.float64) + 0.3).reshape(out.shape)
            total = total + (out * weights.astype(np.float32).astype(out.dtype)).sum()
    return total


# Functions that are right to a few units in the last place: everything else may be off by the size of what it sums up.
EXACT = set(
    """abs absolute positive sign square sqrt exp exp2 expm1 log log2 log10 log1p tan sinh cosh tanh arcsin arctan
    arcsinh arctanh cbrt fabs rint floor ceil trunc reciprocal negative nan_to_num round ravel flip add subtract
    multiply divide true_divide mod fmod remainder floor_divide maximum minimum arctan2 hypot heaviside where clip
    max min amax amin sort reshape transpose concatenate stack tile repeat roll rot90 diagonal diag tril triu take
    take_along_axis pad eye zeros ones full rsqrt logistic neg div rem sub mul logaddexp softplus erf erfc relu
    leaky_relu elu selu relu6 hard_tanh softmax""".split()
)


def where_known(call: Any, found: Results) -> Results:
    """Results, or gradients with 0 for operands that are NaN: there is none at these."""
    if not call.slope:
        return found
    operands = [x for x in ndarrays(call) if is_float(x)]
    return [
        np.where(np.isnan(x.astype(np.float64)), 0, g).astype(g.dtype) if g.shape == x.shape else g
        for g, x in zip(found, operands, strict=True)
    ]


def agree(call: Any, got: Results, want: Results, strict_dtype: bool = True) -> str:
    """Empty where they agree, else what differs."""
    if len(got) != len(want):
        return f"{len(got)} results, not {len(want)}"
    # dtypes that JAX has in a mode alone: uint32 and int32 make int32 there, and float64 is asked for in vain
    free = [
        np.dtype(np.int64),
        *(
            [np.dtype(np.float64)]
            if any(isinstance(x, str) and x == "float64" for x in (*call.args, *call.kwargs.values()))
            else []
        ),
    ]
    for g, w in zip(got, want, strict=True):
        if g.shape != w.shape:
            return f"shape {g.shape}, not {w.shape}"
        if strict_dtype and g.dtype != w.dtype and g.dtype not in free:
            return f"dtype {g.dtype.name}, not {w.dtype.name}"
        if not _close(call, g, w):
            return f"{g.tolist()}, not {w.tolist()}"
    return ""


def _close(call: Any, got: Any, want: Any) -> bool:
    if not (is_float(want) or is_float(got)):
        return bool(np.array_equal(got.astype(object), want.astype(object)))
    name = max((x.dtype.name for x in (got, want) if is_float(x)), key=lambda n: TABLE[n][0])  # of the narrower one
    rtol = TABLE[name][0]
    with np.errstate(all="ignore"):
        g, w = got.astype(np.float64), want.astype(np.float64)
        tiny = float(ml_dtypes.finfo(name).tiny)
        atol = 2 * tiny
        if call.slope or call.name.split(".")[-1] not in EXACT:
            sizes = [np.abs(np.where(np.isfinite(x), x, 0)).max(initial=0) for x in [w, *_floats(call.args)]]
            atol += rtol * max([0.1, *map(float, sizes)])
        return bool(np.allclose(g, w, rtol=rtol, atol=atol, equal_nan=True))


def _floats(args: Any) -> Results:
    return [
        x.astype(np.float64)
        for arg in args
        for x in (arg if isinstance(arg, list) else [arg])
        if isinstance(x, np.ndarray) and x.dtype != bool
    ]


def fdl_results(call: Any) -> Results | Exception:
    """What fdl gives, or the error that it raises."""
    try:
        return [np.asarray(x) for x in results(call, function(FDL, call.name), fdl.numpy.asarray, fdl.grad)]
    except Exception as error:
        return error
