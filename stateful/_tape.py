"""What the tape of tensors has beyond that of `fdl.extend`: whether operations are taped, and handles of hooks."""

from __future__ import annotations

import threading
from typing import Any

from fdl.extend import ORDER


class GradMode(threading.local):
    """Whether operations of this thread are taped."""

    enabled = True


grad_mode = GradMode()


class HookHandle:
    """Takes a hook away: `handle.remove()`."""

    __slots__ = ("hooks", "key")

    def __init__(self, hooks: dict[int, Any], hook: Any, prepend: bool = False) -> None:
        self.hooks, self.key = hooks, next(ORDER)
        later = dict(hooks) if prepend else {}
        if prepend:
            hooks.clear()
        hooks[self.key] = hook
        hooks.update(later)

    def remove(self) -> None:
        """Take the hook away; nothing where it is gone already."""
        self.hooks.pop(self.key, None)
