"""Gradients against differences, and a watch for gradients that are no numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from fdl.extend import Block, dtypes, from_numpy
from fdl.stateful.core.backward import grad, watch
from fdl.stateful.core.errors import ArgumentError
from fdl.stateful.core.modes import enable_grad, no_grad
from fdl.stateful.core.tensor import Tensor, wrap

__all__ = ["GradcheckError", "detect_anomaly", "gradcheck", "gradgradcheck", "set_detect_anomaly"]


class GradcheckError(RuntimeError):
    """Gradient and differences differ."""


def _outputs(func: Callable[..., Any], inputs: Sequence[Any]) -> list[Tensor]:
    found = func(*inputs)
    listed = list(found) if isinstance(found, (tuple, list)) else [found]
    return [t for t in listed if isinstance(t, Tensor) and dtypes.is_inexact(t._aval.dtype)]


def _reals(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The numbers of an array, a view: of complex ones both parts."""
    flat = values.reshape(-1)
    return flat.view(dtypes.real_dtype(flat.dtype)) if flat.dtype.kind == "c" else flat


def _values(x: Tensor) -> np.ndarray[Any, Any]:
    return np.array(x.numpy(force=True))


def _slopes(func: Callable[..., Any], inputs: Sequence[Any], k: int, eps: float) -> list[np.ndarray[Any, Any]]:
    """For each output: derivatives (numbers of input k, numbers of the output) by central differences."""
    values = _values(inputs[k])
    rows: list[list[np.ndarray[Any, Any]]] = []
    for i in range(_reals(values).size):
        ends = []
        for sign in (1, -1):
            moved = values.copy()
            _reals(moved)[i] += sign * eps
            with no_grad():
                outs = _outputs(func, [*inputs[:k], wrap(from_numpy(moved)), *inputs[k + 1 :]])
                ends.append([_reals(_values(t)).astype(np.float64) for t in outs])
        rows.append([(a - b) / (2 * eps) for a, b in zip(*ends, strict=True)])
    return [np.stack(column) for column in zip(*rows, strict=True)]


def gradcheck(
    func: Callable[..., Any],
    inputs: Any,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    **kwargs: Any,
) -> bool:
    """Whether gradients of a function agree with central differences, for all inputs that require grad; GradcheckError
    where not. Use float64.

    >>> import fdl.stateful as torch
    >>> torch.autograd.gradcheck(torch.sin, torch.ones(2, dtype=torch.float64, requires_grad=True))
    True
    """
    given = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    wanted = [k for k, x in enumerate(given) if isinstance(x, Tensor) and x.requires_grad]
    if not wanted:
        raise ArgumentError(
            "gradcheck expects at least one input tensor to require gradient, but none of the them have "
            "requires_grad=True."
        )
    outs = _outputs(func, given)
    for k in wanted:
        slopes = _slopes(func, given, k, eps)
        for number, (out, numerical) in enumerate(zip(outs, slopes, strict=True)):
            analytical = np.zeros_like(numerical)
            seed = np.zeros(tuple(out.shape), out.dtype.np)
            for j in range(_reals(seed).size if out.requires_grad else 0):
                _reals(seed)[:] = 0
                _reals(seed)[j] = 1
                (g,) = grad(out, given[k], wrap(from_numpy(seed)), retain_graph=True, allow_unused=True)
                analytical[:, j] = 0 if g is None else _reals(_values(g))
            if not np.allclose(analytical, numerical, rtol, atol):
                if raise_exception:
                    raise GradcheckError(
                        f"Jacobian mismatch for output {number} with respect to input "
                        f"{k},\nnumerical:{numerical}\nanalytical:{analytical}\n"
                    )
                return False
    return True


def _weights(t: Tensor) -> np.ndarray[Any, Any]:
    found = np.zeros(tuple(t.shape), t.dtype.np)
    _reals(found)[:] = np.random.default_rng(0).normal(size=_reals(found).size)
    return found


def gradgradcheck(func: Callable[..., Any], inputs: Any, grad_outputs: Any = None, **kwargs: Any) -> bool:
    """`gradcheck` of the gradients: whether second derivatives agree with differences."""
    given = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    wanted = [k for k, x in enumerate(given) if isinstance(x, Tensor) and x.requires_grad]
    weights = (
        [wrap(from_numpy(_weights(t))) for t in _outputs(func, given)] if grad_outputs is None else list(grad_outputs)
    )

    def gradients(*values: Any) -> Any:
        fresh = [v if v.requires_grad or k not in wanted else v.detach().requires_grad_() for k, v in enumerate(values)]
        from_outputs = _outputs(func, fresh)
        pairs = [(t, w) for t, w in zip(from_outputs, weights, strict=True) if t.requires_grad]
        found = grad(
            [t for t, _ in pairs],
            [fresh[k] for k in wanted],
            [w for _, w in pairs],
            create_graph=True,
            allow_unused=True,
        )
        return tuple([g for g in found if g is not None])

    return gradcheck(enable_grad(gradients), given, **kwargs)


class set_detect_anomaly(Block[None]):
    """RuntimeError where a gradient has NaN, naming the operation: at once, or in a `with` block.

    >>> import fdl.stateful as torch
    >>> x = torch.zeros(1, requires_grad=True)
    >>> with torch.autograd.set_detect_anomaly(True):
    ...     (x.sqrt() * 0).sum().backward()
    Traceback (most recent call last):
    fdl.stateful.core.errors.TensorError: Function 'SqrtBackward0' returned nan values in its 0th output...
    """

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        self.before, self.on = watch.anomalies, mode and check_nan
        watch.anomalies = self.on

    def _steps(self) -> Iterator[None]:
        watch.anomalies = self.on
        try:
            yield
        finally:
            watch.anomalies = self.before


class detect_anomaly(set_detect_anomaly):
    """`set_detect_anomaly(True)` for a `with` block."""

    def __init__(self, check_nan: bool = True) -> None:
        self.before, self.on = watch.anomalies, check_nan
