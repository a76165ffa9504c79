"""Record what JAX gives: `JAX_PLATFORMS=cpu python -m tests.faces.names.record [families]`."""

import json
import sys
import warnings

import jax
import jax.flatten_util
import jax.image
import jax.scipy.special
import jax.scipy.stats
import numpy as np

from tests.faces.names.cases import CASES
from tests.faces.names.data import ARRAYS
from tests.faces.names.evaluate import RECORDED, leaves, plain, run, split, weighted_sum

MODULES = {
    "jnp": jax.numpy,
    "lax": jax.lax,
    "nn": jax.nn,
    "np": np,
    "jax": jax,
    "ops": jax.ops,
    "image": jax.image,
    "special": jax.scipy.special,
    "stats": jax.scipy.stats,
    "linalg": jax.scipy.linalg,
    "jitted": jax.jit,
    "vmapped": jax.vmap,
}


def record(case):
    """Values of a case, and gradients where it has any."""
    names, text = split(case)
    arrays = {name: jax.numpy.asarray(x) for name, x in ARRAYS.items()}
    out = {"values": [plain(leaf) for leaf in leaves(run(text, MODULES, arrays))]}
    if names:
        of = lambda *xs: weighted_sum(run(text, MODULES, {**arrays, **dict(zip(names, xs, strict=True))}), jax.numpy)
        found = jax.grad(of, tuple(range(len(names))))(*[arrays[name] for name in names])
        out["gradients"] = [plain(g) for g in found]
    return out


def main():
    warnings.simplefilter("ignore")
    RECORDED.mkdir(exist_ok=True)
    failed = []
    for family in sys.argv[1:] or CASES:
        found = {}
        for case in [c for kind in CASES[family].values() for c in kind]:
            try:
                found[case] = record(case)
            except Exception as error:
                failed.append(f"{family}: {case}: {type(error).__name__}: {error}")
        rows = ",\n".join(f"{json.dumps(case)}: {json.dumps(value)}" for case, value in found.items())
        (RECORDED / f"{family}.json").write_text("{\n" + rows + "\n}\n")
    if failed:
        raise SystemExit("\n".join(failed))


if __name__ == "__main__":
    main()
