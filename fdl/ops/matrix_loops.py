"""Matrices in memory, element by element: what factorisations and spectra are written with."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fdl.core import dtypes
from fdl.core.dtypes import DType
from fdl.ops.vocabulary import Expr, Index, Place, Value, Vocabulary


def stored_matrices(
    b: Vocabulary, shape: Sequence[int], dtype: DType, at: Callable[[Place, Index, Index], Expr]
) -> Value:
    """Matrices in memory, by `at(place in the stack, row, column)`."""
    made = b.compute(tuple(shape), dtype, lambda index: at(index[:-2], index[-2], index[-1]), [])
    b.materialize(made, in_order=True)
    return made


def stored_vectors(b: Vocabulary, shape: Sequence[int], dtype: DType, at: Callable[[Place, Index], Expr]) -> Value:
    """Columns, or rows, in memory, by `at(place in the stack, element)`."""
    made = b.compute(tuple(shape), dtype, lambda index: at(index[:-1], index[-1]), [])
    b.materialize(made, in_order=True)
    return made


def minus(b: Vocabulary, x: Expr, factor: Expr, y: Expr) -> Expr:
    """x - factor y"""
    return b.apply("sub", x.dtype, x, b.apply("mul", x.dtype, factor, y))


def same(b: Vocabulary, i: Index, k: Index) -> list[Expr]:
    """Conditions under which two indices are equal."""
    return [b.at_least(i - k, 0), b.below(i - k, 1)]


def products(b: Vocabulary, vector: Callable[[Place], Expr], factor: Callable[[Place], Expr], x: Value) -> Value:
    """The factor times the products of a vector with the columns of matrices."""
    *lead, _, n = x.shape
    last, dtype = len(lead), x.dtype
    terms = b.compute(x.shape, dtype, lambda index: b.apply("mul", dtype, vector(index[:-1]), x.at(index)), [x])
    totals = b.reduce("add", terms, [last])
    made = b.compute(
        (*lead, n), dtype, lambda index: b.apply("mul", dtype, factor(index[:-1]), totals.at(index)), [totals]
    )
    b.materialize(made)
    return made


# Numbers: one expression, or the real and the imaginary part

Number = Sequence[Expr]


def element(parts: Sequence[Value], place: Place) -> Number:
    """An element of matrices of which the parts are given."""
    return [part.at(place) for part in parts]


def total(b: Vocabulary, xs: Sequence[Expr]) -> Expr:
    """The sum."""
    found, *rest = xs
    for x in rest:
        found = b.apply("add", found.dtype, found, x)
    return found


def product(b: Vocabulary, x: Number, y: Number) -> Number:
    """x y"""

    def times(i: int, j: int) -> Expr:
        return b.apply("mul", x[i].dtype, x[i], y[j])

    if len(x) == 1:
        return [times(0, 0)]
    dtype = x[0].dtype
    return [b.apply("sub", dtype, times(0, 0), times(1, 1)), b.apply("add", dtype, times(0, 1), times(1, 0))]


def quotient(b: Vocabulary, x: Number, y: Number) -> Number:
    """x / y, and x where y is 0; of complex numbers Smith's (1962)."""
    dtype = x[0].dtype

    def apply(name: str, *args: Expr) -> Expr:
        return b.apply(name, dtype, *args)

    zero, one = b.const(0, dtype), b.const(1, dtype)
    divides = [b.apply("ne", dtypes.bool_, part, zero) for part in y]
    if len(x) == 1:
        return [apply("div", x[0], apply("select", divides[0], y[0], one))]
    (re, im), (other_re, other_im) = x, y
    there = b.apply("or", dtypes.bool_, *divides)
    wide = b.apply("ge", dtypes.bool_, apply("abs", other_re), apply("abs", other_im))

    def pick(yes: Expr, no: Expr) -> Expr:
        return apply("select", wide, yes, no)

    large, small = apply("select", there, pick(other_re, other_im), one), pick(other_im, other_re)
    ratio = apply("div", small, large)
    scale = apply("div", one, apply("add", large, apply("mul", small, ratio)))
    first, second = pick(re, im), pick(im, re)
    scaled = apply("mul", first, ratio)
    crossed = pick(apply("sub", second, scaled), apply("sub", scaled, second))
    along = apply("add", first, apply("mul", second, ratio))
    return [apply("mul", along, scale), apply("mul", crossed, scale)]
