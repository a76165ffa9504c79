"""Place and width of a law: what all of them share."""

from __future__ import annotations

from fdl import ops
from fdl.core.array import Array
from fdl.core.graph import ArrayLike
from fdl.numpy._math import _operand
from fdl.ops.promotion import promote


def scaled(x: ArrayLike, loc: ArrayLike, scale: ArrayLike, *others: ArrayLike) -> list[Array]:
    """[distance from `loc` in units of `scale`, `scale`, others], of one floating dtype."""
    place, centre, width, *rest = (_operand(v) for v in promote(x, loc, scale, *others, to_float=True))
    return [ops.div(ops.sub(place, centre), width), width, *rest]
