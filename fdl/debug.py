"""Looking into programs while they run: `print` and `callback`."""

from __future__ import annotations

import builtins
import re
import string
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fdl.callbacks import bind
from fdl.core.errors import ChoiceError


class _Fields(string.Formatter):
    """Looks up what a format takes, and formats nothing."""

    def get_field(self, field_name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[Any, int | str]:
        first = re.split(r"[.\[]", field_name, maxsplit=1)[0]
        key = int(first) if first.isdigit() else first
        self.get_value(key, args, kwargs)
        return "", key

    def format_field(self, value: Any, format_spec: str) -> str:
        return ""

    def check_unused_args(self, used_args: set[int | str], args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        unused = sorted({*range(len(args)), *kwargs} - used_args, key=str)
        if unused:
            raise ChoiceError(
                f"debug.print: the format takes no argument {', '.join(map(repr, unused))}",
                why="what is given is printed where the format has its name",
                hint='debug.print("x is {x}", x=x), where f"{x}" would hold the tracer\'s text',
            )


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
    """Print values of a program, formatted as by `str.format`, each time that the line runs. The format takes all of
    them: KeyError, IndexError or ChoiceError where it does not.

    >>> import fdl
    >>> def f(x):
    ...     print("x is {} and its double {twice}", x, twice=2 * x)
    ...     return x
    >>> _ = fdl.jit(f)(3.0)
    x is 3.0 and its double 6.0
    """

    _Fields().format(fmt, *args, **kwargs)

    def show(*values: Any, **named: Any) -> None:
        builtins.print(fmt.format(*values, **named), flush=True)

    bind("debug.print", "debug", show, None, args, kwargs, None)


__all__ = ["callback", "print"]
