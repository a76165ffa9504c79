"""Whether operations are taped: for a block, a function, or from now on."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

from fdl.extend import Block
from fdl.stateful.core.tape import grad_mode

__all__ = ["enable_grad", "inference_mode", "is_grad_enabled", "no_grad", "set_grad_enabled"]


class set_grad_enabled(Block[None]):
    """Tape operations or not: at once, in a `with` block, or in a decorated function.

    >>> import fdl.stateful as torch
    >>> with torch.no_grad():
    ...     torch.is_grad_enabled()
    False
    """

    def __init__(self, mode: bool) -> None:
        self.mode, self.before = mode, grad_mode.enabled
        grad_mode.enabled = mode

    def _steps(self) -> Iterator[None]:
        grad_mode.enabled = self.mode
        try:
            yield
        finally:
            grad_mode.enabled = self.before


class _Mode(Block[None]):
    """A block or a decorator in which operations are taped or not; also usable without parentheses."""

    mode = False

    def __new__(cls, function: Any = None) -> Any:
        made = super().__new__(cls)
        return made(function) if callable(function) else made

    def __init__(self, function: Any = None) -> None:
        """Nothing to keep."""

    def _steps(self) -> Iterator[None]:
        saved, grad_mode.enabled = grad_mode.enabled, self.mode
        try:
            yield
        finally:
            grad_mode.enabled = saved

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            saved, grad_mode.enabled = grad_mode.enabled, self.mode
            try:
                return function(*args, **kwargs)
            finally:
                grad_mode.enabled = saved

        return wrapped


class no_grad(_Mode):
    """Nothing is taped: results require no gradient."""


class inference_mode(_Mode):
    """`no_grad`."""

    def __new__(cls, mode: Any = True) -> Any:
        return super().__new__(cls, mode) if callable(mode) else super().__new__(cls if mode else enable_grad)


class enable_grad(_Mode):
    """Operations are taped, also inside of `no_grad`."""

    mode = True


def is_grad_enabled() -> bool:
    """Whether operations are taped."""
    return grad_mode.enabled
