"""`jax._src`: what libraries take from JAX's own files, as far as it has a public name here with the same meaning."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, TypeVar

import fdl.custom_derivatives as custom_derivatives
import fdl.dtypes as dtypes
import fdl.flatten_util as flatten_util
import fdl.tree_util as tree_util
from fdl.core.trace import transforming

__all__ = [
    "compiler", "core", "custom_derivatives", "dispatch", "dtypes", "flatten_util", "traceback_util", "tree_util",
    "xla_bridge",
]  # fmt: skip

F = TypeVar("F", bound=Callable[..., Any])


def trace_state_clean() -> bool:
    """Whether no transform runs.

    >>> trace_state_clean()
    True
    """
    return not transforming()


def api_boundary(fun: F, **settings: Any) -> F:
    """The function itself: which frames an error shows is told by where they lie."""
    return fun


def register_exclusion(path: str) -> None:
    """Nothing: errors show a library's frames."""


def wait_for_tokens() -> None:
    """Nothing: when a call returns, what it prints and calls is done."""


compiler = SimpleNamespace()  # programs are not compiled by functions that could be watched or replaced
core = SimpleNamespace(trace_state_clean=trace_state_clean)
dispatch = SimpleNamespace(wait_for_tokens=wait_for_tokens)
traceback_util = SimpleNamespace(api_boundary=api_boundary, register_exclusion=register_exclusion)
xla_bridge = SimpleNamespace(_backends={})
