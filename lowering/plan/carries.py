"""How loops hand on what they carry: nothing is done where the new value lies in the memory of the old one, large ones
change places with the old ones, and the others are copied.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from fdl.lowering.ir.expr import Buffer
from fdl.lowering.ir.nodes import Loop, Node, Threads
from fdl.lowering.ir.planned import Arena, Copy, Home, Swap
from fdl.lowering.ir.program import Program
from fdl.lowering.ir.rewrite import mapped
from fdl.lowering.target import Target
from fdl.passes.size import surely


def hand_on(program: Program, target: Target) -> Program:
    """Copies and swaps at the end of loops in place of what they carry, for buffers that have their places.

    >>> import fdl.numpy as jnp
    >>> from fdl import lax
    >>> from fdl.lowering.build.control import build
    >>> from fdl.lowering.plan.memory import allocate
    >>> from fdl.lowering.target import AVX2
    >>> from fdl.passes import run_passes
    >>> from fdl.transforms import make_graph
    >>> def turning(x):
    ...     return lax.scan(lambda c, _: (c[::-1] + c, None), x, None, length=9)[0]
    >>> program = build(run_passes(make_graph(turning)(jnp.ones(64))))
    >>> print(program)
    program (in0:float32[64]) -> (out1:float32[64])
      map (i: 64)
        out1[i] = in0[i]
      loop (t: 9), carry [(temp2, out1)]
        map (i: 64)
          temp2[i] = add:float32(out1[-1*i + 63], out1[i])
        --
    >>> print(hand_on(allocate(program, AVX2), AVX2))
    program (in0:float32[64]) -> (out1:float32[64])
      alloc temp2:float32[64] in arena at 0
      map (i: 64)
        out1[i] = in0[i]
      loop (t: 9)
        map (i: 64)
          temp2[i] = add:float32(out1[-1*i + 63], out1[i])
        copy out1 = temp2
        --
    """
    arena = Arena.of(program.nodes)

    def handed(nodes: Sequence[Node]) -> list[Node]:
        return [_handed(n, arena, target) if isinstance(n, Loop) else n for n in nodes]

    return dataclasses.replace(program, nodes=mapped(program.nodes, handed))


def _handed(n: Loop, arena: Arena, target: Target) -> Loop:
    one = Threads.ONE if n.threads is Threads.ALL else Threads.HERE
    fixed = {*arena.in_place, *arena.in_place.values(), *arena.private}
    copied: list[tuple[Buffer, Buffer]] = []
    swapped: list[tuple[Buffer, Buffer]] = []
    for new, old in n.carry:
        if arena.in_place.get(new) is not old:
            small = n.threads is not Threads.ALL and surely(lambda b=old: b.nbytes <= target.copied)
            stays = small or new.kind != "temp" or new in fixed or old in fixed
            (copied if stays else swapped).append((new, old))
    ending = [*([Copy(copied, threads=one)] if copied else []), *(Swap(*pair) for pair in swapped)]
    return dataclasses.replace(
        n, body=[*n.body, *ending], carry=[], last=[Home(*pair, threads=one) for pair in swapped]
    )
