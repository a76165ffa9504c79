"""Arguments of functions and layers that are made from tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fdl.stateful.core.errors import OperandError


def settings_of(
    what: str, defaults: Mapping[str, Any], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> dict[str, Any]:
    """Defaults, changed by arguments in their order and by name; TypeError for a name that is none of theirs."""
    found = {**defaults, **dict(zip(defaults, args, strict=False)), **kwargs}
    if len(found) > len(defaults):
        raise OperandError(
            f"{what}() got an unexpected keyword argument {next(k for k in found if k not in defaults)!r}"
        )
    return found
