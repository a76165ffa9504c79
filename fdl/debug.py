"""Looking into programs while they run: `print` and `callback`."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from typing import Any

from fdl.callbacks import bind


def callback(callback: Callable[..., Any], *args: Any, ordered: bool = False, **kwargs: Any) -> None:
    """Call a Python function of ndarrays with values of a program, for what it does: once for each time that the line
    runs, in each lane of `vmap`, in the order of the program. Derivatives pass it by.

    >>> import fdl
    >>> seen = []
    >>> def f(x):
    ...     callback(lambda v: seen.append(v.item()), x)
    ...     return x * x
    >>> float(fdl.jit(fdl.grad(f))(3.0)), seen
    (6.0, [3.0])
    """
    bind("debug.callback", "debug", callback, None, args, kwargs, None)


def print(fmt: str, *args: Any, ordered: bool = False, **kwargs: Any) -> None:
    """Print values of a program, formatted as by `str.format`, each time that the line runs.

    >>> import fdl
    >>> def f(x):
    ...     print("x is {} and its double {twice}", x, twice=2 * x)
    ...     return x
    >>> _ = fdl.jit(f)(3.0)
    x is 3.0 and its double 6.0
    """

    def show(*values: Any, **named: Any) -> None:
        builtins.print(fmt.format(*values, **named), flush=True)

    bind("debug.print", "debug", show, None, args, kwargs, None)


__all__ = ["callback", "print"]
