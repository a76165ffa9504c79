"""`torch.nn.utils.parametrize`: a parameter that is computed from others whenever it is looked at."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from fdl.stateful.autograd import no_grad
from fdl.stateful.core.errors import ArgumentError, TensorError
from fdl.stateful.core.tensor import Tensor
from fdl.stateful.nn.containers import ModuleDict
from fdl.stateful.nn.module import Module
from fdl.stateful.nn.parameter import Parameter

__all__ = [
    "ParametrizationList",
    "cached",
    "is_parametrized",
    "register_parametrization",
    "remove_parametrizations",
    "type_before_parametrizations",
]


class ParametrizationList(Module):
    """Parametrizations of one tensor, in order, and what they start from: `original`, or `original0`, `original1`, …
    where the first takes several.
    """

    def __init__(self, module: Module, original: Tensor) -> None:
        super().__init__()
        self.count = 0
        with no_grad():
            parts = module.right_inverse(original) if hasattr(module, "right_inverse") else original
        kind = Parameter if isinstance(original, Parameter) else None
        self.single = isinstance(parts, Tensor)
        for k, x in enumerate([parts] if self.single else parts):
            name = "original" if self.single else f"original{k}"
            if kind is not None:
                self.register_parameter(name, original if x is original else kind(x, original.requires_grad))
            else:
                self.register_buffer(name, x)
        self.append(module)

    def append(self, module: Module) -> None:
        """One more, after the others."""
        self.add_module(str(self.count), module)
        self.count += 1

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Any:
        return getattr(self, str(range(self.count)[index]))

    def _originals(self) -> list[Tensor]:
        return (
            [self.original]
            if self.single
            else [getattr(self, name) for name in self._registered if name.startswith("original")]
        )

    def right_inverse(self, value: Tensor) -> None:
        """Set what this starts from so that `value` comes out; RuntimeError where a parametrization has no
        `right_inverse`.
        """
        with no_grad():
            for k in reversed(range(self.count)):
                if not hasattr(self[k], "right_inverse"):
                    raise TensorError(f"parametrization {type(self[k]).__name__} does not implement right_inverse.")
                value = self[k].right_inverse(value)
            for own, x in zip(self._originals(), [value] if self.single else value, strict=True):
                own.copy_(x)

    def forward(self) -> Any:
        """The tensor."""
        x = self[0](*self._originals())
        for k in range(1, self.count):
            x = self[k](x)
        return x


def _looked_at(name: str) -> property:
    def read(self: Any) -> Any:
        return self.parametrizations[name]()

    def write(self: Any, value: Any) -> None:
        self.parametrizations[name].right_inverse(value)

    return property(read, write)


def register_parametrization(
    module: Module, tensor_name: str, parametrization: Module, *, unsafe: bool = False
) -> Module:
    """Let `module.<tensor_name>` be `parametrization` of what it was; several are applied one after another.

    ValueError where there is no such parameter or buffer, or where the result has another shape or dtype and `unsafe`
    is not given.

    >>> import fdl.stateful as torch
    >>> class Symmetric(torch.nn.Module):
    ...     def forward(self, x):
    ...         return x.triu() + x.triu(1).T
    >>> layer = register_parametrization(torch.nn.Linear(3, 3), "weight", Symmetric())
    >>> bool((layer.weight == layer.weight.T).all()), sorted(layer.state_dict())
    (True, ['bias', 'parametrizations.weight.original'])
    """
    if is_parametrized(module, tensor_name):
        module.parametrizations[tensor_name].append(parametrization)
        return module
    found = {**module._parameters, **module._buffers}.get(tensor_name)
    if found is None:
        raise ArgumentError(
            f"Module '{module}' does not have a parameter, a buffer, or a parametrized element with name "
            f"'{tensor_name}'"
        )
    made = ParametrizationList(parametrization, found)
    with no_grad():
        out = made()
    if not unsafe and (out.shape != found.shape or out.dtype != found.dtype):
        raise ArgumentError(
            f"Registering a parametrization may not change the tensor's type: {tuple(found.shape)} {found.dtype} "
            f"became {tuple(out.shape)} {out.dtype}"
        )
    delattr(module, tensor_name)
    if not is_parametrized(module):
        cls = type(module)
        module.__class__ = type(f"Parametrized{cls.__name__}", (cls,), {"_plain": cls})
        module.parametrizations = ModuleDict()
    setattr(type(module), tensor_name, _looked_at(tensor_name))
    module.parametrizations[tensor_name] = made
    return module


def is_parametrized(module: Module, tensor_name: str | None = None) -> bool:
    """Whether a tensor of the module is parametrized, or any."""
    lists = getattr(module, "parametrizations", None)
    if not isinstance(lists, ModuleDict):
        return False
    return len(lists) > 0 if tensor_name is None else tensor_name in lists


def remove_parametrizations(module: Module, tensor_name: str, leave_parametrized: bool = True) -> Module:
    """A plain parameter again: with the value that it has now, or with what that was computed from."""
    if not is_parametrized(module, tensor_name):
        raise ArgumentError(f"Module {module} does not have a parametrization on {tensor_name}")
    lists = module.parametrizations
    first = lists[tensor_name]._originals()
    if not leave_parametrized and len(first) > 1:
        raise ArgumentError(
            "Cannot leave unparametrized (`leave_parametrized=False`) a tensor that is parametrized in terms of "
            "a sequence of tensors."
        )
    with no_grad():
        value = getattr(module, tensor_name).clone() if leave_parametrized else first[0]
    delattr(type(module), tensor_name)
    del lists[tensor_name]
    if not len(lists):
        del module.parametrizations
        module.__class__ = type_before_parametrizations(module)
    setattr(module, tensor_name, Parameter(value, first[0].requires_grad)) if isinstance(
        first[0], Parameter
    ) else module.register_buffer(tensor_name, value)
    return module


def type_before_parametrizations(module: Module) -> type:
    """The module's class without parametrizations."""
    return getattr(type(module), "_plain", type(module))


@contextlib.contextmanager
def cached() -> Iterator[None]:
    """Nothing: equal computations of a step are one."""
    yield
