"""Settings under JAX's names: `config`, and what holds for a `with` statement alone.

`jax_enable_x64` gives the functional face defaults of 64 bits: of Python numbers, of `zeros`, `arange` and random
numbers, of counts and places. It narrows nothing, on or off: arrays keep their dtypes. The stateful face has PyTorch's
defaults, whatever it says.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fdl.core.blocks import Block, block
from fdl.core.changes import change
from fdl.core.config import config as process
from fdl.core.config import locally, setting
from fdl.core.errors import MissingAttributeError, SettingError
from fdl.finite import debug_infs, debug_nans, hold, watched

# JAX's names: the field, and what one says it to be, the other way round for what is disabled
_FIELDS = {"jax_enable_x64": "x64", "jax_disable_jit": "jit"}
_INVERTED = {"jit"}
_FIXED = {"jax_numpy_dtype_promotion": "standard", "jax_numpy_rank_promotion": "allow"}  # there is no other way
_WATCHED = ("jax_debug_nans", "jax_debug_infs")  # of the context alone, in this order


def _read(name: str) -> bool:
    if name in _WATCHED:
        return watched()[_WATCHED.index(name)]
    field = _FIELDS[name]
    return bool(setting(field)) != (field in _INVERTED)


def _checked(name: str, value: Any) -> None:
    if name not in (*_FIELDS, *_WATCHED):
        raise MissingAttributeError(
            f"config has no {name!r}",
            why=f"there are {', '.join((*_FIELDS, *_WATCHED))}",
            hint="the environment, see fdl.core.config",
        )
    if not isinstance(value, (bool, int)) or value not in (0, 1):
        raise SettingError(f"config.{name} is {value!r}", why="it is on or off", hint="True or False")


def _check_fixed(name: str, value: Any) -> None:
    if value != _FIXED[name]:
        raise SettingError(
            f"config.{name} is {value!r}",
            why=f"operands are promoted in one way here, {_FIXED[name]!r}",
            hint=_FIXED[name],
        )


def _known(name: str, value: Any) -> tuple[str, bool]:
    _checked(name, value)
    return _FIELDS[name], bool(value) != (_FIELDS[name] in _INVERTED)


class Config:
    """The process's settings under JAX's names, as attributes. `with` statements of `enable_x64` and its kin say
    otherwise for their time, and for their context alone.
    """

    def update(self, name: str, value: bool | str) -> None:
        """Set `jax_enable_x64` or `jax_disable_jit` for the process, `jax_debug_nans` or `jax_debug_infs` for this
        context. What was recorded for another setting is recorded anew.

        >>> config.update("jax_enable_x64", False)
        """
        if name in _FIXED:
            _check_fixed(name, value)
            return
        if name in _WATCHED:
            _checked(name, value)
            hold(*[bool(value) if name == n else _read(n) for n in _WATCHED])
            return
        field, to = _known(name, value)
        if getattr(process, field) != to:
            change(setattr, process, field, to)

    def read(self, name: str) -> bool | str:
        """A setting as it is here.

        >>> config.read("jax_disable_jit")
        False
        """
        found: bool | str = getattr(self, name)
        return found

    @property
    def values(self) -> dict[str, bool | str]:
        """All settings by name, as they are here."""
        return {**{name: _read(name) for name in (*_FIELDS, *_WATCHED)}, **_FIXED}

    @property
    def x64_enabled(self) -> bool:
        """`jax_enable_x64`."""
        return _read("jax_enable_x64")

    def __getattr__(self, name: str) -> bool | str:
        if name in _FIXED:
            return _FIXED[name]
        if name not in (*_FIELDS, *_WATCHED):
            raise MissingAttributeError(
                f"config has no {name!r}", why=f"there are {', '.join((*_FIELDS, *_WATCHED))}", hint="fdl.core.config"
            )
        return _read(name)

    def __setattr__(self, name: str, value: Any) -> None:
        self.update(name, value)

    def __dir__(self) -> list[str]:
        return sorted([*_FIELDS, *_WATCHED, *_FIXED, "read", "update", "values", "x64_enabled"])


config = Config()


@block
def _with(name: str, value: bool) -> Iterator[None]:
    field, to = _known(name, value)
    if not process.varies:
        change(setattr, process, "varies", True)
    with locally(**{field: to}):
        yield


def enable_x64(new_val: bool = True) -> Block[None]:
    """In a `with` statement: the functional face's defaults have 64 bits, or not, in this context.

    >>> import fdl.numpy as jnp
    >>> with enable_x64():
    ...     print(jnp.zeros(2).dtype, jnp.arange(3).dtype)
    float64 int64
    """
    return _with("jax_enable_x64", new_val)


def disable_jit(disable: bool = True) -> Block[None]:
    """In a `with` statement: functions under `jit` run as they are, line by line.

    >>> import fdl
    >>> with disable_jit():
    ...     print(fdl.jit(lambda x: "plain" if x > 0 else "")(1.0))
    plain
    """
    return _with("jax_disable_jit", disable)


@block
def numpy_dtype_promotion(new_val: str = "standard") -> Iterator[None]:
    """In a `with` statement: nothing, for "standard", by which dtypes are promoted here; SettingError for another way.

    >>> with numpy_dtype_promotion("standard"):
    ...     pass
    """
    _check_fixed("jax_numpy_dtype_promotion", new_val)
    yield


@block
def numpy_rank_promotion(new_val: str = "allow") -> Iterator[None]:
    """In a `with` statement: nothing, for "allow", which is so here; SettingError for another way.

    >>> with numpy_rank_promotion("allow"):
    ...     pass
    """
    _check_fixed("jax_numpy_rank_promotion", new_val)
    yield


__all__ = [
    "Config", "config", "debug_infs", "debug_nans", "disable_jit", "enable_x64", "numpy_dtype_promotion",
    "numpy_rank_promotion",
]  # fmt: skip
