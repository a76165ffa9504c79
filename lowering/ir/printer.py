"""Loop programs as text, for people: `print(program)`."""

from __future__ import annotations

from collections.abc import Sequence

from fdl.lowering.ir.expr import Buffer
from fdl.lowering.ir.nodes import Argmax, Band, Branch, Dot, Finished, Loop, Map, Nest, Node, Reduce, Routine, Scatter


def declared(b: Buffer) -> str:
    return f"{b}:{b.dtype.name}[{b.size}]"


def _times(sizes: Sequence[int]) -> str:
    return "x".join(map(str, sizes))


def printed(nodes: Sequence[Node], indent: str) -> list[str]:
    lines: list[str] = []
    for n in nodes:
        if isinstance(n, Map):
            lines.append(f"{indent}map {n.space}")
            lines += [f"{indent}  {s.buffer}[{s.offset}] = {s.value}" for s in n.stores]
        elif isinstance(n, Reduce):
            lines.append(f"{indent}reduce {n.space} over {n.over}: {n.store}[{n.offset}] = {n.kind} of {n.value}")
        elif isinstance(n, Nest):
            lines += [
                (
                    f"{indent}nest of {_times(n.outer)} rows{f', {n.chunk} at a time' if n.chunk else ''}, "
                    f"locals {list(n.locals)}"
                ),
                *printed(n.body, indent + "  "),
            ]
        elif isinstance(n, Argmax):
            lines.append(f"{indent}argmax {n.space} over {n.over}: {n.store}[{n.offset}] = argmax of {n.value}")
        elif isinstance(n, Scatter):
            lines.append(
                f"{indent}scatter {n.space}: {n.store}[{n.offset}] {'' if n.kind == 'set' else n.kind}= "
                f"{n.value} if {n.conditions}"
            )
        elif isinstance(n, Dot):
            lines.append(f"{indent}dot {n.space} {n.m}x{n.k}x{n.n}: {n.out.buffer} = {n.lhs.buffer} @ {n.rhs.buffer}")
        elif isinstance(n, Loop):
            turns = f"while {n.test_result}" if n.test is not None else n.length
            lines.append(f"{indent}loop t{n.depth} {turns}{' reversed' if n.reverse else ''}, carry {n.carry}")
            for nested in n.nested():
                lines += [*printed(nested, indent + "  "), indent + "  --"]
        elif isinstance(n, Band):
            lines += [f"{indent}band of {n.count} parts, locals {list(n.locals)}", *printed(n.body, indent + "  ")]
        elif isinstance(n, Routine):
            lines.append(f"{indent}routine {n.space} {n.key}{n.sizes}: {n.writes()} from {n.reads()}")
        elif isinstance(n, Finished):
            lines += [f"{indent}finished in {n.count} parts", *printed([n.dot, n.after], indent + "  ")]
        elif isinstance(n, Branch):
            lines.append(f"{indent}branch on {n.index}")
            for nested in n.bodies:
                lines += [*printed(nested, indent + "  "), indent + "  --"]
    return lines
