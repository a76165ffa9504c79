"""What people see of the compiler: a line on the terminal where they wait for it, and a warning where one line keeps it
busy.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
import warnings
from collections import OrderedDict
from collections.abc import Iterator
from typing import NamedTuple

from fdl.core.config import config
from fdl.core.errors import ManyShapesWarning
from fdl.core.graph import Graph, subgraphs
from fdl.core.source import Location, user_location

LEAST = 1.0  # seconds, from which a wait is worth a line
MOST_SHAPES = 8  # programs for one line of the user that differ in shapes alone, above which the line is warned of
_LINES = 256  # of the user, that are remembered


@contextlib.contextmanager
def waiting(name: str, equations: int) -> Iterator[list[str]]:
    """Says on a terminal what is compiled once that has taken a second, and at the end how long it took.

    The block gets a list to which it may add what else was built. `FDL_LOG=quiet` turns the line off; where standard
    error is no terminal, there is none.
    """
    also: list[str] = []
    if "quiet" in config.log or not sys.stderr.isatty():
        yield also
        return
    what = f"{name} ({equations} operation{'s' if equations != 1 else ''})"
    start, said = time.perf_counter(), f"fdl: compiling {what} ..."
    timer = threading.Timer(LEAST, lambda: print(said, end="", file=sys.stderr, flush=True))
    timer.daemon = True
    timer.start()
    try:
        yield also
    finally:
        timer.cancel()
        seconds = time.perf_counter() - start
        if seconds >= LEAST:
            told = f"fdl: compiled {' and '.join([what, *also])} in {seconds:.1f} s"
            print(f"\r{told:<{len(said)}}", file=sys.stderr, flush=True)


class _Line(NamedTuple):
    """Programs of one line: the shapes of the last one, and how many there were."""

    graph: Graph
    programs: int


_seen: OrderedDict[tuple[Location, str, tuple[str, ...]], _Line] = OrderedDict()


def note_program(name: str, graph: Graph) -> None:
    """A program is made for the user's line that runs; ManyShapesWarning, once, where it is one too many of those that
    differ in shapes alone.
    """
    where = user_location()
    if where is None:
        return
    key = (where, name, _operations(graph))
    last = _seen.pop(key, None)
    _seen[key] = _Line(graph, 1 if last is None else last.programs + 1)
    if len(_seen) > _LINES:
        _seen.popitem(last=False)
    if last is not None and last.programs == MOST_SHAPES:
        warnings.warn(
            f"{name} was compiled for {MOST_SHAPES + 1} different shapes at {where}; {_difference(last.graph, graph)}\n"
            "  why: a compiled program serves one shape, and each new one is compiled anew\n"
            "  try: pad to a few sizes, or drop the last, smaller batch",
            ManyShapesWarning,
            stacklevel=2,
        )


def _operations(graph: Graph) -> tuple[str, ...]:
    """Names of all operations: what a program is but for shapes."""
    found: list[str] = []
    for e in graph.equations:
        found.append(e.primitive.name)
        for inner in subgraphs(e.params):
            found += _operations(inner)
    return tuple(found)


def _difference(before: Graph, after: Graph) -> str:
    """Which input has changed since the last program."""
    pairs = zip(before.in_avals, after.in_avals, strict=False)
    changed = next((f"from {a.describe()} to {b.describe()}" for a, b in pairs if a.shape != b.shape), "")
    return f"last an input changed {changed}" if changed else "last a number that decides shapes changed"


def forget_lines() -> None:
    """Count anew."""
    _seen.clear()
