"""How far the elementary functions are from the exact result, in units in the last place: the table of
docs/accuracy.md, and what holds it.

By hand, `python -m tests.lowering.ulp exp log --every 1` measures the compiled functions at all 2^32 floats, in pieces;
with `--state FILE` it goes on where it was stopped. `--every 61` takes every 61st float, `--dtype float64` numbers by
exponent, `FDL_TIER=interpreted` the interpreter. Denormal numbers are left out, as operands and as results: compiled
code flushes them.
"""

import argparse
import ctypes
import functools
import json
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import fdl
import fdl.numpy as jnp
from fdl import lax, nn, special
from fdl.backends.toolchain import RUNTIME_FLAGS, find_compiler
from fdl.core.config import config

LONG = np.longdouble
DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "accuracy.md"


@functools.cache
def library():
    """Error and gamma functions of the C library, on arrays of doubles and of long doubles, which
    ctypes would round.
    """
    loop = "void {0}_{1}(const {1} *x, {1} *y, long n) {{ for (long i = 0; i < n; i++) y[i] = {0}{2}(x[i]); }}\n"
    loops = "typedef long double longdouble;\n" + "".join(
        loop.format(n, t, end) for n in ("erf", "erfc", "lgamma") for t, end in (("double", ""), ("longdouble", "l"))
    )
    folder = Path(tempfile.mkdtemp(prefix="fdl-ulp-"))
    (folder / "long.c").write_text("#include <math.h>\n" + loops)
    find_compiler().build([folder / "long.c"], folder / "long.so", RUNTIME_FLAGS)
    return ctypes.CDLL(str(folder / "long.so"))


def of_library(name: str) -> Callable:
    def f(x):
        y = np.empty_like(x)
        getattr(library(), f"{name}_{'longdouble' if x.dtype == LONG else 'double'}")(
            ctypes.c_void_p(x.ctypes.data), ctypes.c_void_p(y.ctypes.data), ctypes.c_long(x.size)
        )
        return y

    return f


def sigmoid(x):
    t = np.exp(-np.abs(x))
    return np.where(x < 0, t, 1) / (1 + t)


@dataclass(frozen=True)
class Case:
    """A function of fdl and the same function of a wider type."""

    function: Callable
    exact: Callable
    operands: int = 1


CASES = {
    "exp": Case(jnp.exp, np.exp),
    "exp2": Case(jnp.exp2, np.exp2),
    "expm1": Case(jnp.expm1, np.expm1),
    "log": Case(jnp.log, np.log),
    "log2": Case(jnp.log2, np.log2),
    "log10": Case(jnp.log10, np.log10),
    "log1p": Case(jnp.log1p, np.log1p),
    "sin": Case(jnp.sin, np.sin),
    "cos": Case(jnp.cos, np.cos),
    "tan": Case(jnp.tan, np.tan),
    "arcsin": Case(jnp.arcsin, np.arcsin),
    "arccos": Case(jnp.arccos, np.arccos),
    "arctan": Case(jnp.arctan, np.arctan),
    "sinh": Case(jnp.sinh, np.sinh),
    "cosh": Case(jnp.cosh, np.cosh),
    "tanh": Case(jnp.tanh, np.tanh),
    "arcsinh": Case(jnp.arcsinh, np.arcsinh),
    "arccosh": Case(jnp.arccosh, np.arccosh),
    "arctanh": Case(jnp.arctanh, np.arctanh),
    "sqrt": Case(jnp.sqrt, np.sqrt),
    "rsqrt": Case(lax.rsqrt, lambda x: 1 / np.sqrt(x)),
    "cbrt": Case(jnp.cbrt, np.cbrt),
    "sigmoid": Case(nn.sigmoid, sigmoid),
    "softplus": Case(nn.softplus, lambda x: np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))),
    "erf": Case(lax.erf, of_library("erf")),
    "erfc": Case(special.erfc, of_library("erfc")),
    "lgamma": Case(special.gammaln, of_library("lgamma")),
    "power": Case(jnp.power, np.power, 2),
    "arctan2": Case(jnp.arctan2, np.arctan2, 2),
    "hypot": Case(jnp.hypot, np.hypot, 2),
}


def bounds() -> dict[str, dict[str, float]]:
    """The document's table: by function and dtype."""
    rows = re.findall(r"^\| `(\w+)` \| ([\d.]+) \| ([\d.]+) \|", DOCUMENT.read_text(), re.MULTILINE)
    return {name: {"float32": float(single), "float64": float(double)} for name, single, double in rows}


def numbers(dtype: str, count: int, seed: int = 0) -> np.ndarray:
    """Some 8 times `count` numbers: of all exponents, of moderate ones, next to 1 and -1, even ones, and those where
    one function or another has something to prove.
    """
    rng = np.random.default_rng(seed)
    info = np.finfo(dtype)
    signs = rng.choice([-1.0, 1.0], count)
    parts = [
        np.exp2(rng.uniform(info.minexp, info.maxexp - 0.01, count)) * signs,
        np.exp2(rng.uniform(-40, 12, 2 * count)) * rng.choice([-1.0, 1.0], 2 * count),
        signs + np.exp2(rng.uniform(-info.nmant - 1, 0, count)) * rng.choice([-1.0, 1.0], count),
        rng.uniform(-1, 1, count),
        rng.uniform(-5, 5, count),
        rng.uniform(-1, 1, count) * (info.maxexp * 0.72),
        np.arange(1, count + 1) * (np.pi / 2),
    ]
    x = np.concatenate(parts).astype(dtype)
    return x[np.abs(x) >= info.tiny]


def error(got: np.ndarray, exact: np.ndarray, dtype: str) -> np.ndarray:
    """In units in the last place of the exact result; infinite where only one is NaN, infinite far from where a dtype
    ends, or not small where the exact one is denormal.
    """
    info = np.finfo(dtype)
    wide = got.astype(exact.dtype)
    with np.errstate(all="ignore"):
        size = np.abs(exact)
        unit = np.spacing(np.clip(size, info.tiny, info.max).astype(dtype)).astype(exact.dtype)
        off = np.abs(np.clip(wide, -info.max, info.max) - np.clip(exact, -info.max, info.max)) / unit
        off = np.where(size < info.tiny, np.where(np.abs(wide) > info.tiny * (1 + 2 * info.eps), np.inf, 0), off)
        off = np.where(np.isinf(wide) & (size < info.max * (1 - info.eps)), np.inf, off)
        return np.where(np.isnan(exact), np.where(np.isnan(wide), 0, np.inf), np.where(np.isnan(wide), np.inf, off))


def worst(name: str, dtype: str, *x: np.ndarray) -> tuple[float, tuple[float, ...]]:
    """The largest error of a function at these operands, and where."""
    case = CASES[name]
    with np.errstate(all="ignore"):
        exact = case.exact(*(v.astype(np.float64 if dtype == "float32" else LONG) for v in x))
        compiled = config.tier != "interpreted"
        got = np.asarray((_jitted(name) if compiled else case.function)(*map(jnp.asarray, x)))
    off = error(got, exact, dtype)
    at = int(off.argmax())
    return float(off[at]), tuple(float(v[at]) for v in x)


@functools.cache
def _jitted(name: str) -> Callable:
    return fdl.jit(CASES[name].function)


def sweep(name: str, every: int, state: Path | None, piece: int = 1 << 20) -> tuple[float, tuple[float, ...]]:
    """All floats, or every so many."""
    known = json.loads(state.read_text()) if state is not None and state.exists() else {}
    start, most, at = known.get(name, (0, 0.0, ()))
    while start < 1 << 32:
        stop = min(start + piece * every, 1 << 32)
        x = np.arange(start, stop, every, dtype=np.uint64).astype(np.uint32).view(np.float32)
        x = x[(np.abs(x) >= np.finfo(np.float32).tiny) & np.isfinite(x)]
        if x.size:
            off, place = worst(name, "float32", x)
            most, at = max((most, tuple(at)), (off, place))
        start = stop
        if state is not None:
            state.write_text(json.dumps(known | {name: (start, most, at)}))
    return most, tuple(at)


def main() -> None:
    parser = argparse.ArgumentParser(description="Largest errors in ulp.")
    parser.add_argument("names", nargs="*")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--every", type=int, default=61)
    parser.add_argument("--count", type=int, default=25_000)
    parser.add_argument("--state", type=Path)
    given = parser.parse_args()
    for name in given.names or CASES:
        if CASES[name].operands == 2:
            x = numbers(given.dtype, given.count)
            pair = np.random.default_rng(1).permutation(x)
            most, at = worst(name, given.dtype, x, pair)
        elif given.dtype == "float32":
            most, at = sweep(name, given.every, given.state)
        else:
            most, at = worst(name, given.dtype, numbers(given.dtype, given.count))
        print(f"{name:9s} {given.dtype} {most:8.3f} at {', '.join(map(repr, at))}", flush=True)


if __name__ == "__main__":
    main()
