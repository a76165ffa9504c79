"""`jax.api_util`: functions of trees as functions of leaves."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from types import SimpleNamespace
from typing import Any

from fdl.core.errors import StructureError
from fdl.core.pytree import TreeDef, tree_flatten, tree_unflatten
from fdl.extend.linear_util import transformation_with_aux

__all__ = ["debug_info", "flatten_fun", "flatten_fun_nokwargs", "safe_map"]


def debug_info(traced_for: str, fun: Callable[..., Any], args: Any, kwargs: Any, **more: Any) -> SimpleNamespace:
    """What is said of a function where it is traced: its name, and for what."""
    return SimpleNamespace(traced_for=traced_for, func_name=getattr(fun, "__name__", str(fun)))


@transformation_with_aux
def flatten_fun(in_tree: TreeDef, *leaves: Any) -> Generator[Any, Any, None]:
    """A function of the leaves of `(args, kwargs)`, whose result is a list of leaves; its structure is given beside."""
    args, kwargs = tree_unflatten(in_tree, leaves)
    yield tree_flatten((yield args, kwargs))


@transformation_with_aux
def flatten_fun_nokwargs(in_tree: TreeDef, *leaves: Any) -> Generator[Any, Any, None]:
    """`flatten_fun` of arguments without names."""
    yield tree_flatten((yield tree_unflatten(in_tree, leaves), {}))


def safe_map(f: Callable[..., Any], *lists: Iterable[Any]) -> list[Any]:
    """`f` of each row of lists of one length; StructureError where they differ.

    >>> safe_map(lambda a, b: a + b, [1, 2], [3, 4])
    [4, 6]
    """
    held = [list(x) for x in lists]
    if len({len(x) for x in held}) > 1:
        raise StructureError(f"safe_map: lists of {', '.join(str(len(x)) for x in held)} elements")
    return list(map(f, *held))
