"""`torch.library`: operations of users, under `torch.ops`.

`custom_op` names a function of tensors; `register_autograd` gives it a derivative, by the rules of
`torch.autograd.Function`. Operations are called as they are: nothing traces, so nothing asks for a shape rule.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fdl.stateful.autograd.custom import Function
from fdl.stateful.core.errors import ArgumentError, MissingError, UnsupportedError

__all__ = [
    "CustomOpDef", "Library", "custom_op", "define", "impl", "ops", "register_autograd", "register_fake",
    "register_kernel",
]  # fmt: skip


class _Space:
    """Operations of one name space."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise MissingError(f"'_OpNamespace' '{self._name}' object has no attribute '{name}'")


class _Overloads:
    """One of PyTorch's own operations, `torch.ops.aten.NAME`: itself, and each of its overloads, is the function."""

    def __init__(self, name: str, function: Callable[..., Any]) -> None:
        self.__name__, self._function = name, function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._function(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self


def _without_twin(name: str) -> Callable[..., Any]:
    """NotImplementedError: PyTorch's dispatcher calls this, and there is none here."""

    def refused(*args: Any, **kwargs: Any) -> Any:
        raise UnsupportedError(f"{name} is called by PyTorch's dispatcher, which is not here")

    return refused


def _sliced(x: Any, dim: int = 0, start: Any = None, end: Any = None, step: int = 1) -> Any:
    """Every `step`-th place of a dimension from `start` on, before `end`."""
    return x[(*[slice(None)] * (dim % x.ndim), slice(start, end, step))]


_INDEXING = {
    "alias": lambda x: x.view(tuple(x.shape)), "slice": _sliced,
    "index": lambda x, indices: x[tuple([slice(None) if i is None else i for i in indices])],
}  # fmt: skip


class Native(_Space):
    """PyTorch's own operations by name: functions of these namespaces, the first that has one."""

    def __init__(self, name: str, *homes: Mapping[str, Any]) -> None:
        super().__init__(name)
        self._homes = (*homes, _INDEXING)

    def __getattr__(self, name: str) -> Any:
        found = next((home[name] for home in self._homes if callable(home.get(name))), None)
        if found is None and name.startswith("_") and not name.startswith("__"):
            found = _without_twin(f"torch.ops.{self._name}.{name}")  # a key of tables, which nobody calls here
        if found is None:
            return super().__getattr__(name)
        made = self.__dict__[name] = _Overloads(name, found)
        return made


class _Operations:
    """`torch.ops`: a name space for each library that has registered an operation, and PyTorch's own, `aten`."""

    aten: Any

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        space = self.__dict__[name] = _Space(name)
        return space

    def load_library(self, path: str) -> None:
        """OSError: libraries of PyTorch's operations are built against PyTorch."""
        raise OSError(f"torch.ops.load_library: {path} is built against PyTorch, and cannot be loaded here")


ops = _Operations()


class CustomOpDef:
    """An operation of a user: called like the function that it is made of."""

    def __init__(self, name: str, fn: Callable[..., Any]) -> None:
        space, _, own = name.partition("::")
        if not own:
            raise ArgumentError(f"custom_op(name={name!r}): expected a name such as 'library::operation'")
        self._qualname, self._fn = name, fn
        self._function: type[Function] | None = None
        self.__name__, self.__doc__ = own, fn.__doc__
        self.default = self
        getattr(ops, space).__dict__[own] = self

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self._function is None:
            return self._fn(*args, **kwargs)
        return self._function.apply(*(self._in_order(args, kwargs) if kwargs else args))

    def _in_order(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Any]:
        """Arguments in the order of the parameters, with defaults in between."""
        given = inspect.signature(self._fn).bind(*args, **kwargs)
        last = list(given.signature.parameters).index(list(given.arguments)[-1])
        given.apply_defaults()
        return list(given.arguments.values())[: last + 1]

    def register_autograd(self, backward: Callable[..., Any], /, *, setup_context: Any = None) -> None:
        """Give it a derivative: `setup_context(ctx, inputs, output)` keeps what `backward(ctx, *gradients)` needs."""
        forward = lambda *args: self._fn(*args)  # which `register_kernel` may replace later
        rules = {"forward": staticmethod(forward), "backward": staticmethod(backward)}
        keeps = (lambda ctx, inputs, output: None) if setup_context is None else setup_context
        self._function = type(self.__name__, (Function,), {**rules, "setup_context": staticmethod(keeps)})

    def register_fake(self, fn: Callable[..., Any], /) -> Callable[..., Any]:
        """Nothing: shapes are those of results."""
        return fn

    register_vmap = register_torch_dispatch = register_fake

    def register_kernel(self, device_types: Any, fn: Any = None, /) -> Any:
        """Another body for the CPU; bodies for other devices are not called."""

        def register(f: Callable[..., Any]) -> Callable[..., Any]:
            if device_types is None or "cpu" in ((device_types,) if isinstance(device_types, str) else device_types):
                self._fn = f
            return f

        return register if fn is None else register(fn)


def custom_op(
    name: str,
    fn: Callable[..., Any] | None = None,
    /,
    *,
    mutates_args: str | Sequence[str] = (),
    device_types: Any = None,
    schema: str | None = None,
    tags: Any = None,
) -> Any:
    """An operation of a function of tensors, named "library::operation".

    >>> import fdl.stateful as torch
    >>> @torch.library.custom_op("mine::twice", mutates_args=())
    ... def twice(x: torch.Tensor) -> torch.Tensor:
    ...     return x * 2
    >>> twice.register_autograd(lambda ctx, g: g * 2)
    >>> x = torch.ones(1, requires_grad=True)
    >>> torch.ops.mine.twice(x).backward(); x.grad
    tensor([2.])
    """
    return (lambda f: CustomOpDef(name, f)) if fn is None else CustomOpDef(name, fn)


def _op_named(op: Any) -> CustomOpDef:
    """An operation, by itself or by its name; LookupError where nobody registered it."""
    if isinstance(op, CustomOpDef):
        return op
    space, _, own = str(op).partition("::")
    found = vars(getattr(ops, space)).get(own)
    if not isinstance(found, CustomOpDef):
        raise LookupError(f"torch.library: no operation {op!r} is registered")
    return found


def register_autograd(op: Any, backward: Callable[..., Any], /, *, setup_context: Any = None, lib: Any = None) -> None:
    """`CustomOpDef.register_autograd` of an operation."""
    _op_named(op).register_autograd(backward, setup_context=setup_context)


def register_fake(op: Any, func: Any = None, /, *, lib: Any = None, **kwargs: Any) -> Any:
    """Nothing: shapes are those of results."""
    return (lambda f: f) if func is None else func


impl_abstract = register_fake


def register_kernel(op: Any, device_types: Any, func: Any = None, /, *, lib: Any = None) -> Any:
    """`CustomOpDef.register_kernel` of an operation."""
    return _op_named(op).register_kernel(device_types, func)


def define(qualname: str, schema: str, *, lib: Any = None, tags: Any = ()) -> None:
    """Name an operation; `impl` gives its body."""

    def missing(*args: Any, **kwargs: Any) -> Any:
        raise MissingError(f"{qualname} has no implementation for the CPU")

    CustomOpDef(qualname, missing)


def impl(qualname: str, types: Any, func: Any = None, *, lib: Any = None) -> Any:
    """The body of a named operation."""
    return _op_named(qualname).register_kernel(None, func)


class Library:
    """Operations of one name space, named and given bodies one by one."""

    def __init__(self, ns: str, kind: str, dispatch_key: str = "") -> None:
        self.ns, self.kind, self.dispatch_key = ns, kind, dispatch_key

    def define(self, schema: str, alias_analysis: str = "", *, tags: Any = ()) -> str:
        """Name an operation by its schema, such as "twice(Tensor x) -> Tensor"."""
        name = schema.partition("(")[0].strip()
        define(f"{self.ns}::{name}", schema)
        return name

    def impl(self, op_name: Any, fn: Callable[..., Any], dispatch_key: str = "", **kwargs: Any) -> None:
        """The body of an operation, for the CPU or for all devices."""
        if (dispatch_key or self.dispatch_key) in ("", "CPU", "CompositeImplicitAutograd", "CompositeExplicitAutograd"):
            _op_named(op_name if "::" in str(op_name) else f"{self.ns}::{op_name}").register_kernel(None, fn)
