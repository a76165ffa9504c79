"""Images of any dimension, under `jax.scipy.ndimage`'s name."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

from fdl import ops
from fdl.core import dtypes
from fdl.core.array import Array
from fdl.core.errors import ChoiceError, ShapeError
from fdl.core.graph import ArrayLike
from fdl.core.trace import aval_of
from fdl.lax.operations import round  # halves go away from zero, as SciPy's do
from fdl.numpy import abs, asarray, clip, floor, mod, where


def _mirror(i: Array, n: int) -> Array:
    """Places beyond an end, as seen in a mirror on the last element."""
    around = 2 * n - 2
    return around // 2 - abs(mod(i, around) - around // 2) if n > 1 else i * 0


# Where a place outside of an axis of n elements is read
_PLACES: dict[str, Callable[[Array, int], Array]] = {
    "constant": lambda i, n: i,
    "nearest": lambda i, n: clip(i, 0, n - 1),
    "wrap": lambda i, n: mod(i, n),
    "mirror": _mirror,
    "reflect": lambda i, n: _mirror(2 * i + 1, 2 * n + 1) // 2,
}


def map_coordinates(
    input: ArrayLike, coordinates: Sequence[ArrayLike], order: int, mode: str = "constant", cval: ArrayLike = 0.0
) -> Array:
    """Values of an array at places between its elements: the nearest one (order 0), or a weighted mean of neighbours
    (order 1). `coordinates` has an array of places for each axis. `mode` says what is outside: "constant" is `cval`,
    "nearest" the last element, "wrap" the other end, "mirror" and "reflect" the image in a mirror on the last element
    or behind it.

    >>> map_coordinates(asarray([10.0, 20.0]), [asarray([0.25, 5.0])], order=1).tolist()
    [12.5, 0.0]
    """
    x, places = asarray(input), [asarray(c) for c in coordinates]
    if len(places) != aval_of(x).ndim:
        raise ShapeError(
            f"map_coordinates: {len(places)} coordinates of {aval_of(x).describe()}", hint="one for each axis"
        )
    if mode not in _PLACES:
        raise ChoiceError(f"map_coordinates: mode={mode!r}", hint=f"one of {', '.join(_PLACES)}")
    if order not in (0, 1):
        raise ChoiceError(f"map_coordinates: order={order!r}", why="there are nearest and linear ones", hint="0 or 1")
    fill = asarray(cval).astype(aval_of(x).dtype)
    neighbours = []  # for each axis, (places, whether they are inside, weights)
    for place, n in zip(places, aval_of(x).shape, strict=True):
        whole = not dtypes.is_float(aval_of(place).dtype)
        below = place if whole else round(place) if order == 0 else floor(place)
        rest = place - below
        near = [(below, 1 - rest), (below + 1, rest)] if order else [(below, None)]
        found = []
        for at, weight in near:
            index = at.astype("int32")
            inside = (index >= 0) & (index < n) if mode == "constant" else None
            found.append((clip(_PLACES[mode](index, n), 0, n - 1), inside, weight))
        neighbours.append(found)
    total: Array | None = None
    for corner in itertools.product(*neighbours):
        value = x[tuple(index for index, _, _ in corner)]
        for _, inside, _ in corner:
            value = value if inside is None else where(inside, value, fill)
        for _, _, weight in corner:
            value = value if weight is None else value * weight
        total = value if total is None else total + value
    assert total is not None
    if dtypes.is_integer(aval_of(x).dtype) and dtypes.is_float(aval_of(total).dtype):
        total = round(total)
    return ops.cast(total, aval_of(x).dtype)


__all__ = ["map_coordinates"]
