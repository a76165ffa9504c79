"""Matrices in memory, element by element: what factorisations and spectra are written with."""

from __future__ import annotations

from collections.abc import Callable, Sequence

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
