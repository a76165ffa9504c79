"""Sizes as expressions, and checks, as PyTorch's users write them: sizes are numbers here, so each is plain Python.

`SymInt`, `SymFloat` and `SymBool` are classes of which nothing is an instance.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable
from typing import Any

from fdl.stateful.core.errors import TensorError
from fdl.stateful.core.tensor import Tensor

__all__ = [
    "SymBool", "SymFloat", "SymInt", "sym_float", "sym_int", "sym_ite", "sym_max", "sym_min", "sym_not", "sym_sum",
]  # fmt: skip


class SymInt:
    """A size that is not known yet; none is."""


class SymFloat:
    """A number that is not known yet; none is."""


class SymBool:
    """A truth that is not known yet; none is."""


sym_int, sym_float, sym_max, sym_min, sym_sum = int, float, max, min, builtins.sum


def sym_not(a: Any) -> bool:
    """`not a`."""
    return not a


def sym_ite(b: Any, t: Any, f: Any) -> Any:
    """`t if b else f`."""
    return t if b else f


def _checked(error: type[Exception]) -> Callable[..., None]:
    def check(cond: Any, message: Callable[[], Any] | str | None = None) -> None:
        if not cond:
            told = message() if callable(message) else message
            raise error("Expected cond to be True, but got False" if told is None else str(told))

    check.__doc__ = f"{error.__name__} unless a condition holds; `message` is a text or a function that gives one."
    return check


_check, _check_index = _checked(TensorError), _checked(IndexError)
_check_value, _check_type = _checked(ValueError), _checked(TypeError)
_check_not_implemented = _checked(NotImplementedError)


def _check_is_size(i: Any, message: Any = None, *, max: Any = None) -> None:
    """RuntimeError for what is no size."""
    _check(i >= 0, message)


def _check_tensor_all(cond: Tensor, message: Any = None) -> None:
    """RuntimeError unless all elements are true."""
    _check(bool(cond.all()), message)


def _assert(condition: Any, message: str) -> None:
    """AssertionError unless a condition holds."""
    assert condition, message


def _assert_async(condition: Any, message: str = "Expected Tensor with single nonzero value, but got zero") -> None:
    """RuntimeError unless the one element is true."""
    _check(bool(condition), message)
