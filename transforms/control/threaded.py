"""Bodies of loops and branches that write what lives outside of them: the cells become part of what the loop carries,
or the branch gives back.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from fdl.core.avals import ShapedArray
from fdl.core.graph import Graph
from fdl.core.trace import Cell, current_trace
from fdl.transforms.stage import PartTrace, note_cell, stage

T = TypeVar("T")


class _Written(Exception):
    """A body writes cells that are not threaded yet."""

    def __init__(self, cells: Sequence[Cell]) -> None:
        super().__init__(cells)
        self.cells = cells


class Threaded:
    """Functions that are recorded with the cells that they write as operands and results: what a loop carries, and a
    branch gives back.

    Which cells these are is found out by recording: `settled(record)` calls `record` again for as long as `stage` meets
    new ones.
    """

    def __init__(self) -> None:
        self.cells: list[Cell] = []

    def settled(self, record: Callable[[], T]) -> T:
        """The result of `record`, which is called until all cells are known."""
        while True:
            try:
                return record()
            except _Written as more:
                self.cells += more.cells

    def stage(self, f: Callable[..., Sequence[Any]], avals: Sequence[ShapedArray], name: str) -> Graph:
        """Record a flat function."""
        found: list[Cell] = []
        graph = stage(f, avals, name, found, PartTrace)
        if found:
            raise _Written(found)
        return graph

    def start(self) -> list[Any]:
        """What the cells hold before."""
        for cell in self.cells:
            note_cell(cell)
        return [cell.content() for cell in self.cells]

    def of(self, f: Callable[..., Any]) -> Callable[..., Any]:
        """`f(*args)` as the function of (values of the cells, *args) that gives (its result, values of the cells after
        it).
        """

        @functools.wraps(f)
        def threaded(values: Sequence[Any], *args: Any) -> tuple[Any, list[Any]]:
            self.finish(values)
            result, after = f(*args), [cell.content() for cell in self.cells]
            trace = current_trace()
            for cell in self.cells:
                cell.restore(trace.written.pop(cell))
            return result, after

        return threaded

    def finish(self, values: Sequence[Any]) -> None:
        """Let the cells hold these values."""
        for cell, value in zip(self.cells, values, strict=True):
            cell.set(value)
