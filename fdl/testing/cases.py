"""What the laws are held to: one call of a primitive, or of a user's function, at some input.

A `Case` takes a flat list of arrays and gives a flat list, whatever is behind it, so that each law is written once.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from fdl.core import dtypes
from fdl.core.array import from_numpy
from fdl.core.dtypes import DType
from fdl.core.primitive import Primitive
from fdl.core.pytree import TreeDef, tree_flatten, tree_leaves
from fdl.ops.sample import Sample, Spec
from fdl.testing.tolerances import Data

WIDE: Mapping[DType, DType] = {
    **dict.fromkeys(dtypes.FLOATS, dtypes.float64),
    **dict.fromkeys(dtypes.COMPLEX, dtypes.complex128),
}


@dataclasses.dataclass(frozen=True)
class Case:
    """A function at an input; `params` are a primitive's, and go with it through every law. `given` are operands that
    nobody drew, whose places may mean something, as those of a symmetric matrix do.
    """

    name: str
    args: tuple[Data, ...]
    params: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    given: frozenset[int] = frozenset()

    def call(self, *arrays: Any) -> list[Any]:
        """All results, under whatever transform runs."""
        raise NotImplementedError

    def reference(self, args: Sequence[Data]) -> list[Data] | None:
        """What NumPy says, None where nobody has told."""
        raise NotImplementedError

    def values(self) -> list[Data]:
        """The results, as arrays of NumPy."""
        return [np.asarray(x) for x in self.call(*map(from_numpy, self.args))]

    def at(self, args: Iterable[Data]) -> Case:
        """The same at another input."""
        return dataclasses.replace(self, args=tuple(args))

    def cast(self, change: Mapping[DType, DType]) -> Case:
        """The same with each dtype in `change` replaced, in the operands and in params called `dtype`."""
        return dataclasses.replace(
            self.at(a.astype(change.get(a.dtype, a.dtype)) for a in self.args),
            params={k: change.get(v, v) if k == "dtype" else v for k, v in self.params.items()},
        )

    def lane(self, k: int) -> list[Data]:
        """Another input like this one for each k, itself for 0: numbers that were drawn change places, those that were
        given are scaled.
        """

        def other(i: int, a: Data) -> Data:
            if dtypes.is_inexact(a.dtype) and (i in self.given or a.size == 1):
                return np.asarray(a * np.asarray(1 + k / 8, a.dtype), a.dtype)
            return np.roll(a.reshape(-1), k).reshape(a.shape)

        return [other(i, a) for i, a in enumerate(self.args)]

    def moving(self) -> list[int]:
        """Positions of the operands that have derivatives."""
        return [i for i, a in enumerate(self.args) if dtypes.is_inexact(a.dtype)]

    def of_moving(self) -> Callable[..., list[Any]]:
        """The function of those operands alone that have derivatives, and of its results those that have some."""
        fixed, moving = list(map(from_numpy, self.args)), self.moving()

        def f(*xs: Any) -> list[Any]:
            full = list(fixed)
            for i, x in zip(moving, xs, strict=True):
                full[i] = x
            return [out for out in self.call(*full) if dtypes.is_inexact(out.dtype)]

        return f

    def told(self) -> str:
        """The input in words, an operand a line."""
        lines = [f"x{i} = {_told(a)}" for i, a in enumerate(self.args)]
        lines += [f"{k} = {v!r}" for k, v in self.params.items()]
        return "\n".join(lines) or "no operands"


def _told(a: Data) -> str:
    values = np.array2string(a, separator=", ", threshold=24, max_line_width=100).replace("\n", "\n     ")
    return f"{a.dtype.name}{list(a.shape)}: {values}"


@dataclasses.dataclass(frozen=True)
class PrimitiveCase(Case):
    """A call of a primitive, whose `impl` is the reference."""

    primitive: Primitive = dataclasses.field(kw_only=True)

    def call(self, *arrays: Any) -> list[Any]:
        return self.primitive.bind_all(*arrays, **self.params)

    def reference(self, args: Sequence[Data]) -> list[Data] | None:
        return self.primitive.reference(args, self.params)


@dataclasses.dataclass(frozen=True)
class FunctionCase(Case):
    """A call of a function of trees; `told_by` is one of NumPy arrays that says what is right."""

    function: Callable[..., Any] = dataclasses.field(kw_only=True)
    tree: TreeDef = dataclasses.field(kw_only=True)
    told_by: Callable[..., Any] | None = dataclasses.field(default=None, kw_only=True)

    def call(self, *arrays: Any) -> list[Any]:
        return tree_leaves(self.function(*self.tree.unflatten(arrays)))

    def reference(self, args: Sequence[Data]) -> list[Data] | None:
        if self.told_by is None:
            return None
        return [np.asarray(x) for x in tree_leaves(self.told_by(*self.tree.unflatten(args)))]


def name_of(subject: Primitive | Callable[..., Any]) -> str:
    """How a primitive or a function is called."""
    return subject.name if isinstance(subject, Primitive) else str(getattr(subject, "__name__", repr(subject)))


def cases_of(
    subject: Primitive | Callable[..., Any],
    samples: Iterable[Any] | None = None,
    reference: Callable[..., Any] | None = None,
    examples: int = 1,
    seed: int = 0,
) -> Iterator[Case]:
    """Cases of a primitive, from its own samples unless others are given, or of a function, from tuples of arguments.

    Arguments are arrays, trees of them, or `Spec`s, of which `examples` inputs are drawn.
    """
    name = name_of(subject)
    if samples is None:
        samples = subject.rule("samples") if isinstance(subject, Primitive) else ()
    for x in samples:
        sample = x if isinstance(x, Sample) else Sample(x if isinstance(x, tuple) else (x,))
        if sample.fails is not None:
            continue
        leaves, tree = tree_flatten(sample.args, is_leaf=lambda x: isinstance(x, Spec))
        given = frozenset(i for i, x in enumerate(leaves) if not isinstance(x, Spec))
        for k in range(examples if len(given) < len(leaves) else 1):
            flat = dataclasses.replace(sample, args=tuple(leaves))
            args = tuple(flat.make(f"{name}{seed + k or ''}"))
            if isinstance(subject, Primitive):
                yield PrimitiveCase(name, args, sample.params, given, primitive=subject)
            else:
                f = functools.partial(subject, **sample.params)
                yield FunctionCase(name, args, {}, given, function=f, tree=tree, told_by=reference)
