"""Records what NumPy, SciPy and JAX give for the calls of `instances.py`: `python -m tests.oracles.record FIRST LAST`,
where JAX is installed.

What a call gives is worked out in float64 and rounded once: by NumPy or SciPy where they have the function with these
arguments, else by JAX, whose shapes and dtypes count anyway. Where fdl and NumPy disagree, JAX decides, in the call's
own dtypes too: there are conventions (0 / 0 in a derivative, infinities) in which JAX is the model. Calls that JAX
refuses are recorded as such: fdl refuses them, or knows an answer; so are those that are undefined.
"""

from __future__ import annotations

import sys
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tests.oracles.evaluate import (
    Results,
    agree,
    fdl_results,
    function,
    has_wide,
    is_float,
    mapped,
    results,
    where_known,
)
from tests.oracles.instances import Call, call, undefined
from tests.oracles.records import save

HOME = Path(__file__).parent / "recorded"


def peers() -> tuple[dict[str, Any], dict[str, Any]]:
    import jax
    import scipy.special

    return {"numpy": jax.numpy, "lax": jax.lax, "nn": jax.nn, "special": jax.scipy.special}, {
        "numpy": np,
        "special": scipy.special,
    }


def widened(c: Call) -> Call:
    return replace(c, args=tuple(mapped(lambda y: y.astype(np.float64) if is_float(y) else y, x) for x in c.args))


def answers(c: Call) -> list[Any] | None:
    """What the call gives; None where JAX refuses it."""
    import jax

    modules, plain = peers()
    f = function(modules, c.name)
    run = lambda d: [np.asarray(x) for x in results(d, f, jax.numpy.asarray, jax.grad)]
    with jax.enable_x64(has_wide(c)):
        try:
            types = jax.eval_shape(lambda: [jax.numpy.asarray(x) for x in results(c, f, jax.numpy.asarray, jax.grad)])
        except Exception:
            try:
                types = run(c)
            except Exception:
                return None
    rounded = lambda outs: [np.asarray(x).astype(t.dtype).reshape(t.shape) for x, t in zip(outs, types, strict=True)]
    got = fdl_results(c)
    right = lambda found: (
        isinstance(got, list) and not agree(c, where_known(c, got), where_known(c, found), not has_wide(c))
    )
    if not c.slope and c.name.split(".")[0] in plain:
        try:
            first = rounded(results(widened(c), function(plain, c.name), np.asarray, None))
            if right(first):
                return first
        except Exception:  # another signature, or another idea of shapes
            pass
    with jax.enable_x64(True):
        try:
            wide = rounded(run(widened(c)))
        except Exception:
            wide = None
    if wide is not None and right(wide):
        return wide
    try:
        with jax.enable_x64(has_wide(c)):
            own = run(c)
    except Exception:  # which types alone did not tell
        return None
    return own if wide is None or right(own) else wide


def told(number: int) -> Results | None:
    """What the call with this number gives; says where fdl gives something else."""
    c = call(number)
    with np.errstate(all="ignore"):
        found = None if undefined(c) else answers(c)
    if found is not None:
        got = fdl_results(c)
        text = (
            repr(got)
            if isinstance(got, Exception)
            else agree(c, where_known(c, got), where_known(c, found), not has_wide(c))
        )
        if text:
            print(number, str(c)[:300], "|", text[:400], flush=True)
    return found


def main(first: int, last: int) -> None:
    warnings.simplefilter("ignore")
    save(HOME / f"{first:05}.npz", ((number, told(number)) for number in range(first, last)))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
