"""Products are computed in the layout in which they are read: the transpose of a product is the product with its sides
exchanged.

A multiplication commutes and the order of each sum stays, so no bit changes.
"""

from __future__ import annotations

from collections.abc import Mapping

from fdl.core.graph import Atom, Equation, Graph, Var
from fdl.ops.axes import transpose_p
from fdl.ops.dot import dot_general_p
from fdl.passes.match import Changes, rewritten


def orient(graph: Graph) -> Graph:
    """`transpose(dot(a, b))`, where nothing else reads the product and what runs fastest after the transpose came from
    a, is a look at `dot(b, a)`.

    >>> import fdl.numpy as jnp
    >>> from fdl.transforms import make_graph
    >>> graph = make_graph(lambda x, y: (x @ y).T)(jnp.ones((2, 3)), jnp.ones((3, 4)))
    >>> print(graph)
    graph (a:float32[2,3] b:float32[3,4]) {
      c:float32[2,4] = dot_general[dtype=float32 numbers=(((1),(0)),((),()))] a b
      d:float32[4,2] = transpose[permutation=(1,0)] c
      return d
    }
    >>> print(orient(graph))
    graph (a:float32[2,3] b:float32[3,4]) {
      c:float32[4,2] = dot_general[dtype=float32 numbers=(((0),(1)),((),()))] b a
      return c
    }
    """
    return rewritten(graph, _oriented)


def _oriented(e: Equation, makers: Mapping[Atom, Equation]) -> Changes:
    product = makers.get(e.inputs[0]) if e.primitive is transpose_p else None
    if product is None or product.primitive is not dot_general_p:
        return {}
    return _swapped(product, e) if e.params["permutation"][-1] in _left(product) else {}


def _left(product: Equation) -> range:
    """Axes of the result that come from the first operand alone."""
    (lc, _), (lb, _) = product.params["numbers"]
    return range(len(lb), product.inputs[0].aval.ndim - len(lc))


def _swapped(product: Equation, transpose: Equation) -> Changes:
    """The product with its sides exchanged, and what is left of the transpose."""
    (lc, rc), (lb, rb) = product.params["numbers"]
    a, b = product.inputs
    left, ndim = _left(product), product.outputs[0].aval.ndim
    order = [*range(left.start), *range(left.stop, ndim), *left]  # axes of the result in the exchanged product's
    permutation = tuple([order.index(axis) for axis in transpose.params["permutation"]])
    params = {**product.params, "numbers": ((rc, lc), (rb, lb))}
    if permutation == tuple(range(ndim)):
        return {product: [product.replace(inputs=(b, a), params=params, outputs=transpose.outputs)], transpose: []}
    aval = product.outputs[0].aval
    out = Var(aval.update(shape=tuple([aval.shape[axis] for axis in order])))
    exchanged = product.replace(inputs=(b, a), params=params, outputs=(out,))
    rest = transpose.replace(inputs=(out,), params={**transpose.params, "permutation": permutation})
    return {product: [exchanged], transpose: [rest]}
