"""Complex tensors: two tensors of one shape, the real and the imaginary parts.

fdl's arrays are real. What a function of tensors means for complex ones follows from what it does: functions that only
move or add elements work on the parts one by one, products expand, and the elementary functions have their formulas. So
each is made of recorded operations, and the gradient of a part is the part of the gradient, which is PyTorch's
convention for the gradient of a real value.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from types import MethodType, SimpleNamespace
from typing import Any

import numpy as np

from fdl import ops
from fdl.extend import Function, NodeKind, aval_of, from_numpy, register_family
from fdl.stateful.core import backward as _backward
from fdl.stateful.core.dtypes import dtype, of, to_numpy
from fdl.stateful.core.errors import MissingError, TensorError
from fdl.stateful.core.format import text_of_pairs
from fdl.stateful.core.methods import of_any
from fdl.stateful.core.operands import as_tensor_operand
from fdl.stateful.core.results import Size
from fdl.stateful.core.tensor import Composite, Tensor, apply, view_of, wrap
from fdl.stateful.core.views import Step

# What only moves elements, or adds them
_BY_PARTS = set(
    """add cat clone cumsum diag diag_embed diagonal diagonal_scatter diff expand fill flip gather index index_add
    index_fill index_put index_select masked_fill masked_scatter mean neg permute put repeat repeat_interleave roll
    scatter scatter_add select split stack sub sum take take_along_dim tile unfold view where pad as_strided
    pixel_shuffle pixel_unshuffle channel_shuffle index_copy overlap_add""".split()
)  # fmt: skip
_SHARED_NUMBERS = set(
    "select index gather index_select take_along_dim index_add".split()
)  # numbers among their operands are no values
_PRODUCTS = set("cross dot einsum inner kron matmul mul multi_dot outer tensordot".split())
_LINEAR = set(
    "trace tril triu trapezoid cumulative_trapezoid nan_to_num".split()
)  # in the first operand; the others are shared
_OF_BLOCKS = set("inv inv_ex matrix_exp matrix_power pinv solve".split())
_OF_SIZES = {"norm", "vector_norm"}
_CONVOLUTIONS = {"convolution", "conv_transpose"}
_OF_TRUTH = set("all any count_nonzero logical_and logical_not logical_or logical_xor".split())

RULES: dict[str, Callable[..., Any]] = {}  # what the other functions mean, by name: see `complex_rules.py`


class ComplexTensor(Composite):
    """A tensor of complex numbers: `real` and `imag` are its parts.

    >>> import fdl.stateful as torch
    >>> z = torch.complex(torch.tensor([1.0, 0.0]), torch.tensor([2.0, 1.0]))
    >>> z * z
    tensor([-3.+4.j, -1.+0.j])
    """

    __slots__ = ("__dict__", "__weakref__", "imag", "real")
    __array_priority__ = 1001
    __hash__ = object.__hash__

    def __init__(self, real: Tensor, imag: Tensor) -> None:
        if real.dtype != imag.dtype or not real.dtype.is_floating_point:
            raise TensorError(
                "Expected both inputs to be Half, Float or Double tensors of one type but got "
                f"{real.dtype.legacy_name} and {imag.dtype.legacy_name}"
            )
        if real.shape != imag.shape:
            shape = np.broadcast_shapes(tuple(real.shape), tuple(imag.shape))
            real, imag = real.expand(shape), imag.expand(shape)
        self.real, self.imag = real, imag

    # What it is

    @property
    def shape(self) -> Size:
        """Sizes of the dimensions."""
        return self.real.shape

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return self.real.ndim

    @property
    def dtype(self) -> dtype:
        """complex64, or complex128 where the parts are float64."""
        return of(np.dtype(np.complex128 if self.real.dtype == of("float64") else np.complex64))

    @property
    def requires_grad(self) -> bool:
        """Whether gradients flow to or through a part."""
        return self.real.requires_grad or self.imag.requires_grad

    @requires_grad.setter
    def requires_grad(self, wanted: bool) -> None:
        self.requires_grad_(wanted)

    @property
    def is_leaf(self) -> bool:
        """Whether both parts are leaves."""
        return self.real.is_leaf and self.imag.is_leaf

    @property
    def grad_fn(self) -> Any:
        """What made a part; None for a leaf."""
        return self.real.grad_fn or self.imag.grad_fn

    @property
    def grad(self) -> Any:
        """The gradient: derivatives by the real parts, and i times those by the imaginary ones."""
        found = [self.real.grad, self.imag.grad]
        if found[0] is None and found[1] is None:
            return None
        return ComplexTensor(
            *[_zeros_of(p) if g is None else g for p, g in zip((self.real, self.imag), found, strict=True)]
        )

    @grad.setter
    def grad(self, value: Any) -> None:
        self.real.grad, self.imag.grad = (None, None) if value is None else (value.real, value.imag)

    @property
    def data(self) -> ComplexTensor:
        """The same values without history; assigning puts other values in place."""
        return self.detach()

    @data.setter
    def data(self, value: Any) -> None:
        self.real.data, self.imag.data = parts(value)

    @property
    def H(self) -> ComplexTensor:
        """The conjugate of a matrix with its dimensions exchanged."""
        return self.mH

    @property
    def mH(self) -> ComplexTensor:
        """The conjugates with the last two dimensions exchanged."""
        return ComplexTensor(self.real.mT, -self.imag.mT)

    def adjoint(self) -> ComplexTensor:
        """`mH`."""
        return self.mH

    def __getattr__(self, name: str) -> Any:
        """Methods of tensors; `name_` overwrites the parts with what `name` gives."""
        if name.startswith("_"):
            raise MissingError(f"'ComplexTensor' object has no attribute '{name}'")
        if name.endswith("_") and hasattr(Tensor, name[:-1]) and name[:-1] not in ("requires_grad",):
            f = getattr(self, name[:-1])
            return lambda *args, **kwargs: self._overwrite(f(*args, **kwargs))
        found = of_any(name)
        if found is None:
            raise MissingError(f"'Tensor' object has no attribute '{name}'")
        if isinstance(found, property) and found.fget is not None:
            return found.fget(self)
        return MethodType(found, self) if callable(found) else found

    def _value(self) -> Any:
        """What functions ask of a tensor before they record: its shape."""
        return SimpleNamespace(aval=self.real._aval)

    def _each(self, f: Callable[[Tensor], Any]) -> ComplexTensor:
        return ComplexTensor(f(self.real), f(self.imag))

    def _overwrite(self, value: Any) -> ComplexTensor:
        real, imag = parts(value)
        self.real._overwrite(real), self.imag._overwrite(_zeros_of(self.imag) if imag is None else imag)
        return self

    def pieces(self) -> tuple[Tensor, ...]:
        """Real and imaginary parts."""
        return self.real, self.imag

    def of_pieces(self, pieces: Sequence[Tensor]) -> ComplexTensor:
        """The tensor with these parts."""
        return ComplexTensor(*pieces)

    def pieces_like(self, other: Any) -> tuple[Tensor, ...]:
        """The parts of another tensor; a real one has zeros."""
        return both(other)

    # What functions of tensors mean

    def _applied(self, function: Function, operands: Sequence[Any], static: tuple[Any, ...]) -> Any:
        return _applied(function, operands, static)

    def _seen(self, step: Step) -> ComplexTensor:
        return self._each(lambda part: view_of(part, step))

    # Autograd

    def requires_grad_(self, requires_grad: bool = True) -> ComplexTensor:
        """Ask for gradients, of a leaf."""
        self.real.requires_grad_(requires_grad), self.imag.requires_grad_(requires_grad)
        return self

    def detach(self) -> ComplexTensor:
        """The same values without history."""
        return self._each(Tensor.detach)

    def backward(
        self, gradient: Any = None, retain_graph: bool | None = None, create_graph: bool = False, inputs: Any = None
    ) -> None:
        """Gradients of the leaves, for this gradient of the tensor."""
        if gradient is None:
            raise TensorError("grad can be implicitly created only for real scalar outputs but got torch.complex64")
        _backward.backward([self], [gradient], retain_graph, create_graph, inputs)

    def retain_grad(self) -> None:
        """Keep the gradient in `.grad`."""
        self.real.retain_grad()
        self.imag.retain_grad()

    # Values

    def numpy(self, *, force: bool = False) -> np.ndarray[Any, Any]:
        """The values as an ndarray: a copy."""
        real, imag = (p.detach() if force else p for p in (self.real, self.imag))
        return np.asarray(real.numpy() + 1j * imag.numpy(), self.dtype.np)

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray[Any, Any]:
        return self.numpy().astype(dtype) if dtype is not None else self.numpy()

    def item(self) -> complex:
        """The one element as a Python number."""
        return complex(self.real.item(), self.imag.item())

    __complex__ = item

    def tolist(self) -> Any:
        """Nested lists of Python numbers."""
        return self.detach().numpy().tolist()

    def to(self, *args: Any, **kwargs: Any) -> Any:
        """Another precision; a real dtype drops the imaginary parts."""
        wanted = kwargs.get("dtype") or next(
            (getattr(a, "dtype", a) for a in args if isinstance(a, (dtype, Tensor, ComplexTensor))), None
        )
        if wanted is None or wanted == self.dtype:
            return self
        if not wanted.is_complex:
            return self.real.to(wanted)
        return self._each(lambda p: p.to(part_dtype(wanted)))

    def type(self, wanted: Any = None) -> Any:
        """The name of the type, or `to` another."""
        return (
            f"torch.{'ComplexDoubleTensor' if self.dtype.itemsize == 16 else 'ComplexFloatTensor'}"
            if wanted is None
            else self.to(wanted)
        )

    def conj(self) -> ComplexTensor:
        """The conjugates."""
        return ComplexTensor(self.real, -self.imag)

    conj_physical = conj

    def resolve_conj(self) -> ComplexTensor:
        """The tensor itself."""
        return self

    resolve_neg = resolve_conj

    def is_complex(self) -> bool:
        """True."""
        return True

    def is_floating_point(self) -> bool:
        """False."""
        return False

    def angle(self) -> Any:
        """Angles from the real axis, in radians."""
        return self.imag.atan2(self.real)

    def copy_(self, source: Any, non_blocking: bool = False) -> ComplexTensor:
        """Other values in place."""
        return self._overwrite(source)

    def zero_(self) -> ComplexTensor:
        """Zeros in place."""
        return self._overwrite(_zeros_of(self.real))

    def fill_(self, value: Any) -> ComplexTensor:
        """One value in place."""
        real, imag = parts(as_tensor_operand(value))
        self.real.fill_(real), self.imag.fill_(0 if imag is None else imag)
        return self

    def new_zeros(self, *size: Any, **kwargs: Any) -> Any:
        """Zeros of the same dtype, or of another."""
        found = self._each(lambda p: p.new_zeros(*size))
        return found.to(kwargs["dtype"]) if kwargs.get("dtype") is not None else found

    def dot(self, other: Any) -> Any:
        """The sum of products."""
        return (self * other).sum()

    def clone(self, *, memory_format: Any = None) -> ComplexTensor:
        """A copy, with history."""
        return self._each(lambda p: p.clone())

    def contiguous(self, memory_format: Any = None) -> ComplexTensor:
        """The tensor itself: its parts are."""
        return self._each(lambda p: p.contiguous())

    def view_as(self, other: Any) -> ComplexTensor:
        """The same elements in the shape of another tensor."""
        return self._each(lambda p: p.reshape(other.shape))

    def index_put(self, indices: Any, values: Any, accumulate: bool = False) -> ComplexTensor:
        """Values at places."""
        return ComplexTensor(
            *[p.index_put(indices, v, accumulate) for p, v in zip(self.pieces(), both(values), strict=True)]
        )

    def nonzero(self, *, as_tuple: bool = False) -> Any:
        """Where elements are not zero."""
        return self.ne(0).nonzero(as_tuple=as_tuple)

    def vdot(self, other: Any) -> Any:
        """The sum of products with the conjugates of this one."""
        return (self.conj() * other).sum()

    def __setitem__(self, index: Any, value: Any) -> None:
        real, imag = parts(as_tensor_operand(value))
        self.real[index] = real
        self.imag[index] = 0 if imag is None else imag

    def __getitem__(self, index: Any) -> ComplexTensor:
        return self._each(lambda p: p[index])

    def __len__(self) -> int:
        return len(self.real)

    def __iter__(self) -> Iterator[ComplexTensor]:
        return iter([self[i] for i in range(len(self))])

    def __bool__(self) -> bool:
        return bool(self.item())

    def __repr__(self) -> str:
        named = self.dtype.itemsize == 16 or not self.real.numel()
        return text_of_pairs(self.real, self.imag, self.dtype if named else None)


def _forwarded(name: str) -> Any:
    return lambda self, *args: of_any(name)(self, *args)


for _name in ("add", "sub", "mul", "truediv", "pow", "matmul"):
    setattr(ComplexTensor, f"__{_name}__", _forwarded(f"__{_name}__"))
    setattr(ComplexTensor, f"__r{_name}__", _forwarded(f"__r{_name}__"))
    setattr(
        ComplexTensor,
        f"__i{_name}__",
        lambda self, other, name=_name: self._overwrite(of_any(f"__{name}__")(self, other)),
    )
for _name in ("neg", "abs", "eq", "ne", "pos"):
    setattr(ComplexTensor, f"__{_name}__", _forwarded(f"__{_name}__"))


# Parts


def part_dtype(wanted: Any) -> Any:
    """The dtype of the parts of a complex dtype."""
    return of("float64" if to_numpy(wanted).itemsize == 16 else "float32")


def is_complex_dtype(wanted: Any) -> bool:
    """Whether a dtype, of PyTorch or NumPy, or Python's `complex`, is complex."""
    return (
        wanted is complex
        or (isinstance(wanted, dtype) and wanted.is_complex)
        or (isinstance(wanted, np.dtype) and wanted.kind == "c")
    )


def of_numpy(values: np.ndarray[Any, Any], wanted: Any = None) -> ComplexTensor:
    """The tensor of an array of complex numbers."""
    part = part_dtype(wanted if wanted is not None else of(values.dtype)).np
    return ComplexTensor(*[wrap(from_numpy(np.array(x, part))) for x in (values.real, values.imag)])


def _zeros_of(x: Tensor) -> Tensor:
    return wrap(ops.full(tuple(x.shape), 0, x.dtype.np))


def parts(x: Any) -> tuple[Any, Any]:
    """Real and imaginary part; None for a number or a tensor that has no imaginary part."""
    return (x.real, x.imag) if isinstance(x, ComplexTensor) else (x, None)


def both(x: Any) -> tuple[Any, Any]:
    """Real and imaginary part; zeros for what has none."""
    real, imag = parts(x)
    return real, _zeros_of(real) if imag is None else imag


def _applied(function: Function, operands: Sequence[Any], static: tuple[Any, ...]) -> Any:
    """What a function of tensors gives where some are complex."""
    name = function.name
    if name in _BY_PARTS:
        return _by_parts(function, operands, static)
    if name in _PRODUCTS:
        return _expanded(function, operands, static)
    if name in _LINEAR and not any(isinstance(x, ComplexTensor) for x in operands[1:]):
        return operands[0]._each(lambda p: apply(function, (p, *operands[1:]), static))
    if name in _OF_BLOCKS:
        return _of_blocks(function, operands, static)
    if name in _OF_SIZES:
        return apply(function, (operands[0].abs(), *operands[1:]), static)
    if name in _CONVOLUTIONS:
        out, channel = _expanded(function, operands[:2], static), 1 - operands[1].ndim
        return out if len(operands) < 3 else out + operands[2].reshape(-1, *[1] * (-1 - channel))
    if name in _OF_TRUTH:
        return apply(function, tuple([x.ne(0) if isinstance(x, ComplexTensor) else x for x in operands]), static)
    if name in RULES:
        return RULES[name](*operands, *static)
    raise TensorError(
        f'"{name}" is not implemented for complex tensors: use view_as_real, or the real and imaginary parts'
    )


def _by_parts(function: Function, operands: Sequence[Any], static: tuple[Any, ...]) -> Any:
    """The function of the real and of the imaginary parts; real values have zeros, and what says where is the same for
    both.
    """

    def imag(x: Any) -> Any:
        if isinstance(x, ComplexTensor):
            return x.imag
        if isinstance(x, Tensor):
            return _zeros_of(x) if x.dtype.is_floating_point else x
        return x if function.name in _SHARED_NUMBERS else 0.0

    def real(x: Any) -> Any:
        return x.real if isinstance(x, ComplexTensor) else x

    static = tuple([part_dtype(s).np if is_complex_dtype(s) else s for s in static])
    found = [apply(function, tuple(map(part, operands)), static) for part in (real, imag)]
    return tuple(map(ComplexTensor, *found)) if isinstance(found[0], tuple) else ComplexTensor(*found)


def _expanded(function: Function, operands: Sequence[Any], static: tuple[Any, ...]) -> Any:
    """The product of sums: terms with an even number of imaginary parts are real, and each two of them
    turn the sign.
    """
    totals: list[Any] = [None, None]
    for choice in itertools.product(*[(0, 1) if isinstance(x, ComplexTensor) else (0,) for x in operands]):
        term = apply(function, tuple([parts(x)[k] for x, k in zip(operands, choice, strict=True)]), static)
        place, negative = sum(choice) % 2, sum(choice) % 4 > 1
        before = totals[place]
        totals[place] = (
            (-term if negative else term) if before is None else before - term if negative else before + term
        )
    return ComplexTensor(*totals)


def _block_body(re: Any, im: Any) -> Any:
    last = aval_of(re).ndim - 1
    return ops.concatenate([ops.concatenate([re, ops.neg(im)], last), ops.concatenate([im, re], last)], last - 1)


_block = Function(_block_body, "cat")
_join = Function(lambda a, b, axis: ops.concatenate([a, b], axis), "cat")


def joined(a: Tensor, b: Tensor, axis: int) -> Any:
    """Two tensors, one after the other along a dimension."""
    return apply(_join, (a, b), (axis % a.ndim,))


def _of_blocks(function: Function, operands: Sequence[Any], static: tuple[Any, ...]) -> Any:
    """a + i b multiplies as [[a, -b], [b, a]]: a function of matrices that is made of products works on these."""
    a = operands[0] if isinstance(operands[0], ComplexTensor) else ComplexTensor(*both(operands[0]))
    rest = [ComplexTensor(*both(x)) if isinstance(x, Tensor) else x for x in operands[1:]]
    n = a.shape[-2]
    vectors = [isinstance(x, ComplexTensor) and x.ndim == a.ndim - 1 for x in rest]
    stacked = [
        joined(x.real, x.imag, -1 if v else -2) if isinstance(x, ComplexTensor) else x
        for x, v in zip(rest, vectors, strict=True)
    ]
    out = apply(function, (apply(_block, a.pieces()), *stacked), static)
    if rest and isinstance(rest[0], ComplexTensor):  # a solution
        dim = -1 if vectors[0] else -2
        return ComplexTensor(out.narrow(dim, 0, n), out.narrow(dim, n, n))
    rows, columns = out.shape[-2] // 2, out.shape[-1] // 2
    return ComplexTensor(out[..., :rows, :columns], out[..., rows:, :columns])


# Where complex numbers come from


def _number(value: complex) -> ComplexTensor:
    """A Python number as a tensor without dimensions."""
    return of_numpy(np.asarray(value, np.complex64))


def _converted(x: Tensor, np_dtype: Any) -> ComplexTensor:
    """A real tensor as a complex one."""
    part = x.to(part_dtype(of(np_dtype)))
    return ComplexTensor(part, _zeros_of(part))


Composite.of_number, Composite.of_real = staticmethod(_number), staticmethod(_converted)
register_family(
    ComplexTensor,
    lambda cls: NodeKind(
        lambda z: ([z.real, z.imag], None), lambda aux, xs: ComplexTensor(*xs), lambda z, aux: [".real", ".imag"]
    ),
)
