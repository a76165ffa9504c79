"""`torch._foreach_*`: an operation on each tensor of a list. Recorded one after another, they run as one program
anyway.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from fdl.stateful.core.tensor import Tensor

__all__ = ["FOREACH"]

_BOTH = (
    "abs", "add", "addcdiv", "addcmul", "ceil", "clamp_max", "clamp_min", "cos", "div", "erf", "exp", "expm1", "floor",
    "lerp", "log", "log10", "log1p", "log2", "maximum",
    "minimum", "mul", "neg", "pow", "reciprocal", "round", "rsqrt", "sigmoid", "sign", "sin", "sqrt", "sub", "tanh",
    "trunc",
)  # fmt: skip
_IN_PLACE = ("copy", "zero")


def _lists(tensors: Sequence[Tensor], args: Sequence[Any]) -> Any:
    """The arguments of each tensor: what is no list is for all."""
    return (
        zip(*[a if isinstance(a, (list, tuple)) else [a] * len(tensors) for a in args], strict=True)
        if args
        else [()] * len(tensors)
    )


def _each(name: str) -> Any:
    def function(tensors: Sequence[Tensor], *args: Any, **kwargs: Any) -> list[Any]:
        return [getattr(x, name)(*rest, **kwargs) for x, rest in zip(tensors, _lists(tensors, args), strict=True)]

    return _named(function, name)


def _each_in_place(name: str) -> Any:
    def function(tensors: Sequence[Tensor], *args: Any, **kwargs: Any) -> None:
        for x, rest in zip(tensors, _lists(tensors, args), strict=True):
            own = getattr(x, f"{name}_", None)
            x.copy_(getattr(x, name)(*rest, **kwargs)) if own is None else own(*rest, **kwargs)

    return _named(function, f"{name}_")


def _named(function: Any, name: str) -> Any:
    function.__name__ = function.__qualname__ = f"_foreach_{name}"
    function.__doc__ = f"`Tensor.{name}` of each tensor; other arguments are one for all, or lists."
    return function


def _norm(tensors: Sequence[Tensor], ord: Any = 2) -> list[Any]:
    """The norm of each tensor."""
    return [x.norm(ord) for x in tensors]


FOREACH: dict[str, Callable[..., Any]] = {
    **{f"_foreach_{name}": _each(name) for name in _BOTH},
    **{f"_foreach_{name}_": _each_in_place(name) for name in (*_BOTH, *_IN_PLACE)},
    "_foreach_norm": _named(_norm, "norm"),
}
