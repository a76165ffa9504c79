"""Keys, random bits, and what follows from them at once.

A key is a uint32 array of two words (and more axes in front for a batch of keys); bits come from Philox 4x32-10, see
`fdl.ops.random`. The upper counter words separate what a key is used for: numbers, splitting, folding in.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fdl import ops
from fdl.core import dtypes
from fdl.core.array import Array
from fdl.core.avals import sizes
from fdl.core.errors import ChoiceError, DtypeError, ShapeError
from fdl.core.graph import ArrayLike
from fdl.core.trace import aval_of
from fdl.numpy import argsort, array, broadcast_to, moveaxis, searchsorted, stack
from fdl.numpy._math import axes_of, counts
from fdl.ops.random import random_bits
from fdl.transforms.control.call import graph_function
from fdl.transforms.control.scan import scan

__all__ = [
    "PRNGKey",
    "bernoulli",
    "bits",
    "categorical",
    "choice",
    "clone",
    "exponential",
    "fold_in",
    "gumbel",
    "key",
    "key_data",
    "key_impl",
    "laplace",
    "normal",
    "permutation",
    "rademacher",
    "randint",
    "split",
    "uniform",
    "wrap_key_data",
]

_NUMBERS, _SPLIT, _FOLD = 0, 1, 2


def _counter(key: Array, low: Any, use: int) -> Array:
    words = stack([ops.convert(array(low), dtypes.uint32), array(use, dtypes.uint32)])
    return broadcast_to(words, aval_of(key).shape)


def _checked(key: Array, what: str) -> Array:
    aval = aval_of(key)
    if aval.dtype != dtypes.uint32 or aval.ndim < 1 or aval.shape[-1] != 2:
        raise DtypeError(f"random.{what}: {aval.describe()} is no key", hint="key = fdl.random.key(0)")
    return key


def key(seed: Any, *, impl: Any = None) -> Array:
    """A key from an integer seed. There is one generator, Philox: `impl` may name it, or one of JAX's, in whose place
    it stands.

    >>> key(7).tolist()
    [7, 0]
    """
    if impl not in (None, key_impl(None), "threefry2x32", "rbg", "unsafe_rbg"):
        raise ChoiceError(f"random.key: impl={impl!r}", hint=f"{key_impl(None)!r}, the only one")
    if getattr(seed, "shape", ()) != ():
        raise ShapeError(f"random.key: a seed of shape {seed.shape}", why="a key has one seed", hint="vmap(key)(seeds)")
    if isinstance(seed, (int, np.integer)):
        return array(np.array([int(seed) & 0xFFFFFFFF, (int(seed) >> 32) & 0xFFFFFFFF], np.uint32))
    return stack([ops.convert(seed, dtypes.uint32), array(0, dtypes.uint32)])


PRNGKey = key


def split(key: Array, num: int | tuple[int, ...] = 2) -> Array:
    """`num` new keys, uint32[num, 2]; the old one should not be used again.

    >>> first, second = split(key(0))
    >>> first.shape
    (2,)
    """
    shape = (num,) if isinstance(num, int) else tuple(num)
    return random_bits(_checked(key, "split"), _counter(key, 0, _SPLIT), (*shape, 2))


def fold_in(key: Array, data: Any) -> Array:
    """A new key from a key and an integer, such as a step number.

    >>> bool((fold_in(key(0), 1) == fold_in(key(0), 2)).all())
    False
    """
    return random_bits(_checked(key, "fold_in"), _counter(key, data, _FOLD), (2,))


def bits(key: Array, shape: Any = (), dtype: Any = dtypes.uint32) -> Array:
    """Random bits, uint32 or uint64.

    >>> bits(key(0), (3,)).dtype
    dtype('uint32')
    """
    shape, target = sizes(shape), dtypes.canonical(dtype)
    _checked(key, "bits")
    if target == dtypes.uint64:
        words = ops.convert(random_bits(key, _counter(key, 0, _NUMBERS), (*shape, 2)), dtypes.uint64)
        low, high = (
            ops.reshape(ops.slice_in_dim(words, i, i + 1, aval_of(words).ndim - 1), aval_of(words).shape[:-1])
            for i in (0, 1)
        )
        return ops.bitwise_or(low, ops.shift_left(high, 32))
    return ops.cast(random_bits(key, _counter(key, 0, _NUMBERS), shape), target)


def float_dtype(dtype: Any, what: str) -> dtypes.DType:
    """A floating dtype; DtypeError for another one."""
    target = dtypes.canonical(dtype)
    if not dtypes.is_float(target):
        raise DtypeError(f"random.{what}: dtype {target.name} is not floating", hint="randint for integers")
    return target


def uniform(key: Array, shape: Any = (), dtype: Any = float, minval: Any = 0.0, maxval: Any = 1.0) -> Array:
    """Uniform in [minval, maxval), which may be arrays that broadcast: 24 random bits a number, 53 for float64.

    >>> x = uniform(key(0), (100,), minval=2.0, maxval=3.0)
    >>> bool((x >= 2).all() & (x < 3).all())
    True
    """
    target = float_dtype(dtype, "uniform")
    numbers = isinstance(minval, (int, float)) and isinstance(maxval, (int, float))
    unit = numbers and minval == 0.0 and maxval == 1.0
    bounds = () if unit else (minval, maxval)
    return _uniform(_checked(key, "uniform"), bounds, sizes(shape), target)


@graph_function(static=(2, 3))
def _uniform(key: Array, bounds: tuple[Any, ...], shape: tuple[int, ...], target: dtypes.DType) -> Array:
    if target == dtypes.float64:
        unit = ops.mul(ops.convert(ops.shift_right(bits(key, shape, dtypes.uint64), 11), dtypes.float64), 2.0**-53)
    else:
        unit = ops.mul(ops.convert(ops.shift_right(bits(key, shape), 8), dtypes.float32), 2.0**-24)
    if bounds:
        low, high = (ops.cast(array(v), aval_of(unit).dtype) for v in bounds)
        scaled = ops.add(ops.mul(unit, ops.sub(high, low)), low)
        unit = ops.select(ops.less(scaled, high), scaled, low)  # rounding may reach maxval
    return ops.cast(unit, target)


def normal(key: Array, shape: Any = (), dtype: Any = float) -> Array:
    """Standard normal, by the inverse of the error function; complex numbers, both parts of which are normal, have
    variance 1 in all.

    >>> abs(float(normal(key(0), (1000,)).mean())) < 0.1
    True
    """
    target = dtypes.canonical(dtype)
    if not dtypes.is_complex(target):
        return _normal(_checked(key, "normal"), sizes(shape), float_dtype(dtype, "normal"))
    parts = [_normal(k, sizes(shape), dtypes.real_dtype(target)) for k in split(_checked(key, "normal"))]
    return ops.mul(ops.join(*parts), math.sqrt(0.5))


@graph_function(static=(1, 2))
def _normal(key: Array, shape: tuple[int, ...], target: dtypes.DType) -> Array:
    wide = dtypes.float64 if target == dtypes.float64 else dtypes.float32
    low = float(np.nextafter(np.asarray(-1, wide), np.asarray(0, wide)))
    u = uniform(key, shape, wide, low, 1.0)
    return ops.cast(ops.mul(erf_inverse(u), math.sqrt(2)), target)


# Coefficients: M. Giles, "Approximating the erfinv function", GPU Computing Gems 2, 2010; central part and tail, single
# precision.
_CENTRAL = (
    2.81022636e-08,
    3.43273939e-07,
    -3.5233877e-06,
    -4.39150654e-06,
    0.00021858087,
    -0.00125372503,
    -0.00417768164,
    0.246640727,
    1.50140941,
)
_TAIL = (
    -0.000200214257,
    0.000100950558,
    0.00134934322,
    -0.00367342844,
    0.00573950773,
    -0.0076224613,
    0.00943887047,
    1.00167406,
    2.83297682,
)


def erf_inverse(x: Any) -> Array:
    """The inverse error function; float64 is polished by two Newton steps."""
    w = ops.neg(ops.log(ops.mul(ops.sub(1, x), ops.add(1, x))))
    central, tail = ops.sub(w, 2.5), ops.sub(ops.sqrt(w), 3.0)
    is_central = ops.less(w, 5.0)
    at = ops.select(is_central, central, tail)
    p = ops.select(is_central, _CENTRAL[0], _TAIL[0])
    for a, b in zip(_CENTRAL[1:], _TAIL[1:], strict=True):
        p = ops.add(ops.mul(p, at), ops.select(is_central, a, b))
    y = ops.mul(p, x)
    if aval_of(x).dtype == dtypes.float64:
        for _ in range(2):
            error = ops.sub(ops.erf(y), x)
            y = ops.sub(y, ops.div(error, ops.mul(2 / math.sqrt(math.pi), ops.exp(ops.neg(ops.mul(y, y))))))
    return y


def bernoulli(key: Array, p: Any = 0.5, shape: Any = None) -> Array:
    """True with probability p.

    >>> bernoulli(key(0), 0.3, (4,)).dtype
    dtype('bool')
    """
    p = array(p)
    return ops.less(uniform(key, aval_of(p).shape if shape is None else shape), p)


def randint(key: Array, shape: Any, minval: ArrayLike, maxval: ArrayLike, dtype: Any = int) -> Array:
    """Integers in [minval, maxval), which may be arrays that broadcast, by multiplication of 32 random bits.

    The bias is below (maxval - minval) / 2**32. Of arrays, an empty interval gives `minval`.

    >>> x = randint(key(0), (100,), -1, 2)
    >>> int(x.min()), int(x.max())
    (-1, 1)
    """
    if isinstance(minval, (int, float, np.generic)) and isinstance(maxval, (int, float, np.generic)):
        width = int(maxval) - int(minval)
        if not 0 < width <= 2**32:
            raise ShapeError(f"random.randint: [{minval}, {maxval}) is empty or wider than 2**32")
        span, low = array(width, dtypes.uint64), array(int(minval), dtypes.int64)
    else:
        low, high = (ops.convert(array(v), dtypes.int64) for v in (minval, maxval))
        span = ops.convert(ops.maximum(ops.sub(high, low), 1), dtypes.uint64)
    wide = ops.mul(ops.convert(bits(key, shape), dtypes.uint64), span)
    place = ops.convert(ops.shift_right(wide, 32), dtypes.int64)
    return ops.cast(ops.add(place, low), dtypes.canonical(dtype))


def permutation(key: Array, x: ArrayLike, axis: int = 0, independent: bool = False) -> Array:
    """The numbers below `x`, or the slices of `x` along an axis, in random order: Fisher and Yates' shuffle (Knuth
    3.4.2, P). With `independent` each vector along the axis has an order of its own.

    >>> sorted(permutation(key(0), 5).tolist())
    [0, 1, 2, 3, 4]
    """
    if isinstance(x, (int, np.integer)):
        return counts(_shuffled(key, int(x)))
    values = array(x)
    (place,) = axes_of(values, axis, "random.permutation")
    if independent:
        order = argsort(bits(key, aval_of(values).shape, dtypes.uint64), place)
        return ops.gather_along(values, order, place)
    order = _shuffled(key, aval_of(values).shape[place])
    return ops.move_axis(ops.gather(values, [order], (place,)), 0, place)


def _shuffled(key: Array, n: int) -> Array:
    words = bits(key, (n,))

    def swap(order: Array, step: tuple[Array, Array]) -> tuple[Array, None]:
        i, word = step
        room = ops.convert(ops.sub(n, i), dtypes.uint64)
        j = ops.add(i, ops.convert(ops.shift_right(ops.mul(ops.convert(word, dtypes.uint64), room), 32), dtypes.int32))
        places = ops.iota((n,), 0)
        at_i, at_j = (ops.gather(order, [k], (0,)) for k in (i, j))
        return ops.select(ops.equal(places, i), at_j, ops.select(ops.equal(places, j), at_i, order)), None

    order: Array = scan(swap, ops.iota((n,), 0), (ops.iota((n,), 0), words))[0]
    return order


def exponential(key: Array, shape: Any = (), dtype: Any = float) -> Array:
    """Exponential with rate 1.

    >>> bool((exponential(key(0), (9,)) >= 0).all())
    True
    """
    return ops.neg(ops.log1p(ops.neg(uniform(key, shape, dtype))))


def gumbel(key: Array, shape: Any = (), dtype: Any = float) -> Array:
    """Standard Gumbel: `-log(-log(u))`.

    >>> gumbel(key(0), (2,)).shape
    (2,)
    """
    return ops.neg(ops.log(ops.neg(ops.log(uniform(key, shape, dtype, float(np.finfo(np.float32).tiny), 1.0)))))


def laplace(key: Array, shape: Any = (), dtype: Any = float) -> Array:
    """Laplace with mean 0 and scale 1.

    >>> laplace(key(0), (2,)).shape
    (2,)
    """
    u = uniform(key, shape, dtype, -1.0 + 2.0**-23, 1.0)
    return ops.neg(ops.mul(ops.sign(u), ops.log1p(ops.neg(ops.abs(u)))))


def rademacher(key: Array, shape: Any = (), dtype: Any = int) -> Array:
    """-1 or 1, each with probability 1/2.

    >>> sorted(set(rademacher(key(0), (20,)).tolist()))
    [-1, 1]
    """
    return ops.cast(
        ops.sub(ops.mul(2, ops.convert(bernoulli(key, 0.5, sizes(shape)), dtypes.int32)), 1), dtypes.canonical(dtype)
    )


def choice(
    key: Array, a: ArrayLike, shape: Any = (), replace: bool = True, p: ArrayLike | None = None, axis: int = 0
) -> Array:
    """Slices of `a` along an axis, or numbers below the integer `a`, with or without replacement; with probabilities
    `p`, of which the sum does not matter, or all with one.

    >>> len(set(choice(key(0), 5, (5,), replace=False).tolist()))
    5
    """
    of_numbers = isinstance(a, (int, np.integer))
    values = array(0) if of_numbers else array(a)
    (place,) = (0,) if of_numbers else axes_of(values, axis, "random.choice")
    n = int(a) if isinstance(a, (int, np.integer)) else aval_of(values).shape[place]
    shape = sizes(shape)
    count = math.prod(shape)
    if not replace and count > n:
        raise ShapeError(f"random.choice: {count} of {n} without replacement", hint="replace=True")
    if p is not None:
        places = _weighted(key, array(p), n, shape, replace)
    elif replace:
        places = randint(key, shape, 0, n)
    else:
        places = ops.reshape(ops.slice_in_dim(_shuffled(key, n), 0, count), shape)
    if of_numbers:
        return places
    found = ops.gather(values, [places], (place,))
    new = range(len(shape))
    return moveaxis(found, tuple(new), tuple(i + place for i in new))


def _weighted(key: Array, p: Array, n: int, shape: Any, replace: bool) -> Array:
    """Numbers below n with probabilities: by their running sum, or without replacement the largest of the logarithms
    plus Gumbel noise.
    """
    if aval_of(p).shape != (n,):
        raise ShapeError(f"random.choice: probabilities {aval_of(p).describe()} for {n} elements", hint="one for each")
    if replace:
        sums = ops.cumsum(p, 0)
        total = ops.slice_in_dim(sums, n - 1, n, 0)
        u = ops.sub(1, uniform(key, shape, aval_of(sums).dtype))
        return searchsorted(sums, ops.mul(u, ops.reshape(total, ())))
    noisy = ops.add(gumbel(key, (n,), aval_of(p).dtype), ops.log(p))
    order = ops.argsort(noisy, True)
    return counts(ops.reshape(ops.slice_in_dim(order, 0, math.prod(shape), 0), shape))


def categorical(key: Array, logits: ArrayLike, axis: int = -1, shape: Any = None, replace: bool = True) -> Array:
    """A place along `axis`, drawn with probabilities softmax(logits), by the largest of logits plus Gumbel noise.
    `shape` ends with that of the other axes; without `replace` its other axes are different places, at most as many as
    there are classes.

    >>> int(categorical(key(0), array([0.0, 50.0])))
    1
    """
    logits = array(logits)
    aval = aval_of(logits)
    (place,) = axes_of(logits, axis, "random.categorical")
    others = tuple(d for i, d in enumerate(aval.shape) if i != place)
    whole = others if shape is None else sizes(shape)
    lead = whole[: len(whole) - len(others)]
    if not replace:
        count, n = math.prod(lead), aval.shape[place]
        if count > n:
            raise ShapeError(f"random.categorical: {count} of {n} classes without replacement", hint="replace=True")
        noisy = ops.move_axis(ops.add(gumbel(key, aval.shape), logits), place, aval.ndim - 1)
        chosen = ops.slice_in_dim(ops.argsort(noisy, True), 0, count, aval.ndim - 1)
        return counts(ops.reshape(ops.move_axis(chosen, aval.ndim - 1, 0), (*lead, *others)))
    return ops.argmax(ops.add(gumbel(key, (*lead, *aval.shape)), logits), len(lead) + place, int)


def clone(key: Array) -> Array:
    """The key itself: nothing here minds that a key is used twice.

    >>> clone(key(7)).tolist()
    [7, 0]
    """
    return _checked(key, "clone")


def key_data(keys: Array) -> Array:
    """The words of keys, uint32[..., 2]: keys are their words.

    >>> key_data(key(7)).tolist()
    [7, 0]
    """
    return _checked(keys, "key_data")


def wrap_key_data(key_bits_array: ArrayLike, *, impl: str | None = None) -> Array:
    """Keys of words, uint32[..., 2], which `key_data` gives.

    >>> wrap_key_data(key_data(key(7))).tolist()
    [7, 0]
    """
    if impl not in (None, key_impl(None)):
        raise ChoiceError(f"random.wrap_key_data: impl={impl!r}", hint=f"{key_impl(None)!r}, the only one")
    return _checked(array(key_bits_array), "wrap_key_data")


def key_impl(keys: Any) -> str:
    """The name of the generator that keys are for.

    >>> key_impl(key(7))
    'philox4x32'
    """
    return "philox4x32"
