"""What is registered with a module, as `_parameters`, `_buffers` and `_modules`, to which libraries write."""

from __future__ import annotations

from typing import Any

__all__ = ["Registered"]

_ABSENT: Any = object()


class Registered(dict[str, Any]):
    """What a module has of one kind, by name, as it is now; what is written here or taken out is so in the module.

    >>> import fdl.stateful as torch
    >>> module = torch.nn.Linear(2, 3)
    >>> module._parameters["bias"] = None
    >>> module.bias is None, list(module._parameters)
    (True, ['weight', 'bias'])
    """

    def __init__(self, module: Any, kind: str, now: dict[str, Any]) -> None:
        super().__init__(now)
        self._module, self._kind = module, kind

    def __setitem__(self, name: str, value: Any) -> None:
        self._module._put(name, value, self._kind)
        super().__setitem__(name, value)

    def __delitem__(self, name: str) -> None:
        super().__delitem__(name)
        delattr(self._module, name)

    def pop(self, name: str, default: Any = _ABSENT) -> Any:
        """Take one out; `default` where it is not there, if given."""
        if name not in self and default is not _ABSENT:
            return default
        value = self[name]
        del self[name]
        return value

    def popitem(self) -> tuple[str, Any]:
        """Take out the last one."""
        name = next(reversed(self))
        return name, self.pop(name)

    def setdefault(self, name: str, default: Any = None) -> Any:
        """What has this name, or `default`, which is put there."""
        if name not in self:
            self[name] = default
        return self[name]

    def update(self, *given: Any, **named: Any) -> None:
        """Put in what other dictionaries hold."""
        for name, value in dict(*given, **named).items():
            self[name] = value

    def clear(self) -> None:
        """Take out all."""
        for name in list(self):
            del self[name]

    def __reduce__(self) -> Any:
        return dict, (dict(self),)
