"""Products are computed in the layout in which they are read: the transpose of a product is the product with its sides
exchanged.

A multiplication commutes and the order of each sum stays, so no bit changes.
"""

from __future__ import annotations

from fdl.core.graph import Equation, Graph, Var, use_counts
from fdl.ops.axes import transpose_p
from fdl.ops.dot import dot_general_p
from fdl.passes.match import in_subgraphs


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
    uses = use_counts(graph)
    products = {e.outputs[0]: e for e in graph.equations if e.primitive is dot_general_p}
    turned: dict[Var, Equation] = {}  # by the product's result: its transpose
    for e in graph.equations:
        x = e.inputs[0] if e.inputs else None
        if (
            e.primitive is transpose_p
            and isinstance(x, Var)
            and x in products
            and uses[x] == 1
            and e.params["permutation"][-1] in _left(products[x])
        ):
            turned[x] = e
    left_over: dict[int, Equation | None] = {}  # by identity of a transpose: what is left of it
    equations: list[Equation] = []
    for e in graph.equations:
        if e.outputs and e.outputs[0] in turned:
            transpose = turned[e.outputs[0]]
            product, left_over[id(transpose)] = _swapped(e, transpose)
            equations.append(product)
        elif id(e) in left_over:
            rest = left_over[id(e)]
            equations += [] if rest is None else [rest]
        else:
            equations.append(e.replace(params=in_subgraphs(e, orient)))
    return Graph(graph.inputs, tuple(equations), graph.outputs, graph.constants)


def _left(product: Equation) -> range:
    """Axes of the result that come from the first operand alone."""
    (lc, _), (lb, _) = product.params["numbers"]
    return range(len(lb), product.inputs[0].aval.ndim - len(lc))


def _swapped(product: Equation, transpose: Equation) -> tuple[Equation, Equation | None]:
    """The product with its sides exchanged, and what is left of the transpose."""
    (lc, rc), (lb, rb) = product.params["numbers"]
    a, b = product.inputs
    left, ndim = _left(product), product.outputs[0].aval.ndim
    order = [*range(left.start), *range(left.stop, ndim), *left]  # axes of the result in the exchanged product's
    permutation = tuple([order.index(axis) for axis in transpose.params["permutation"]])
    params = {**product.params, "numbers": ((rc, lc), (rb, lb))}
    if permutation == tuple(range(ndim)):
        return product.replace(inputs=(b, a), params=params, outputs=transpose.outputs), None
    aval = product.outputs[0].aval
    out = Var(aval.update(shape=tuple([aval.shape[axis] for axis in order])))
    exchanged = product.replace(inputs=(b, a), params=params, outputs=(out,))
    return exchanged, transpose.replace(inputs=(out,), params={**transpose.params, "permutation": permutation})
