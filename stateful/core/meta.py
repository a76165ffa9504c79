"""The meta device: tensors that have a shape and a dtype and no values, for models that are looked at before they are
loaded.

Such a tensor holds a `MetaArray`. A function of tensors gives them where it is given one: its shape rules run, and
nothing is computed. Nothing more is known of them, so that whoever asks for a value is told that there is none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

from fdl.extend import Function, ShapedArray, Valueless, aval_of
from fdl.stateful.core.errors import UnsupportedError

__all__ = ["MetaArray", "is_meta", "without_values"]


class _Nowhere:
    """Stands for the trace of arrays that have no values."""

    name, alive, parent = "~meta", True, None

    def describe(self) -> str:
        return "the meta device"


class MetaArray(Valueless):
    """A type without a value; NotImplementedError where one is asked for."""

    __slots__ = ("_aval",)

    def __init__(self, aval: ShapedArray) -> None:
        super().__init__(_Nowhere())  # type: ignore[arg-type]
        self._aval = aval

    def of_type(self, aval: ShapedArray) -> MetaArray:
        return MetaArray(aval)

    @property
    def aval(self) -> ShapedArray:
        """Type of the value that is not there."""
        return self._aval

    def refuse(self, use: str, *reasons: Any, **more: Any) -> NoReturn:
        raise UnsupportedError(
            f"Cannot copy out of meta tensor; no data! {use} needs the values of a {self.aval.describe()}, "
            "which has a shape and a dtype alone",
            hint="module.to_empty(device='cpu'), then load_state_dict",
        )


def is_meta(array: Any) -> bool:
    """Whether an array has no values."""
    return type(array) is MetaArray


def without_values(
    function: Function, operands: Sequence[Any], static: tuple[Any, ...], varying: int
) -> tuple[list[Any], Any]:
    """What `function.record` gives of operands of which some have no values: results that have none either."""
    signature = function.signature([aval_of(x) for x in operands], static)
    info: Any = signature.with_tape(varying) if varying else signature
    graph = info.lin.primal if varying else signature.graph
    return [MetaArray(aval) for aval in graph.out_avals], info
