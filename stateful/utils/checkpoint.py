"""`torch.utils.checkpoint`: what is recorded decides by itself what to keep, so a function under `checkpoint` is called
as it is. Its gradients are the same; what is saved for them is the program's choice.
"""

from __future__ import annotations

import contextlib
import enum
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from fdl.stateful.core.tensor import Tensor

__all__ = [
    "CheckpointError", "CheckpointPolicy", "checkpoint", "checkpoint_sequential",
    "create_selective_checkpoint_contexts", "detach_variable", "noop_context_fn", "set_checkpoint_debug_enabled",
    "set_checkpoint_early_stop",
]  # fmt: skip


class CheckpointError(RuntimeError):
    """What was computed again differs from what was computed first; here nothing is computed twice."""


class CheckpointPolicy(enum.Enum):
    """What is to be kept of an operation's result."""

    MUST_SAVE, PREFER_SAVE, MUST_CPU_OFFLOAD, MUST_RECOMPUTE, PREFER_RECOMPUTE = range(5)


def noop_context_fn() -> tuple[Any, Any]:
    """Two blocks that do nothing."""
    return contextlib.nullcontext(), contextlib.nullcontext()


def checkpoint(
    function: Callable[..., Any],
    *args: Any,
    use_reentrant: bool | None = None,
    context_fn: Callable[[], tuple[Any, Any]] = noop_context_fn,
    determinism_check: str = "default",
    debug: bool = False,
    early_stop: bool = True,
    preserve_rng_state: bool = True,
    **kwargs: Any,
) -> Any:
    """`function(*args, **kwargs)`, in the first of the blocks that `context_fn` gives.

    >>> import fdl.stateful as torch
    >>> torch.utils.checkpoint.checkpoint(lambda x: x * 2, torch.ones(1), use_reentrant=False)
    tensor([2.])
    """
    around, _ = context_fn()
    with around:
        return function(*args, **kwargs)


def checkpoint_sequential(functions: Any, segments: int, input: Any, use_reentrant: Any = None, **kwargs: Any) -> Any:
    """The functions, or the modules of a `Sequential`, one after the other.

    >>> import fdl.stateful as torch
    >>> torch.utils.checkpoint.checkpoint_sequential([torch.neg, torch.abs], 2, torch.ones(1))
    tensor([1.])
    """
    children = getattr(functions, "children", None)
    for f in list(functions) if children is None else list(children()):
        input = f(input)
    return input


def create_selective_checkpoint_contexts(policy_fn_or_list: Any, allow_cache_entry_mutation: bool = False) -> Any:
    """Two blocks that do nothing: what is kept is not asked of a policy."""
    return noop_context_fn()


@contextlib.contextmanager
def set_checkpoint_early_stop(enable: bool) -> Iterator[None]:
    """Nothing: no function is run again, so none is stopped early."""
    yield


@contextlib.contextmanager
def set_checkpoint_debug_enabled(enabled: bool | None) -> Iterator[None]:
    """Nothing, for the same reason."""
    yield


def detach_variable(inputs: Sequence[Any]) -> tuple[Any, ...]:
    """The inputs, tensors without their history, which still want gradients if they did."""
    return tuple(x.detach().requires_grad_(x.requires_grad) if isinstance(x, Tensor) else x for x in inputs)
