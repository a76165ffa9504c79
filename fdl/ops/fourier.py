"""Discrete Fourier transforms of pairs: real and imaginary parts are two arrays, so that programs compute with them.

A transform is products with small matrices of roots of unity (Cooley and Tukey, 1965; Gentleman and Sande, 1966, for
any factors): lengths are cut into a few small factors, a prime length is a product with its matrix, and a long prime
one a convolution (Bluestein, 1970). So it compiles, differentiates and batches like any product.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from fdl.core import dtypes
from fdl.core.array import Array, ConcreteArray, as_array, from_numpy
from fdl.core.errors import DtypeError, ShapeError
from fdl.core.trace import aval_of
from fdl.ops.axes import full, move_axis, transpose
from fdl.ops.dot import dot_general
from fdl.ops.elementwise import add, mul, sub
from fdl.ops.promotion import as_operand
from fdl.ops.shape import concatenate, pad, reshape, slice

Pair = tuple[Any, Any]

_FACTOR = 32  # up to which a factor of a length is one product with a matrix
_ALONE = 64  # up to which a whole length is one
_LONG_PRIME = 256  # from which a convolution takes less work than a matrix


def dft(
    real: Any, imag: Any = None, axis: int = -1, inverse: bool = False, constants: Sequence[Any] | None = None
) -> Pair:
    """The sums over j of x[j] * exp(-2 pi i j k / n) for all k, along an axis, as (real parts, imaginary parts).

    `imag` may be None for zeros. `inverse` takes the other sign; nothing is divided by n. `constants` are what
    `dft_tables` gives, where a program must not hold them itself. Raises DtypeError unless parts are of one float
    dtype, ShapeError for an axis without elements.

    >>> import fdl.numpy as jnp
    >>> re, im = dft(jnp.array([1.0, 0.0, 0.0, 0.0]))
    >>> re.tolist(), im.tolist()
    ([1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 0.0, 0.0])
    """
    parts = [as_operand(x) if hasattr(x, "aval") else as_array(x) for x in ((real,) if imag is None else (real, imag))]
    avals = [aval_of(x) for x in parts]
    if not dtypes.is_float(avals[0].dtype) or avals[-1].dtype != avals[0].dtype:
        raise DtypeError(
            f"dft: parts are {' and '.join(a.describe() for a in avals)}",
            why="they must be of one float dtype",
            hint="x.astype(jnp.float32)",
        )
    if avals[0].shape != avals[-1].shape or not avals[0].ndim or not avals[0].shape[axis]:
        raise ShapeError(
            f"dft: parts are {' and '.join(a.describe() for a in avals)}",
            why="they must be of one shape, with elements along the axis",
        )
    last = [move_axis(x, axis % avals[0].ndim, avals[0].ndim - 1) for x in parts]
    n, plain = aval_of(last[0]).shape[-1], imag is None
    if constants is None:
        constants = dft_tables(n, inverse, plain, avals[0].dtype)
    re, im = _plan(n, inverse, plain).run((last[0], None if plain else last[1]), constants)
    return tuple(move_axis(x, avals[0].ndim - 1, axis % avals[0].ndim) for x in (re, im))  # type: ignore[return-value]


def _factors(n: int) -> list[int]:
    """As few factors up to `_FACTOR` as there can be, of about one size; larger primes stand alone."""
    primes, rest, p = [], n, 2
    while rest > 1:
        while rest % p == 0:
            primes.append(p)
            rest //= p
        p += 1 if p * p <= rest else max(rest - p, 1)
    for count in range(1, len(primes) + 1):
        bins = [1] * count
        for p in reversed(primes):
            bins[bins.index(min(bins))] *= p
        if all(b <= (_FACTOR if count > 1 else _ALONE) or b in primes for b in bins):
            return sorted(bins, reverse=True)
    return []


def _roots(n: int, rows: int, columns: int, inverse: bool) -> np.ndarray[Any, Any]:
    """exp(-+2 pi i j k / n) for j < rows and k < columns, exact to float64; quarters of a turn are exact."""
    turns = np.outer(np.arange(rows, dtype=np.int64), np.arange(columns, dtype=np.int64)) % n
    quarters, rest = 4 * turns // n, 4 * turns % n
    angles = np.pi / 2 * rest / n
    sign = 1 if inverse else -1
    found: np.ndarray[Any, Any] = (np.cos(angles) + sign * 1j * np.sin(angles)) * np.array(
        [1, sign * 1j, -1, sign * -1j]
    )[quarters]
    return found


def times(x: Pair, y: Pair) -> Pair:
    """The product of two pairs; an imaginary part may be None for zeros.

    >>> [float(p) for p in times((1.0, 2.0), (3.0, 4.0))]
    [-5.0, 10.0]
    """
    (a, b), (c, d) = x, y
    if b is None:
        return mul(a, c), None if d is None else mul(a, d)
    if d is None:
        return mul(a, c), mul(b, c)
    return sub(mul(a, c), mul(b, d)), add(mul(a, d), mul(b, c))


def _cut(x: Any, start: int, stop: int) -> Array:
    shape = aval_of(x).shape
    return slice(x, (0,) * (len(shape) - 1) + (start,), (*shape[:-1], stop))


class _Plan:
    """How a transform of a length is computed: `constants` are what `run` reads, in order; a real input has no
    imaginary parts.
    """

    constants: tuple[np.ndarray[Any, Any], ...]

    def run(self, x: Pair, constants: Sequence[Any]) -> Pair:
        """The transform along the last axis."""
        raise NotImplementedError


class _Matrix(_Plan):
    """The product with the matrix of roots: of pairs, with one twice as large."""

    def __init__(self, n: int, inverse: bool, real: bool) -> None:
        roots = _roots(n, n, n, inverse)
        upper = np.hstack([roots.real, roots.imag])
        self.constants = (upper if real else np.vstack([upper, np.hstack([-roots.imag, roots.real])]),)

    def run(self, x: Pair, constants: Sequence[Any]) -> Pair:
        last = aval_of(x[0]).ndim - 1
        joined = x[0] if x[1] is None else concatenate(list(x), last)
        out = dot_general(joined, constants[0], (((last,), (0,)), ((), ())))
        n = aval_of(out).shape[-1] // 2
        return _cut(out, 0, n), _cut(out, n, 2 * n)


class _Factors(_Plan):
    """j = j1 n2 + j2 and k = k1 + k2 n1: transforms over j1, a turn of each element, transforms over j2."""

    def __init__(self, n: int, n1: int, inverse: bool, real: bool) -> None:
        self.n1, self.n2 = n1, n // n1
        self.first, self.second = _plan(n1, inverse, real), _plan(self.n2, inverse, False)
        turns = _roots(n, self.n2, n1, inverse)
        self.constants = (turns.real, turns.imag, *self.first.constants, *self.second.constants)

    def run(self, x: Pair, constants: Sequence[Any]) -> Pair:
        lead = aval_of(x[0]).shape[:-1]

        def swapped(p: Array) -> Array:
            return transpose(p, (*range(len(lead)), len(lead) + 1, len(lead)))

        split = 2 + len(self.first.constants)
        by_rest = [None if p is None else swapped(reshape(p, (*lead, self.n1, self.n2))) for p in x]  # (j2, j1)
        turned = times(self.first.run((by_rest[0], by_rest[1]), constants[2:split]), (constants[0], constants[1]))
        re, im = self.second.run((swapped(turned[0]), swapped(turned[1])), constants[split:])  # (k1, k2)
        return reshape(swapped(re), (*lead, self.n1 * self.n2)), reshape(swapped(im), (*lead, self.n1 * self.n2))


class _Chirp(_Plan):
    """j k = (j^2 + k^2 - (k - j)^2) / 2: a chirp, the convolution with another one by transforms of a power of two, and
    a chirp.
    """

    def __init__(self, n: int, inverse: bool, real: bool) -> None:
        self.n, self.size = n, 1 << (2 * n - 1).bit_length()
        chirp = np.exp((1j if inverse else -1j) * np.pi * (np.arange(n, dtype=np.int64) ** 2 % (2 * n)) / n)
        kernel = np.zeros(self.size, np.complex128)
        kernel[:n] = chirp.conj()
        kernel[self.size - n + 1 :] = chirp.conj()[1:][::-1]
        spectrum = np.fft.fft(kernel) / self.size
        self.there, self.back = _plan(self.size, False, False), _plan(self.size, True, False)
        self.constants = (
            chirp.real,
            chirp.imag,
            spectrum.real,
            spectrum.imag,
            *self.there.constants,
            *self.back.constants,
        )

    def run(self, x: Pair, constants: Sequence[Any]) -> Pair:
        chirp, spectrum, split = (
            (constants[0], constants[1]),
            (constants[2], constants[3]),
            4 + len(self.there.constants),
        )
        zero = full((), 0, aval_of(x[0]).dtype)
        edges = [*[(0, 0, 0)] * (aval_of(x[0]).ndim - 1), (0, self.size - self.n, 0)]
        start = times(x, chirp)
        there = self.there.run((pad(start[0], zero, edges), pad(start[1], zero, edges)), constants[4:split])
        re, im = self.back.run(times(there, spectrum), constants[split:])
        return times((_cut(re, 0, self.n), _cut(im, 0, self.n)), chirp)


@functools.lru_cache(maxsize=256)
def _plan(n: int, inverse: bool, real: bool) -> _Plan:
    factors = _factors(n)
    if len(factors) > 1:
        return _Factors(n, factors[0], inverse, real)
    return _Chirp(n, inverse, real) if n >= _LONG_PRIME else _Matrix(n, inverse, real)


@functools.lru_cache(maxsize=64)
def dft_tables(n: int, inverse: bool, real: bool, dtype: Any) -> tuple[ConcreteArray, ...]:
    """What a transform of n elements reads: roots of unity, rounded to a dtype.

    >>> [t.shape for t in dft_tables(4, False, True, "float32")]
    [(4, 8)]
    """
    return tuple([from_numpy(np.ascontiguousarray(c, np.dtype(dtype))) for c in _plan(n, inverse, real).constants])
