"""Graph-to-Graph passes, each a pure function in a file of its own, in the one order in which they run.

Beside them stand sizes that need not be numbers (`size.py`), and graphs of these in place of graphs of numbers
(`generalize.py`): what shapes are made of where one program serves arrays of any size.
"""

from collections.abc import Callable

from fdl.core.graph import Graph
from fdl.passes.crop import crop
from fdl.passes.inline import inline
from fdl.passes.join import join
from fdl.passes.orient import orient
from fdl.passes.prune import prune
from fdl.passes.simplify import simplify
from fdl.passes.sink import sink
from fdl.passes.split import split_complex

PASSES: tuple[Callable[[Graph], Graph], ...] = (
    inline,
    split_complex,
    prune,
    simplify,
    prune,
    join,
    crop,
    orient,
    sink,
    simplify,
    prune,
)


def run_passes(graph: Graph) -> Graph:
    """All passes in order."""
    for step in PASSES:
        graph = step(graph)
    return graph
