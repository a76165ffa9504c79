"""`torch.autograd.functional`: Jacobians, Hessians and their products with vectors, of functions of tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from fdl.stateful.core.backward import grad
from fdl.stateful.core.errors import TensorError
from fdl.stateful.core.modes import enable_grad
from fdl.stateful.core.tensor import Tensor
from fdl.stateful.functions.creation import ones_like, zeros_like
from fdl.stateful.functions.shapes import stack

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]


def _leaves(inputs: Any, create_graph: bool) -> tuple[Any, ...]:
    """Inputs as a tuple, cut off from what made them unless gradients shall flow on."""
    given = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    return tuple(x.view_as(x) if create_graph and x.requires_grad else x.detach().requires_grad_() for x in given)


def _like(inputs: Any, results: Sequence[Any]) -> Any:
    """A tensor where the inputs were one, else a tuple."""
    return results[0] if isinstance(inputs, Tensor) else tuple(results)


def _gradients(output: Any, inputs: Sequence[Any], weights: Any, create_graph: bool) -> list[Any]:
    found = (
        grad(output, inputs, weights, retain_graph=True, create_graph=create_graph, allow_unused=True)
        if output.requires_grad
        else [None] * len(inputs)
    )
    return [zeros_like(x) if g is None else g for g, x in zip(found, inputs, strict=True)]


def jacobian(
    func: Callable[..., Any],
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:
    """All derivatives of what a function returns: of shape `(*output.shape, *input.shape)`, in tuples where there are
    several.

    >>> import fdl.stateful as torch
    >>> torch.autograd.functional.jacobian(lambda x: x**2, torch.tensor([1.0, 3.0]))
    tensor([[2., 0.],
            [0., 6.]])
    """
    with enable_grad():
        xs = _leaves(inputs, create_graph)
        outputs = func(*xs)
        rows = [_rows(y, xs, create_graph) for y in ((outputs,) if isinstance(outputs, Tensor) else outputs)]
    found = [_like(inputs, row) for row in rows]
    return found[0] if isinstance(outputs, Tensor) else tuple(found)


def _rows(y: Any, xs: Sequence[Any], create_graph: bool) -> list[Any]:
    parts = [_gradients(element, xs, None, create_graph) for element in y.reshape(-1).unbind()]
    return [
        stack([p[i] for p in parts]).reshape(*y.shape, *x.shape) if parts else zeros_like(x).expand(*y.shape, *x.shape)
        for i, x in enumerate(xs)
    ]


def _scalar(func: Callable[..., Any], xs: Sequence[Any]) -> Any:
    output = func(*xs)
    if not isinstance(output, Tensor) or output.numel() != 1:
        raise TensorError("the function must return a single number, as a tensor of one element")
    return output.reshape(())


def hessian(
    func: Callable[..., Any],
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    outer_jacobian_strategy: str = "reverse-mode",
) -> Any:
    """All second derivatives of a function that returns a number.

    >>> import fdl.stateful as torch
    >>> torch.autograd.functional.hessian(lambda x: (x**3).sum(), torch.tensor([1.0, 2.0]))
    tensor([[ 6.,  0.],
            [ 0., 12.]])
    """

    def gradient(*xs: Any) -> Any:
        return tuple(_gradients(_scalar(func, xs), xs, None, True))

    found = jacobian(gradient, inputs if not isinstance(inputs, Tensor) else (inputs,), create_graph)
    return found[0][0] if isinstance(inputs, Tensor) else found


def vjp(
    func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """What the function returns, and the product of a vector with its Jacobian."""
    with enable_grad():
        xs = _leaves(inputs, create_graph)
        output = func(*xs)
        if v is None and output.numel() != 1:
            raise TensorError("the vector v can only be None if the function returns a single number")
        found = _gradients(output, xs, v, create_graph)
    return output if create_graph else output.detach(), _like(inputs, found)


def jvp(
    func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """What the function returns, and the product of its Jacobian with a vector: the derivative of the transposed
    product, which is linear.
    """
    with enable_grad():
        xs = _leaves(inputs, create_graph)
        output = func(*xs)
        weights = zeros_like(output).requires_grad_()
        back = _gradients(output, xs, weights, True)
        vectors = [ones_like(x) for x in xs] if v is None else [v] if isinstance(v, Tensor) else list(v)
        total = sum((b * w).sum() for b, w in zip(back, vectors, strict=True))
        (found,) = _gradients(total, [weights], None, create_graph)
    return output if create_graph else output.detach(), found


def hvp(
    func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """What the function returns, and the product of its Hessian with a vector."""
    with enable_grad():
        xs = _leaves(inputs, create_graph)
        output = _scalar(func, xs)
        vectors = [ones_like(x) for x in xs] if v is None else [v] if isinstance(v, Tensor) else list(v)
        total = sum((g * w).sum() for g, w in zip(_gradients(output, xs, None, True), vectors, strict=True))
        found = _gradients(total, xs, None, create_graph)
    return output if create_graph else output.detach(), _like(inputs, found)


vhp = hvp  # Hessians are symmetric
