"""Seeing what the compiler made of a function."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from fdl.backends.c import Lowered, lower
from fdl.lowering.schedule import all_nodes
from fdl.transforms.jit import Jitted
from fdl.transforms.stage import make_graph

__all__ = ["Explanation", "explain"]


@dataclasses.dataclass(frozen=True)
class Explanation:
    """What a function became; `str` is readable in a terminal."""

    lowered: Lowered

    @property
    def graph(self) -> str:
        """The optimised graph, each equation with the user's line."""
        return self.lowered.graph.pretty()

    @property
    def source(self) -> str:
        """The generated C."""
        return self.lowered.source

    @property
    def kernels(self) -> dict[str, list[str]]:
        """The user's lines that each kernel computes."""
        return {name: [str(line) for line in lines] for name, lines in self.lowered.lines.items()}

    @property
    def arena_bytes(self) -> int:
        """Bytes of all temporaries together."""
        return self.lowered.arena.size

    @property
    def traffic_bytes(self) -> int:
        """Bytes that the stages read and write, each buffer once a stage."""
        return sum(b.nbytes for n in all_nodes(self.lowered.program.nodes) if not n.nested() for b in [*n.reads(), *n.writes()])

    @property
    def operations(self) -> int:
        """Scalar operations, roughly: loops count one step."""
        return sum(n.work() for n in all_nodes(self.lowered.program.nodes) if not n.nested())

    def __str__(self) -> str:
        p = self.lowered.program
        kernels = "\n".join(f"{name}: {', '.join(lines) or 'no user line'}" for name, lines in self.kernels.items())
        temps = "\n".join(f"  {b} {b.dtype.name}[{b.size}] at {offset}" for b, offset in self.lowered.arena.offsets.items())
        mode = "one parallel region" if self.lowered.parallel else "one thread: too small for a region"
        return "\n".join(
            [
                "== graph", self.graph,
                "", f"== stages ({sum(1 for _ in all_nodes(p.nodes))}, {mode})", str(p),
                "", "== kernels and the lines that they compute", kernels,
                "", f"== memory: arena {self.arena_bytes} bytes, traffic {self.traffic_bytes} bytes, about {self.operations} operations", temps,
                "", "== C source", self.source,
            ]
        )  # fmt: skip


def explain(f: Callable[..., Any]) -> Callable[..., Explanation]:
    """`explain(f)(*args)` shows graph, stages, kernels with the user's lines, memory and generated C; nothing is run.

    >>> import fdl.numpy as jnp
    >>> shown = explain(lambda x: jnp.tanh(x) * 2)(jnp.ones(3))
    >>> "fdl_tanh_f32" in shown.source
    True
    """

    def explained(*args: Any, **kwargs: Any) -> Explanation:
        graph = f.lower(*args, **kwargs) if isinstance(f, Jitted) else make_graph(f)(*args, **kwargs).lift()[0]
        return Explanation(lower(graph))

    return explained
