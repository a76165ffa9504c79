"""Complex numbers as memory has them: floats with a last axis of size 2, the real part first."""

from __future__ import annotations

from typing import Any

from fdl.core.array import Array
from fdl.core.trace import aval_of
from fdl.ops.axes import expand_dims
from fdl.ops.elementwise import neg
from fdl.ops.parts import Parts
from fdl.ops.shape import concatenate, reshape, slice_in_dim


def apart(x: Any) -> Parts:
    """The parts of interleaved numbers.

    >>> import fdl.numpy as jnp
    >>> z = apart(jnp.array([[1.0, 2.0], [3.0, 4.0]]))
    >>> z.re.tolist(), z.im.tolist()
    ([1.0, 3.0], [2.0, 4.0])
    """
    shape = aval_of(x).shape[:-1]
    re, im = (reshape(slice_in_dim(x, i, i + 1, len(shape)), shape) for i in (0, 1))
    return Parts(re, im, x)


def together(z: Parts) -> Array:
    """Interleaved numbers of their parts; where these were taken apart, what they were.

    >>> together(Parts(1.0, 2.0)).tolist()
    [1.0, 2.0]
    """
    if z.whole is not None:
        return z.whole  # type: ignore[no-any-return]
    ndim = aval_of(z.re).ndim
    return concatenate([expand_dims(part, (ndim,)) for part in z], ndim)


def turning(z: Parts) -> Array:
    """The real 2x2 matrix [[re, im], [-im, re]] of each number, on two more axes: another number, as a row (re, im),
    times this matrix is the product of the two.

    >>> turning(Parts(1.0, 2.0)).tolist()
    [[1.0, 2.0], [-2.0, 1.0]]
    """
    rows = [together(z), together(Parts(neg(z.im), z.re))]
    ndim = aval_of(z.re).ndim
    return concatenate([expand_dims(row, (ndim,)) for row in rows], ndim)
