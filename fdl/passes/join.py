"""Sums of padded pieces that do not overlap are one concatenation.

The gradient of an array that was read in slices (gates of a recurrent cell, heads, halves) is a sum of its pieces'
gradients, each padded with zeros: as a concatenation every element is computed once, and by its own formula. Zero is
added to each piece, so that bits stay: -0 + 0 is 0.
"""

from __future__ import annotations

from collections.abc import Mapping

from fdl.core.avals import ShapedArray
from fdl.core.graph import Atom, Equation, Graph, Literal, Var
from fdl.core.primitive import Primitive
from fdl.ops.axes import broadcast_p
from fdl.ops.shape import concatenate_p, pad_p
from fdl.passes.match import ADD, rewritten


def join(graph: Graph) -> Graph:
    """Concatenations in place of sums of pads.

    >>> import fdl.numpy as jnp
    >>> from fdl import ops
    >>> from fdl.transforms import make_graph
    >>> def halves(x, y):
    ...     return ops.add(ops.pad(x, 0.0, [(0, 2, 0)]), ops.pad(y, 0.0, [(2, 0, 0)]))
    >>> graph = make_graph(halves)(jnp.ones(2), jnp.ones(2))
    >>> print(graph)
    graph (a:float32[2] b:float32[2]) {
      c:float32[4] = pad[config=((0,2,0))] a 0.0:float32*
      d:float32[4] = pad[config=((2,0,0))] b 0.0:float32*
      e:float32[4] = add c d
      return e
    }
    >>> print(join(graph))
    graph (a:float32[2] b:float32[2]) {
      c:float32[2] = add a 0.0:float32
      d:float32[2] = add b 0.0:float32
      e:float32[4] = concatenate[axis=0] c d
      return e
    }
    """
    return rewritten(graph, lambda e, makers: {e: _joined(e, *found)} if (found := _pieces(e, makers)) else {})


def _pieces(e: Equation, makers: Mapping[Atom, Equation]) -> tuple[int, list[tuple[int, Atom]]] | None:
    """The axis, and the pieces by where they start, if an equation adds pads of one axis that do not overlap."""
    terms: list[Equation] = []
    work: list[Equation | None] = [e] if e.primitive is ADD else []
    while work:
        q = work.pop()
        if q is not None and q.primitive is ADD:
            work += map(makers.get, q.inputs)
        elif q is not None and q.primitive is pad_p and isinstance(q.inputs[1], Literal) and q.inputs[1].value == 0:
            terms.append(q)
        else:
            return None
    axes = {i for q in terms for i, c in enumerate(q.params["config"]) if c != (0, 0, 0)}
    if len(axes) != 1 or any(min(c[0], c[1]) < 0 or c[2] for q in terms for c in q.params["config"]):
        return None
    (axis,) = axes
    pieces = sorted(((q.params["config"][axis][0], q.inputs[0]) for q in terms), key=lambda piece: piece[0])
    ends = [start + a.aval.shape[axis] for start, a in pieces]
    return (axis, pieces) if all(end <= start for end, (start, _) in zip(ends, pieces[1:], strict=False)) else None


def _joined(e: Equation, axis: int, pieces: list[tuple[int, Atom]]) -> list[Equation]:
    out = e.outputs[0].aval
    zero = Literal(0, out.dtype)
    made: list[Equation] = []
    parts: list[Atom] = []

    def fill(size: int) -> None:
        if size:
            shape = (*out.shape[:axis], size, *out.shape[axis + 1 :])
            parts.append(_made(made, e, broadcast_p, (zero,), out.update(shape=shape), shape=shape, axes=()))

    place = 0
    for start, a in pieces:
        fill(start - place)
        parts.append(_made(made, e, ADD, (a, zero), out.update(shape=a.aval.shape)))
        place = start + a.aval.shape[axis]
    fill(out.shape[axis] - place)
    joined = e.replace(primitive=concatenate_p, inputs=tuple(parts), params={"axis": axis})
    return [*made, joined]


def _made(
    into: list[Equation],
    like: Equation,
    primitive: Primitive,
    inputs: tuple[Atom, ...],
    aval: ShapedArray,
    **params: object,
) -> Var:
    result = Var(aval)
    into.append(like.replace(primitive=primitive, inputs=inputs, outputs=(result,), params=params))
    return result
