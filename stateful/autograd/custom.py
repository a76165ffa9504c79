"""Functions with a derivative of their own, as nodes of the tape."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from fdl.extend import ORDER, dtypes
from fdl.ops import zeros_like
from fdl.stateful.core.backward import shown_tensor
from fdl.stateful.core.errors import TensorError, UnsupportedError
from fdl.stateful.core.modes import no_grad
from fdl.stateful.core.places import fits
from fdl.stateful.core.tape import grad_mode
from fdl.stateful.core.tensor import Tensor, wrap

__all__ = ["Function", "FunctionContext"]


class FunctionContext:
    """What `forward` leaves for `backward`."""

    def __init__(self) -> None:
        self.saved: tuple[Any, ...] = ()
        self.needs_input_grad: tuple[bool, ...] = ()
        self.without: set[int] = set()
        self.materialize = True

    def save_for_backward(self, *tensors: Any) -> None:
        """Keep tensors; they are `saved_tensors` in `backward`."""
        self.saved = tensors

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        """What was kept."""
        return self.saved

    def mark_non_differentiable(self, *tensors: Tensor) -> None:
        """These results have no derivative."""
        self.without = {id(t) for t in tensors}

    def mark_dirty(self, *tensors: Tensor) -> None:
        """Nothing: changes in place are always known."""

    def set_materialize_grads(self, value: bool) -> None:
        """Whether `backward` gets zeros, or None, for results that were not used."""
        self.materialize = value


class _FunctionNode:
    """A call of a `Function` on the tape."""

    def __init__(
        self,
        function: type[Function],
        context: FunctionContext,
        args: Sequence[Any],
        edges: list[Any],
        outs: Sequence[Tensor],
    ) -> None:
        self.function, self.context, self.edges = function, context, [e for e in edges if e is not None]
        self.given = [None if e is None else a._aval for a, e in zip(args, edges, strict=True)]
        self.avals = [t._aval for t in outs]
        self.taped = SimpleNamespace(count=len(outs))
        self.order = next(ORDER)
        self.hooks: dict[int, dict[int, Any]] = {}
        self.released = False

    def name(self) -> str:
        return f"{self.function.__name__}Backward"

    @property
    def next_functions(self) -> tuple[tuple[Any, int], ...]:
        return tuple(self.edges)

    def hooks_of(self, index: int) -> dict[int, Any]:
        return self.hooks.setdefault(index, {})

    def release(self) -> None:
        self.released, self.context.saved = bool(self.context.saved), ()

    def pull_tensors(self, cotangents: list[Any]) -> list[Any]:
        if self.released:
            raise TensorError(
                "Trying to backward through the graph a second time. Specify retain_graph=True if you need to "
                "backward through the graph a second time."
            )
        if self.context.materialize:
            cotangents = [_zeros(a) if ct is None else ct for ct, a in zip(cotangents, self.avals, strict=True)]
        found = self.function.backward(self.context, *[None if ct is None else shown_tensor(ct) for ct in cotangents])
        results = list(found) if isinstance(found, tuple) else [found]
        if len(results) < len(self.given) or any(r is not None for r in results[len(self.given) :]):
            raise TensorError(
                f"function {self.name()} returned an incorrect number of gradients (expected {len(self.given)}, "
                f"got {len(results)})"
            )
        return [
            None if r is None else shown_tensor(_of_kind(r, aval))
            for r, aval in zip(results, self.given, strict=False)
            if aval is not None
        ]

    def pull(self, cotangents: list[Any]) -> list[Any]:
        found = self.pull_tensors([None if ct is None else wrap(ct) for ct in cotangents])
        return [None if t is None else t._value() for t in found]


def _of_kind(gradient: Tensor, aval: Any) -> Tensor:
    """A gradient for a tensor of this type, summed to its shape where that broadcasts to the gradient's; RuntimeError
    for another shape, and for a complex one of a real tensor.
    """
    own, got = aval.shape, gradient._aval.shape
    if own != got:
        if not fits(own, got):
            raise TensorError(
                f"a backward returned an invalid gradient: got {list(got)} but expected shape compatible with "
                f"{list(own)}"
            )
        gradient = gradient.sum_to_size(own)
    if dtypes.is_complex(gradient._aval.dtype) == dtypes.is_complex(aval.dtype):
        return gradient
    if not dtypes.is_complex(aval.dtype):
        raise TensorError(
            f"a backward returned a gradient of {gradient.dtype} for a tensor of {aval.dtype.name}",
            why="the gradient of a real tensor is real",
            hint="gradient.real",
        )
    return gradient.to(aval.dtype)  # type: ignore[no-any-return]


def _zeros(aval: Any) -> Tensor:
    return wrap(zeros_like(aval))


class Function:
    """A differentiable function with a derivative of its own: static `forward(ctx, *args)` and `backward(ctx,
    *gradients)`; call it by `apply`.

    >>> import fdl.stateful as torch
    >>> class Double(torch.autograd.Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         return x * 2
    ...     @staticmethod
    ...     def backward(ctx, g):
    ...         return g * 2
    >>> x = torch.ones(2, requires_grad=True)
    >>> Double.apply(x).sum().backward(); x.grad
    tensor([2., 2.])
    """

    @staticmethod
    def forward(ctx: Any, *args: Any) -> Any:
        """Compute the results; nothing in here is taped."""
        raise UnsupportedError("You must implement the forward function for custom autograd.Function.")

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        """A gradient, or None, for each argument of `forward`."""
        raise UnsupportedError(
            "You must implement either the backward or vjp method for your custom autograd.Function to use it "
            "with backward mode AD."
        )

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        """Keep what `backward` needs, where `forward` takes no context."""
        raise NotImplementedError

    @classmethod
    def apply(cls, *args: Any) -> Any:
        """Call it."""
        context = FunctionContext()
        nodes = [a._node() if isinstance(a, Tensor) else None for a in args]
        edges = [None if n is None else (n, a._index()) for n, a in zip(nodes, args, strict=True)]
        context.needs_input_grad = tuple([n is not None for n in nodes])
        tracked = grad_mode.enabled and any(n is not None for n in nodes)
        with no_grad():
            if cls.setup_context is not Function.setup_context:
                result = cls.forward(*args)
                cls.setup_context(context, args, result)
            else:
                result = cls.forward(context, *args)
        if not tracked:
            return result
        outs = list(result) if isinstance(result, (tuple, list)) else [result]
        node = _FunctionNode(cls, context, args, edges, outs)
        taped = [
            t if id(t) in context.without or not dtypes.is_inexact(t._aval.dtype) else wrap(t._value(), node, i)
            for i, t in enumerate(outs)
        ]
        return tuple(taped) if isinstance(result, (tuple, list)) else taped[0]
