"""`torch.overrides`: classes that say themselves what functions of tensors do with them, by `__torch_function__`.

Nothing asks for such classes until there is one: with the first subclass of `Tensor`, or the first block of a
`TorchFunctionMode`, each public function and method is put behind a question for them. Programs without pay nothing.
"""

from __future__ import annotations

import functools
import sys
import threading
from collections.abc import Callable, Iterable
from types import BuiltinFunctionType, FunctionType, MethodDescriptorType
from typing import Any

from fdl.stateful.core.errors import OperandError
from fdl.stateful.core.results import Size
from fdl.stateful.core.tensor import Tensor
from fdl.stateful.nn.parameter import Buffer, Parameter

__all__ = [
    "BaseTorchFunctionMode", "DisableTorchFunction", "DisableTorchFunctionSubclass", "TorchFunctionMode",
    "get_default_nowrap_functions", "handle_torch_function", "has_torch_function", "has_torch_function_unary",
    "has_torch_function_variadic", "is_tensor_like", "resolve_name", "wrap_torch_function",
]  # fmt: skip

_SPACES = ("", ".nn.functional", ".linalg", ".special", ".fft", ".functional")
_OPERATORS = """abs add and bool contains eq float floordiv ge getitem gt iadd iand ifloordiv imul index int invert ior
isub itruediv ixor le len lt matmul mod mul ne neg or pos pow radd rdiv rfloordiv rmatmul rmod rmul ror rpow rsub
rtruediv rxor setitem sub truediv xor""".split()
_PLAIN = (FunctionType, BuiltinFunctionType, MethodDescriptorType)


class _State(threading.local):
    """Whether classes are asked, and the modes of the blocks that run, the innermost last."""

    def __init__(self) -> None:
        self.asks, self.modes = True, list[Any]()


_STATE = _State()
_WRAPPED: list[Callable[[], None]] = []  # what takes the question away again, once functions ask


def disabled(cls: type, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
    """`__torch_function__` of a class that does not decide: the function is called as it is."""
    return func(*args, **(kwargs or {}))


class DisableTorchFunctionSubclass:
    """A block in which no class is asked."""

    def __enter__(self) -> None:
        self._before, _STATE.asks = _STATE.asks, False

    def __exit__(self, *error: Any) -> None:
        _STATE.asks = self._before


DisableTorchFunction = DisableTorchFunctionSubclass


def _decides(x: Any) -> bool:
    """Whether the class of a value has a word on what functions do with it."""
    cls = type(x)
    if cls is Tensor:
        return False
    decides = getattr(cls, "__torch_function__", None)
    return decides is not None and decides is not disabled and getattr(decides, "__func__", None) is not disabled


def _deciding(values: Iterable[Any]) -> list[Any]:
    """Of values and of what lists hold, those that decide: one a class, subclasses before their bases."""
    found: list[Any] = []
    for x in values:
        for y in x if isinstance(x, (list, tuple)) and not isinstance(x, Size) else (x,):
            if _decides(y) and all(type(y) is not type(z) for z in found):
                place = next((k for k, z in enumerate(found) if issubclass(type(y), type(z))), len(found))
                found.insert(place, y)
    return found


def has_torch_function(relevant_args: Iterable[Any]) -> bool:
    """Whether one of the arguments decides itself.

    >>> import fdl.stateful as torch
    >>> torch.overrides.has_torch_function((torch.ones(1), 2))
    False
    """
    return _STATE.asks and (bool(_STATE.modes) or bool(_deciding(relevant_args)))


def has_torch_function_unary(x: Any) -> bool:
    """`has_torch_function` of one argument."""
    return has_torch_function((x,))


def has_torch_function_variadic(*args: Any) -> bool:
    """`has_torch_function` of several."""
    return has_torch_function(args)


def handle_torch_function(
    public_api: Callable[..., Any], relevant_args: Iterable[Any], *args: Any, **kwargs: Any
) -> Any:
    """What the arguments make of a function: the first answer that is not NotImplemented; TypeError where all are."""
    deciding = _deciding(relevant_args)
    types = tuple(type(x) for x in deciding)
    if _STATE.modes:
        mode = _STATE.modes.pop()
        try:
            found = mode.__torch_function__(public_api, types, args, kwargs)
        finally:
            _STATE.modes.append(mode)
        if found is not NotImplemented:
            return found
    for x in deciding:
        found = type(x).__torch_function__(public_api, types, args, kwargs)
        if found is not NotImplemented:
            return found
    raise OperandError(
        f"no implementation found for '{public_api.__name__}' on types that implement __torch_function__: "
        f"{[t.__name__ for t in types]}"
    )


def _asking(f: Callable[..., Any]) -> Callable[..., Any]:
    """A function that asks its arguments first."""

    @functools.wraps(f)
    def public(*args: Any, **kwargs: Any) -> Any:
        if not _STATE.asks or not (_STATE.modes or _deciding((*args, *kwargs.values()))):
            return f(*args, **kwargs)
        return handle_torch_function(public, (*args, *kwargs.values()), *args, **kwargs)

    return public


def wrap_torch_function(dispatcher: Callable[..., Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A decorator of a function that asks those arguments which `dispatcher` returns."""

    def decorate(f: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(f)
        def public(*args: Any, **kwargs: Any) -> Any:
            relevant = dispatcher(*args, **kwargs)
            if has_torch_function(relevant):
                return handle_torch_function(public, relevant, *args, **kwargs)
            return f(*args, **kwargs)

        return public

    return decorate


def enable() -> None:
    """Put each public function and method behind the question for classes that decide."""
    if _WRAPPED:
        return
    root = __name__.rpartition(".")[0]
    asking: dict[Any, Callable[..., Any]] = {}
    for space in (vars(sys.modules[root + s]) for s in _SPACES if root + s in sys.modules):
        for name, f in list(space.items()):
            if type(f) is FunctionType and not name.startswith("_") and name not in ("is_tensor", "typename"):
                if f not in asking:
                    asking[f] = _asking(f)
                    asking[f].__module__, asking[f].__qualname__ = space["__name__"], name  # where pickle finds it
                space[name] = asking[f]
                _WRAPPED.append(functools.partial(space.__setitem__, name, f))
    operators = {f"__{name}__" for name in _OPERATORS}
    for name, f in list(vars(Tensor).items()):
        if isinstance(f, _PLAIN) and (not name.startswith("_") or name in operators) and name not in _OWN:
            asks = _asking(f)
            setattr(Tensor, name, asks)
            _WRAPPED.append(functools.partial(_put_back, name, asks, f))


def _put_back(name: str, asks: Callable[..., Any], f: Callable[..., Any]) -> None:
    """Let tensors have a method again, unless the runtime library has taken it over since."""
    if vars(Tensor)[name] is asks:
        setattr(Tensor, name, f)


def disable() -> None:
    """Take the question away: classes that decide are not asked until another one is defined."""
    while _WRAPPED:
        _WRAPPED.pop()()


def unasked(change: Callable[[Any], Any]) -> Callable[[Any], None]:
    """A function that changes methods of tensors as `change` does, behind the question where there is one."""

    def changed(given: Any) -> None:
        asked = bool(_WRAPPED)
        disable()
        change(given)
        if asked:
            enable()

    return changed


_OWN = ("as_subclass", "dim", "type", "register_hook", "requires_grad_", "retain_grad")


def as_subclass(self: Tensor, cls: Any) -> Any:
    """The same tensor, as an instance of a subclass.

    >>> import fdl.stateful as torch
    >>> class Named(torch.Tensor):
    ...     pass
    >>> type(torch.ones(1).as_subclass(Named) + 1).__name__
    'Named'
    """
    found = Tensor.__new__(cls)  # not its own, which may ask for arguments
    for slot in ("_storage", "_view", "_edge", "_result"):
        setattr(found, slot, getattr(self, slot))
    return found


def _kept(found: Any, cls: type[Any]) -> Any:
    if isinstance(found, Tensor) and not isinstance(found, cls):
        return as_subclass(found, cls)
    if isinstance(found, (list, tuple)) and not isinstance(found, Size):
        parts = [_kept(x, cls) for x in found]
        return type(found)(*parts) if hasattr(found, "_fields") else type(found)(parts)
    return found


def _of_subclass(cls: type[Any], func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
    """What functions do with a subclass that says nothing else: the same, and results are of the subclass."""
    if not all(issubclass(cls, t) for t in types):
        return NotImplemented
    with DisableTorchFunctionSubclass():
        found = func(*args, **(kwargs or {}))
    return found if func in get_default_nowrap_functions() else _kept(found, cls)


def get_default_nowrap_functions() -> set[Any]:
    """Functions whose results stay plain tensors: none of those that ask."""
    return set()


def _subclassed(cls: Any, /, **named: Any) -> None:
    super(Tensor, cls).__init_subclass__(**named)
    enable()


for _name, _value in {
    "as_subclass": as_subclass, "__torch_function__": classmethod(_of_subclass),
    "__init_subclass__": classmethod(_subclassed),
}.items():  # fmt: skip
    setattr(Tensor, _name, _value)
for _cls in (Parameter, Buffer):
    setattr(_cls, "__torch_function__", classmethod(disabled))  # noqa: B010


class TorchFunctionMode:
    """A block in which `__torch_function__(func, types, args, kwargs)` of the mode is called in the place of each
    public function and method.

    >>> import fdl.stateful as torch
    >>> class Told(torch.overrides.TorchFunctionMode):
    ...     def __torch_function__(self, func, types, args=(), kwargs=None):
    ...         print(func.__name__)
    ...         return func(*args, **(kwargs or {}))
    >>> with Told():
    ...     x = torch.ones(2)
    ones
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """What is called; the function itself."""
        return func(*args, **(kwargs or {}))

    def __enter__(self) -> TorchFunctionMode:
        enable()
        _STATE.modes.append(self)
        return self

    def __exit__(self, *error: Any) -> None:
        _STATE.modes.remove(self)


BaseTorchFunctionMode = TorchFunctionMode


def is_tensor_like(inp: object) -> bool:
    """Whether it is a tensor, or decides itself."""
    return isinstance(inp, Tensor) or hasattr(type(inp), "__torch_function__")


def resolve_name(f: Any) -> str | None:
    """The name by which users know a function; None for what is not public."""
    root = __name__.rpartition(".")[0]
    for s in _SPACES:
        name = getattr(f, "__name__", None)
        if name is not None and root + s in sys.modules and getattr(sys.modules[root + s], name, None) is f:
            return f"torch{s}.{name}"
    return None
