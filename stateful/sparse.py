"""`torch.sparse`: matrices by their coordinates, as graphs have them. A product gathers rows of the dense operand and
adds them where they belong.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fdl.extend import Function, NodeKind, from_numpy, register_family
from fdl.stateful.core.dtypes import check_device, dtype, of
from fdl.stateful.core.errors import TensorError
from fdl.stateful.core.layouts import sparse_coo
from fdl.stateful.core.methods import method
from fdl.stateful.core.operands import converted
from fdl.stateful.core.results import Size
from fdl.stateful.core.tensor import Composite, Tensor, wrap
from fdl.stateful.core.views import Step
from fdl.stateful.functions.creation import tensor, zeros
from fdl.stateful.functions.products import matmul
from fdl.stateful.functions.shapes import cat

__all__ = ["FloatTensor", "SparseTensor", "addmm", "mm", "sparse_coo_tensor", "sum"]


class SparseTensor(Composite):
    """Values at coordinates: `indices` (dimensions, count) and `values` (count, ...); what stands twice is added up.

    >>> import fdl.stateful as torch
    >>> a = torch.sparse_coo_tensor([[0, 1], [1, 0]], [2.0, 3.0], (2, 2))
    >>> (a @ torch.tensor([[1.0], [10.0]])).tolist()
    [[20.0], [3.0]]
    """

    __slots__ = ("__dict__", "__weakref__", "_at", "_given", "_merged", "shape")
    is_sparse, layout = True, sparse_coo

    def __init__(self, at: Tensor, given: Tensor, shape: Sequence[int], merged: bool = False) -> None:
        self._at, self._given, self.shape, self._merged = at, given, Size(tuple(shape)), merged

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    @property
    def dtype(self) -> dtype:
        """Type of the values."""
        return self._given.dtype

    @property
    def device(self) -> Any:
        """Where the values lie."""
        return self._given.device

    @property
    def requires_grad(self) -> bool:
        """Whether gradients flow to the values."""
        return self._given.requires_grad

    def size(self, dim: int | None = None) -> Any:
        """The shape, or one size."""
        return self.shape if dim is None else self.shape[dim]

    def dim(self) -> int:
        """Number of dimensions."""
        return self.ndim

    def sparse_dim(self) -> int:
        """Dimensions that coordinates name."""
        return int(self._at.shape[0])

    def dense_dim(self) -> int:
        """Dimensions of each value."""
        return self._given.ndim - 1

    def numel(self) -> int:
        """Number of elements, zeros included."""
        return int(np.prod(self.shape))

    def _nnz(self) -> int:
        return int(self._at.shape[1])

    def _indices(self) -> Tensor:
        return self._at

    def _values(self) -> Tensor:
        return self._given

    def indices(self) -> Tensor:
        """Coordinates, each once and in order; RuntimeError unless coalesced."""
        self._check_merged("indices")
        return self._at

    def values(self) -> Tensor:
        """The values at `indices`."""
        self._check_merged("values")
        return self._given

    def _check_merged(self, what: str) -> None:
        if not self._merged:
            raise TensorError(f"Cannot get {what} on an uncoalesced tensor, please call .coalesce() first")

    def is_coalesced(self) -> bool:
        """Whether coordinates are in order, each once."""
        return self._merged

    def coalesce(self) -> SparseTensor:
        """With coordinates in order, each once."""
        if self._merged:
            return self
        at = self._at.numpy()
        flat = np.ravel_multi_index(tuple(at), tuple(self.shape[: len(at)]))
        kept, place = np.unique(flat, return_inverse=True)
        new = np.stack(np.unravel_index(kept, tuple(self.shape[: len(at)]))).astype(np.int64)
        added = self._given.new_zeros((len(kept), *self._given.shape[1:])).index_add(
            0, wrap(from_numpy(place.reshape(-1).astype(np.int64))), self._given
        )
        return SparseTensor(wrap(from_numpy(new)), added, self.shape, True)

    def to_dense(self) -> Any:
        """All elements."""
        out = zeros(*self.shape, dtype=self.dtype)
        return out.index_put(tuple(self._at), self._given, accumulate=True)

    def to_sparse(self, *args: Any, **kwargs: Any) -> SparseTensor:
        """The tensor itself."""
        return self

    def transpose(self, dim0: int, dim1: int) -> SparseTensor:
        """Two dimensions exchanged."""
        order = list(range(self.ndim))
        order[dim0], order[dim1] = order[dim1], order[dim0]
        return SparseTensor(self._at[order], self._given, [self.shape[d] for d in order])

    def t(self) -> SparseTensor:
        """The transposed matrix."""
        return self.transpose(0, 1)

    T = property(t)

    def _with(self, values: Tensor) -> SparseTensor:
        return SparseTensor(self._at, values, self.shape, self._merged)

    def detach(self) -> SparseTensor:
        """The same values without history."""
        return self._with(self._given.detach())

    def requires_grad_(self, requires_grad: bool = True) -> SparseTensor:
        """Ask for gradients of the values."""
        self._given.requires_grad_(requires_grad)
        return self

    def to(self, *args: Any, **kwargs: Any) -> SparseTensor:
        """Values of another dtype."""
        return self._with(self._given.to(*args, **kwargs))

    def float(self) -> SparseTensor:
        """`to(float32)`."""
        return self._with(self._given.float())

    def double(self) -> SparseTensor:
        """`to(float64)`."""
        return self._with(self._given.double())

    def cpu(self) -> SparseTensor:
        """The tensor itself."""
        return self

    def clone(self) -> SparseTensor:
        """A copy, with history."""
        return self._with(self._given.clone())

    def mm(self, other: Any) -> Any:
        """The product with a dense matrix or vector."""
        if self.ndim != 2 or self.sparse_dim() != 2 or other.shape[0] != self.shape[1]:
            raise TensorError(
                f"mm: expected a sparse matrix and as many rows as it has columns, got {tuple(self.shape)} and "
                f"{tuple(other.shape)}"
            )
        rows = self._given.reshape(-1, *[1] * (other.ndim - 1)) * other.index_select(0, self._at[1])
        return other.new_zeros((self.shape[0], *other.shape[1:])).index_add(0, self._at[0], rows)

    matmul = spmm = mv = mm

    def __matmul__(self, other: Any) -> Any:
        return self.mm(other)

    def __rmatmul__(self, other: Any) -> Any:
        return self.t().mm(other.mT).mT

    def __mul__(self, other: Any) -> SparseTensor:
        if isinstance(other, SparseTensor):
            raise TensorError("the product of two sparse tensors is not supported: use to_dense()")
        number = isinstance(other, (int, float)) or not other.ndim
        return self._with(self._given * (other if number else other.expand(*self.shape)[tuple(self._at)]))

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> SparseTensor:
        return self._with(self._given / other)

    def __neg__(self) -> SparseTensor:
        return self._with(-self._given)

    def __add__(self, other: Any) -> Any:
        if not isinstance(other, SparseTensor):
            return self.to_dense() + other
        if other.shape != self.shape:
            raise TensorError(f"add: expected operands of one shape, got {tuple(self.shape)} and {tuple(other.shape)}")
        return SparseTensor(cat([self._at, other._at], 1), cat([self._given, other._given]), self.shape).coalesce()

    __radd__ = __add__

    def __sub__(self, other: Any) -> Any:
        return self + (-other)

    def __rsub__(self, other: Any) -> Any:
        return -self + other

    def add(self, other: Any, *, alpha: Any = 1) -> Any:
        """`self + alpha * other`."""
        return self + other * alpha

    def sub(self, other: Any, *, alpha: Any = 1) -> Any:
        """`self - alpha * other`."""
        return self - other * alpha

    def _become(self, other: SparseTensor) -> SparseTensor:
        """Take the coordinates and values of another one."""
        self._at, self._given, self._merged = other._at, converted(other._given, self.dtype), other._merged
        return self

    def add_(self, other: Any, *, alpha: Any = 1) -> SparseTensor:
        """`add` in place."""
        return self._become(self.add(other, alpha=alpha))

    def sub_(self, other: Any, *, alpha: Any = 1) -> SparseTensor:
        """`sub` in place."""
        return self._become(self.sub(other, alpha=alpha))

    def sum(self, dim: Any = None) -> Any:
        """The sum of all values, or over dimensions, dense."""
        return self._given.sum() if dim is None else self.to_dense().sum(dim)

    def __repr__(self) -> str:
        at, given = (
            repr(x).replace("\n", "\n" + " " * len(f"       {name}="))
            for name, x in (("indices", self._at), ("values", self._given))
        )
        return (
            f"tensor(indices={at},\n       values={given},\n       size={tuple(self.shape)}, nnz={self._nnz()}, "
            f"layout={self.layout})"
        )

    # What functions of tensors mean

    def _applied(self, function: Function, operands: Sequence[Any], static: tuple[Any, ...]) -> Any:
        if function.name in ("matmul", "dot") and len(operands) == 2:
            return operands[0].mm(operands[1]) if operands[0] is self else self.__rmatmul__(operands[0])
        if function.name == "mul" and len(operands) == 2:
            return self * (operands[1] if operands[0] is self else operands[0])
        if function.name == "add":
            return self + (operands[1] if operands[0] is self else operands[0])
        if function.name == "sub":
            return operands[0] + -operands[1]
        if function.name == "addmm" and operands[1] is self:
            x, _, b, beta, alpha = operands
            return x * beta + self.mm(b) * alpha
        raise TensorError(f'"{function.name}" is not implemented for sparse tensors: use to_dense()')

    def _seen(self, step: Step) -> Any:
        raise TensorError("views of sparse tensors are not supported: use to_dense()")

    def held(self) -> Tensor:
        """The values."""
        return self._given

    def holding(self, values: Tensor) -> SparseTensor:
        """The same coordinates with other values."""
        return self._with(values)


def sparse_coo_tensor(
    indices: Any,
    values: Any,
    size: Any = None,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    check_invariants: Any = None,
    is_coalesced: bool | None = None,
) -> SparseTensor:
    """A sparse tensor of values at coordinates; RuntimeError for coordinates outside of it.

    >>> import fdl.stateful as torch
    >>> torch.sparse_coo_tensor([[0, 1]], [1.0, 2.0]).to_dense().tolist()
    [1.0, 2.0]
    """
    check_device(device)
    at = indices if isinstance(indices, Tensor) else tensor(indices)
    given = converted(values if isinstance(values, Tensor) else tensor(values), dtype)
    at = at.to(of("int64"))
    at = at.reshape(1, -1) if at.ndim == 1 else at
    if at.shape[1] != given.shape[0]:
        raise TensorError(
            f"number of dimensions must be sparse_dim ({at.shape[0]}) + dense_dim, "
            f"and as many values as coordinates: got {given.shape[0]} and {at.shape[1]}"
        )
    places = at.numpy()
    least = [int(p.max()) + 1 if p.size else 0 for p in places]
    shape = tuple(size) if size is not None else (*least, *given.shape[1:])
    for d, (most, n) in enumerate(zip(least, shape, strict=False)):
        if most > n or (places[d].size and places[d].min() < 0):
            raise TensorError(
                f"size is inconsistent with indices: for dim {d}, size is {n} but found index "
                f"{most - 1 if most > n else int(places[d].min())}"
            )
    found = SparseTensor(at, given, shape, bool(is_coalesced))
    return found.requires_grad_() if requires_grad else found


def FloatTensor(indices: Any, values: Any, size: Any = None) -> SparseTensor:
    """`sparse_coo_tensor` of float32, by its older name."""
    return sparse_coo_tensor(indices, values, size, dtype=of("float32"))


def mm(sparse: Any, dense: Any) -> Any:
    """The product of a sparse and a dense matrix."""
    return matmul(sparse, dense) if isinstance(sparse, Tensor) else sparse.mm(dense)


def addmm(mat: Any, mat1: Any, mat2: Any, *, beta: Any = 1.0, alpha: Any = 1.0) -> Any:
    """`beta * mat + alpha * (mat1 @ mat2)`."""
    return mat * beta + mm(mat1, mat2) * alpha


def sum(input: SparseTensor, dim: Any = None, dtype: Any = None) -> Any:
    """The sum of all values, or over dimensions, dense."""
    return converted(input.sum(dim), dtype)


@method("to_sparse", "to_sparse_coo")
def _to_sparse(self: Tensor, *args: Any, **kwargs: Any) -> SparseTensor:
    """The elements that are not zero."""
    places = self.detach().nonzero().t().contiguous()
    return SparseTensor(places, self[tuple(places)], self.shape, True)


register_family(
    SparseTensor,
    lambda cls: NodeKind(
        lambda x: ([x._given], (x._at.numpy().tobytes(), x._at.shape, x.shape, x._merged)),
        _rebuilt,
        lambda x, aux: [".values"],
    ),
)


def _rebuilt(aux: Any, children: Sequence[Any]) -> SparseTensor:
    data, at, shape, merged = aux
    return SparseTensor(wrap(from_numpy(np.frombuffer(data, np.int64).reshape(at))), children[0], shape, merged)
