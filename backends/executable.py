"""What a backend gives: a program that can be called, and the interpreter, which is one."""

from __future__ import annotations

import abc
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import numpy as np

from fdl.core.array import ConcreteArray
from fdl.core.avals import ShapedArray
from fdl.core.graph import Equation, Graph, evaluate, interpret
from fdl.core.pytree import TreeDef
from fdl.ops.checks import Failure, check_p
from fdl.passes.checks import lift_checks, only_checks
from fdl.passes.inline import inline


class Executable(abc.ABC):
    """A program that takes arrays of the graph's input types and gives arrays of its output types."""

    graph: Graph

    @abc.abstractmethod
    def __call__(self, arrays: Sequence[ConcreteArray]) -> list[ConcreteArray]:
        """Run it."""

    def fill(self, values: list[Any], leaves: list[int], outputs: list[int]) -> None:
        """Run it on the arrays and Python numbers in some slots of `values`; the results become the data of the arrays
        in others.
        """
        arrays = [as_operand_array(values[s], v.aval) for s, v in zip(leaves, self.graph.inputs, strict=True)]
        for slot, result in zip(outputs, self(arrays), strict=True):
            values[slot]._data = result._data

    def entry(
        self, captured: Sequence[ConcreteArray], given: TreeDef, result: TreeDef, donated: Sequence[int]
    ) -> Callable[..., Any] | None:
        """A callable for arguments of one structure, a tuple's, that returns NotImplemented for another signature; None
        where there is none.

        `donated` are leaves that are marked as given away.
        """
        return None


def as_operand_array(x: Any, aval: ShapedArray) -> ConcreteArray:
    """An input as an array: a Python number gets the dtype of the input that it is given for."""
    return x if type(x) is ConcreteArray else ConcreteArray(aval, np.asarray(x).astype(aval.dtype))


def interpret_checked(graph: Graph, args: Sequence[np.ndarray[Any, Any]]) -> list[np.ndarray[Any, Any]]:
    """`interpret`, where checks that fail name their own lines."""
    if "check" not in graph.effects:
        return interpret(graph, args)

    def apply(e: Equation, operands: list[Any]) -> Sequence[Any]:
        if e.primitive is check_p:
            found = e.params["failure"].of(np.asarray(operands[0]), operands[1:], e.source)
            if found is not None:
                raise found
            return []
        return e.primitive.reference(operands, e.params)

    return evaluate(_inlined(graph), args, apply, lambda lit: np.asarray(lit.value))


def refuse(graph: Graph, values: Sequence[np.ndarray[Any, Any]]) -> NoReturn:
    """Raise what the first check that fails for these inputs says."""
    interpret_checked(only_checks(graph), values)
    failure: Failure = (
        lift_checks(graph).checks[0].params["failure"]
    )  # of a number at the edge, for which the reference has other bits
    raise failure.raised()


def _inlined(graph: Graph) -> Graph:
    """The graph without calls, made once."""
    if "inlined" not in graph.memo:
        graph.memo["inlined"] = inline(graph)
    found: Graph = graph.memo["inlined"]
    return found


class Interpreted(Executable):
    """The graph on NumPy arrays with the reference implementations."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    def __call__(self, arrays: Sequence[ConcreteArray]) -> list[ConcreteArray]:
        values = interpret_checked(self.graph, [a._numpy() for a in arrays])
        return [ConcreteArray(aval, value) for aval, value in zip(self.graph.out_avals, values, strict=True)]
