"""Where in the user's code something happens.

A location is a value; it stands beside equations, outside their equality.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import CodeType
from typing import NamedTuple


class Location(NamedTuple):
    """A line of user code."""

    file: str
    line: int
    function: str

    def __str__(self) -> str:
        return f"{Path(self.file).name}:{self.line} in {self.function}"


def _own_folders() -> tuple[str, ...]:
    """Folders of this distribution, installed as a wheel or mapped from a checkout."""
    package = Path(__file__).resolve().parents[1]
    folders = [package]
    if (package.parent / "pyproject.toml").exists():
        folders += [package.parent / name for name in ("transforms", "lowering", "backends", "stateful")]
    return tuple(f"{folder}/" for folder in folders)


_OWN = _own_folders()
_IS_OWN: dict[CodeType, bool] = {}


def is_own(code: CodeType) -> bool:
    """Whether code is fdl's, or of what it is called through."""
    own = _IS_OWN.get(code)
    if own is None:
        name = code.co_filename
        own = name.startswith((*_OWN, "<frozen")) or name.endswith(("/functools.py", "/contextlib.py", "/importlib/__init__.py"))
        _IS_OWN[code] = own
    return own


def user_location() -> Location | None:
    """The nearest frame outside of fdl, or None when there is none."""
    frame = sys._getframe(1)
    while frame is not None:
        if not is_own(frame.f_code):
            return Location(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name)
        frame = frame.f_back  # type: ignore[assignment]
    return None
