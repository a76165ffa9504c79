"""Other spellings of arguments: NumPy's `axis` and `keepdims`, and `out`, in which a result is stored.

PyTorch takes them wherever it takes `dim` and `keepdim`. Functions here are written with one name for each argument;
what users call is `spelled` once, when the package is put together, and costs nothing where no argument is named.
"""

from __future__ import annotations

import functools
import inspect
import sys
import warnings
from collections.abc import Callable, Collection, Mapping
from types import FunctionType
from typing import Any

from fdl.stateful.core.errors import OperandError, TensorError
from fdl.stateful.core.methods import check_cast
from fdl.stateful.core.tape import grad_mode
from fdl.stateful.core.tensor import Composite, Tensor

_NUMPY = {"axis": "dim", "keepdims": "keepdim", "x": "input", "a": "input", "x1": "input", "x2": "other"}


def spelled(f: Callable[..., Any], out: bool = False) -> Callable[..., Any]:
    """A function that also takes NumPy's names of its arguments, and `out` if told so; itself where it has no such
    argument.

    >>> import fdl.stateful as torch
    >>> torch.sum(torch.ones(2, 3), axis=1, out=torch.zeros(2))
    tensor([3., 3.])
    """
    code = inspect.unwrap(f).__code__  # type: ignore[attr-defined]
    own = set(code.co_varnames[: code.co_argcount + code.co_kwonlyargcount])
    names = {alias: name for alias, name in _NUMPY.items() if name in own and alias not in own}
    if not names and not out:
        return f

    @functools.wraps(f)
    def public(*args: Any, **named: Any) -> Any:
        if not named:
            return f(*args)
        given = {names.get(name, name): value for name, value in named.items()}
        if len(given) < len(named):
            raise OperandError(f"{f.__name__}() got an argument twice, by two of its names: {', '.join(named)}")
        into = given.pop("out", None) if out else None
        if into is None:
            return f(*args, **given)
        if "dtype" in own and isinstance(into, (Tensor, Composite)):
            given.setdefault("dtype", into.dtype)  # type: ignore[union-attr]
        return stored(f.__name__, into, f(*args, **given))

    return public


def all_spelled(functions: Mapping[str, Any], out: Collection[str] = ()) -> dict[str, Callable[..., Any]]:
    """Those of a namespace's functions that `spelled` changes; `out` names the ones that take it."""
    found = {
        name: spelled(f, name in out)
        for name, f in functions.items()
        if type(f) is FunctionType and not name.startswith("_")
    }
    return {name: f for name, f in found.items() if f is not functions[name]}


def placed(functions: Mapping[str, Any], module: str) -> None:
    """Let pickle find a namespace's functions: one that the module which it names does not have under the name that it
    names gets those by which users find it.
    """
    for name, f in functions.items():
        if type(f) is FunctionType and not name.startswith("_"):
            own = sys.modules.get(f.__module__)
            if getattr(own, f.__qualname__, None) is not f:
                f.__module__, f.__qualname__ = module, name


def stored(name: str, out: Any, found: Any) -> Any:
    """The results of a function in the tensors of `out`: these, as the function gives them.

    A tensor of another shape gets the right one, with a warning unless it is empty. RuntimeError where gradients are
    wanted, and where the dtype of a result cannot become that of its tensor.
    """
    several = isinstance(found, tuple)
    results, places = (tuple(found), tuple(out)) if several else ((found,), (out,))
    if (
        (several and not isinstance(out, (tuple, list)))
        or len(results) != len(places)
        or not all(isinstance(p, (Tensor, Composite)) for p in places)
    ):
        raise OperandError(f"{name}(): argument 'out' must be {len(results)} tensors, one for each result")
    if grad_mode.enabled and any(t.requires_grad for t in (*results, *places)):
        raise TensorError(
            f"{name}(): functions with out=... arguments don't support automatic differentiation, "
            "but one of the arguments requires grad."
        )
    for result, place in zip(results, places, strict=True):
        if isinstance(result, Tensor) and isinstance(place, Tensor):
            check_cast(place, result)
        if tuple(place.shape) != tuple(result.shape):
            if place.numel():
                warnings.warn(
                    f"An output with one or more elements was resized since it had shape {list(place.shape)}, which "
                    f"does not match the required output shape {list(result.shape)}.",
                    stacklevel=3,
                )
            place.resize_(result.shape)
        place.copy_(result)
    if not several:
        return out
    return type(found)(*places) if hasattr(found, "_fields") else places
