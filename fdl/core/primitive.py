"""Primitives and the rule tables: one table a transform, so that anybody can add an operation or a transform from
outside.

- `shape`: `(*avals, **params) -> aval(s)`; raises the user-facing error
- `impl`: `(*ndarrays, **params) -> ndarray(s)`; the oracle for all backends
- `jvp`: `(primals, tangents, **params) -> (out(s), tangent(s))`; a tangent may be a symbolic `Zero`
- `linearize`: `(primals, nonzero, **params) -> (outs, linear)`; `linear(tangents that are not zero) -> tangents or
  Zeros`; only where graphs or functions are held
- `transpose`: `(cotangent(s), operands, **params) -> one cotangent or None an operand`; linear operands come as
  `Linear`
- `batch`: `(axis, args, batched, **params) -> (out(s), batched)`; the batch axis is always the leading one, `batched`
  says which operands and results have it
- `lower`: `(builder, *operands, **params) -> value(s)`: what one output element is
- `parts`: `(*operands, **params) -> result(s)`: the same in operations on real numbers, where complex operands and
  results are `Parts`; only of what has a meaning for complex numbers
- `in_order`: `(avals, **params) -> positions` of operands that `lower` reads best in row-major order; absent where any
  order will do
- `evaluate`: `(*arrays, **params) -> arrays`: what the base trace runs at once, and does not record; None where it may
  record
- `stage`: `(operands, **params) -> (operands, params)`: functions in params made Graphs, before the equation is
  recorded
- `work`: `(avals, **params) -> number`: multiplications of the reference, roughly, where its results' sizes do not
  tell; absent where they do
- `effects`: `(**params) -> frozenset of names`; absent where there are none
- `called`: `(**params) -> Graph` that an equation evaluates once, on its operands, and gives the results of; only where
  a graph is called
- `steps`: `(**params) -> Steps`: what a loop of known length evaluates at each step; only of such loops, whose params
  have the names of its fields
- `sizes`: names of params in which numbers are sizes, or places along axes, and may differ where the operation is the
  same; absent where there are none
- `samples`: a list of `Sample`s, from which the property tests are generated

A primitive with `multiple_results` takes and gives lists where the others have a single value.

Rules may change while a program runs, see `changes.py`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from types import FrameType
from typing import Any

import numpy as np

from fdl.core.array import Array
from fdl.core.avals import ShapedArray
from fdl.core.changes import Watched, change
from fdl.core.errors import ChoiceError, MissingRuleError
from fdl.core.source import is_own

Rule = Any
RULES: dict[str, Watched[Primitive, Rule]] = {
    kind: Watched()
    for kind in (
        "shape",
        "impl",
        "jvp",
        "linearize",
        "transpose",
        "batch",
        "lower",
        "parts",
        "in_order",
        "work",
        "evaluate",
        "stage",
        "effects",
        "called",
        "steps",
        "sizes",
        "samples",
    )
}
REGISTRY: dict[str, Primitive] = {}
OWN: set[Primitive] = set()  # those of fdl itself, which others may not replace

# Filled by `trace.py`, which knows the current trace: (primitive, operands, params) -> results.
_process: Callable[[Primitive, Sequence[Any], Mapping[str, Any]], Sequence[Any]]


def on_bind(process: Callable[[Primitive, Sequence[Any], Mapping[str, Any]], Sequence[Any]]) -> None:
    """Say who answers `bind`; called once, by the trace module."""
    global _process
    _process = process


def _is_imported_by_fdl() -> bool:
    """Whether one of fdl's modules is at its top level, and no one else's that it called."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code.co_name != "<module>":
        frame = frame.f_back
    return frame is not None and is_own(frame.f_code)


class Primitive:
    """A name; its rules lie in `RULES`.

    >>> double_p = Primitive("double").define(shape=lambda x: x, impl=lambda x: 2 * x)
    >>> double_p.has("jvp")
    False
    """

    __slots__ = ("multiple_results", "name", "replaced")

    def __init__(self, name: str, multiple_results: bool = False) -> None:
        self.name = name
        self.multiple_results = multiple_results
        self.replaced: list[Primitive] = []  # those that had the name before

    def __repr__(self) -> str:
        return self.name

    def __lt__(self, other: Primitive) -> bool:
        return self.name < other.name

    def define(self, **rules: Rule) -> Primitive:
        """Enter rules into their tables and return the primitive.

        A rule that replaces another one, or joins those that were there, holds from the next operation on, also in
        functions that were compiled or derived before.
        """
        fresh = not self._is_known() or _is_imported_by_fdl()
        for kind, rule in rules.items():
            if fresh:
                RULES[kind].enter(self, rule)
            else:
                for primitive in (self, *self.replaced):
                    RULES[kind][primitive] = rule
        return self

    def _is_known(self) -> bool:
        return any(self in table for table in RULES.values())

    def register(self) -> Primitive:
        """Be found by its name: for primitives of fdl itself, and for a user's, who may define one anew.

        Whoever holds a user's earlier primitive of this name has this one's rules from now on. Raises ChoiceError for
        an operation that is called as one of fdl's.
        """
        known = REGISTRY.get(self.name)
        if known in OWN:
            raise ChoiceError(
                f"there is an operation {self.name!r} already",
                why="it is fdl's own: programs, spellings and files know operations by their names",
                hint=f'another name, say "my_{self.name}"; or change a rule of it: '
                f'fdl.core.REGISTRY["{self.name}"].define(...)',
            )
        if _is_imported_by_fdl():
            OWN.add(self)
        elif known is not None and known is not self:
            change(self._replace, known)
        REGISTRY[self.name] = self
        return self

    def _replace(self, known: Primitive) -> None:
        self.replaced = [*known.replaced, known]
        for primitive in self.replaced:
            primitive.multiple_results = self.multiple_results
            for table in RULES.values():
                table.replace(primitive, self)

    def is_as_written(self) -> bool:
        """Whether it is one of fdl's, with the rules that fdl's files give it."""
        return self in OWN and not any(self in table.changed for table in RULES.values())

    def has(self, kind: str) -> bool:
        """Whether the table `kind` has a rule for this primitive."""
        return self in RULES[kind]

    def rule(self, kind: str) -> Rule:
        """The rule, or MissingRuleError."""
        try:
            return RULES[kind][self]
        except KeyError:
            raise MissingRuleError(
                f"primitive `{self.name}` has no `{kind}` rule",
                why=f"the transform that runs here needs the `{kind}` rule of every primitive it meets",
                hint=f"{self.name}_p.define({kind}=...), see `fdl.core.primitive` for its signature",
            ) from None

    def bind(self, *operands: Any, **params: Any) -> Array:
        """Apply under the current trace: one result, or a list with `multiple_results`, for which `bind_all` has the
        type.
        """
        outs = _process(self, operands, params)
        return list(outs) if self.multiple_results else outs[0]  # type: ignore[return-value]

    def bind_all(self, *operands: Any, **params: Any) -> list[Array]:
        """As `bind`, always with a list of results."""
        return list(_process(self, operands, params))

    def bind_list(self, operands: Sequence[Any], params: Mapping[str, Any]) -> Sequence[Any]:
        """As `bind`, always with a sequence of results."""
        return _process(self, operands, params)

    def as_list(self, result: Any) -> list[Any]:
        """A rule's result as a list."""
        return list(result) if self.multiple_results else [result]

    def infer(self, avals: Sequence[ShapedArray], params: Mapping[str, Any]) -> list[ShapedArray]:
        """Types of the results."""
        return self.as_list(self.rule("shape")(*avals, **params))

    def reference(self, operands: Sequence[Any], params: Mapping[str, Any]) -> list[np.ndarray[Any, Any]]:
        """The results on NumPy arrays."""
        with np.errstate(all="ignore"):
            return [np.asarray(out) for out in self.as_list(self.rule("impl")(*operands, **params))]

    def reads_in_order(self, avals: Sequence[ShapedArray], params: Mapping[str, Any]) -> Sequence[int]:
        """Positions of the operands that are best laid out in row-major order for this primitive."""
        rule = RULES["in_order"].get(self)
        return rule(avals, **params) if rule else ()

    def work(self, avals: Sequence[ShapedArray], params: Mapping[str, Any]) -> float:
        """Multiplications of the reference, beyond what the sizes of its results tell."""
        rule = RULES["work"].get(self)
        return float(rule(avals, **params)) if rule else 0.0

    def effects(self, params: Mapping[str, Any]) -> frozenset[str]:
        """What a pass must not remove, merge or reorder."""
        rule = RULES["effects"].get(self)
        return rule(**params) if rule else frozenset()
