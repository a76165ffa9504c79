"""Orthogonal polynomials of each element, by their recurrences

p[0] = 1,  p[1] = a + b * x,  p[k + 1] = (a[k] + b[k] * x) * p[k] - c[k] * p[k - 1].
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import fdl.numpy as jnp
from fdl import ops
from fdl.extend import Function, aval_of, dtypes
from fdl.stateful.core.dtypes import result_dtype
from fdl.stateful.core.operands import as_tensor_operand
from fdl.stateful.core.tensor import Tensor, apply

__all__ = ["POLYNOMIALS"]

Step = Callable[[int], tuple[float, float, float]]  # the k-th (a, b, c)


def _polynomial(name: str, first: tuple[float, float], step: Step, shifted: bool = False) -> Callable[..., Any]:
    def body(x: Any, n: Any, most: int) -> Any:
        dtype = dtypes.default_float(result_dtype(x))
        x, n = ops.cast(x, dtype), ops.cast(n, dtypes.int64)
        x, n = jnp.broadcast_arrays(x, n)
        shape = aval_of(x).shape
        x = ops.sub(ops.mul(x, 2), 1) if shifted else x
        before, now = ops.full(shape, 1, dtype), ops.add(ops.mul(x, first[1]), first[0])
        out = ops.select(ops.equal(n, 0), before, ops.full(shape, 0, dtype))
        for k in range(1, most + 1):
            out = ops.select(ops.equal(n, k), now, out)
            a, b, c = step(k)
            before, now = now, ops.sub(ops.mul(ops.add(ops.mul(x, b), a), now), ops.mul(before, c))
        return out

    function = Function(body, name)

    def public(input: Any, n: Any) -> Any:
        most = n if isinstance(n, (int, float)) else n.max().item() if n.numel() else 0
        given = [x if isinstance(x, Tensor) else as_tensor_operand(x) for x in (input, n)]
        return apply(function, given, (int(most),))

    public.__name__ = name
    public.__doc__ = f"The {name.replace('_', ' ')} of degree `n` at each element; 0 for negative degrees."
    return public


_CHEBYSHEV = {"t": (0, 1), "u": (0, 2), "v": (-1, 2), "w": (1, 2)}
POLYNOMIALS: dict[str, Callable[..., Any]] = {
    **{
        f"{prefix}chebyshev_polynomial_{kind}": _polynomial(
            f"{prefix}chebyshev_polynomial_{kind}", first, lambda k: (0, 2, 1), bool(prefix)
        )
        for kind, first in _CHEBYSHEV.items()
        for prefix in ("", "shifted_")
    },
    "hermite_polynomial_h": _polynomial("hermite_polynomial_h", (0, 2), lambda k: (0, 2, 2 * k)),
    "hermite_polynomial_he": _polynomial("hermite_polynomial_he", (0, 1), lambda k: (0, 1, k)),
    "laguerre_polynomial_l": _polynomial(
        "laguerre_polynomial_l", (1, -1), lambda k: ((2 * k + 1) / (k + 1), -1 / (k + 1), k / (k + 1))
    ),
    "legendre_polynomial_p": _polynomial(
        "legendre_polynomial_p", (0, 1), lambda k: (0, (2 * k + 1) / (k + 1), k / (k + 1))
    ),
}
