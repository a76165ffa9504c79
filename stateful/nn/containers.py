"""Modules that hold modules: in a row, a list, a dictionary."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from fdl.stateful.nn.module import Module
from fdl.stateful.nn.parameter import Parameter


class _Indexed(Module):
    """Children named by number."""

    def __len__(self) -> int:
        return len(self._registered)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._children())

    @classmethod
    def _of(cls, children: list[Any]) -> Any:
        """A container of the same kind."""
        return cls().extend(children)

    def _children(self) -> list[Any]:
        own = self.__dict__
        return [own[name] for name in self._registered]

    def _name(self, index: int) -> str:
        names = list(self._registered)
        if not -len(names) <= index < len(names):
            raise IndexError(f"index {index} is out of range")
        return names[index]

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return self._of(self._children()[index])
        return self.__dict__[self._name(index)]

    def __setitem__(self, index: int, value: Any) -> None:
        setattr(self, self._name(index), value)

    def __delitem__(self, index: int) -> None:
        rest = self._children()
        del rest[index]
        for name in list(self._registered):
            delattr(self, name)
        self.extend(rest)

    def append(self, value: Any) -> Any:
        """Add one at the end."""
        setattr(self, str(len(self)), value)
        return self

    def extend(self, values: Iterable[Any]) -> Any:
        """Add several at the end."""
        for value in values:
            self.append(value)
        return self

    def insert(self, index: int, value: Any) -> Any:
        """Add one before an index."""
        rest = self._children()
        rest.insert(index, value)
        for name in list(self._registered):
            delattr(self, name)
        return self.extend(rest)


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
        if len(modules) == 1 and isinstance(modules[0], Mapping):
            for name, module in modules[0].items():
                self.register_module(name, module)
        else:
            self.extend(modules)

    def forward(self, input: Any) -> Any:
        """One after the other."""
        own = self.__dict__
        for name in self._registered:
            input = own[name](input)
        return input


class ModuleList(_Indexed):
    """A list of modules that are registered."""

    def __repr__(self) -> str:
        return _compressed(self)

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        super().__init__()
        self.extend(modules)


def _parameter_lines(module: Module, kind: Callable[[Any], str]) -> str:
    """As PyTorch prints lists and dictionaries of parameters."""
    return "\n".join(f"  ({name}): Parameter containing: [{kind(p)} of size {'x'.join(map(str, p.shape))}]" for name, p in module._parameters.items())


class ParameterList(_Indexed):
    """A list of parameters that are registered."""

    def __init__(self, values: Iterable[Any] = ()) -> None:
        super().__init__()
        self.extend(values)

    def extra_repr(self) -> str:
        """One line for each parameter."""
        return _parameter_lines(self, lambda p: str(p.dtype))

    def append(self, value: Any) -> Any:
        """Add one at the end; a tensor becomes a parameter."""
        return super().append(value if isinstance(value, Parameter) else Parameter(value))


class ModuleDict(Module):
    """A dictionary of modules that are registered."""

    def __init__(self, modules: Any = None) -> None:
        super().__init__()
        self.update(modules or {})

    def __getitem__(self, key: str) -> Any:
        if key not in self._registered:
            raise KeyError(key)
        return self.__dict__[key]

    def __setitem__(self, key: str, module: Module) -> None:
        self._registered[key] = "module"
        self.__dict__[key] = module

    def __delitem__(self, key: str) -> None:
        del self._registered[key], self.__dict__[key]

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
        """Add several."""
        for key, module in modules.items() if isinstance(modules, Mapping) or hasattr(modules, "items") else modules:
            self[key] = module

    def pop(self, key: str) -> Any:
        """Take one out."""
        module = self[key]
        del self[key]
        return module


class ParameterDict(ModuleDict):
    """Parameters by name."""

    def __setitem__(self, key: str, value: Any) -> None:
        self._registered[key] = "parameter"
        self.__dict__[key] = value if isinstance(value, Parameter) else Parameter(value)

    def extra_repr(self) -> str:
        """One line for each parameter."""
        return _parameter_lines(self, lambda p: p.type())
