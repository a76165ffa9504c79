"""What the tape of tensors has beyond that of `fdl.extend`: whether operations are taped, and handles of hooks."""

from __future__ import annotations

import threading
from typing import Any

from fdl.core.blocks import whole
from fdl.extend import ORDER


class GradMode(threading.local):
    """Whether operations of this thread are taped."""

    enabled = True


grad_mode = GradMode()


def _reorder(hooks: dict[int, Any], ordered: dict[int, Any]) -> None:
    hooks.clear()
    hooks.update(ordered)


class HookHandle:
    """Takes a hook away: `handle.remove()`."""

    __slots__ = ("hooks", "key")

    def __init__(self, hooks: dict[int, Any], hook: Any, prepend: bool = False) -> None:
        self.hooks, self.key = hooks, next(ORDER)
        if prepend:
            whole(_reorder, hooks, {self.key: hook, **hooks})
        else:
            hooks[self.key] = hook

    def remove(self) -> None:
        """Take the hook away; nothing where it is gone already."""
        self.hooks.pop(self.key, None)
