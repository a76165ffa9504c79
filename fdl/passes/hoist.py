"""Products and sums that a loop only adds up leave it: the sum over steps joins the contraction.

Backwards through a recurrent layer each step adds `h_t.T @ g_t` to the gradient of the weights, and the sum of `g_t` to
that of the bias. One product over all steps at once reads and writes that gradient once, and is large enough to run at
full speed; what it needs is stacked by the loop, or was stacked already.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fdl.core.graph import Atom, Equation, Graph, Var, use_counts
from fdl.ops.axes import reduce_sum_p
from fdl.ops.dot import dot_general_p
from fdl.passes.match import ADD, Steps, steps_of

_MIN_RESULT = 1024  # elements of a sum that is worth the stacks
_MAX_STACKED = 1 << 25  # elements of a stack
# times as many elements a sum has as a step stacks for it: to write and read a stack costs as much as to add to the sum
_REPAID = 2


def hoist(graph: Graph) -> Graph:
    """Scans without the products and sums that they only add to a carry."""
    equations: list[Equation] = []
    for e in graph.equations:
        steps = steps_of(e)
        equations += [e] if steps is None else _hoisted(e, steps)
    return Graph(graph.inputs, tuple(equations), graph.outputs, graph.constants)


def _sums(steps: Steps) -> list[tuple[int, Equation, Equation]]:
    """Carries that are nothing but a sum of products, or of sums of what is stacked anyway: (number, the addition, what
    is added).
    """
    body, first, count, length = steps
    uses = use_counts(body)
    made = {q.outputs[0]: q for q in body.equations if q.outputs}
    consts = set(body.inputs[:first])
    stacked: set[Atom] = {*body.inputs[first + count :], *body.outputs[count:]}
    products, sums = [], []
    for i in range(count):
        carry, out = body.inputs[first + i], body.outputs[i]
        added = made.get(out) if isinstance(out, Var) and uses[out] == 1 else None
        if added is None or added.primitive is not ADD or uses[carry] != 1 or carry not in added.inputs:
            continue
        term = added.inputs[1 - added.inputs.index(carry)]
        q = made.get(term) if isinstance(term, Var) and uses[term] == 1 else None
        if q is None or not all(isinstance(a, Var) and a not in consts for a in q.inputs):
            continue
        if q.primitive is reduce_sum_p:
            sums.append((i, added, q))
        elif q.primitive is dot_general_p and _pays(q, stacked, length):
            products.append((i, added, q))
    stacked.update(a for _, _, q in products for a in q.inputs)
    return products + [(i, added, q) for i, added, q in sums if q.inputs[0] in stacked]


def _pays(q: Equation, stacked: set[Atom], length: int) -> bool:
    """Whether a product is worth what has to be stacked for it."""
    result, new = q.outputs[0].aval.size, sum(a.aval.size for a in q.inputs if a not in stacked)
    return bool(
        result >= _MIN_RESULT
        and _REPAID * new <= result
        and length * sum(a.aval.size for a in q.inputs) <= _MAX_STACKED
    )


def _hoisted(e: Equation, steps: Steps) -> list[Equation]:
    sums = _sums(steps)
    if not sums:
        return [e]
    body, first, count, length = steps
    gone = {i for i, _, _ in sums}
    dropped = {id(q) for _, added, term in sums for q in (added, term)}
    slices = dict(zip(body.inputs[first + count :], e.inputs[first + count :], strict=True))
    wanted = dict.fromkeys(a for _, _, term in sums for a in term.inputs if a not in slices)
    stacks = {a: Var(a.aval.update(shape=(length, *a.aval.shape))) for a in wanted if isinstance(a, Var)}

    def kept(values: Sequence[Atom], start: int) -> list[Atom]:
        return [a for k, a in enumerate(values) if k - start not in gone]

    inner = Graph(
        tuple(kept(body.inputs, first)),  # type: ignore[arg-type]
        tuple(q for q in body.equations if id(q) not in dropped),
        (*kept(body.outputs, 0), *stacks),
        body.constants,
    )
    loop = e.replace(
        inputs=tuple(kept(e.inputs, first)),
        outputs=(*kept(e.outputs, 0), *stacks.values()),
        params={**e.params, "graph": inner, "num_carry": count - len(gone)},
    )
    out = [loop]
    for i, added, term in sums:
        total = Var(term.outputs[0].aval)
        operands = tuple(slices[a] if a in slices else stacks[a] for a in term.inputs)  # type: ignore[index]
        out.append(term.replace(inputs=operands, outputs=(total,), params=_over_steps(term)))
        out.append(added.replace(inputs=(e.inputs[first + i], total), outputs=(e.outputs[i],)))
    return out


def _over_steps(term: Equation) -> dict[str, Any]:
    """The parameters of a contraction or sum that takes a leading axis of steps as well."""
    if term.primitive is reduce_sum_p:
        return {**term.params, "axes": (0, *(a + 1 for a in term.params["axes"]))}
    (lc, rc), (lb, rb) = term.params["numbers"]
    numbers = (
        ((0, *(a + 1 for a in lc)), (0, *(a + 1 for a in rc))),
        (tuple(a + 1 for a in lb), tuple(a + 1 for a in rb)),
    )
    return {**term.params, "numbers": numbers}
