"""What the tape of tensors has beyond that of `fdl.extend`: whether operations are taped, and handles of hooks."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from fdl.extend import ORDER, whole

F = TypeVar("F", bound=Callable[..., Any])


class GradMode(threading.local):
    """Whether operations of this thread are taped."""

    enabled = True


grad_mode = GradMode()


class Autocasting(threading.local):
    """What converts the operands of this thread's operations, see `amp/autocast_mode.py`; None where nothing does."""

    now: Any = None

    def full(self, function: F) -> F:
        """A function whose first operands are in full precision, as are all operations in it, while operands are
        converted.
        """

        @functools.wraps(function)
        def public(*args: Any, **kwargs: Any) -> Any:
            return function(*args, **kwargs) if self.now is None else self.now.in_full(function, args, kwargs)

        return public  # type: ignore[return-value]


autocasting = Autocasting()


def _reorder(hooks: dict[int, Any], ordered: dict[int, Any]) -> None:
    hooks.clear()
    hooks.update(ordered)


class RemovableHandle:
    """Takes a hook out of its table: `handle.remove()`, or at the end of a `with` block. Whoever makes one puts the
    hook under the handle's `id`.
    """

    __slots__ = ("__weakref__", "hooks", "id")

    def __init__(self, hooks_dict: dict[int, Any], *, extra_dict: Any = None) -> None:
        self.hooks, self.id = hooks_dict, next(ORDER)

    def remove(self) -> None:
        """Take the hook away; nothing where it is gone already."""
        self.hooks.pop(self.id, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *error: Any) -> None:
        self.remove()


class HookHandle(RemovableHandle):
    """A handle whose hook is in the table already."""

    __slots__ = ()

    def __init__(self, hooks: dict[int, Any], hook: Any, prepend: bool = False) -> None:
        super().__init__(hooks)
        if prepend:
            whole(_reorder, hooks, {self.id: hook, **hooks})
        else:
            hooks[self.id] = hook
