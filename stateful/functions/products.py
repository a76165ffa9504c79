"""Products of matrices and vectors."""

from __future__ import annotations

import string
from typing import Any

import fdl.numpy as jnp
from fdl import ops
from fdl.extend import DtypeError, Function, aval_of, dtypes
from fdl.stateful.core.errors import TensorError
from fdl.stateful.core.methods import method, named
from fdl.stateful.core.tensor import Tensor, apply

__all__ = [
    "addbmm", "addmm", "addmv", "addr", "baddbmm", "bmm", "chain_matmul", "cross", "dot", "einsum", "inner", "kron",
    "matmul", "mm", "mv", "outer", "tensordot", "trace",
    "vander", "vdot",
]  # fmt: skip


def _ints(*xs: Any) -> list[Any]:
    """Bools as integers, of which there are products."""
    return [ops.cast(x, dtypes.int32) for x in xs]


def _same_dtype(*xs: Any) -> None:
    if len({aval_of(x).dtype for x in xs}) > 1:
        raise DtypeError(
            f"expected operands of one dtype, but got {' and '.join(aval_of(x).describe() for x in xs)}",
            hint="x.to(other.dtype)",
        )


def _matmul_body(a: Any, b: Any) -> Any:
    _same_dtype(a, b)
    return jnp.matmul(a, b)


_matmul = Function(_matmul_body, "matmul")
_dot = Function(_matmul_body, "dot")  # of vectors: autocast leaves it as it is
_outer = Function(
    lambda a, b: (
        jnp.outer(a, b) if aval_of(a).dtype != dtypes.bool_ else ops.convert(jnp.outer(*_ints(a, b)), dtypes.bool_)
    ),
    "outer",
)
_einsum = Function(lambda *args: jnp.einsum(args[-1], *args[:-1]), "einsum")


@method("matmul", "__matmul__")
def matmul(input: Tensor, other: Tensor) -> Any:
    """The matrix product over the last two dimensions; leading ones broadcast, a vector is a row or a column."""
    return apply(_matmul, (input, other))


def _checked(name: str, ndims: tuple[int, int]) -> Any:
    function = _dot if 1 in ndims else _matmul

    def product(input: Tensor, other: Tensor) -> Any:
        if (input.ndim, other.ndim) != ndims:
            raise TensorError(
                f"{name}: expected tensors of {ndims[0]} and {ndims[1]} dimensions, got {input.ndim} and {other.ndim}"
            )
        return apply(function, (input, other))

    return method(name)(named(product, name, f"`matmul` of tensors with {ndims[0]} and {ndims[1]} dimensions."))


mm, mv, dot, bmm = _checked("mm", (2, 2)), _checked("mv", (2, 1)), _checked("dot", (1, 1)), _checked("bmm", (3, 3))


@method("outer", "ger")
def outer(input: Tensor, vec2: Tensor) -> Any:
    """All products of an element of one vector with one of another."""
    return apply(_outer, (input, vec2))


def einsum(equation: Any, *operands: Any) -> Any:
    """Sums of products, said by index letters: `einsum("bi,ij->bj", x, w)`, or by numbers behind each operand:
    `einsum(x, [0, 1], w, [1, 2], [0, 2])`.
    """
    if not isinstance(equation, str):
        return einsum(*_lettered((equation, *operands)))
    if len(operands) == 1 and isinstance(operands[0], (list, tuple)):
        operands = tuple(operands[0])
    given = operands[0] if len(operands) == 1 and isinstance(operands[0], (list, tuple)) else operands
    equation = equation.replace(" ", "")
    return apply(_einsum, _stretched(equation, given), (equation,))


_LETTERS = string.ascii_uppercase + string.ascii_lowercase  # in the order of their codes, as sums without result are


def _lettered(given: tuple[Any, ...]) -> tuple[Any, ...]:
    """An equation and operands, of operands that have lists of numbers behind them; a last list is the result's."""
    operands, lists = given[0 : len(given) // 2 * 2 : 2], given[1::2]
    terms = [
        "".join(["..." if i is Ellipsis else _LETTERS[i] for i in numbers])
        for numbers in (*lists, *([given[-1]] if len(given) % 2 else []))
    ]
    result = f"->{terms.pop()}" if len(given) % 2 else ""
    return ",".join(terms) + result, *operands


def _stretched(equation: str, given: Any) -> tuple[Any, ...]:
    """The operands, where a letter or a dimension of "..." stands for one element in one and for several in another,
    repeated as often.
    """
    found: dict[str, int] = {}
    letters = []
    for term, x in zip(equation.split("->")[0].split(","), given, strict=False):
        head, _, tail = term.partition("...")
        spanned = range(len(head) + len(tail) - x.ndim, 0)  # dimensions of "...", counted from its end
        letters.append([*head, *map(str, spanned), *tail])
        for letter, n in zip(letters[-1], x.shape, strict=False):
            found[letter] = n if found.get(letter, 1) == 1 else found[letter]
    short = [
        [n == 1 != found[letter] for letter, n in zip(names, x.shape, strict=False)]
        for names, x in zip(letters, given, strict=False)
    ]
    if not any(map(any, short)):
        return tuple(given)
    return tuple(
        x.expand(*[found[c] if s else -1 for c, s in zip(names, which, strict=True)]) if any(which) else x
        for x, names, which in zip(given, letters, short, strict=True)
    )


_addmm = Function(
    lambda x, a, b, beta, alpha: ops.add(
        ops.mul(x, ops.cast(beta, aval_of(x).dtype)), ops.mul(jnp.matmul(a, b), ops.cast(alpha, aval_of(x).dtype))
    ),
    "addmm",
)


@method(inplace=True)
def addmm(input: Tensor, mat1: Tensor, mat2: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """`beta * input + alpha * (mat1 @ mat2)`."""
    return apply(_addmm, (input, mat1, mat2, beta, alpha))


def _added(name: str, product: Any, doc: str) -> Any:
    """`beta * input + alpha * product(a, b)`; with beta 0 the input counts for nothing, whatever it is."""

    def body(x: Any, a: Any, b: Any, beta: Any, alpha: Any, ignored: bool) -> Any:
        _same_dtype(a, b)
        out = product(a, b)
        dtype = aval_of(out).dtype
        out = ops.mul(out, ops.cast(alpha, dtype))
        return out if ignored else ops.add(ops.mul(x, ops.cast(beta, dtype)), out)

    function = Function(body, name)

    def public(input: Tensor, a: Tensor, b: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Any:
        return apply(function, (input, a, b, beta, alpha), (beta == 0,))

    return method(name, inplace=True)(named(public, name, doc))


def _batches(a: Any, b: Any) -> Any:
    return ops.reduce_sum(jnp.matmul(a, b), (0,))


addmv = _added("addmv", jnp.matmul, "`beta * input + alpha * mat @ vec`.")
addr = _added("addr", jnp.outer, "`beta * input + alpha * outer(vec1, vec2)`.")
baddbmm = _added("baddbmm", jnp.matmul, "`beta * input + alpha * batch1 @ batch2`.")
addbmm = _added("addbmm", _batches, "`beta * input + alpha` times the sum of all `batch1 @ batch2`.")


def chain_matmul(*matrices: Tensor) -> Any:
    """The product of matrices, from left to right."""
    out: Any = matrices[0]
    for m in matrices[1:]:
        out = matmul(out, m)
    return out


def _inner_rule(a: Any, b: Any) -> Any:
    if not aval_of(a).ndim or not aval_of(b).ndim:
        return ops.mul(a, b)
    return ops.dot_general(a, b, (((aval_of(a).ndim - 1,), (aval_of(b).ndim - 1,)), ((), ())))


_inner = Function(_inner_rule, "inner")
_kron = Function(lambda a, b: jnp.kron(a, b), "kron")
_tensordot = Function(lambda a, b, left, right: ops.dot_general(a, b, ((left, right), ((), ()))), "tensordot")
_trace = Function(
    lambda x: ops.reduce_sum(
        jnp.diagonal(x if dtypes.is_inexact(aval_of(x).dtype) else ops.cast(x, dtypes.int64)), (0,)
    ),
    "trace",
)
_cross = Function(lambda a, b, axis: _cross_body(a, b, axis), "cross")
_vander = Function(lambda x, n, increasing: _vander_body(x, n, increasing), "vander")


def _cross_body(a: Any, b: Any, axis: int) -> Any:
    a, b = jnp.broadcast_arrays(a, b)
    ax, ay, az = (ops.slice_in_dim(a, k, k + 1, axis) for k in range(3))
    bx, by, bz = (ops.slice_in_dim(b, k, k + 1, axis) for k in range(3))
    parts = [
        ops.sub(ops.mul(u, v), ops.mul(w, x)) for u, v, w, x in ((ay, bz, az, by), (az, bx, ax, bz), (ax, by, ay, bx))
    ]
    return ops.concatenate(parts, axis)


def _vander_body(x: Any, n: int, increasing: bool) -> Any:
    last = aval_of(x).ndim
    x = x if dtypes.is_inexact(aval_of(x).dtype) else ops.cast(x, dtypes.int64)
    columns = [
        ops.expand_dims(ops.integer_pow(x, k), (last,)) for k in (range(n) if increasing else reversed(range(n)))
    ]
    return ops.concatenate(columns, last) if columns else ops.full((*aval_of(x).shape, 0), 0, aval_of(x).dtype)


@method()
def inner(input: Tensor, other: Tensor) -> Any:
    """Sums of products over the last dimensions of both."""
    return apply(_inner, (input, other))


@method()
def vdot(input: Tensor, other: Tensor) -> Any:
    """`dot`, with the conjugates of `input`."""
    return dot(input.conj(), other)


@method()
def kron(input: Tensor, other: Tensor) -> Any:
    """All products, block by block."""
    return apply(_kron, (input, other))


def tensordot(a: Tensor, b: Tensor, dims: Any = 2) -> Any:
    """Sums of products over the last `dims` dimensions of one and the first of the other, or over those
    that are named.
    """
    if isinstance(dims, Tensor):
        dims = dims.tolist()
    if isinstance(dims, int):
        left, right = tuple(range(a.ndim - dims, a.ndim)), tuple(range(dims))
    else:
        left, right = (
            tuple([d % t.ndim for d in ([given] if isinstance(given, int) else given)])
            for given, t in zip(dims, (a, b), strict=True)
        )
    for i, j in zip(left, right, strict=True):  # one element goes with all of the other
        a = a.sum(i, keepdim=True) if b.shape[j] == 1 != a.shape[i] else a
        b = b.sum(j, keepdim=True) if a.shape[i] == 1 != b.shape[j] else b
    return apply(_tensordot, (a, b), (left, right))


@method()
def trace(input: Tensor) -> Any:
    """The sum of the diagonal of a matrix."""
    if input.ndim != 2:
        raise TensorError(f"trace: expected a matrix, but got tensor with dim {input.ndim}")
    return apply(_trace, (input,))


@method()
def cross(input: Tensor, other: Tensor, dim: int | None = None) -> Any:
    """The vector product along a dimension of size 3, the first such one by default."""
    ndim = max(input.ndim, other.ndim)
    axis = next(k for k, d in enumerate(input.shape) if d == 3) if dim is None else dim % ndim
    return apply(_cross, (input, other), (axis,))


def vander(x: Tensor, N: int | None = None, increasing: bool = False) -> Any:
    """Powers as columns."""
    return apply(_vander, (x,), (x.shape[-1] if N is None else N, increasing))


@method("__rmatmul__")
def _rmatmul(self: Tensor, other: Any) -> Any:
    return matmul(other, self)
