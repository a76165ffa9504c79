"""Where in the user's code something happens.

A location is a value; it stands beside equations, outside their equality.
"""

from __future__ import annotations

import linecache
import sys
from contextvars import ContextVar
from pathlib import Path
from types import CodeType, TracebackType
from typing import NamedTuple

import numpy as np

SCOPES: ContextVar[tuple[str, ...]] = ContextVar("fdl_scopes", default=())  # names of the user's, the outermost first


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
_NUMPY = f"{Path(np.__file__).parent}/"  # asks arrays for their values, on the user's behalf
_IS_OWN: dict[CodeType, bool] = {}


def is_own(code: CodeType) -> bool:
    """Whether code is fdl's, or of what it is called through."""
    own = _IS_OWN.get(code)
    if own is None:
        name = code.co_filename
        own = name.startswith((*_OWN, "<frozen")) or name.endswith(
            ("/functools.py", "/contextlib.py", "/importlib/__init__.py")
        )
        _IS_OWN[code] = own
    return own


def user_location() -> Location | None:
    """The nearest frame outside of fdl, or None when there is none."""
    frame = sys._getframe(1)
    while frame is not None:
        if not is_own(frame.f_code) and not frame.f_code.co_filename.startswith(_NUMPY):
            scopes = SCOPES.get()
            named = f"{frame.f_code.co_name} ({'/'.join(scopes)})" if scopes else frame.f_code.co_name
            return Location(frame.f_code.co_filename, frame.f_lineno, named)
        frame = frame.f_back  # type: ignore[assignment]
    return None


def user_line() -> str:
    """The text of the user's line that runs, as far as it is known."""
    location = user_location()
    return "" if location is None else linecache.getline(location.file, location.line).strip()


def visible(frames: TracebackType | None) -> TracebackType | None:
    """A traceback without the frames of fdl; all of it where none would be left."""
    entries = []
    while frames is not None:
        entries.append(frames)
        frames = frames.tb_next
    shown = [e for e in entries if not is_own(e.tb_frame.f_code)]
    kept: TracebackType | None = None
    for e in reversed(shown or entries):
        kept = TracebackType(kept, e.tb_frame, e.tb_lasti, e.tb_lineno)
    return kept


def hide_frames(error: BaseException) -> bool:
    """Take frames of fdl out of the tracebacks of an error and of those that led to it; whether there were any."""
    seen: set[int] = set()
    found = False
    chain: list[BaseException | None] = [error]
    while chain:
        e = chain.pop()
        if e is None or id(e) in seen:
            continue
        seen.add(id(e))
        kept = visible(e.__traceback__)
        found = found or _length(kept) < _length(e.__traceback__)
        e.__traceback__ = kept
        chain += [e.__cause__, e.__context__]
    return found


def _length(frames: TracebackType | None) -> int:
    count = 0
    while frames is not None:
        count, frames = count + 1, frames.tb_next
    return count
