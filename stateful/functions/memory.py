"""What scripts ask about memory and types of a tensor, and fillings with other random numbers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fdl.extend import from_numpy as array_of
from fdl.stateful.core.dtypes import of
from fdl.stateful.core.errors import TensorError
from fdl.stateful.core.methods import method
from fdl.stateful.core.modes import no_grad
from fdl.stateful.core.random import rand
from fdl.stateful.core.tensor import Composite, Tensor, wrap
from fdl.stateful.core.views import places_of
from fdl.stateful.functions.creation import arange, full, linspace
from fdl.stateful.functions.reductions import dim_of
from fdl.stateful.functions.shapes import cat, matrices, transpose

__all__ = [
    "bartlett_window",
    "blackman_window",
    "gradient",
    "hamming_window",
    "hann_window",
    "logspace",
    "randint_like",
    "range",
    "scalar_tensor",
]


@method()
def stride(input: Tensor, dim: int | None = None) -> Any:
    """Steps of the dimensions in the storage, in elements."""
    found = places_of(_real_of(input)).strides
    return found if dim is None else found[dim_of(input, dim)]


@method()
def storage_offset(input: Tensor) -> int:
    """Where in the storage the first element lies."""
    return places_of(_real_of(input)).offset


def _real_of(input: Any) -> Tensor:
    """The tensor, or the first of those that a complex one is made of."""
    return input.pieces()[0] if isinstance(input, Composite) else input  # type: ignore[no-any-return]


def _base(self: Tensor) -> Tensor | None:
    """The tensor that a view is seen from; None for one that is no view."""
    if self._view is None or self._turned is not None:
        return None
    base = self._root()
    return None if base._hidden else base if base._origin is None else base._origin


@method()
def get_device(input: Tensor) -> int:
    """-1: the CPU."""
    return -1


@method()
def is_pinned(input: Tensor, device: Any = None) -> bool:
    """Whether memory is pinned: no."""
    return False


def _attribute(name: str, doc: str) -> Any:
    def set_on(f: Any) -> Any:
        f.__doc__ = doc
        setattr(Tensor, name, property(f))
        return f

    return set_on


_attribute("_base", "The tensor that a view is seen from; None for one that is no view.")(_base)
_attribute("itemsize", "Bytes of an element.")(lambda self: self.dtype.itemsize)
_attribute("nbytes", "Bytes of all elements.")(lambda self: self.dtype.itemsize * self.numel())
_attribute("H", "A matrix with its dimensions exchanged.")(
    lambda self: transpose(self, 0, 1) if self.ndim == 2 else self
)
_attribute("mH", "The last two dimensions exchanged.")(
    lambda self: transpose(matrices(self, "mH"), -2, -1) if self.ndim else self
)
_attribute("layout", "How elements lie: strided.")(lambda self: "strided")
_attribute("is_quantized", "Whether elements are quantized: no.")(lambda self: False)
_attribute("real", "The tensor itself.")(lambda self: self)


@method()
def byte(input: Tensor, memory_format: Any = None) -> Any:
    """`to(uint8)`."""
    return input.to(of("uint8"))


@method()
def char(input: Tensor, memory_format: Any = None) -> Any:
    """`to(int8)`."""
    return input.to(of("int8"))


@method("new")
def new(self: Tensor, *args: Any) -> Any:
    """A tensor of the same dtype: of sizes, or of data."""
    if args and all(isinstance(a, int) for a in args):
        return self.new_empty(*args)
    return self.new_tensor(args[0] if args else [])


@method("resize_")
def resize_(self: Tensor, *size: Any) -> Tensor:
    """Another shape, in place: elements are kept in order, new ones are zero."""
    shape = tuple(size[0]) if len(size) == 1 and not isinstance(size[0], int) else size
    values = np.asarray(self._value()._numpy()).reshape(-1)
    filled = np.zeros(math.prod(shape), values.dtype)
    filled[: len(values)] = values[: len(filled)]
    self.data = wrap(array_of(filled.reshape(shape)))
    return self


@method("set_")
def set_(self: Tensor, source: Tensor) -> Tensor:
    """The values of another tensor, shared."""
    self.data = source
    return self


@method("fill_diagonal_")
def fill_diagonal_(self: Tensor, fill_value: float, wrap: bool = False) -> Tensor:
    """One value on the diagonal, in place."""
    if wrap and self.ndim == 2 and self.shape[0] > self.shape[1]:  # begin anew one row below the last
        places: Any = arange(0, self.numel(), self.shape[1] + 1)
        self[places // self.shape[1], places % self.shape[1]] = fill_value
        return self
    places = arange(min(self.shape))
    self[(places,) * self.ndim] = fill_value
    return self


@method("register_post_accumulate_grad_hook")
def register_post_accumulate_grad_hook(self: Tensor, hook: Any) -> Any:
    """Call `hook(tensor)` after its gradient was accumulated: at the gradient's arrival, with the sum in place."""

    def run(gradient: Tensor) -> Tensor:
        before = self.grad
        self.grad = gradient if before is None else before + gradient
        hook(self)
        kept, self.grad = self.grad, before
        return gradient if kept is not None else gradient * 0

    return self.register_hook(run)


# Random numbers in place


def _overwritten(self: Tensor, values: Any) -> Tensor:
    with no_grad():
        return self._overwrite(values.to(self.dtype))


def _unit(self: Tensor, generator: Any) -> Any:
    return (1 - rand(*self.shape, generator=generator)).clamp(min=1e-30)


def _expected(holds: bool, what: str) -> None:
    if not holds:
        raise TensorError(what)


@method("exponential_")
def exponential_(self: Tensor, lambd: float = 1, *, generator: Any = None) -> Tensor:
    """Exponential numbers of a rate, in place."""
    _expected(lambd > 0, f"exponential_ expects lambda > 0.0, but found lambda={lambd:g}")
    return _overwritten(self, -_unit(self, generator).log() / lambd)


@method("geometric_")
def geometric_(self: Tensor, p: float, *, generator: Any = None) -> Tensor:
    """Geometric numbers from 1 on, in place."""
    _expected(0 < p < 1, f"geometric_ expects p to be in (0, 1), but got p={p:g}")
    return _overwritten(self, (_unit(self, generator).log() / math.log1p(-p)).ceil().clamp(min=1))


@method("cauchy_")
def cauchy_(self: Tensor, median: float = 0, sigma: float = 1, *, generator: Any = None) -> Tensor:
    """Cauchy numbers, in place."""
    _expected(sigma > 0, f"cauchy_ expects sigma > 0.0, but found sigma={sigma:g}")
    return _overwritten(self, ((_unit(self, generator) - 0.5) * math.pi).tan() * sigma + median)


@method("log_normal_")
def log_normal_(self: Tensor, mean: float = 1, std: float = 2, *, generator: Any = None) -> Tensor:
    """e to the power of normal numbers, in place."""
    _expected(std > 0, f"log_normal_ expects std > 0.0, but found std={std:g}")
    self.normal_(mean, std, generator=generator)
    return _overwritten(self, self.exp())


# Creation


def scalar_tensor(
    s: Any, *, dtype: Any = None, device: Any = None, layout: Any = None, requires_grad: bool = False
) -> Any:
    """A tensor of one number."""
    return full((), s, dtype=dtype, device=device, requires_grad=requires_grad)


def logspace(
    start: float,
    end: float,
    steps: int,
    base: float = 10.0,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Any:
    """Powers of a base, their exponents in even steps."""
    wide = dtype is not None and dtype.is_floating_point and dtype.itemsize > 4
    found = base ** linspace(float(start), float(end), steps, dtype=dtype if wide else None)
    found = found if dtype is None else found.to(dtype)
    return found.requires_grad_() if requires_grad else found


def range(start: float = 0, end: float = 0, step: float = 1, *, dtype: Any = None, device: Any = None) -> Any:
    """From `start` to `end`, which is included."""
    n = math.floor((end - start) / step) + 1
    return (arange(n) * step + start).to(of("float32") if dtype is None else dtype)


def randint_like(input: Tensor, low: int, high: int | None = None, *, dtype: Any = None, device: Any = None) -> Any:
    """Random integers in the shape of a tensor."""
    low, high = (0, low) if high is None else (low, high)
    return input.detach().clone().random_(low, high).to(input.dtype if dtype is None else dtype)


def _window(name: str, *weights: float) -> Any:
    def public(
        window_length: int, periodic: bool = True, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
    ) -> Any:
        n = window_length + (1 if periodic else 0)
        if window_length == 1:
            return full((1,), 1.0, dtype=dtype)
        turn = arange(window_length) * (2 * math.pi / (n - 1))
        total: Any = weights[0]
        for k, w in enumerate(weights[1:], 1):
            total = total + w * (turn * k).cos()
        return total if dtype is None else total.to(dtype)

    public.__name__, public.__doc__ = name, "Weights of a window, for spectra."
    return public


hann_window, hamming_window = _window("hann_window", 0.5, -0.5), _window("hamming_window", 0.54, -0.46)
blackman_window = _window("blackman_window", 0.42, -0.5, 0.08)


def bartlett_window(window_length: int, periodic: bool = True, *, dtype: Any = None, device: Any = None) -> Any:
    """Weights of a triangle."""
    n = window_length + (1 if periodic else 0)
    return full((1,), 1.0) if window_length == 1 else 1 - (arange(window_length) * (2.0 / (n - 1)) - 1).abs()


def _slope(x: Any, h: Any, d: int, edge: int) -> Any:
    n = x.shape[d]
    if isinstance(h, Tensor) and h.ndim:
        shape = [1] * x.ndim
        shape[d] = -1
        gaps = (h[1:] - h[:-1]).reshape(*shape)
        step = x.narrow(d, 1, n - 1) - x.narrow(d, 0, n - 1)
        rates = step / gaps
        left, right = gaps.narrow(d, 0, n - 2), gaps.narrow(d, 1, n - 2)
        middle = (rates.narrow(d, 0, n - 2) * right + rates.narrow(d, 1, n - 2) * left) / (left + right)
        first, last = rates.narrow(d, 0, 1), rates.narrow(d, n - 2, 1)
        if edge == 2:  # along the parabola through three points
            bends = (rates.narrow(d, 1, n - 2) - rates.narrow(d, 0, n - 2)) / (left + right)
            first = first - bends.narrow(d, 0, 1) * left.narrow(d, 0, 1)
            last = last + bends.narrow(d, n - 3, 1) * right.narrow(d, n - 3, 1)
    else:
        middle = (x.narrow(d, 2, n - 2) - x.narrow(d, 0, n - 2)) / (2 * h)
        first, last = (x.narrow(d, 1, 1) - x.narrow(d, 0, 1)) / h, (x.narrow(d, n - 1, 1) - x.narrow(d, n - 2, 1)) / h
        if edge == 2:
            first = (-3 * x.narrow(d, 0, 1) + 4 * x.narrow(d, 1, 1) - x.narrow(d, 2, 1)) / (2 * h)
            last = (3 * x.narrow(d, n - 1, 1) - 4 * x.narrow(d, n - 2, 1) + x.narrow(d, n - 3, 1)) / (2 * h)
    return first, middle, last


def gradient(input: Any, *, spacing: Any = 1, dim: Any = None, edge_order: int = 1) -> list[Any]:
    """Slopes along dimensions, by differences of neighbours."""
    dims = list(np.arange(input.ndim).tolist()) if dim is None else [dim] if isinstance(dim, int) else list(dim)
    spaces = list(spacing) if isinstance(spacing, (list, tuple)) else [1 if spacing is None else spacing] * len(dims)
    return [
        cat(list(_slope(input, h, d % input.ndim, edge_order)), d % input.ndim)
        for d, h in zip(dims, spaces, strict=True)
    ]
