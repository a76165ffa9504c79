"""Operands of public functions: promoted to one dtype, Python numbers made literals, shapes broadcast."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, overload

import numpy as np

from fdl.core import dtypes
from fdl.core.array import Array, ConcreteArray, as_array
from fdl.core.avals import Shape, ShapedArray
from fdl.core.dtypes import DType
from fdl.core.errors import ShapeError
from fdl.core.graph import ArrayLike, Literal, Operand
from fdl.ops.axes import broadcast_to, convert


@overload
def as_operand(x: Array) -> Array: ...
@overload
def as_operand(x: ArrayLike) -> Operand: ...
def as_operand(x: ArrayLike) -> Operand:
    """Arrays and tracers as they are, Python and NumPy scalars as literals, ndarrays as arrays."""
    if isinstance(x, (Array, Literal)):
        return x
    found = dtypes.scalar_type(x)
    return as_array(x) if found is None else Literal(x, *found)


@overload
def promote(*xs: Array, to_float: bool = False) -> list[Array]: ...
@overload
def promote(*xs: ArrayLike, to_float: bool = False) -> list[Operand]: ...
def promote(*xs: ArrayLike, to_float: bool = False) -> Sequence[Operand]:
    """Operands of one dtype; converting what is an array, re-typing what is a number."""
    operands = [as_operand(x) for x in xs]
    dtype, weak = _common(operands, to_float)
    return [cast(x, dtype, weak) for x in operands]


def _common(operands: Sequence[Operand], to_float: bool) -> tuple[DType, bool]:
    """The dtype of operands taken together, and whether it is weak. A number never widens an array of its kind, weak or
    not, but for whole numbers that have no place in it.
    """
    dtype, weak = dtypes.promote([(x.aval.dtype, x.aval.weak_type) for x in operands])
    if weak:
        numbers = [x.number for x in operands if isinstance(x, Literal)]
        arrays = [x.aval.dtype for x in operands if isinstance(x, Array) and x.aval.dtype.kind == dtype.kind]
        if numbers and arrays:
            own = max(arrays, key=lambda d: d.itemsize)
            fits = dtypes.is_inexact(own) or all(np.iinfo(own).min <= n <= np.iinfo(own).max for n in numbers)
            dtype = own if fits else dtype
    if to_float and not dtypes.is_inexact(dtype):
        return dtypes.default(float), weak
    return dtype, weak


# by types of operands: dtype, weakness, and the shape to broadcast to; None where operands are as they should be
_ALIGNED: dict[tuple[Any, ...], tuple[DType, bool, Shape | None] | None] = {}


# by operands, the token of an array or the place in `KINDS` of a number: tokens of the types that they have beside each
# other, where no array is changed, and behind them bounds of integers; for the runtime library
TYPED: dict[tuple[int, ...], tuple[int, ...]] = {}
KINDS = (float, int, bool)


def _note_types(xs: Sequence[ArrayLike], given: Sequence[Operand], operands: Sequence[Operand], dtype: DType) -> None:
    """Remember which types numbers have beside arrays; not of integers that int64 cannot bound."""
    if not all(type(x) in _TYPED for x in xs):
        return
    key = tuple([x.aval.token if type(x) is ConcreteArray else KINDS.index(type(x)) for x in xs])
    as_they_are = all(x is y or type(x) is Literal for x, y in zip(given, operands, strict=True))
    if as_they_are and min(key) < 0 and key not in TYPED and dtype != dtypes.uint64:
        info = np.iinfo(dtype) if dtypes.is_integer(dtype) else None
        TYPED[key] = (*[x.aval.token for x in operands], *(() if info is None else (int(info.min), int(info.max))))


_TYPED = (ConcreteArray, *KINDS)


def aligned(what: str, xs: Sequence[ArrayLike], to_float: bool) -> list[Operand]:
    """Operands of an elementwise operation: of one dtype, and of one shape or 0-d. What follows from types is worked
    out once.
    """
    operands = [x if type(x) is ConcreteArray else as_operand(x) for x in xs]
    key = (to_float, dtypes.wide(), *[-x.aval.token if type(x) is Literal else x.aval.token for x in operands])
    plan = _ALIGNED.get(key, ())
    if plan is None:
        return operands
    if not plan:
        dtype, weak = _common(operands, to_float)
        shapes = [x.aval.shape for x in operands]
        target = broadcast_shapes(shapes, what)
        if len(_ALIGNED) > 8192:
            _ALIGNED.clear()
            TYPED.clear()
        plan = dtype, weak, target if any(s and s != target for s in shapes) else None
        as_is = (
            plan[2] is None
            and not any(isinstance(x, Literal) for x in operands)
            and all(cast(x, dtype, weak) is x for x in operands)
        )
        _ALIGNED[key] = None if as_is else plan
    dtype, weak, shape = plan
    given, operands = operands, [cast(x, dtype, weak) for x in operands]
    # whoever met these types first, under a trace maybe, had nothing to tell the library
    if shape is None:
        _note_types(xs, given, operands, dtype)
    return operands if shape is None else [broadcast_to(x, shape) if x.aval.shape else x for x in operands]


@overload
def cast(x: Literal, dtype: DType, weak_type: bool = False) -> Literal: ...
@overload
def cast(x: Array, dtype: DType, weak_type: bool = False) -> Array: ...
def cast(x: Operand, dtype: DType, weak_type: bool = False) -> Operand:
    """`x` with this dtype; a literal is re-typed, without an operation."""
    if isinstance(x, Literal):
        return Literal(_exact(x.number, dtype), dtype, weak_type)
    if x.aval.dtype == dtype and (x.aval.weak_type == weak_type or weak_type):
        return x
    return convert(x, dtype, weak_type)


def _exact(value: float, dtype: DType) -> float:
    """The literal's Python value; an int that does not fit raises here, at the user's line."""
    if isinstance(value, complex) and not dtypes.is_complex(dtype):
        return value.real
    if dtypes.is_integer(dtype) and dtypes.is_integer(np.asarray(value).dtype):
        info = np.iinfo(dtype)
        if not info.min <= int(value) <= info.max:
            raise OverflowError(f"the number {value} does not fit into {dtype.name}")
    return value


def broadcast_shapes(shapes: Sequence[Shape], what: str) -> Shape:
    """NumPy's broadcasting; ShapeError names the operation and the shapes."""
    rank = max((len(s) for s in shapes), default=0)
    out: list[Any] = [1] * rank
    for shape in shapes:
        for i, d in enumerate(shape, rank - len(shape)):
            if out[i] == 1:
                out[i] = d
            elif not (d == 1 or d == out[i]):
                text = " and ".join(str(s) for s in shapes)
                raise ShapeError(
                    f"{what}: shapes {text} do not broadcast",
                    why=f"axis {i - rank} has sizes {out[i]} and {d}, which are neither equal nor 1",
                    hint="x[:, None], x.reshape(...) or jnp.broadcast_to",
                )
    return tuple(out)


def same_or_scalar(what: str, avals: Sequence[ShapedArray]) -> ShapedArray:
    """Type of an elementwise result: operands have one dtype, and one shape or none."""
    shape: Shape = ()
    for a in avals:
        if a.shape:
            if shape and a.shape != shape:
                raise ShapeError(
                    f"{what}: shapes {' and '.join(str(b.shape) for b in avals)} differ",
                    why="an elementwise primitive takes operands of one shape, or 0-d",
                    hint=f"jnp.{what}, which broadcasts",
                )
            shape = a.shape
    first = avals[0]
    if any(a.dtype != first.dtype for a in avals):
        raise ShapeError(
            f"{what}: dtypes {' and '.join(a.dtype.name for a in avals)} differ", hint=f"jnp.{what}, which promotes"
        )
    return first.update(shape=shape, weak_type=all(a.weak_type for a in avals))
