"""`torch.nn.utils.prune`: weights that are set to zero and stay so.

A pruned parameter `weight` becomes a parameter `weight_orig` and a buffer `weight_mask`; before each call of the module
`weight` is their product. A method says with `compute_mask` which elements of those that are left go.
"""

from __future__ import annotations

import numbers
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any

from fdl.stateful.core.errors import ArgumentError, OperandError, PlaceError
from fdl.stateful.core.random import rand
from fdl.stateful.core.tensor import Tensor
from fdl.stateful.functions.creation import ones_like
from fdl.stateful.functions.reductions import norm, topk
from fdl.stateful.functions.shapes import cat
from fdl.stateful.nn.module import Module

__all__ = [
    "BasePruningMethod", "CustomFromMask", "Identity", "L1Unstructured", "LnStructured", "PruningContainer",
    "RandomStructured", "RandomUnstructured", "custom_from_mask", "global_unstructured", "identity", "is_pruned",
    "l1_unstructured", "ln_structured", "random_structured", "random_unstructured", "remove",
]  # fmt: skip


class BasePruningMethod(ABC):
    """A way to choose what is pruned: subclasses write `compute_mask` and say by `PRUNING_TYPE` whether it counts
    elements ("unstructured"), slices ("structured"), or whatever is there ("global").
    """

    PRUNING_TYPE: str = "unstructured"
    _tensor_name: str

    def __call__(self, module: Module, inputs: Any) -> None:
        setattr(module, self._tensor_name, self.apply_mask(module))

    @abstractmethod
    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """The mask of what stays, which is part of `default_mask`, that of what is left so far."""

    def apply_mask(self, module: Module) -> Any:
        """The product of what was there before and its mask."""
        original: Any = getattr(module, f"{self._tensor_name}_orig")
        return getattr(module, f"{self._tensor_name}_mask").to(dtype=original.dtype) * original

    @classmethod
    def apply(cls, module: Module, name: str, *args: Any, importance_scores: Any = None, **kwargs: Any) -> Any:
        """Prune a parameter of a module, further where it was pruned before; the method that does it from now on."""
        method: Any = cls(*args, **kwargs)
        method._tensor_name = name
        before = _hook_of(module, name)
        if before is not None:
            module._forward_pre_hooks.pop(before[0])
            container = PruningContainer(before[1])
            container.add_pruning_method(method)
            method = container
        parameter = getattr(module, name)
        original = parameter if before is None else getattr(module, f"{name}_orig")
        if importance_scores is not None and tuple(importance_scores.shape) != tuple(original.shape):
            raise ArgumentError(f"importance_scores should have the same shape as parameter {name} of {module}")
        scores = parameter if importance_scores is None else importance_scores
        if before is None:
            del module._parameters[name]
            module.register_parameter(f"{name}_orig", original)
            default = ones_like(original)
        else:
            default = getattr(module, f"{name}_mask").detach().clone()
        module.register_buffer(f"{name}_mask", method.compute_mask(scores.detach(), default_mask=default))
        setattr(module, name, method.apply_mask(module))
        module.register_forward_pre_hook(method)
        return method

    def prune(self, t: Tensor, default_mask: Tensor | None = None, importance_scores: Tensor | None = None) -> Any:
        """A tensor of which what goes is zero."""
        scores = t if importance_scores is None else importance_scores
        default = ones_like(t) if default_mask is None else default_mask
        return t * self.compute_mask(scores, default_mask=default)

    def remove(self, module: Module) -> None:
        """Let the parameter be what it is now, for good."""
        name = self._tensor_name
        weight, original = self.apply_mask(module), module._parameters[f"{name}_orig"]
        delattr(module, name)
        original.data = weight.detach()
        del module._parameters[f"{name}_orig"], module._buffers[f"{name}_mask"]
        module.register_parameter(name, original)


class PruningContainer(BasePruningMethod):
    """Methods one after the other, each on what those before have left."""

    def __init__(self, *args: Any) -> None:
        self._methods: tuple[Any, ...] = ()
        given = (
            args[0]
            if len(args) == 1 and isinstance(args[0], Iterable) and not isinstance(args[0], BasePruningMethod)
            else args
        )
        for method in given:
            if not self._methods:
                self._tensor_name = method._tensor_name
            self.add_pruning_method(method)

    def add_pruning_method(self, method: Any) -> None:
        """One more; of a container its methods."""
        if not isinstance(method, BasePruningMethod):
            raise OperandError(f"{type(method)} is not a BasePruningMethod subclass")
        if method._tensor_name != self._tensor_name:
            raise ArgumentError(
                f"Can only add pruning methods acting on the parameter named '{self._tensor_name}' to "
                f"PruningContainer {self}. Found '{method._tensor_name}'"
            )
        self._methods += method._methods if isinstance(method, PruningContainer) else (method,)

    def __len__(self) -> int:
        return len(self._methods)

    def __iter__(self) -> Any:
        return iter(self._methods)

    def __getitem__(self, place: Any) -> Any:
        return self._methods[place]

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """The mask of the last method, on the elements or slices that are left."""
        method, mask = self._methods[-1], default_mask
        if method.PRUNING_TYPE == "unstructured":
            left: Any = mask.bool()
        elif method.PRUNING_TYPE == "structured":
            axes = [d for d in range(t.ndim) if d != method.dim % t.ndim]
            kept = mask.sum(dim=axes) != 0
            left = tuple(kept if d == method.dim % t.ndim else slice(None) for d in range(t.ndim))
        elif method.PRUNING_TYPE == "global":
            left = tuple(slice(None) for _ in range(t.ndim))
        else:
            raise ArgumentError(f"Unrecognized PRUNING_TYPE {method.PRUNING_TYPE}")
        mask = mask.clone()
        mask[left] = method.compute_mask(t[left], default_mask=mask[left]).to(mask.dtype)
        return mask  # type: ignore[no-any-return]


class Identity(BasePruningMethod):
    """Nothing goes."""

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        return default_mask


class CustomFromMask(BasePruningMethod):
    """A mask that is given."""

    PRUNING_TYPE = "global"

    def __init__(self, mask: Tensor) -> None:
        self.mask = mask

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Any:
        return default_mask * self.mask.to(dtype=default_mask.dtype)


def _count(amount: Any, total: int) -> int:
    """How many of `total` a number or a share of them is; errors as of a mistaken one."""
    if not isinstance(amount, numbers.Real):
        raise OperandError(f"Invalid type for amount: {amount}. Must be int or float.")
    if (isinstance(amount, numbers.Integral) and int(amount) < 0) or (
        not isinstance(amount, numbers.Integral) and not 0 <= float(amount) <= 1
    ):
        raise ArgumentError(f"amount={amount} should either be a float in the range [0, 1] or a non-negative integer")
    if isinstance(amount, numbers.Integral):
        if int(amount) > total:
            raise ArgumentError(f"amount={amount} should be smaller than the number of parameters to prune={total}")
        return int(amount)
    return round(float(amount) * total)


def _axis(t: Tensor, dim: int) -> int:
    """A dimension of slices, from the front; errors where a tensor has no slices, or not that dimension."""
    if t.ndim < 2:
        raise ArgumentError(
            "Structured pruning can only be applied to multidimensional tensors. Found tensor of shape "
            f"{t.shape} with {t.ndim} dims"
        )
    if not -t.ndim <= dim < t.ndim:
        raise PlaceError(f"Invalid index {dim} for tensor of size {t.shape}")
    return dim % t.ndim


class _Ranked(BasePruningMethod):
    """Of elements, or of slices along `dim`, those with the lowest score go."""

    def __init__(self, amount: Any, dim: int | None = None) -> None:
        _count(amount, 1 if not isinstance(amount, numbers.Integral) else int(amount))
        self.amount, self.dim = amount, dim

    def scores(self, t: Tensor) -> Any:
        """A number for each element or slice."""
        raise NotImplementedError(self)

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Any:
        """`default_mask` without those of the lowest score."""
        dim = None if self.dim is None else _axis(t, self.dim)
        total = t.numel() if dim is None else t.shape[dim]
        count = _count(self.amount, total)
        if not count:
            return default_mask.clone()
        chosen = topk(self.scores(t).reshape(-1), count, largest=False).indices
        kept = ones_like(t).reshape(-1) if dim is None else ones_like(t.select(0, 0).reshape(-1)[:1]).repeat(total)
        kept[chosen] = 0
        shape = t.shape if dim is None else [total if d == dim else 1 for d in range(t.ndim)]
        return default_mask * kept.reshape(shape).to(default_mask.dtype)


class RandomUnstructured(_Ranked):
    """Elements by chance."""

    def __init__(self, amount: Any) -> None:
        super().__init__(amount)

    def scores(self, t: Tensor) -> Any:
        return rand(t.numel())


class L1Unstructured(_Ranked):
    """The smallest elements."""

    def __init__(self, amount: Any) -> None:
        super().__init__(amount)

    def scores(self, t: Tensor) -> Any:
        return t.abs()


class RandomStructured(_Ranked):
    """Slices by chance."""

    PRUNING_TYPE = "structured"

    def __init__(self, amount: Any, dim: int = -1) -> None:
        super().__init__(amount, dim)

    def scores(self, t: Tensor) -> Any:
        assert self.dim is not None
        return rand(t.shape[self.dim])


class LnStructured(_Ranked):
    """The slices of the smallest norm."""

    PRUNING_TYPE = "structured"

    def __init__(self, amount: Any, n: Any, dim: int = -1) -> None:
        super().__init__(amount, dim)
        self.n = n

    def scores(self, t: Tensor) -> Any:
        assert self.dim is not None
        return norm(t, p=self.n, dim=[d for d in range(t.ndim) if d != self.dim % t.ndim])


def identity(module: Module, name: str) -> Module:
    """Mask a parameter by ones: ready to be pruned, and unchanged."""
    Identity.apply(module, name)
    return module


def random_unstructured(module: Module, name: str, amount: Any) -> Module:
    """Prune so many elements, or a share of them, by chance."""
    RandomUnstructured.apply(module, name, amount)
    return module


def l1_unstructured(module: Module, name: str, amount: Any, importance_scores: Tensor | None = None) -> Module:
    """Prune the elements of the smallest magnitude.

    >>> import fdl.stateful as torch
    >>> layer = torch.nn.Linear(2, 1, bias=False)
    >>> _ = layer.weight.data.copy_(torch.tensor([[0.5, -2.0]]))
    >>> torch.nn.utils.prune.l1_unstructured(layer, "weight", 1).weight.tolist(), list(layer.state_dict())
    ([[0.0, -2.0]], ['weight_orig', 'weight_mask'])
    """
    L1Unstructured.apply(module, name, amount=amount, importance_scores=importance_scores)
    return module


def random_structured(module: Module, name: str, amount: Any, dim: int) -> Module:
    """Prune slices along a dimension by chance."""
    RandomStructured.apply(module, name, amount, dim)
    return module


def ln_structured(
    module: Module, name: str, amount: Any, n: Any, dim: int, importance_scores: Tensor | None = None
) -> Module:
    """Prune the slices along a dimension whose norm of order `n` is smallest."""
    LnStructured.apply(module, name, amount, n, dim, importance_scores=importance_scores)
    return module


def custom_from_mask(module: Module, name: str, mask: Tensor) -> Module:
    """Prune what a mask says."""
    CustomFromMask.apply(module, name, mask)
    return module


def global_unstructured(
    parameters: Iterable[tuple[Module, str]], pruning_method: Any, importance_scores: Any = None, **kwargs: Any
) -> None:
    """Prune elements of several parameters, which are compared with each other."""
    pairs = list(parameters)
    scores = importance_scores or {}
    ranked = [scores.get((m, n), getattr(m, n)).detach() for m, n in pairs]
    masks = [getattr(m, f"{n}_mask", ones_like(getattr(m, n))).detach() for m, n in pairs]
    container = PruningContainer()
    container._tensor_name = "temp"
    method = pruning_method(**kwargs)
    method._tensor_name = "temp"
    if method.PRUNING_TYPE != "unstructured":
        raise OperandError(
            f"Only 'unstructured' PRUNING_TYPE supported for the `pruning_method`. Found method {pruning_method} of "
            f"type {method.PRUNING_TYPE}"
        )
    container.add_pruning_method(method)
    final = container.compute_mask(*(cat([x.reshape(-1) for x in parts]) for parts in (ranked, masks)))
    start = 0
    for (module, name), t in zip(pairs, ranked, strict=True):
        custom_from_mask(module, name, final[start : start + t.numel()].reshape(t.shape))
        start += t.numel()


def _hook_of(module: Module, name: str) -> tuple[Any, Any] | None:
    """The method that prunes a parameter, and where its hook is kept."""
    for key, hook in module._forward_pre_hooks.items():
        if isinstance(hook, BasePruningMethod) and hook._tensor_name == name:
            return key, hook
    return None


def remove(module: Module, name: str) -> Module:
    """Let a pruned parameter be what it is now, for good, without mask. ValueError where it is not pruned."""
    found = _hook_of(module, name)
    if found is None:
        raise ArgumentError(f"Parameter '{name}' of module {module} has to be pruned before pruning can be removed")
    found[1].remove(module)
    del module._forward_pre_hooks[found[0]]
    return module


def is_pruned(module: Module) -> bool:
    """Whether a parameter of a module, or of one in it, is pruned."""
    return any(isinstance(hook, BasePruningMethod) for m in module.modules() for hook in m._forward_pre_hooks.values())
