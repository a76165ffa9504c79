"""What is printed of an error that nobody catches: the user's lines, without the frames of fdl between them.

`FDL_TRACEBACK=full` prints all frames. A debugger sees them in any case: `sys.last_traceback` keeps them, and an error
that is caught is left as it is.
"""

from __future__ import annotations

import sys
import threading
from typing import Any

from fdl.core.config import config
from fdl.core.source import hide_frames


def _hide(error: BaseException | None) -> None:
    if error is not None and not config.full_tracebacks and hide_frames(error):
        print("Frames of fdl are left out: FDL_TRACEBACK=full shows them.", file=sys.stderr)


def install() -> None:
    """Let uncaught errors of the main thread and of others be printed without frames of fdl; called by the facade."""
    print_error, print_in_thread = sys.excepthook, threading.excepthook

    def main(kind: Any, error: BaseException, frames: Any) -> None:
        _hide(error)
        print_error(kind, error, error.__traceback__)

    def other(given: Any) -> None:
        _hide(given.exc_value)
        print_in_thread(
            threading.ExceptHookArgs(
                (given.exc_type, given.exc_value, given.exc_value and given.exc_value.__traceback__, given.thread)
            )
        )

    sys.excepthook, threading.excepthook = main, other
