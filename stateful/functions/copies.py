"""Views as copies: `t_copy`, `select_copy` and kin give what the view shows in memory of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fdl.stateful.core.tensor import Composite, Tensor
from fdl.stateful.functions import rearranging

__all__ = ["COPIES", "as_strided_scatter", "narrow_copy"]

_VIEWS = """as_strided diagonal expand permute select split split_with_sizes squeeze t transpose unbind unfold
unsqueeze view""".split()


def _copied(found: Any) -> Any:
    return tuple(map(_copied, found)) if isinstance(found, (tuple, list)) else found.clone()


def _copy_of(name: str) -> Callable[..., Any]:
    def public(input: Tensor | Composite, *args: Any, **named: Any) -> Any:
        return _copied(getattr(input, name)(*args, **named))

    public.__name__, public.__doc__ = f"{name}_copy", f"`{name}`, in memory of its own."
    return public


def _slice_copy(input: Any, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1) -> Any:
    """A part of a dimension, in memory of its own."""
    return input[(slice(None),) * (dim % input.ndim) + (slice(start, end, step),)].clone()


def _alias_copy(input: Any) -> Any:
    """A copy, with history."""
    return input.clone()


COPIES: dict[str, Callable[..., Any]] = {
    **{f"{name}_copy": _copy_of(name) for name in _VIEWS}, "slice_copy": _slice_copy, "alias_copy": _alias_copy,
    "detach_copy": _alias_copy,
}  # fmt: skip


def narrow_copy(input: Tensor, dim: int, start: int, length: int) -> Any:
    """`narrow`, in memory of its own.

    >>> import fdl.stateful as torch
    >>> torch.narrow_copy(torch.arange(4), 0, 1, 2).tolist()
    [1, 2]
    """
    narrow: Any = input.narrow(dim, start, length)
    return narrow.clone()


def as_strided_scatter(input: Tensor, src: Tensor, size: Any, stride: Any, storage_offset: int | None = None) -> Tensor:
    """A copy of `input` in which the elements that `as_strided` would show are those of `src`.

    >>> import fdl.stateful as torch
    >>> torch.as_strided_scatter(torch.zeros(4), torch.ones(2), (2,), (2,)).tolist()
    [1.0, 0.0, 1.0, 0.0]
    """
    out: Tensor = input.clone()
    rearranging.as_strided(out, size, stride, storage_offset).copy_(src)
    return out
