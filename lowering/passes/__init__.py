"""Graph-to-Graph passes, each a pure function in a file of its own, in the one order in which they run."""

from collections.abc import Callable

from fdl.core.graph import Graph
from fdl.lowering.passes.crop import crop
from fdl.lowering.passes.hoist import hoist
from fdl.lowering.passes.inline import inline
from fdl.lowering.passes.join import join
from fdl.lowering.passes.orient import orient
from fdl.lowering.passes.prune import prune
from fdl.lowering.passes.simplify import simplify
from fdl.lowering.passes.sink import sink

PASSES: tuple[Callable[[Graph], Graph], ...] = (
    inline,
    prune,
    simplify,
    prune,
    join,
    prune,
    crop,
    prune,
    orient,
    hoist,
    sink,
    simplify,
    prune,
)


def run_passes(graph: Graph) -> Graph:
    """All passes in order."""
    for step in PASSES:
        graph = step(graph)
    return graph
