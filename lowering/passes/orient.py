"""Products are computed in the layout in which they are read: the transpose of a product is the product with its sides exchanged.

A multiplication commutes and the order of each sum stays, so no bit changes.
"""

from __future__ import annotations

from typing import Any

from fdl.core.graph import Equation, Graph, Var, use_counts


def orient(graph: Graph) -> Graph:
    """`transpose(dot(a, b))`, where nothing else reads the product and the transpose only exchanges what came from a and from b, is `dot(b, a)`."""
    uses = use_counts(graph)
    products = {e.outputs[0]: e for e in graph.equations if e.primitive.name == "dot_general"}
    exchanged: dict[Var, Equation] = {}
    for e in graph.equations:
        x = e.inputs[0] if e.inputs else None
        if e.primitive.name == "transpose" and isinstance(x, Var) and x in products and uses[x] == 1 and _exchanges(products[x], e.params["permutation"]):
            exchanged[x] = e
    outputs = {id(e): v for v, e in exchanged.items()}
    equations: list[Equation] = []
    for e in graph.equations:
        if e.outputs and e.outputs[0] in exchanged:
            equations.append(_swapped(e, exchanged[e.outputs[0]]))
        elif id(e) not in outputs:
            equations.append(e.replace(params={k: _inner(v) for k, v in e.params.items()}))
    return Graph(graph.inputs, tuple(equations), graph.outputs, graph.constants)


def _inner(value: Any) -> Any:
    if isinstance(value, Graph):
        return orient(value)
    return tuple(map(_inner, value)) if isinstance(value, tuple) and any(isinstance(v, Graph) for v in value) else value


def _exchanges(product: Equation, permutation: tuple[int, ...]) -> bool:
    (lc, _), (lb, _) = product.params["numbers"]
    batch, ndim = len(lb), product.outputs[0].aval.ndim
    left = product.inputs[0].aval.ndim - len(lc) - batch
    return permutation == (*range(batch), *range(batch + left, ndim), *range(batch, batch + left))


def _swapped(product: Equation, transpose: Equation) -> Equation:
    (lc, rc), (lb, rb) = product.params["numbers"]
    a, b = product.inputs
    return product.replace(inputs=(b, a), params={**product.params, "numbers": ((rc, lc), (rb, lb))}, outputs=transpose.outputs)
