"""The builder: what `lower` rules are handed.  It turns a Graph into a loop program.

Its vocabulary lies in `values.py` and `contractions.py`; here are graphs and control flow. The steps of
`schedule/` merge what is left.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Mapping, Sequence

from fdl.core import dtypes
from fdl.core.errors import GraphError
from fdl.core.graph import Atom, Equation, Graph, Literal, Var, use_counts
from fdl.lowering.build.contractions import Products
from fdl.lowering.build.values import Home, Value
from fdl.lowering.ir.expr import Buffer, Expr
from fdl.lowering.ir.index import ZERO, Index, iteration
from fdl.lowering.ir.nodes import Branch, Loop
from fdl.lowering.ir.program import Program
from fdl.lowering.ir.routines import RoutineTable
from fdl.ops.vocabulary import Words
from fdl.passes.generalize import General
from fdl.passes.size import Extent, Sizes, UndecidedSizeError, at_most
from fdl.passes.split import split_complex

_FEW = 16  # elements of a carry that is no output, but copied to one


class Builder(Products):
    """Makes the nodes of one program.  Methods are the vocabulary of `lower` rules."""

    # Graphs

    def inline(
        self,
        graph: Graph,
        args: Sequence[Value],
        homes: Mapping[Atom, Home] | None = None,
        at_once: Sequence[Atom] = (),
    ) -> list[Value]:
        """The results of a graph for these inputs; what `homes` names is stored there if it is stored, and what is
        wanted `at_once` is stored when it is known.
        """
        uses = use_counts(graph)
        in_order = {*graph.outputs, *(e.inputs[i] for e in graph.equations for i in _in_order(e))}
        env: dict[Var, Value] = dict(zip(graph.inputs, args, strict=True))

        def read(atom: Atom) -> Value:
            return self.literal(atom) if isinstance(atom, Literal) else env[atom]

        for e in graph.equations:
            env.update(zip(e.outputs, self.equation(e, [read(a) for a in e.inputs]), strict=True))
            for v in e.outputs:
                if env[v].buffer is None and ((uses[v] > 1 and env[v].expensive) or v in at_once):
                    self.materialize(env[v], v in in_order, (homes or {}).get(v))
        return [read(a) for a in graph.outputs]

    def equation(self, e: Equation, operands: Sequence[Value]) -> list[Value]:
        outer, self.source = self.source, e.source or self.source
        for i in _in_order(e):
            if operands[i].expensive:
                self.materialize(operands[i], in_order=True)
        results = e.primitive.as_list(e.primitive.rule("lower")(self, *operands, **e.params))
        self.source = outer
        for v, made in zip(e.outputs, results, strict=True):
            if made.dtype != v.aval.dtype:  # stores would not fit into the memory that there is
                raise GraphError(f"{e.primitive.name}: `lower` gives {made.dtype}, the shape rule {v.aval.dtype}")
        return results

    def literal(self, atom: Literal) -> Value:
        return Value((), atom.aval.dtype, lambda index: self.const(atom.value, atom.aval.dtype))

    # Control

    def _carried(self, values: Sequence[Value], targets: Sequence[Buffer], first: int) -> list[tuple[Buffer, Buffer]]:
        """What a step hands to the next: buffers with numbers from `first` on are the step's own and are not copied."""
        pairs: list[tuple[Buffer, Buffer]] = []
        for new, old in zip(values, targets, strict=True):
            if new.buffer is old and new.size == old.size:
                continue
            own = new.buffer
            fits = own is not None and own.number >= first and own.size == new.size and own not in dict(pairs)
            pairs.append((own if fits and own is not None else self._owned(new), old))
        return pairs

    def _owned(self, value: Value) -> Buffer:
        """A fresh buffer with a copy of a value."""
        buffer = self.new_buffer(value.dtype, value.size)
        self.store(value, buffer)
        return buffer

    def _in_memory(self, values: Sequence[Value]) -> list[Value]:
        """Values that a loop reads at every step: computed once, before it."""
        for x in values:
            if x.expensive:
                self.materialize(x)
        return list(values)

    def _lies_at(self, x: Value, buffer: Buffer, base: Index) -> bool:
        """Whether a value is what stands in memory from there on."""
        e, axes = self.seen(x)
        return e.op == "load" and e.attr == (buffer, base + iteration(axes))

    def repeat(
        self,
        length: int,
        init: Sequence[Value],
        body: Callable[[Index, list[Value]], Sequence[Value]],
        reverse: bool = False,
    ) -> list[Value]:
        """What `body(step, values)` makes of some values in `length` turns, step 0 first, or last with `reverse`."""
        return self._loop(self._carry(init), body, length, reverse)

    def _carry(self, init: Sequence[Value]) -> list[Value]:
        """What a loop starts with, each in a buffer of its own."""
        return [self.loaded(self._owned(v), v.shape) for v in init]

    def _loop(
        self,
        current: list[Value],
        body: Callable[[Index, list[Value]], Sequence[Value]],
        length: int = 0,
        reverse: bool = False,
        test: Callable[[list[Value]], Value] | None = None,
    ) -> list[Value]:
        """What `body(step, values)` makes of values in buffers in `length` turns, or, with a `test` of them, while that
        holds.
        """
        carry = [v.buffer for v in current if v.buffer is not None]
        holds = None if test is None else self.new_buffer(dtypes.bool_, 1)
        axis = self.exprs.axis(f"t{self.depth or ''}", length) if test is None else None
        first, step = len(self.buffers), ZERO if axis is None else axis.index
        pairs: list[tuple[Buffer, Buffer]] = []
        self.depth += 1
        tests = None if test is None or holds is None else self._nested(lambda: self.store(test(current), holds))
        nodes = self._nested(lambda: pairs.extend(self._carried(body(step, current), carry, first)))
        self.depth -= 1
        if length or tests is not None:
            self.emit(Loop(axis, reverse, nodes, pairs, tests, holds))
        return current

    def scan(
        self,
        consts: Sequence[Value],
        init: Sequence[Value],
        xs: Sequence[Value],
        graph: Graph,
        length: int,
        reverse: bool,
    ) -> list[Value]:
        consts = self._in_memory(consts)
        carry = self._carry(init)
        uses, n_carry = use_counts(graph), len(carry)
        stacks = [(self.new_buffer(a.dtype, length * a.size), a) for a in graph.out_avals[n_carry:]]

        def body(step: Index, current: list[Value]) -> Sequence[Value]:
            slices = [self.view(x.shape[1:], x, lambda index: (step, *index)) for x in xs]
            for x, v in zip(slices, graph.inputs[len(consts) + n_carry :], strict=True):
                if x.expensive and uses[v] > 1:
                    self.materialize(x)
            homes = [(buffer, step * a.size) for buffer, a in stacks]
            named = dict(zip(graph.outputs[n_carry:], homes, strict=True))
            outs = self.inline(graph, [*consts, *current, *slices], named)
            for y, home in zip(outs[n_carry:], homes, strict=True):
                if not self._lies_at(y, *home):
                    self.store(y, *home)
            return outs[:n_carry]

        return [*self._loop(carry, body, length, reverse), *(self.loaded(b, (length, *a.shape)) for b, a in stacks)]

    def while_loop(
        self,
        test_consts: Sequence[Value],
        body_consts: Sequence[Value],
        init: Sequence[Value],
        test: Graph,
        body: Graph,
    ) -> list[Value]:
        test_consts, body_consts = self._in_memory(test_consts), self._in_memory(body_consts)
        return self._loop(
            self._carry(init),
            lambda step, current: self.inline(body, [*body_consts, *current]),
            test=lambda current: self.inline(test, [*test_consts, *current])[0],
        )

    def cond(self, index: Value, operands: Sequence[Value], branches: Sequence[Graph]) -> list[Value]:
        *operands, index = self._in_memory([*operands, index])
        avals = branches[0].out_avals
        results = [self.new_buffer(a.dtype, a.size) for a in avals]

        def choose(graph: Graph) -> None:
            for value, buffer in zip(self.inline(graph, operands), results, strict=True):
                self.store(value, buffer)

        self.emit(Branch(index.at(()), [self._nested(functools.partial(choose, g)) for g in branches]))
        return [self.loaded(b, a.shape) for b, a in zip(results, avals, strict=True)]


def _in_order(e: Equation) -> Sequence[int]:
    return e.primitive.reads_in_order([x.aval for x in e.inputs], e.params)


# What the vocabulary promises to rules, the builder gives: mypy holds this line.
SPEAKS: Callable[[], Words[Value, Expr, Index]] = Builder


def build(
    graph: Graph,
    guards: int = 0,
    routines: RoutineTable | None = None,
    sizes: Sizes | None = None,
    steps: Sequence[Sequence[Extent]] = (),
) -> Program:
    """The loop program of a graph without constants, whose last `guards` results are bools that end it early.

    `routines` are those that the target has, what it lacks is built as loops; without, the program is for no target:
    it keeps a node for each routine, for the interpreter. Where shapes of the graph are `sizes` that the program is
    told, so may be the `steps` along axes of more than one element of some inputs, an empty list for the others.
    """
    with sizes.uniting() if sizes is not None else contextlib.nullcontext():  # what is equal was seen before
        graph = split_complex(graph)  # passes that come before have done so, and could simplify what it made
    b = Builder(routines)
    given = []
    for aval, own in zip(graph.in_avals, steps or [()] * len(graph.inputs), strict=True):
        axes = tuple(zip([d for d in aval.shape if d != 1], own, strict=True)) if own else ()
        source = b.new_buffer(aval.dtype, aval.size, "input", axes)
        walked = iter(own)
        at_steps = [0 if d == 1 else next(walked) for d in aval.shape] if own else None
        given.append(b.loaded(source, aval.shape, steps=at_steps))
    inputs = list(b.buffers)
    flags = graph.outputs[len(graph.outputs) - guards :]
    values = b.inline(graph, given, at_once=flags)
    outputs = []
    carried = {
        x for n in b.nodes if isinstance(n, Loop) for _, x in n.carry if at_most(x.size, _FEW)
    }  # these stay in registers
    for value in values:
        buffer = value.buffer
        if buffer is not None and buffer.kind == "temp" and buffer.size == value.size and buffer not in carried:
            buffer.kind = "output"  # computed in place, not copied
        else:
            buffer = b.new_buffer(value.dtype, value.size, "output")
            b.store(value, buffer)
        outputs.append(buffer)
    return Program(b.nodes, b.buffers, inputs, outputs, b.exprs, guards, sizes=sizes)


def build_general(general: General, routines: RoutineTable | None = None) -> Program:
    """The loop program of a graph for arrays of any size. Where a rule compares sizes, those of the example answer, and
    what they say is something that the program assumes.
    """
    while True:
        try:
            return build(general.graph, 0, routines, general.sizes, general.steps)
        except UndecidedSizeError as error:
            known = len(general.sizes.assumptions)
            if error.compared is not None:
                at_most(*error.compared)
            if len(general.sizes.assumptions) == known:
                raise
