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


# Matrices: x + iy is [[x, -y], [y, x]], so that products of complex matrices are products of real ones


def spread(z: Parts) -> Array:
    """Real matrices twice as large: each number becomes [[re, -im], [im, re]].

    >>> import fdl.numpy as jnp
    >>> spread(Parts(jnp.array([[1.0]]), jnp.array([[2.0]]))).tolist()
    [[1.0, -2.0], [2.0, 1.0]]
    """
    *lead, m, n = aval_of(z.re).shape
    k = len(lead)
    rows = [together(Parts(z.re, neg(z.im))), together(Parts(z.im, z.re))]
    blocks = concatenate([expand_dims(row, (k + 1,)) for row in rows], k + 1)  # (..., m, 2, n, 2)
    return reshape(blocks, (*lead, 2 * m, 2 * n))


def stacked(z: Parts) -> Array:
    """The first of each two columns of `spread`: real and imaginary parts take turns down the rows.

    >>> import fdl.numpy as jnp
    >>> stacked(Parts(jnp.array([[1.0]]), jnp.array([[2.0]]))).tolist()
    [[1.0], [2.0]]
    """
    *lead, m, n = aval_of(z.re).shape
    k = len(lead) + 1
    return reshape(concatenate([expand_dims(part, (k,)) for part in z], k), (*lead, 2 * m, n))


def gathered(x: Any) -> Parts:
    """The parts of which `spread` made this.

    >>> import fdl.numpy as jnp
    >>> [part.tolist() for part in gathered(jnp.array([[1.0, -2.0], [2.0, 1.0]]))]
    [[[1.0]], [[2.0]]]
    """
    *lead, m, n = aval_of(x).shape
    z, k = taken(x), len(lead) + 2

    def first(part: Any) -> Array:
        columns = reshape(part, (*lead, m // 2, n // 2, 2))
        return reshape(slice_in_dim(columns, 0, 1, k), (*lead, m // 2, n // 2))

    return Parts(first(z.re), first(z.im))


def taken(x: Any) -> Parts:
    """The parts of which `stacked` made this."""
    *lead, m, n = aval_of(x).shape
    k = len(lead) + 1
    rows = reshape(x, (*lead, m // 2, 2, n))
    return Parts(*[reshape(slice_in_dim(rows, i, i + 1, k), (*lead, m // 2, n)) for i in (0, 1)])
