"""`torch.nn.utils.weight_norm` and `spectral_norm` as they were before parametrizations: the weight is computed before
each call.
"""

from __future__ import annotations

from typing import Any

from fdl.stateful.autograd import no_grad
from fdl.stateful.core.errors import ArgumentError, TensorError
from fdl.stateful.core.random import randn
from fdl.stateful.core.tensor import Tensor
from fdl.stateful.functions.products import dot, mv
from fdl.stateful.nn.functional import normalize
from fdl.stateful.nn.module import Module
from fdl.stateful.nn.parameter import Parameter
from fdl.stateful.nn.utils.parametrizations import as_matrix, norm_except_dim, output_dim, power_iteration

__all__ = ["remove_spectral_norm", "remove_weight_norm", "spectral_norm", "weight_norm"]


class _Before:
    """What is done before a call of the module."""

    def __init__(self, name: str) -> None:
        self.name = name

    def compute(self, module: Module) -> Tensor:
        raise NotImplementedError(self)

    def __call__(self, module: Module, inputs: Any) -> None:
        setattr(module, self.name, self.compute(module))


class _Length(_Before):
    def __init__(self, name: str, dim: int) -> None:
        super().__init__(name)
        self.dim = dim

    def compute(self, module: Module) -> Tensor:
        g, v = getattr(module, f"{self.name}_g"), getattr(module, f"{self.name}_v")
        return v * (g / norm_except_dim(v, self.dim))  # type: ignore[no-any-return]


class _Spectral(_Before):
    def __init__(self, name: str, steps: int, dim: int, eps: float) -> None:
        super().__init__(name)
        self.steps, self.dim, self.eps = steps, dim, eps

    def compute(self, module: Module) -> Tensor:
        weight, u, v = (getattr(module, f"{self.name}_{part}") for part in ("orig", "u", "v"))
        matrix = as_matrix(weight, self.dim)
        if module.training:
            power_iteration(matrix.detach().t(), v, u, self.steps, self.eps)  # `v` first, as it was then
        return weight / dot(u.clone(), mv(matrix, v.clone()))  # type: ignore[no-any-return]


def _installed(module: Module, hook: _Before) -> Module:
    hooks = module.__dict__.setdefault("_reparametrized", {})
    if hook.name in hooks:
        raise TensorError(
            f"Cannot register two {type(hook).__name__.strip('_').lower()} hooks on the same parameter {hook.name}"
        )
    hooks[hook.name] = (hook, module.register_forward_pre_hook(hook))
    hook(module, ())
    return module


def _removed(module: Module, kind: type[_Before], name: str, what: str, parts: tuple[str, ...]) -> Module:
    hook, handle = module.__dict__.get("_reparametrized", {}).get(name, (None, None))
    if not isinstance(hook, kind):
        raise ArgumentError(f"{what} of '{name}' not found in {module}")
    handle.remove()
    del module.__dict__["_reparametrized"][name]
    with no_grad():
        weight = hook.compute(module).clone()
    for part in parts:
        delattr(module, f"{name}_{part}")
    delattr(module, name)
    setattr(module, name, Parameter(weight))
    return module


def weight_norm(module: Module, name: str = "weight", dim: int | None = 0) -> Module:
    """Parameters `<name>_g` and `<name>_v` in the place of a weight: its length and its direction.

    >>> import fdl.stateful as torch
    >>> sorted(weight_norm(torch.nn.Linear(3, 2)).state_dict())
    ['bias', 'weight_g', 'weight_v']
    """
    dim = -1 if dim is None else dim
    weight = getattr(module, name)
    delattr(module, name)
    with no_grad():
        length = norm_except_dim(weight, dim)
    module.register_parameter(f"{name}_g", Parameter(length))
    module.register_parameter(f"{name}_v", Parameter(weight.detach()))
    return _installed(module, _Length(name, dim))


def remove_weight_norm(module: Module, name: str = "weight") -> Module:
    """A plain weight again."""
    return _removed(module, _Length, name, "weight_norm", ("g", "v"))


def spectral_norm(
    module: Module, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12, dim: int | None = None
) -> Module:
    """A parameter `<name>_orig` in the place of a weight, which is that over its largest singular value (Miyato et al.,
    2018).

    >>> import fdl.stateful as torch
    >>> sorted(spectral_norm(torch.nn.Linear(3, 2)).state_dict())
    ['bias', 'weight_orig', 'weight_u', 'weight_v']
    """
    weight = getattr(module, name)
    dim = output_dim(module) if dim is None else dim
    delattr(module, name)
    module.register_parameter(f"{name}_orig", weight)
    matrix = as_matrix(weight.detach(), dim)
    module.register_buffer(f"{name}_u", normalize(randn(matrix.shape[0]), dim=0, eps=eps))
    module.register_buffer(f"{name}_v", normalize(randn(matrix.shape[1]), dim=0, eps=eps))
    power_iteration(matrix, getattr(module, f"{name}_u"), getattr(module, f"{name}_v"), 1, eps)
    return _installed(module, _Spectral(name, n_power_iterations, dim, eps))


def remove_spectral_norm(module: Module, name: str = "weight") -> Module:
    """A plain weight again."""
    return _removed(module, _Spectral, name, "spectral_norm", ("orig", "u", "v"))
