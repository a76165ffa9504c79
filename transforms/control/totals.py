"""Sums over the steps of a loop that are taken after it: there the sum of products is one product.

Backwards through a recurrent layer each step adds `h.T @ g` to the gradient of the weights, and the sum of `g` to that
of the bias. One product over all steps reads and writes that gradient once, and is large enough to run at full speed;
what it needs is stacked by the loop, or was stacked already.

The two forms sum in another order, so that their bits differ. Therefore the transpose of a loop chooses one where it
makes the loop, from the body and the number of steps alone, and no pass makes another one of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from fdl.core.graph import Atom, Equation, Graph, Literal, Var
from fdl.core.primitive import Primitive
from fdl.ops.axes import broadcast_p, reduce_sum_p, transpose_p
from fdl.ops.dot import dot_general_p
from fdl.ops.shape import reshape_p
from fdl.passes.match import ADD, sole_makers
from fdl.passes.prune import prune

_LINEAR = frozenset([ADD, transpose_p, reshape_p, broadcast_p])  # of sums they make the sum of what they make
_MIN_RESULT = 1024  # elements of a sum that is worth the stacks
_MAX_STACKED = 1 << 25  # elements of a stack
# times as many elements a sum has as a step stacks for it: to write and read a stack costs as much as to add to the sum
_REPAID = 2


class Totals(NamedTuple):
    """A loop whose first carries are sums, and what is left to do after it.

    `body` takes and returns what is carried after those sums that the loop adds up, which are `inside`; its last
    results are the values to be stacked for the others. `outside` has their equations by the number of the term.
    """

    body: Graph
    inside: list[int]
    outside: dict[int, list[Equation]]
    slices: dict[Atom, int]
    stacks: list[Atom]

    def after(self, xs: Sequence[Any], stacks: Sequence[Any]) -> dict[int, Any]:
        """The sums that are taken after the loop, by number, from what it scanned over and stacked."""
        known = {a: xs[i] for a, i in self.slices.items()} | dict(zip(self.stacks, stacks, strict=True))
        totals = {}
        for i, equations in self.outside.items():
            for e in equations:
                params = _OVER_STEPS[e.primitive](**e.params) if e.primitive in _OVER_STEPS else e.params
                (known[e.outputs[0]],) = e.primitive.bind_list([known[a] for a in e.inputs], params)
            totals[i] = known[equations[-1].outputs[0]]
        return totals


def take_totals(body: Graph, num_terms: int, num_consts: int, num_carry: int, length: int) -> Totals:
    """Split the sums over steps of the first `num_terms` results of a body without calls.

    The body takes constants, the carry and slices; it returns the terms, the carry and what is stacked. A sum is taken
    after the loop where its term is made by products and sums, each large enough for what has to be stacked, and by
    what is linear in them.

    >>> import fdl.numpy as jnp
    >>> from fdl.transforms import make_graph
    >>> x, y = jnp.ones((32, 2)), jnp.ones((2, 32))
    >>> totals = take_totals(make_graph(lambda x, y: ((x @ y).T, -x))(x, y), 1, 0, 0, 5)
    >>> print(totals.body)
    graph (a:float32[32,2] b:float32[2,32]) {
      c:float32[32,2] = neg a
      return c
    }
    >>> [e.primitive.name for e in totals.outside[0]]
    ['dot_general', 'transpose']
    """
    first_slice = num_consts + num_carry
    slices: dict[Atom, int] = {a: i for i, a in enumerate(body.inputs[first_slice:])}
    found = _tails(body, body.outputs[:num_terms], body.inputs[:num_consts])
    stacked: set[Atom] = {*slices, *body.outputs[num_terms + num_carry :]}
    outside: dict[int, list[Equation]] = {}
    # products first: what they stack is there for sums
    for i in sorted(found, key=lambda i: any(e.primitive is reduce_sum_p for e in found[i])):
        contractions = [e for e in found[i] if e.primitive in _OVER_STEPS]
        if all(_pays(e, stacked, length) for e in contractions):
            outside[i] = found[i]
            stacked.update(a for e in contractions for a in e.inputs)
    inside = [i for i in range(num_terms) if i not in outside]
    operands = [a for q in outside.values() for e in q if e.primitive in _OVER_STEPS for a in e.inputs]
    stacks = [a for a in dict.fromkeys(operands) if a not in slices]
    sums = [Var(body.outputs[i].aval) for i in inside]
    added = [Var(v.aval) for v in sums]
    additions = [Equation(ADD, (v, body.outputs[i]), {}, (out,)) for v, i, out in zip(sums, inside, added, strict=True)]
    inputs = (*body.inputs[:num_consts], *sums, *body.inputs[num_consts:])
    outputs = (*added, *body.outputs[num_terms:], *stacks)
    return Totals(prune(Graph(inputs, (*body.equations, *additions), outputs)), inside, outside, slices, stacks)


def _tails(body: Graph, terms: Sequence[Atom], consts: Sequence[Atom]) -> dict[int, list[Equation]]:
    """By number, the equations that make a term of operands of products and sums that vary by step, where nothing else
    needs what they make.
    """
    makers = sole_makers(body)

    def tail(term: Atom) -> list[Equation] | None:
        found, work = [], [term]
        while work:
            e = makers.get(work.pop())
            if e is None or (
                e.primitive in _OVER_STEPS and any(isinstance(x, Literal) or x in consts for x in e.inputs)
            ):
                return None
            if e.primitive not in _OVER_STEPS:
                if e.primitive not in _LINEAR:
                    return None
                work += e.inputs
            found.append(e)
        return found[::-1]

    tails = {i: tail(a) for i, a in enumerate(terms)}
    return {i: equations for i, equations in tails.items() if equations}


def _pays(e: Equation, stacked: set[Atom], length: int) -> bool:
    """Whether a product is worth what has to be stacked for it; a sum is where its operand is stacked anyway."""
    result, new = e.outputs[0].aval.size, sum(a.aval.size for a in e.inputs if a not in stacked)
    if e.primitive is reduce_sum_p:
        return not new
    return bool(
        result >= _MIN_RESULT
        and _REPAID * new <= result
        and length * sum(a.aval.size for a in e.inputs) <= _MAX_STACKED
    )


def _sum_over_steps(axes: tuple[int, ...]) -> dict[str, Any]:
    return {"axes": (0, *(a + 1 for a in axes))}


def _product_over_steps(numbers: Any, dtype: Any) -> dict[str, Any]:
    (contracted, batch) = (tuple(tuple(a + 1 for a in axes) for axes in sides) for sides in numbers)
    return {"numbers": (tuple((0, *axes) for axes in contracted), batch), "dtype": dtype}


# The parameters of contractions that take a leading axis of steps as well
_OVER_STEPS: dict[Primitive, Callable[..., dict[str, Any]]] = {
    reduce_sum_p: _sum_over_steps,
    dot_general_p: _product_over_steps,
}
