"""What the runtime library does in Python's stead, and why it may leave a call to Python.

The library is one shared object of C files that lie beside the Python that they serve or repeat: `native/` of
`backends`, of `transforms` and of `stateful`; `runtime.py` builds it. `TABLE` names its functions that repeat Python
code: each has a twin, which says what it means, takes the calls that the function declines, and takes all of them where
there is no library. `NATIVE` holds the functions once they can be used.

>>> row = TABLE["see"]
>>> row.twin, [REASONS[name] for name in row.declines if name == "untracked"]
('fdl.stateful.core.tensor:_view_of', ['a view without grad mode of what requires grad'])
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, NamedTuple

REASONS: dict[str, str] = {
    # of operands and their memory
    "marked": "an array that another recorder has met since",
    "shared": "memory that somebody outside may write",
    "pending": "an array that is pending elsewhere, or was donated",
    "unreadable": "a number of another type, or a value that is pending or in others' memory in no row-major order",
    "narrow": "integers of one or two bytes",
    "wide": "an integer of more than 64 bits",
    "operand": "an operand that is neither an array nor a Python number",
    "many": "more than 60 operands",
    "constant": "no operand that is on the tape",
    # of what was recorded
    "unknown": "what has not come before",
    "over": "a program so long that it is cut soon",
    "checked": "a program that checks values",
    "busy": "a recorder in the midst of an operation",
    "special": "a transform that runs, or a recorder that looks at each operation",
    # of the tape
    "graph": "an operation that holds graphs",
    "hooked": "hooks on a gradient",
    "several": "a function of several results",
    "released": "residuals that are gone",
    # of tensors
    "subclass": "a subclass of Tensor",
    "arguments": "arguments by name, too few or too many, or neither a number nor a tensor",
    "overlap": "two tensors of one memory",
    "composite": "what is made of tensors",
    "stale": "a view whose base has changed since",
    "untracked": "a view without grad mode of what requires grad",
    "leaf": "a leaf that requires grad",
    "view": "a view that is changed in place",
    "traced": "a tracer, or a tensor that holds one",
    "computed": "a value that is known already",
    # of a call as a whole
    "structure": "arguments of another structure",
    "types": "arguments of other types",
    "empty": "no numbers of rows",
    "outside": "a number that is no row's",
    "place": "an index that is no numbers, or lies outside",
}


class Row(NamedTuple):
    """A function of the library: the C file that it is in, the Python function that is its twin (module:name), and the
    names of the reasons for which it leaves a call to it.
    """

    source: str
    twin: str
    declines: tuple[str, ...] = ()


_BIND = ("marked", "shared", "pending", "wide", "operand", "unknown", "over")
_RECORDED = (*_BIND, "busy")
_VALUES = ("many", "stale")
_FLUSHED = ("checked", "unreadable")
_LOOKED = ("busy", "pending", "special", "traced", "unknown", *_FLUSHED)
_CHANGE = (*_RECORDED, *_VALUES, "view", "leaf", "traced")

_ENTRY, _BUFFERS = "backends/native/entry.c", "backends/native/buffers.c"
_RECORDER, _LOOK, _WALK, _TRACE = (f"transforms/native/{name}.c" for name in ("recorder", "look", "walk", "trace"))
_TENSOR, _METHODS = (f"stateful/native/{name}.c" for name in ("tensor", "methods"))

TABLE: dict[str, Row] = {
    "run": Row(_ENTRY, "fdl.backends.c:CExecutable.__call__", ("unreadable",)),
    "fill": Row(_ENTRY, "fdl.backends.c:CExecutable.fill", ("unreadable",)),
    "fast": Row(_ENTRY, "fdl.transforms.api.jit:Jitted._general", ("structure", "types", "unreadable")),
    "within": Row(_BUFFERS, "fdl.numpy._bounds:_check", ("narrow", "unreadable")),
    "rows": Row(_BUFFERS, "fdl.stateful.utils.data:_taken", ("empty", "outside", "unreadable")),
    "bind": Row(_RECORDER, "fdl.transforms.lazy.recorder:Recorder._bind", _BIND),
    "flush": Row(_RECORDER, "fdl.transforms.lazy.recorder:Recorder._flush", ("unknown", "checked", "unreadable")),
    "held": Row(_RECORDER, "fdl.transforms.lazy.recorder:_held"),
    "prune": Row(_RECORDER, "fdl.transforms.lazy.recorder:Recorder._alive"),
    "recall": Row(_LOOK, "fdl.transforms.lazy.trace:LazyTrace.process", (*_RECORDED, "special")),
    "operator": Row(_LOOK, "fdl.core.array:_operator", (*_RECORDED, "special", "arguments")),
    "look": Row(_LOOK, "fdl.core.array:ConcreteArray.block_until_ready", (*_LOOKED, "arguments")),
    "picker": Row(_LOOK, "fdl.numpy._index:_picked", ("special", "place", "unreadable", "unknown", "arguments")),
    "steps": Row(_WALK, "fdl.transforms.tape.walk:walk", (*_RECORDED, "graph", "hooked", "several", "released")),
    "follow": Row(_TRACE, "fdl.transforms.tape.trace:TapeTrace._process", (*_RECORDED, "many", "constant")),
    "apply": Row(_TENSOR, "fdl.stateful.core.tensor:_apply", (*_RECORDED, *_VALUES, "special", *_FLUSHED)),
    "see": Row(
        _TENSOR, "fdl.stateful.core.tensor:_view_of", (*_RECORDED, "special", "stale", "composite", "untracked", "leaf")
    ),
    "put": Row(_TENSOR, "fdl.extend.storage:Storage.set", ("shared", "traced", "computed")),
    "copied": Row(_TENSOR, "fdl.stateful.functions.creation:from_numpy", ("operand", "unknown", "unreadable")),
    "method": Row(
        _METHODS,
        "fdl.stateful.core.methods:method",
        (*_CHANGE, *_FLUSHED, "special", "subclass", "arguments", "overlap"),
    ),
    "looks": Row(_METHODS, "fdl.stateful.core.tensor:Tensor.item", (*_LOOKED, "arguments", "stale", "shared")),
    "picks": Row(
        _METHODS,
        "fdl.stateful.functions.indexing:_picked",
        (
            *_RECORDED,
            "special",
            "stale",
            "subclass",
            "traced",
            "place",
            "unreadable",
            "untracked",
            "leaf",
            "arguments",
        ),
    ),
}


class Native:
    """Functions of the library, None where Python does all; by these names Python asks them first."""

    bind: Callable[..., Any] | None = None
    flush: Callable[..., bool | None] | None = None
    held: Callable[..., tuple[bool, ...]] | None = None
    prune: Callable[..., None] | None = None
    within: Callable[..., bool | None] | None = None
    rows: Callable[..., Any] | None = None
    steps: Callable[..., Any] | None = None
    follow: Callable[..., list[Any] | None] | None = None
    apply: Callable[..., Any] | None = None
    copied: Callable[..., Any] | None = None
    see: Callable[..., Any] | None = None
    put: Callable[..., int] | None = None
    module: Any = None
    used: bool = True
    waiting: ClassVar[list[Callable[[Any], None]]] = []  # who gets the library's module, once it is there
    adopted: ClassVar[dict[tuple[int, str], tuple[Any, Any, Any]]] = {}  # owner, what Python has there, the function

    def adopt(self, owner: Any, name: str, function: Any) -> None:
        """Let a function of the library stand where `owner.name` is Python's."""
        self.adopted.setdefault((id(owner), name), (owner, getattr(owner, name), function))
        if self.used:
            setattr(owner, name, function)

    def arrive(self, module: Any) -> None:
        """Hand the library's module to all who wait for it."""
        while self.waiting:  # a listener whom an interrupt has disturbed is asked again
            self.waiting[0](module)
            del self.waiting[0]
        self.module = module

    @contextlib.contextmanager
    def set_aside(self) -> Iterator[None]:
        """Let Python do all that it can do itself, as where there is no library; compiled programs run as ever.

        >>> with NATIVE.set_aside():
        ...     NATIVE.bind is None
        True
        """
        self._use(False)
        try:
            yield
        finally:
            self._use(True)

    def _use(self, used: bool) -> None:
        self.used = used
        for (_, name), (owner, python, function) in self.adopted.items():
            setattr(owner, name, function if used else python)


NATIVE = Native()


def on_native(listener: Callable[[Any], None]) -> None:
    """Call `listener(module)` when the library is there, now or later."""
    if NATIVE.module is not None:
        listener(NATIVE.module)
    else:
        NATIVE.waiting.append(listener)
