"""`jax.extend.linear_util`: functions wrapped by generators, each of which changes arguments on the way in and results
on the way out.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Generator
from typing import Any

from fdl.core.errors import StateError

__all__ = ["Store", "WrappedFun", "transformation", "transformation_with_aux", "wrap_init"]

Steps = Callable[..., Generator[Any, Any, None]]


class Store:
    """A place for one value, which is put there once; StateError where it is asked for before, or put twice."""

    def __init__(self) -> None:
        self._held: list[Any] = []

    def store(self, value: Any) -> None:
        """Put the value there."""
        if self._held:
            raise StateError("a store is written once", hint="a new wrapped function for each call")
        self._held.append(value)

    @property
    def val(self) -> Any:
        """The value."""
        if not self._held:
            raise StateError("nothing has been stored yet", hint="call the wrapped function first")
        return self._held[0]

    def __bool__(self) -> bool:
        return bool(self._held)


class WrappedFun:
    """A function and the transformations around it, the outermost first."""

    def __init__(self, f: Callable[..., Any], params: dict[str, Any], around: tuple[Any, ...] = ()) -> None:
        self.f, self.params, self.transforms = f, params, around

    def wrap(self, steps: Steps, args: tuple[Any, ...], store: Store | None) -> WrappedFun:
        """The function with one more transformation, around all others."""
        return WrappedFun(self.f, self.params, ((steps, args, store), *self.transforms))

    @property
    def __name__(self) -> str:
        return getattr(self.f, "__name__", "<unnamed wrapped function>")

    def call_wrapped(self, *args: Any, **kwargs: Any) -> Any:
        """Call it with all transformations."""
        if not self.transforms:
            return self.f(*args, **{**self.params, **kwargs})
        (steps, given, store), *rest = self.transforms
        generator = steps(*given, *args, **kwargs)
        inner_args, inner_kwargs = next(generator)
        found = generator.send(WrappedFun(self.f, self.params, tuple(rest)).call_wrapped(*inner_args, **inner_kwargs))
        generator.close()
        if store is None:
            return found
        result, beside = found
        store.store(beside)
        return result


def wrap_init(f: Callable[..., Any], params: dict[str, Any] | None = None, *, debug_info: Any = None) -> WrappedFun:
    """A function without transformations.

    >>> wrap_init(lambda x: x + 1).call_wrapped(1)
    2
    """
    return WrappedFun(f, dict(params or {}))


def transformation(steps: Steps) -> Callable[..., WrappedFun]:
    """A transformation of a generator, which yields `(args, kwargs)` for the function, then what is made of its result.

    >>> @transformation
    ... def negated(x):
    ...     y = yield (-x,), {}
    ...     yield -y
    >>> negated(wrap_init(lambda x: x + 1)).call_wrapped(1)
    0
    """

    @functools.wraps(steps)
    def around(fun: WrappedFun, *args: Any) -> WrappedFun:
        return fun.wrap(steps, args, None)

    return around


def transformation_with_aux(steps: Steps) -> Callable[..., tuple[WrappedFun, Callable[[], Any]]]:
    """As `transformation`, of a generator that yields a result and something beside it, which the function that is
    returned second gives after the call.
    """

    @functools.wraps(steps)
    def around(fun: WrappedFun, *args: Any) -> tuple[WrappedFun, Callable[[], Any]]:
        store = Store()
        return fun.wrap(steps, args, store), lambda: store.val

    return around
