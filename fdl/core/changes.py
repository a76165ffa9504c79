"""Rules may change while a program runs: a notebook cell is run again, a formula is replaced.

What follows from rules (recordings, derived graphs, compiled programs) holds for as long as they stay as they are. The
tables that hold them are `Watched`, what follows from them is kept in `Derived` caches, and whoever keeps it in another
form asks to be told by `on_change`. So the new rule is met everywhere, and what does not change costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, MutableMapping
from typing import Any, TypeVar

K = TypeVar("K")
V = TypeVar("V")

count = 0  # changes so far
_listeners: list[Callable[[], None]] = []


def on_change(listener: Callable[[], None]) -> Callable[[], None]:
    """Call `listener()` before each change, while the old rules are still there; usable as a decorator."""
    _listeners.append(listener)
    return listener


def change(how: Callable[..., object], *args: Any) -> None:
    """Change rules: tell all listeners, then call `how(*args)`; where a listener fails, nothing has changed."""
    global count
    for listener in _listeners:
        listener()
    try:
        how(*args)
    finally:
        count += 1


class Watched(dict[K, V]):
    """A table of which every change is noticed. `enter` adds what nobody can have used yet.

    `changed` holds what stood there at first for each key that holds something else since; None where nothing stood.

    >>> rows = Watched({"add": "{0} + {1}"})
    >>> rows["add"], first = "{1} + {0}", rows["add"]
    >>> rows.changed
    {'add': '{0} + {1}'}
    >>> rows["add"] = first
    >>> rows.changed
    {}
    """

    def __init__(self, entries: MutableMapping[K, V] | Iterable[tuple[K, V]] = ()) -> None:
        super().__init__(entries)
        self.changed: dict[K, V | None] = {}

    def enter(self, key: K, value: V) -> None:
        """Add an entry that nobody can have asked for."""
        super().__setitem__(key, value)

    def replace(self, old: K, new: K) -> None:
        """Let what stands at `new` stand at `old` too, or nothing at both; for use by `change`."""
        super().pop(old, None)
        if new in self:
            super().__setitem__(old, self[new])

    def __setitem__(self, key: K, value: V) -> None:
        if self.get(key) is not value:
            change(self._write, key, value)

    def _write(self, key: K, value: V) -> None:
        first = self.changed.pop(key, self.get(key))
        if first is not value:
            self.changed[key] = first
        super().__setitem__(key, value)

    def __delitem__(self, key: K) -> None:
        change(self._remove, key)

    def _remove(self, key: K) -> None:
        first = self.changed.pop(key, self[key])
        if first is not None:
            self.changed[key] = first
        super().__delitem__(key)

    # All else that writes goes through these two.
    clear = MutableMapping.clear
    popitem = MutableMapping.popitem
    setdefault = MutableMapping.setdefault
    update = MutableMapping.update

    def pop(self, key: K, *default: Any) -> Any:
        """The entry, which is taken out; the default, if there is one, where there is no entry."""
        if default and key not in self:
            return default[0]
        found = self[key]
        del self[key]
        return found

    def __ior__(self, other: Any) -> Any:  # type: ignore[misc]  # `|` gives a plain dict, as for all dicts
        self.update(other)
        return self


class Derived(dict[K, V]):
    """A cache of what follows from rules: `current()` is this one, empty if they have changed.

    What is in it holds where `age` is `count`, the number of changes so far.
    """

    __slots__ = ("age",)

    def __init__(self) -> None:
        super().__init__()
        self.age = count

    def current(self) -> Derived[K, V]:
        """The cache itself, without what followed from other rules than those of now."""
        if self.age != count:
            self.clear()
            self.age = count
        return self
