"""Optimizers whose update is one formula for one parameter.

All parameters of a group make one recorded function; settings (learning rates, decay, corrections by the number of
steps) are numbers of the program, so that a schedule makes no new one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from fdl import ops
from fdl.extend import Function, aval_of, dtypes, from_numpy
from fdl.stateful.core.complexes import as_pairs, of_pairs
from fdl.stateful.core.errors import ArgumentError
from fdl.stateful.core.tensor import wrap
from fdl.stateful.optim.optimizer import Draft, Optimizer


def each(step: Callable[..., Sequence[Any]], columns: int, name: str) -> Function:
    """A function of columns of n arrays (cells first, gradients last), numbers, n and flags, from `step(*one of each
    column, *numbers, flags)`.

    Results are columns too: the cells' new values. Complex numbers are updated as pairs of real ones.
    """

    def stepped(arrays: Sequence[Any], numbers: Sequence[Any], flags: Any) -> Sequence[Any]:
        if not dtypes.is_complex(aval_of(arrays[0]).dtype):
            return step(*arrays, *numbers, flags)
        return [of_pairs(x) for x in step(*map(as_pairs, arrays), *numbers, flags)]

    def body(*args: Any) -> tuple[Any, ...]:
        *rest, n, flags = args
        arrays, numbers = rest[: columns * n], rest[columns * n :]
        rows = [stepped([arrays[c * n + i] for c in range(columns)], numbers, flags) for i in range(n)]
        return tuple([row[c] for c in range(columns - 1) for row in rows])

    return Function(body, name)


def _to(number: Any, like: Any) -> Any:
    return ops.cast(number, aval_of(like).dtype)


def to(number: Any, like: Any) -> Any:
    """A number with the dtype of an array."""
    return ops.cast(number, aval_of(like).dtype)


def checked(**settings: Any) -> None:
    """ValueError for a negative setting."""
    for name, value in settings.items():
        if value < 0.0:
            raise ArgumentError(f"Invalid {'learning rate' if name == 'lr' else name + ' value'}: {value}")


def checked_betas(betas: Sequence[float]) -> None:
    """ValueError for a beta outside of [0, 1)."""
    for i, b in enumerate(betas):
        if not 0.0 <= b < 1.0:
            raise ArgumentError(f"Invalid beta parameter at index {i}: {b}")


class Stepped(Optimizer):
    """An optimizer that is a formula: a subclass says `names` of the state, `numbers` for a count of steps, `flags`
    that shape the program, and the `functions` by number of state arrays, which take (parameter, *state, gradient,
    *numbers, flags).
    """

    formula: ClassVar[Callable[..., Sequence[Any]]]
    _functions: ClassVar[dict[tuple[type, int], Function]] = {}

    def names(self, group: dict[str, Any]) -> list[str]:
        """Names of the state's arrays."""
        raise NotImplementedError(self)

    def initial(self, name: str, p: Any, group: dict[str, Any]) -> float:
        """What an array of the state holds at first, in both parts of complex numbers."""
        return 0.0

    def numbers(self, group: dict[str, Any], step: int, state: dict[str, Any]) -> list[float]:
        """Numbers of step number `step`, from 1 on; may keep more in the state."""
        raise NotImplementedError(self)

    def flags(self, group: dict[str, Any]) -> tuple[Any, ...]:
        """What shapes the program."""
        return (group.get("weight_decay", 0) != 0, bool(group["maximize"]))

    def _update(self, group: dict[str, Any], parameters: list[Any], draft: Draft) -> None:
        names, flags = self.names(group), self.flags(group)
        for p in parameters:
            own = self.state[p]
            own.setdefault("step", 0)
            for name in names:
                if name not in own:
                    value = self.initial(name, p, group)
                    first = complex(value, value) if p.is_complex() else value
                    own[name] = wrap(from_numpy(np.full(tuple(p.shape), first, p.dtype.np)))
        key = type(self), len(names)
        if key not in self._functions:
            self._functions[key] = each(type(self).formula, len(names) + 2, type(self).__name__.lower())
        together: dict[Any, tuple[list[float], list[Any]]] = {}
        for p in parameters:
            own = self.state[p]
            kept = {**own, "step": own["step"] + 1}
            numbers = self.numbers(group, kept["step"], kept)
            draft.keep([own], **kept)
            together.setdefault(tuple(numbers), (numbers, []))[1].append(p)
        for numbers, chosen in together.values():
            cells = [*chosen, *[self.state[p][name] for name in names for p in chosen]]
            draft.update(self._functions[key], cells, [p.grad for p in chosen], numbers, (len(chosen), flags))
