"""Modules that hold modules or parameters: in a row, a list, a dictionary."""

from __future__ import annotations

import operator
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from fdl.stateful.core.errors import ArgumentError, ExpectationError, OperandError, PlaceError, TensorError
from fdl.stateful.core.tensor import Composite, Tensor
from fdl.stateful.nn.module import Module
from fdl.stateful.nn.parameter import Parameter


class _Indexed(Module):
    """Children named by number."""

    def __len__(self) -> int:
        return len(self._registered)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._children())

    def __dir__(self) -> list[str]:
        return [name for name in super().__dir__() if not name.isdigit()]

    def _children(self) -> list[Any]:
        own = self.__dict__
        return [own[name] for name in self._registered]

    def _name(self, index: Any) -> str:
        names, k = list(self._registered), operator.index(index)
        if not -len(names) <= k < len(names):
            raise PlaceError(f"index {k} is out of range")
        return names[k]

    def _renumber(self, children: Iterable[Any]) -> None:
        """These children instead of those that are there."""
        for name in list(self._registered):
            delattr(self, name)
        for k, child in enumerate(children):
            self.add_module(str(k), child)

    def __getitem__(self, index: Any) -> Any:
        return self.__dict__[self._name(index)]

    def __setitem__(self, index: int, value: Any) -> None:
        setattr(self, self._name(index), value)

    def __delitem__(self, index: Any) -> None:
        rest = self._children()
        if not isinstance(index, slice):
            self._name(index)
        del rest[index]
        self._renumber(rest)

    def append(self, module: Any) -> Any:
        """Add one at the end."""
        self.add_module(str(len(self)), module)
        return self

    def pop(self, key: Any) -> Any:
        """Take one out."""
        found = self[key]
        del self[key]
        return found


def _compressed(module: Module) -> str:
    """As `repr`, with neighbours that print alike as one line."""
    texts = [repr(m) for m in module._modules.values()]
    if not texts:
        return f"{module._get_name()}()"
    lines, start = [], 0
    for k in range(1, len(texts) + 1):
        if k == len(texts) or texts[k] != texts[start]:
            name, times = (f"({start})", "") if k - start == 1 else (f"({start}-{k - 1})", f"{k - start} x ")
            lines.append(f"  {name}: {times}" + texts[start].replace("\n", "\n  "))
            start = k
    return f"{module._get_name()}(\n" + "\n".join(lines) + "\n)"


class Sequential(_Indexed):
    """Modules in a row: each takes what the one before gives.

    >>> import fdl.stateful as torch
    >>> torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU())
    Sequential(
      (0): Linear(in_features=2, out_features=3, bias=True)
      (1): ReLU()
    )
    """

    def __init__(self, *modules: Any) -> None:
        super().__init__()
        given = (
            modules[0].items()
            if len(modules) == 1 and isinstance(modules[0], OrderedDict)
            else ((str(k), m) for k, m in enumerate(modules))
        )
        for name, module in given:
            self.add_module(name, module)

    def forward(self, input: Any) -> Any:
        """One after the other."""
        own = self.__dict__
        for name in self._registered:
            input = own[name](input)
        return input

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return type(self)(OrderedDict(list(self._modules.items())[index]))
        return super().__getitem__(index)

    def __add__(self, other: Any) -> Sequential:
        return Sequential(*self._children(), *self._other(other))

    def __iadd__(self, other: Any) -> Sequential:
        return self.extend(self._other(other))

    def _other(self, other: Any) -> list[Any]:
        if not isinstance(other, Sequential):
            raise ArgumentError(f"add operator supports only objects of Sequential class, but {type(other)} is given.")
        return other._children()

    def __mul__(self, times: int) -> Sequential:
        return Sequential(*self._children() * self._times(times))

    __rmul__ = __mul__

    def __imul__(self, times: int) -> Sequential:
        return self.extend(self._children() * (self._times(times) - 1))

    def _times(self, times: int) -> int:
        if not isinstance(times, int):
            raise OperandError(f"unsupported operand type(s) for *: {type(self)} and {type(times)}")
        if times <= 0:
            raise ArgumentError(f"Non-positive multiplication factor {times} for {type(self)}")
        return times

    def extend(self, sequential: Iterable[Any]) -> Sequential:
        """Add several at the end."""
        for module in list(sequential):
            self.append(module)
        return self

    def insert(self, index: int, module: Module) -> Sequential:
        """Add one before an index."""
        if not isinstance(module, Module):
            raise ExpectationError(f"module should be of type: {Module}")
        if not -len(self) <= index <= len(self):
            raise PlaceError(f"Index out of range: {index}")
        rest = self._children()
        rest.insert(index, module)
        self._renumber(rest)
        return self


class ModuleList(_Indexed):
    """A list of modules that are registered; a place may be None."""

    def __init__(self, modules: Iterable[Module | None] | None = None) -> None:
        super().__init__()
        if modules is not None:
            self.extend(modules)

    def __repr__(self) -> str:
        return _compressed(self)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return type(self)(self._children()[index])
        return super().__getitem__(index)

    def __add__(self, other: Iterable[Module]) -> ModuleList:
        return ModuleList([*self, *other])

    def __iadd__(self, other: Iterable[Module]) -> ModuleList:
        return self.extend(other)

    def extend(self, modules: Iterable[Module | None]) -> ModuleList:
        """Add several at the end."""
        for module in list(_iterable(self, modules)):
            self.append(module)
        return self

    def insert(self, index: int, module: Module | None) -> None:
        """Add one before an index."""
        rest = self._children()
        rest.insert(index, module)
        self._renumber(rest)


def _iterable(module: Module, values: Any, what: str = "extend should be called with an iterable") -> Any:
    """Values to add; TypeError where they are no iterable."""
    if not isinstance(values, Iterable):
        raise OperandError(f"{type(module).__name__}.{what}, but got {type(values).__name__}")
    return values


def _pairs(module: Module, values: Any) -> list[tuple[str, Any]]:
    """Names and values to add: of a mapping, or a sequence of pairs."""
    _iterable(module, values, "update should be called with an iterable of key/value pairs")
    if isinstance(values, Mapping) or hasattr(values, "items"):
        return list(values.items())
    found = []
    for k, pair in enumerate(values):
        if not isinstance(pair, Iterable):
            raise OperandError(
                f"{type(module).__name__} update sequence element #{k} should be Iterable; is{type(pair).__name__}"
            )
        pair = tuple(pair)
        if len(pair) != 2:
            raise ArgumentError(
                f"{type(module).__name__} update sequence element #{k} has length {len(pair)}; 2 is required"
            )
        found.append(pair)
    return found


def _as_parameter(value: Any) -> Any:
    """A tensor as a parameter, all else as it is."""
    return Parameter(value) if isinstance(value, (Tensor, Composite)) and not isinstance(value, Parameter) else value  # type: ignore[arg-type]


def _parameter_lines(module: Module, kind: Callable[[Any], str]) -> str:
    """As PyTorch prints lists and dictionaries of parameters."""
    return "\n".join(
        f"  ({name}): Parameter containing: [{kind(p)} of size {'x'.join(map(str, p.shape))}]"
        for name, p in module._parameters.items()
    )


class ParameterList(_Indexed):
    """A list of parameters that are registered; a tensor becomes one, and what is none is kept as it is."""

    def __init__(self, values: Iterable[Any] | None = None) -> None:
        super().__init__()
        self.__dict__["_size"] = 0
        if values is not None:
            self.extend(values)

    def extra_repr(self) -> str:
        """One line for each parameter."""
        return _parameter_lines(self, lambda p: str(p.dtype))

    def __len__(self) -> int:
        return self._size  # type: ignore[no-any-return]

    def _children(self) -> list[Any]:
        return [self.__dict__[str(k)] for k in range(len(self))]

    def _name(self, index: Any) -> str:
        k = operator.index(index)
        if not -len(self) <= k < len(self):
            raise PlaceError(f"index {k} is out of range")
        return str(k % len(self))

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return type(self)(self._children()[index])
        return super().__getitem__(index)

    def __setitem__(self, index: int, value: Any) -> None:
        setattr(self, self._name(index), _as_parameter(value))

    def __iadd__(self, values: Iterable[Any]) -> ParameterList:
        return self.extend(values)

    def append(self, value: Any) -> ParameterList:
        """Add one at the end."""
        name = str(len(self))
        self.__dict__["_size"] += 1
        setattr(self, name, _as_parameter(value))
        return self

    def extend(self, values: Iterable[Any]) -> ParameterList:
        """Add several at the end."""
        if isinstance(values, Tensor):
            raise OperandError(
                f"ParameterList.extend should be called with an iterable, but got {type(values).__name__}"
            )
        for value in list(_iterable(self, values)):
            self.append(value)
        return self

    def _renumber(self, children: Iterable[Any]) -> None:
        for k in range(len(self)):
            delattr(self, str(k))
        self.__dict__["_size"] = 0
        self.extend(children)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise TensorError("ParameterList should not be called.")


class ModuleDict(Module):
    """A dictionary of modules that are registered."""

    def __init__(self, modules: Any = None) -> None:
        super().__init__()
        if modules is not None:
            self.update(modules)

    def __getitem__(self, key: str) -> Any:
        if key not in self._registered:
            raise KeyError(key)
        return self.__dict__[key]

    def __setitem__(self, key: str, module: Module | None) -> None:
        self.add_module(key, module)

    def __delitem__(self, key: str) -> None:
        if key not in self._registered:
            raise KeyError(key)
        delattr(self, key)

    def __len__(self) -> int:
        return len(self._registered)

    def __iter__(self) -> Iterator[str]:
        return iter(self._registered)

    def __contains__(self, key: str) -> bool:
        return key in self._registered

    def keys(self) -> Iterable[str]:
        """Names."""
        return self._registered.keys()

    def items(self) -> Iterable[tuple[str, Any]]:
        """Names and modules."""
        return [(k, self.__dict__[k]) for k in self._registered]

    def values(self) -> Iterable[Any]:
        """Modules."""
        return [self.__dict__[k] for k in self._registered]

    def update(self, modules: Any) -> None:
        """Add several, of a mapping or of pairs."""
        for key, module in _pairs(self, modules):
            self[key] = module

    def pop(self, key: str) -> Any:
        """Take one out."""
        module = self[key]
        del self[key]
        return module

    def clear(self) -> None:
        """Take all out."""
        for key in list(self.keys()):
            del self[key]


class ParameterDict(Module):
    """Parameters by name; a tensor becomes one, and what is none is kept as it is."""

    def __init__(self, parameters: Any = None) -> None:
        super().__init__()
        self.__dict__["_keys"] = {}
        if parameters is not None:
            self.update(parameters)

    def _checked(self, key: Any) -> str:
        if not isinstance(key, str):
            raise OperandError(
                "Index given to ParameterDict cannot be used as a key as it is not a string (type is "
                f"'{type(key).__name__}')."
            )
        return key

    def __getitem__(self, key: str) -> Any:
        return getattr(self, self._checked(key))

    def __setitem__(self, key: str, value: Any) -> None:
        self._keys[self._checked(key)] = None
        setattr(self, key, _as_parameter(value))

    def __delitem__(self, key: str) -> None:
        del self._keys[self._checked(key)]
        delattr(self, key)

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[str]:
        yield from self._keys

    def __reversed__(self) -> Iterator[str]:
        return iter([str(key) for key in reversed(self._keys)])

    def __contains__(self, key: object) -> bool:
        return key in self._keys

    def keys(self) -> Iterable[str]:
        """Names."""
        return self._keys.keys()  # type: ignore[no-any-return]

    def items(self) -> Iterable[tuple[str, Any]]:
        """Names and parameters."""
        return [(k, self[k]) for k in self._keys]

    def values(self) -> Iterable[Any]:
        """Parameters."""
        return [self[k] for k in self._keys]

    def update(self, parameters: Any) -> None:
        """Add several, of a mapping or of pairs."""
        for key, value in _pairs(self, parameters):
            self[key] = value

    def get(self, key: str, default: Any = None) -> Any:
        """One, or `default` where it is not there."""
        return self[key] if key in self._keys else default

    def setdefault(self, key: str, default: Any = None) -> Any:
        """One, which is `default` where it was not there."""
        if key not in self:
            self[key] = default
        return self[key]

    def pop(self, key: str) -> Any:
        """Take one out."""
        value = self[key]
        del self[key]
        return value

    def popitem(self) -> tuple[str, Any]:
        """Take the last one out, with its name."""
        key = next(reversed(self))
        return key, self.pop(key)

    def clear(self) -> None:
        """Take all out."""
        for key in list(self._keys):
            del self[key]

    def copy(self) -> ParameterDict:
        """Another one with the same parameters."""
        return ParameterDict(OrderedDict(self.items()))

    def fromkeys(self, keys: Iterable[str], default: Any = None) -> ParameterDict:
        """One with these names and one value."""
        return ParameterDict((k, default) for k in keys)

    def __or__(self, other: ParameterDict) -> ParameterDict:
        found = self.copy()
        found.update(other)
        return found

    def __ior__(self, other: ParameterDict) -> ParameterDict:
        self.update(other)
        return self

    def extra_repr(self) -> str:
        """One line for each parameter."""
        return _parameter_lines(self, lambda p: p.type())

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise TensorError("ParameterDict should not be called.")
