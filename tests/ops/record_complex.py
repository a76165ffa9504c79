"""Records what JAX gives for the functions of `complex_cases.py`: values, tangents and cotangents in complex128.

`python -m tests.ops.record_complex`, where JAX is installed.
"""

import json
from pathlib import Path

import numpy as np

from tests.ops.complex_cases import COTANGENT, TANGENT, cases

HOME = Path(__file__).parent / "recorded_complex.json"


def pairs(x):
    """Numbers as nested lists, complex ones as pairs."""
    x = np.ascontiguousarray(x)
    return x.reshape(-1).view(np.float64).tolist() if x.dtype.kind == "c" else x.reshape(-1).tolist()


def main():
    import jax

    jax.config.update("jax_enable_x64", True)
    found = {}
    for name, f, args in cases():
        g = lambda *xs, f=f: f(jax.numpy, jax.lax, *xs)
        value, tangent = jax.jvp(g, args, tuple(np.full(x.shape, TANGENT) for x in args))
        _, pull = jax.vjp(g, *args)
        ct = np.full(value.shape, COTANGENT if np.iscomplexobj(value) else COTANGENT.real)
        found[name] = [pairs(value), pairs(tangent), *(pairs(x) for x in pull(ct))]
    HOME.write_text(json.dumps(found, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
