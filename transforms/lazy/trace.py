"""The base trace: hands the operations of a thread to its recorder. Recorders are thread-local; only transforms live in
the context variable.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

from fdl.backends.native import NATIVE, on_native
from fdl.core import dtypes
from fdl.core.array import METHODS, Array, ConcreteArray, as_array, from_numpy
from fdl.core.avals import ShapedArray
from fdl.core.changes import on_change
from fdl.core.config import config
from fdl.core.graph import Literal
from fdl.core.primitive import Primitive
from fdl.core.trace import Trace, base_operand, base_trace, install_base, running_trace
from fdl.ops.axes import PARTS
from fdl.ops.checks import check_p
from fdl.ops.promotion import TYPED
from fdl.transforms.lazy.programs import forget_programs
from fdl.transforms.lazy.recorder import Recorder, all_recorders
from fdl.transforms.lazy.trie import Operation


class Recorders(threading.local):
    """Each thread's recorder."""

    def __init__(self) -> None:
        self.recorder = Recorder()


recorders = Recorders()  # `recorders.recorder` is this thread's


def current_recorder() -> Recorder:
    """The recorder of this thread."""
    found: Recorder = recorders.recorder
    return found


def flush() -> None:
    """Run what this thread has recorded, for all results that are alive."""
    current_recorder().flush()


def set_eager(eager: bool) -> None:
    """Run each operation of this thread when its line is reached, or record it; `FDL_EAGER=1` starts so."""
    config.eager = eager
    flush()


def want() -> None:
    """Mark what is recorded as a complete step: it runs at the next `cut`, when values that are about
    to die have died.
    """
    found = current_recorder()
    found.wanted, found.plain = True, False


def cut() -> None:
    """Run what was marked by `want`."""
    found = current_recorder()
    if found.wanted:
        found.flush()


class LazyTrace(Trace):
    """Records operations outside of all transforms."""

    def process(self, primitive: Primitive, operands: Sequence[Any], params: Mapping[str, Any]) -> Sequence[Any]:
        values = [x if type(x) is ConcreteArray else base_operand(x) for x in operands]
        if primitive is check_p:
            current_recorder().check(values, params["failure"])
            return ()
        if primitive.has("evaluate"):
            results: Sequence[Any] | None = primitive.rule("evaluate")(
                *[as_array(x.value) if isinstance(x, Literal) else x for x in values], **params
            )
            if results is not None:
                return results
        if "callback" in primitive.effects(params):  # it is called now, whether or not something needs its results
            given = [x.value if isinstance(x, Literal) else x._numpy() for x in values]
            return [from_numpy(x) for x in primitive.reference(given, params)]
        outs, _ = current_recorder().bind((primitive, tuple(params.items())), values, _resolve)
        return outs


def _resolve(head: tuple[Primitive, tuple[tuple[str, Any], ...]], avals: list[ShapedArray]) -> Operation:
    primitive, items = head
    params = dict(items)
    return Operation(primitive, params, tuple(primitive.infer(avals, params)))


def _forget() -> None:
    """Rules are about to change: what this thread has pending runs with those of its lines, and all threads record
    anew.
    """
    flush()
    forget_programs()
    for recorder in all_recorders():
        recorder.forget()


# operators of arrays that are one operation, by the names of `METHODS`; those of two operands have a reflection, or are
# comparisons
_UNARY = {"__neg__": "negative", "__invert__": "bitwise_not"}
_BINARY = {
    "add": "add", "sub": "subtract", "mul": "multiply", "and": "bitwise_and", "or": "bitwise_or", "xor": "bitwise_xor",
    "lshift": "left_shift", "rshift": "right_shift",
}  # fmt: skip
_COMPARISONS = {
    "lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal", "eq": "equal", "ne": "not_equal",
}  # fmt: skip
_LOOKS = ("item", "__bool__", "__int__", "__float__", "block_until_ready")  # in the order of the library's numbers
_CODES = {
    dtypes.bool_: "?", dtypes.int8: "b", dtypes.uint8: "B", dtypes.int16: "h", dtypes.uint16: "H", dtypes.int32: "i",
    dtypes.uint32: "I", dtypes.int64: "l", dtypes.uint64: "L", dtypes.float32: "f", dtypes.float64: "d",
}  # fmt: skip


def _adopt(module: Any) -> None:
    """Let the runtime library answer first: looks at values, and operators whose call was recorded before."""
    if NATIVE.bind is None:
        return
    module.looking(recorders, running_trace, tuple(_CODES), "".join(_CODES.values()), TYPED, PARTS)
    for use, name in enumerate(_LOOKS):
        NATIVE.adopt(ConcreteArray, name, module.look(ConcreteArray, name, use, getattr(ConcreteArray, name)))
    two = [(f"__{n}__", m, 1, False) for n, m in (_BINARY | _COMPARISONS).items()]
    two += [(f"__r{n}__", m, 1, True) for n, m in _BINARY.items()]
    for name, method, others, reflected in [(n, m, 0, False) for n, m in _UNARY.items()] + two:
        head = METHODS[method].primitive, ()  # type: ignore[attr-defined]
        twin = getattr(ConcreteArray, name)
        NATIVE.adopt(ConcreteArray, name, module.operator(ConcreteArray, name, head, others, reflected, twin))
    NATIVE.adopt(ConcreteArray, "__getitem__", module.picker(ConcreteArray, "__getitem__", Array.__getitem__))
    NATIVE.adopt(base_trace(), "recall", module.recall)


on_change(_forget)
install_base(LazyTrace("", None))
on_native(_adopt)
