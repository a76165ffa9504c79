"""The loop program: what each element of a buffer is, as a scalar expression at an index.

A `Program` is a list of nodes (`nodes.py`) over buffers, whose elements are expressions (`expr.py`) at addresses
(`index.py`). Emitters turn it into C, CUDA and Metal; `interpret.py` runs it, `printer.py` shows it, `checker.py` holds
its invariants.
"""

from __future__ import annotations

import dataclasses

from fdl.lowering.ir.checker import check_nodes
from fdl.lowering.ir.expr import Buffer, Interner
from fdl.lowering.ir.nodes import Node
from fdl.lowering.ir.plan_checker import check_plan
from fdl.lowering.ir.printer import declared, printed
from fdl.passes.size import Sizes


@dataclasses.dataclass(slots=True, eq=False, repr=False)
class Program:
    """Nodes in order; buffers by number; which buffers are inputs and outputs.

    The last `guards` outputs are bools: once all are known, and before anything is written over an input, the program
    ends where one of them holds. Results may take the memory of `donated` inputs.

    A planned program says how it is compiled: `apart`, without looking across its calls, and in how many `units` at the
    same time.

    Of a program for arrays of any size, `sizes` has the symbols that it is told when it is called, and what it assumes
    of them.
    """

    nodes: list[Node]
    buffers: list[Buffer]
    inputs: list[Buffer]
    outputs: list[Buffer]
    exprs: Interner
    guards: int = 0
    donated: tuple[Buffer, ...] = ()
    apart: bool = False
    units: int = 1
    sizes: Sizes | None = None

    def guarded(self) -> int:
        """How many nodes have run when all guards are known; 0 without guards."""
        flags = set(self.outputs[len(self.outputs) - self.guards :])
        return max((place + 1 for place, n in enumerate(self.nodes) if flags.intersection(n.writes())), default=0)

    def __str__(self) -> str:
        head = (
            f"program ({' '.join(declared(b) for b in self.inputs)}) -> ({' '.join(declared(b) for b in self.outputs)})"
        )
        told = [*self.sizes.quotients(), *map(str, self.sizes.assumptions)] if self.sizes else []
        return "\n".join([head, *(f"  where {x}" for x in told), *printed(self.nodes, "  ")])

    def check(self) -> None:
        """Raise GraphError where a temp is read before it is written, an address lies outside of its buffer, or a plan
        cannot be followed.
        """
        check_nodes(self.nodes, {b for b in self.buffers if b.kind == "input"})
        check_plan(self.nodes)
