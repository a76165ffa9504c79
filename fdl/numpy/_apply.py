"""Applying functions along axes, over elements, over indices, with NumPy's names."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Collection, Sequence
from typing import Any, TypeVar

from fdl import ops
from fdl.core.array import Array
from fdl.core.errors import ShapeError
from fdl.core.graph import ArrayLike
from fdl.core.pytree import Tree, tree_map
from fdl.core.trace import aval_of
from fdl.numpy._create import asarray
from fdl.numpy._math import _operand, axes_of
from fdl.numpy._places import indices
from fdl.numpy._shape import moveaxis
from fdl.transforms.vmap import vmap

_GROUP = r"\((?:\s*\w+\s*(?:,\s*\w+\s*)*)?,?\s*\)"
_SIGNATURE = re.compile(rf"^\s*{_GROUP}(?:\s*,\s*{_GROUP})*\s*->\s*{_GROUP}(?:\s*,\s*{_GROUP})*\s*$")
Dims = tuple[str, ...]
T = TypeVar("T")


def _parsed(signature: str) -> tuple[list[Dims], list[Dims]]:
    """Names of the axes of each operand and of each result, of "(n,m),(m)->(n)"."""
    if not _SIGNATURE.match(signature):
        raise ShapeError(f"vectorize: {signature!r} is no signature", hint='"(n,m),(m)->(n)"')
    sides = [[tuple(re.findall(r"\w+", group)) for group in re.findall(_GROUP, side)] for side in signature.split("->")]
    return sides[0], sides[1]


def vectorize(
    pyfunc: Callable[..., Any], *, excluded: Collection[int | str] = frozenset(), signature: str | None = None
) -> Callable[..., Any]:
    """A function of numbers, or of arrays with the axes that `signature` names, as one that takes more axes in front,
    which broadcast by NumPy's rule. It is `vmap`, once for each axis.

    `signature` is such as "(n,m),(m)->(n)"; equal names stand for equal sizes. Arguments whose number or name is in
    `excluded` are handed on as they are.

    >>> from fdl.numpy import ones
    >>> matvec = vectorize(lambda a, x: a @ x, signature="(n,m),(m)->(n)")
    >>> matvec(ones((2, 3)), ones((5, 1, 3))).shape
    (5, 1, 2)
    """

    def vectorized(*args: Any, **kwargs: Any) -> Tree:
        named = [name for name in kwargs if name not in excluded]
        if named and signature is not None:
            raise ShapeError(f"vectorize: {', '.join(named)} has no place in {signature!r}", hint="excluded={...}")
        places = [i for i in range(len(args)) if i not in excluded]
        mapped = [_operand(asarray(v)) for v in (*[args[i] for i in places], *[kwargs[n] for n in named])]

        def call(*operands: Array) -> Tree:
            given, said = list(args), dict(kwargs)
            for i, x in zip(places, operands, strict=False):
                given[i] = x
            said.update(zip(named, operands[len(places) :], strict=True))
            return pyfunc(*given, **said)

        inside, results = _parsed(signature) if signature is not None else ([()] * len(mapped), None)
        if len(inside) != len(mapped):
            raise ShapeError(f"vectorize: {signature!r} has {len(inside)} operands, got {len(mapped)}")
        return _mapped(call, mapped, inside, results)

    return vectorized


def _mapped(f: Callable[..., Any], operands: Sequence[Array], inside: Sequence[Dims], results: Any) -> Tree:
    """`f` mapped over the axes in front of those that are named."""
    known: dict[str, int] = {}
    for x, dims in zip(operands, inside, strict=True):
        _fit(aval_of(x).shape, dims, known)
    fronts = [aval_of(x).shape[: aval_of(x).ndim - len(dims)] for x, dims in zip(operands, inside, strict=True)]
    shape = ops.broadcast_shapes(fronts, "vectorize")
    g = _checked(f, results, known)
    squeezed = []
    varies: list[list[bool]] = []  # of each operand, along which of the axes in front
    for x, front in zip(operands, fronts, strict=True):
        own = [False] * (len(shape) - len(front)) + [d != 1 for d in front]
        squeezed.append(ops.reshape(x, tuple(d for d in front if d != 1) + aval_of(x).shape[len(front) :]))
        varies.append(own)
    single = []  # axes of size 1, over which nothing is mapped
    for axis in reversed(range(len(shape))):
        axes = tuple(0 if own[axis] else None for own in varies)
        if any(a == 0 for a in axes):
            g = vmap(g, in_axes=axes)
        else:
            single.append(axis)
    out = g(*squeezed)
    return tree_map(lambda y: ops.expand_dims(y, single), out) if single else out


def _fit(shape: Sequence[int], dims: Dims, known: dict[str, int], what: str = "operand") -> None:
    """Sizes of named axes, which have to agree."""
    if len(shape) < len(dims) or (what == "result" and len(shape) != len(dims)):
        raise ShapeError(f"vectorize: the {what} of shape {tuple(shape)} has not the axes ({','.join(dims)})")
    for name, d in zip(dims, shape[len(shape) - len(dims) :], strict=True):
        if known.setdefault(name, d) != d:
            raise ShapeError(f"vectorize: axis {name} has sizes {known[name]} and {d}")


def _checked(f: Callable[..., Any], results: list[Dims] | None, known: dict[str, int]) -> Callable[..., Any]:
    """`f` with results of the shapes that a signature names."""

    def g(*operands: Array) -> Tree:
        out = f(*operands)
        if results is None:
            return tree_map(_operand, out)
        parts = list(out) if isinstance(out, (tuple, list)) else [out]
        if len(parts) != len(results) or (len(results) > 1) != isinstance(out, (tuple, list)):
            raise ShapeError(f"vectorize: {len(parts)} results, the signature has {len(results)}")
        arrays = tuple(_operand(asarray(y)) for y in parts)
        for y, dims in zip(arrays, results, strict=True):
            _fit(aval_of(y).shape, dims, dict(known), "result")
        return arrays if len(results) > 1 else arrays[0]

    return g


def apply_along_axis(func1d: Callable[..., Any], axis: int, arr: ArrayLike, *args: Any, **kwargs: Any) -> Array:
    """A function of vectors applied to each vector along an axis, whose place its result's axes take. `args` and
    `kwargs` are handed on.

    >>> from fdl.numpy import array
    >>> apply_along_axis(lambda v: v[::-1], 1, array([[1, 2], [3, 4]])).tolist()
    [[2, 1], [4, 3]]
    """
    x = _operand(arr)
    (place,) = axes_of(x, axis, "apply_along_axis")

    def f(vector: Array) -> Array:
        return _operand(asarray(func1d(vector, *args, **kwargs)))

    mapped: Callable[..., Array] = f
    for _ in range(x.aval.ndim - 1):
        mapped = vmap(mapped)
    out = mapped(ops.move_axis(x, place, x.aval.ndim - 1))
    extra = aval_of(out).ndim - (x.aval.ndim - 1)
    return moveaxis(out, tuple(range(x.aval.ndim - 1, x.aval.ndim - 1 + extra)), tuple(range(place, place + extra)))


def apply_over_axes(func: Callable[[Any, int], Any], a: ArrayLike, axes: int | Sequence[int]) -> Array:
    """`func(x, axis)` applied for one axis after another; axes that it takes away are kept with size 1.

    >>> from fdl.numpy import array, sum
    >>> apply_over_axes(sum, array([[1, 2], [3, 4]]), (0, 1)).tolist()
    [[10]]
    """
    x = _operand(a)
    for axis in (axes,) if isinstance(axes, int) else axes:
        (place,) = axes_of(x, axis, "apply_over_axes")
        out = _operand(func(x, place))
        x = ops.expand_dims(out, (place,)) if aval_of(out).ndim == aval_of(x).ndim - 1 else out
        if aval_of(out).ndim not in (aval_of(x).ndim, aval_of(x).ndim - 1):
            raise ShapeError(f"apply_over_axes: the function made {aval_of(out).describe()} of more axes than one less")
    return x


def fromfunction(function: Callable[..., T], shape: Sequence[int], *, dtype: Any = float, **kwargs: Any) -> T:
    """The results of a function of indices, one number for each axis, for all elements of a shape. `kwargs` are handed
    on.

    >>> fromfunction(lambda i, j: i + 10 * j, (2, 2), dtype=int).tolist()
    [[0, 10], [1, 11]]
    """
    places = list(indices(tuple(shape), dtype))
    f: Callable[..., T] = functools.partial(function, **kwargs)
    for axis in reversed(range(len(places))):
        f = vmap(f, in_axes=tuple(0 if i == axis else None for i in range(len(places))))
    lines = [ops.iota((d,), 0, aval_of(places[i]).dtype) for i, d in enumerate(shape)]
    return f(*lines)


__all__ = ["apply_along_axis", "apply_over_axes", "fromfunction", "vectorize"]
