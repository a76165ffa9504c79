"""Random bits: the counter-based generator Philox 4x32-10.

Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011; its known-answer vectors are
in the tests. A word depends on key, counter and place alone, so the same key gives the same bits on every backend, for
any number of threads, inside or outside of vmap.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from fdl.core import dtypes
from fdl.core.array import Array
from fdl.core.avals import Shape, ShapedArray, shaped
from fdl.core.errors import ShapeError
from fdl.core.graph import ArrayLike
from fdl.core.primitive import Primitive
from fdl.core.tangents import Zero
from fdl.core.trace import aval_of
from fdl.ops.axes import broadcast
from fdl.ops.sample import Sample
from fdl.ops.vocabulary import Expr, Place, Value, Vocabulary

_M0, _M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_W0, _W1 = 0x9E3779B9, 0xBB67AE85
_LOW = np.uint64(0xFFFFFFFF)


def philox(counter: Sequence[ArrayLike], key: Sequence[ArrayLike]) -> list[Any]:
    """The four output words of Philox 4x32-10 for four counter words and two key words, each an array of uint32."""
    c = [np.asarray(word).astype(np.uint64) for word in counter]
    k0, k1 = (np.asarray(word).astype(np.uint64) for word in key)
    for _ in range(10):
        p0, p1 = _M0 * c[0], _M1 * c[2]
        c = [(p1 >> np.uint64(32)) ^ c[1] ^ k0, p1 & _LOW, (p0 >> np.uint64(32)) ^ c[3] ^ k1, p0 & _LOW]
        k0, k1 = (k0 + np.uint64(_W0)) & _LOW, (k1 + np.uint64(_W1)) & _LOW
    return [word.astype(np.uint32) for word in c]


def philox_word(place: Any, c2: Any, c3: Any, k0: Any, k1: Any) -> np.ndarray[Any, Any]:
    """Word number `place` of the stream with these upper counter words and this key: word `place % 4` of block `place
    // 4`.
    """
    place = np.asarray(place).astype(np.int64)
    block = (place // 4).astype(np.uint64)
    words = philox((block & _LOW, block >> np.uint64(32), c2, c3), (k0, k1))
    chosen: np.ndarray[Any, Any] = np.choose(place % 4, np.broadcast_arrays(*words, place)[:4])
    return chosen


def random_bits(key: ArrayLike, counter: ArrayLike, shape: Shape) -> Array:
    """Random uint32 words; `key` and `counter` are uint32 `B + (2,)`, the result is `B + shape`.

    >>> import fdl.numpy as jnp
    >>> zero = jnp.zeros(2, "uint32")
    >>> [hex(w) for w in random_bits(zero, zero, (4,)).tolist()]
    ['0x6627e8d5', '0xe169c58d', '0xbc57ac4c', '0x9b00dbd8']
    """
    return random_bits_p.bind(key, counter, shape=tuple(shape))


def _random_bits_shape(key: ShapedArray, counter: ShapedArray, *, shape: Shape) -> ShapedArray:
    if key.dtype != dtypes.uint32 or key.ndim < 1 or key.shape[-1] != 2 or not key.matches(counter):
        raise ShapeError(
            f"random_bits: key {key.describe()} and counter {counter.describe()}",
            why="both must be uint32[..., 2] of one shape",
            hint="fdl.random.key(0)",
        )
    return shaped((*key.shape[:-1], *shape), dtypes.uint32)


def _random_bits_impl(
    key: np.ndarray[Any, Any], counter: np.ndarray[Any, Any], *, shape: Shape
) -> np.ndarray[Any, Any]:
    batch = key.shape[:-1]
    place = np.arange(math.prod(shape)).reshape(shape)
    words = [w.reshape(batch + (1,) * len(shape)) for pair in (counter, key) for w in (pair[..., 0], pair[..., 1])]
    return philox_word(np.broadcast_to(place, (*batch, *shape)), *words)


def _random_bits_lower(b: Vocabulary, key: Value, counter: Value, *, shape: Shape) -> Value:
    batch = key.shape[:-1]

    def at(index: Place) -> Expr:
        lead, place = index[: len(batch)], b.flat(index[len(batch) :], shape)
        words = [pair.at((*lead, b.zero + i)) for pair in (counter, key) for i in (0, 1)]
        return b.apply("philox", dtypes.uint32, b.number(place, dtypes.int64), *words)

    return b.compute((*batch, *shape), dtypes.uint32, at, [key, counter])


def _random_bits_batch(axis: Any, args: Any, batched: Any, *, shape: Shape) -> tuple[Any, Any]:
    key, counter = (
        x if is_batched else broadcast(x, (axis.size, *aval_of(x).shape), range(1, aval_of(x).ndim + 1))
        for x, is_batched in zip(args, batched, strict=True)
    )
    return random_bits(key, counter, shape), True


def _random_bits_jvp(primals: Any, tangents: Any, *, shape: Shape) -> tuple[Any, Any]:
    out = random_bits_p.bind(*primals, shape=shape)
    return out, Zero(aval_of(out))


_KEY = np.array([0xA4093822, 0x299F31D0], np.uint32)
_KEYS = np.array([[0, 0], [1, 2], [0xFFFFFFFF, 7]], np.uint32)

random_bits_p: Primitive = (
    Primitive("random_bits")
    .define(
        shape=_random_bits_shape,
        sizes=("shape",),
        impl=_random_bits_impl,
        jvp=_random_bits_jvp,
        batch=_random_bits_batch,
        lower=_random_bits_lower,
        samples=[
            Sample((_KEY, _KEY), {"shape": (3, 5)}),
            Sample((_KEYS, _KEYS), {"shape": (6,)}),
            Sample((_KEY, _KEY), {"shape": ()}),
            Sample((_KEY, _KEYS), {"shape": (2,)}, fails=ShapeError),
        ],
    )
    .register()
)
