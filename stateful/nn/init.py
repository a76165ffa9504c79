"""`torch.nn.init`: fill a tensor in place with initial values; nothing is taped."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fdl.extend import from_numpy
from fdl.stateful.autograd import no_grad
from fdl.stateful.core.errors import ArgumentError
from fdl.stateful.core.random import default_generator
from fdl.stateful.core.tensor import Tensor, wrap

__all__ = [
    "calculate_gain", "constant", "constant_", "dirac_", "eye_", "kaiming_normal", "kaiming_normal_", "kaiming_uniform",
    "kaiming_uniform_", "normal", "normal_",
    "ones_", "orthogonal", "orthogonal_", "sparse_", "trunc_normal_", "uniform", "uniform_", "xavier_normal",
    "xavier_normal_", "xavier_uniform", "xavier_uniform_",
    "zeros_",
]  # fmt: skip


@no_grad()
def uniform_(tensor: Any, a: float = 0.0, b: float = 1.0, generator: Any = None) -> Any:
    """Uniform in [a, b)."""
    return tensor.uniform_(a, b, generator=generator)


@no_grad()
def normal_(tensor: Any, mean: float = 0.0, std: float = 1.0, generator: Any = None) -> Any:
    """Normal."""
    return tensor.normal_(mean, std, generator=generator)


@no_grad()
def constant_(tensor: Any, val: float) -> Any:
    """One value."""
    return tensor.fill_(val)


def zeros_(tensor: Any) -> Any:
    """Zeros."""
    return constant_(tensor, 0.0)


def ones_(tensor: Any) -> Any:
    """Ones."""
    return constant_(tensor, 1.0)


@no_grad()
def eye_(tensor: Any) -> Any:
    """The identity matrix."""
    return tensor.copy_(wrap(from_numpy(np.eye(*tensor.shape, dtype=tensor.dtype.np))))


@no_grad()
def trunc_normal_(
    tensor: Any, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0, generator: Any = None
) -> Any:
    """Normal within [a, b]: values outside are drawn again."""
    rng = (generator or default_generator).numpy()
    values = rng.normal(mean, std, tuple(tensor.shape))
    while (outside := (values < a) | (values > b)).any():
        values[outside] = rng.normal(mean, std, int(outside.sum()))
    return tensor.copy_(wrap(from_numpy(values.astype(tensor.dtype.np))))


@no_grad()
def orthogonal_(tensor: Any, gain: float = 1.0, generator: Any = None) -> Any:
    """Orthogonal rows or columns (Saxe, McClelland, Ganguli, 2014)."""
    rows = tensor.shape[0]
    flat = (generator or default_generator).numpy().normal(size=(rows, math.prod(tensor.shape[1:])))
    q, r = np.linalg.qr(flat.T if rows < flat.shape[1] else flat)
    q = q * np.sign(np.diag(r))
    values = gain * (q.T if rows < flat.shape[1] else q)
    return tensor.copy_(wrap(from_numpy(values.reshape(tuple(tensor.shape)).astype(tensor.dtype.np))))


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor that keeps the variance through a nonlinearity."""
    known = {
        "tanh": 5.0 / 3,
        "relu": math.sqrt(2.0),
        "selu": 3.0 / 4,
        "linear": 1.0,
        "sigmoid": 1.0,
        "conv1d": 1.0,
        "conv2d": 1.0,
        "conv3d": 1.0,
    }
    if nonlinearity == "leaky_relu":
        return math.sqrt(2.0 / (1 + (0.01 if param is None else param) ** 2))
    if nonlinearity not in known:
        raise ArgumentError(f"Unsupported nonlinearity {nonlinearity}")
    return known[nonlinearity]


def _calculate_fan_in_and_fan_out(tensor: Tensor) -> tuple[int, int]:
    """How many inputs each output has, and how many outputs each input, of the weight of a layer."""
    if tensor.ndim < 2:
        raise ArgumentError("Fan in and fan out can not be computed for tensor with fewer than 2 dimensions")
    field = math.prod(tensor.shape[2:])
    return tensor.shape[1] * field, tensor.shape[0] * field


def _calculate_correct_fan(tensor: Tensor, mode: str) -> int:
    """One of them."""
    if mode.lower() not in ("fan_in", "fan_out"):
        raise ArgumentError(f"Mode {mode} not supported, please use one of ['fan_in', 'fan_out']")
    return _calculate_fan_in_and_fan_out(tensor)[mode.lower() == "fan_out"]


def xavier_uniform_(tensor: Any, gain: float = 1.0, generator: Any = None) -> Any:
    """Uniform with variance 2 / (fan in + fan out) (Glorot and Bengio, 2010)."""
    bound = gain * math.sqrt(6.0 / sum(_calculate_fan_in_and_fan_out(tensor)))
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Any, gain: float = 1.0, generator: Any = None) -> Any:
    """Normal with variance 2 / (fan in + fan out) (Glorot and Bengio, 2010)."""
    return normal_(tensor, 0.0, gain * math.sqrt(2.0 / sum(_calculate_fan_in_and_fan_out(tensor))), generator)


def kaiming_uniform_(
    tensor: Any, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu", generator: Any = None
) -> Any:
    """Uniform with variance gain² / fan (He et al., 2015)."""
    bound = math.sqrt(3.0) * calculate_gain(nonlinearity, a) / math.sqrt(_calculate_correct_fan(tensor, mode))
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Any, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu", generator: Any = None
) -> Any:
    """Normal with variance gain² / fan (He et al., 2015)."""
    return normal_(
        tensor, 0.0, calculate_gain(nonlinearity, a) / math.sqrt(_calculate_correct_fan(tensor, mode)), generator
    )


def dirac_(tensor: Any, groups: int = 1) -> Any:
    """A convolution that hands its input on: 1 in the middle of channel i's kernel for channel i, in each group."""
    if tensor.ndim not in (3, 4, 5):
        raise ArgumentError("Only tensors with 3, 4, or 5 dimensions are supported")
    if tensor.shape[0] % groups:
        raise ArgumentError("dim 0 must be divisible by groups")
    values = np.zeros(tuple(tensor.shape), np.float32)
    each = tensor.shape[0] // groups
    for k in range(tensor.shape[0]):
        if k % each < tensor.shape[1]:
            values[(k, k % each, *(d // 2 for d in tensor.shape[2:]))] = 1
    with no_grad():
        return tensor.copy_(wrap(from_numpy(values)))


def sparse_(tensor: Any, sparsity: float, std: float = 0.01, generator: Any = None) -> Any:
    """Normal values, of which a share in each column is 0 (Martens, 2010)."""
    if tensor.ndim != 2:
        raise ArgumentError("Only tensors with 2 dimensions are supported")
    rows, columns = tensor.shape
    kept = np.ones((rows, columns), np.float32)
    order = uniform_(wrap(from_numpy(np.empty((rows, columns), np.float32))), generator=generator)
    places = np.asarray(order._value()._numpy()).argsort(0)[: math.ceil(sparsity * rows)]
    np.put_along_axis(kept, places, 0, 0)
    with no_grad():
        return normal_(tensor, 0.0, std, generator).mul_(wrap(from_numpy(kept)))


# names of former days
uniform, normal, constant, orthogonal, xavier_uniform, xavier_normal, kaiming_uniform, kaiming_normal = (
    uniform_, normal_, constant_, orthogonal_, xavier_uniform_, xavier_normal_, kaiming_uniform_, kaiming_normal_,
)  # fmt: skip
