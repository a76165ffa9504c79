"""Traces: who interprets an operation.

Stackless: each transform makes a `Trace` that knows its parent; a `Tracer` knows its trace; only the *current* trace is
context-local. A trace handles operations on its own tracers and passes all others to its parent, under which it also
runs its rules. So nesting needs no levels, and a tracer of an outer trace is simply a constant to an inner one. The
outermost trace, the *base*, is `EvalTrace` here, the plain interpreter; the facade lets the first operation load the
one that records. Read next: `array.py`; then `transforms/stage.py`, `jvp.py`, `linearize.py`, `vmap.py`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from typing import Any, NoReturn, Protocol

import numpy as np

from fdl.core import dtypes, source
from fdl.core.array import Array, ConcreteArray, as_array
from fdl.core.avals import ShapedArray
from fdl.core.blocks import block, whole
from fdl.core.errors import AxisNameError, LeakedTracerError, StateError, TracedBoolError, TracedValueError
from fdl.core.graph import Literal
from fdl.core.primitive import Primitive, on_bind


class Cell(Protocol):
    """Something mutable that functions read and write: the storage of a tensor, a generator, an
    attribute of a module.
    """

    carried: bool  # whether what it holds is one array, so that a program can take it and give it back

    def content(self) -> Any:
        """What it holds now."""

    def restore(self, before: Any) -> None:
        """Let it hold what it held before, unseen by any trace."""

    def lifted(self, outside: Callable[[Any], Any]) -> Any:
        """What it holds now, for those outside of a transform: `outside` says what a traced value is there."""

    def set(self, value: Any) -> None:
        """Write it, and tell the trace that runs, by `note_write`."""


_NUMBERS = itertools.count(1)


class Trace:
    """Interprets primitives: subclasses say how.  `name` is what errors call the transform, e.g. `jit(step)`.

    What the function writes though it lives outside, a `Cell`, is noted in `written` with what it held. When the
    function has returned, all cells hold that again, and are then set to what `outside` makes of their new values; when
    it has failed, nothing has changed.
    """

    records = False  # whether it makes a program, instead of computing values
    randomness: Any = None  # what a mapped axis means for random numbers; of a trace that maps
    refused: StateError | None = None  # why a write could not be

    no_value = "records the program once for all values of x"  # why its tracers have none, and what users write instead
    instead_of_branch = 'jnp.where(x > 0, a, b), lax.cond for whole branches, or jit(f, static_argnames="x")'
    instead_of_value = (
        'return the value and look at it outside, or jit(f, static_argnames="x") if it shapes the program'
    )

    def __init__(self, name: str, parent: Trace | None) -> None:
        self.name = name
        self.parent = parent
        self.alive = True
        self.number = next(
            _NUMBERS
        )  # later traces have larger ones: what was born under an earlier one lives outside of this one
        self.written: dict[Cell, Any] = {}

    def outside(self, x: Any) -> Any:
        """What a value is after the transform, without what only the transform follows; StateError
        where it is nothing.
        """
        return x

    def finals(self) -> list[tuple[Cell, Any]]:
        """What the cells that were written are to hold after the transform."""
        if self.refused is not None:  # somebody has caught the error, and gone on
            raise self.refused
        return [
            (cell, cell.lifted(self.outside)) for cell, before in self.written.items() if cell.content() is not before
        ]

    def restore(self) -> None:
        """Let all cells hold what they held before; once more does no harm."""
        for cell, before in reversed(list(self.written.items())):
            cell.restore(before)

    def process(self, primitive: Primitive, operands: Sequence[Any], params: Mapping[str, Any]) -> Sequence[Any]:
        """Results of the primitive on operands that are arrays, literals, or tracers of this or an outer trace."""
        raise NotImplementedError(self)

    def recall(self, primitive: Primitive, operands: Sequence[Any]) -> Sequence[Any] | None:
        """Results of a primitive without parameters, on operands as a user gave them, if it ran on just these types
        before; None where `process` has to look.
        """
        return None

    def surely_runs(self) -> bool:
        """Whether what is met here runs whenever the program does: not so in branches and in bodies of loops."""
        return self.parent is None or self.parent.surely_runs()

    def axis_size(self, axis_name: Any, what: str) -> int:
        """Size of the innermost mapped axis of this name; AxisNameError if there is none."""
        if self.parent is None:
            raise AxisNameError(
                f"{what}: no axis named {axis_name!r} is bound here", hint=f"fdl.vmap(f, axis_name={axis_name!r})"
            )
        return self.parent.axis_size(axis_name, what)

    def surroundings(self) -> tuple[tuple[Any, int], ...]:
        """What recordings depend on besides arguments, part of every cache key: bound axis names with their sizes, and
        the width of default dtypes.
        """
        return self.parent.surroundings() if self.parent is not None else (("x64", 1),) * dtypes.wide()

    def describe(self) -> str:
        """The chain of transforms from the innermost outwards."""
        return self.name if self.parent is None or not self.parent.name else f"{self.name} in {self.parent.describe()}"


class Tracer(Array):
    """A value that a trace follows; behaves like an array, but for its value."""

    __slots__ = ("_trace", "source")
    __array_priority__ = 1000

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self.source = source.user_location() if not trace.name.startswith("~") else None

    @property
    def aval(self) -> ShapedArray:
        """Type of the value."""
        raise NotImplementedError(self)

    def concrete(self) -> ConcreteArray | None:
        """The underlying array where there is one, so that Python may branch on it."""
        return None

    def lanes(self) -> ConcreteArray | None:
        """An array with all values that this one stands for, those of every lane of `vmap`, in whatever shape; None
        where they are not known.
        """
        return self.concrete()

    def hidden(self) -> Tracer:
        """The tracer whose value is not known, where this one's is not: this one, or the value in it that an outer
        transform follows.
        """
        return self

    def known(self, use: str, error: type[TracedValueError] = TracedValueError) -> ConcreteArray:
        """The underlying array, or the error that `use` needs one."""
        array = self.concrete()
        if array is None:
            self.refuse(use, error)
        return array

    def refuse(
        self, use: str, error: type[TracedValueError] = TracedValueError, why: str = "", hint: str = ""
    ) -> NoReturn:
        """Say that `use` needs a value, and that there is none."""
        trace = self.hidden()._trace
        branch = ", so Python cannot choose a branch" if error is TracedBoolError else ""
        raise error(
            f"`{use}` needs a value, but x is traced: {self.aval.describe()} inside {self._trace.describe()}",
            why=why or f"{trace.name} {trace.no_value}{branch}",
            hint=hint or (trace.instead_of_branch if error is TracedBoolError else trace.instead_of_value),
        )

    def _numpy(self) -> np.ndarray[Any, Any]:
        return self.known(_short(source.user_line()) or "x.numpy()")._numpy()

    def __bool__(self) -> bool:
        return bool(self.known(_branch(), TracedBoolError))

    def __int__(self) -> int:
        return int(self.known("int(x)"))

    def __float__(self) -> float:
        return float(self.known("float(x)"))

    def __complex__(self) -> complex:
        return complex(self.known("complex(x)"))

    def __index__(self) -> int:
        return self.known("range(x), an index or a size").__index__()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        return self.known("np.asarray(x)").__array__(dtype, copy)

    def __dlpack__(self, **kwargs: Any) -> Any:
        return self.known("x.__dlpack__()").__dlpack__(**kwargs)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.known("x.__dlpack_device__()").__dlpack_device__()

    @property
    def device(self) -> str:
        """Where the values lie."""
        return "cpu"

    def block_until_ready(self) -> Tracer:
        """The value itself: inside of a transform there is nothing to wait for."""
        return self

    def item(self) -> Any:
        """The Python number, where the value is known."""
        return self.known("x.item()").item()

    def tolist(self) -> Any:
        """Nested Python lists, where the value is known."""
        return self.known("x.tolist()").tolist()

    def __reduce__(self) -> Any:
        return self.known("pickle").__reduce__()

    def __deepcopy__(self, memo: Any) -> Tracer:
        return self

    def __copy__(self) -> Tracer:
        return self

    def __hash__(self) -> int:  # type: ignore[override]  # an identity, so that tracers can key dictionaries
        return id(self)

    def __repr__(self) -> str:
        array = self.concrete()
        return (
            f"Traced<{self.aval.describe()} in {self._trace.describe()}>"
            if array is None
            else f"{array!r} in {self._trace.describe()}"
        )

    def __str__(self) -> str:
        array = self.concrete()
        return repr(self) if array is None else str(array)

    def __format__(self, spec: str) -> str:
        return format(self.known(f"f'{{x:{spec}}}'"), spec) if spec else str(self)


class Valueless(Tracer):
    """A type in the place of a value: what is computed from one is a type too."""

    __slots__ = ()

    def of_type(self, aval: ShapedArray) -> Valueless:
        """Another of the same kind."""
        raise NotImplementedError(self)


def _branch() -> str:
    """The user's line as far as it asks for a bool, `if x` where it is hard to tell."""
    line = source.user_line()
    starts = line.startswith(("if ", "elif ", "while ", "assert "))
    return _short(line).removesuffix(":") or "if x" if starts and ": " not in line else "if x"


def _short(line: str) -> str:
    """A line that fits into a message; nothing of a longer one."""
    return line if len(line) < 80 else ""


class EvalTrace(Trace):
    """Runs each operation at once on its reference implementation."""

    def process(self, primitive: Primitive, operands: Sequence[Any], params: Mapping[str, Any]) -> Sequence[Any]:
        values = [base_operand(x) for x in operands]
        avals = primitive.infer([v.aval for v in values], params)
        results = primitive.reference([v.value if isinstance(v, Literal) else v._numpy() for v in values], params)
        return [ConcreteArray(aval, np.asarray(result)) for aval, result in zip(avals, results, strict=True)]


class LoadingTrace(Trace):
    """Stands for a base that is not imported yet: the first operation calls `load`, which installs it."""

    def __init__(self, load: Callable[[], Any]) -> None:
        super().__init__("", None)
        self.load = load

    def process(self, primitive: Primitive, operands: Sequence[Any], params: Mapping[str, Any]) -> Sequence[Any]:
        self.load()
        assert _base is not self, "load installs a base"
        return _base.process(primitive, operands, params)


def base_operand(x: Any) -> ConcreteArray | Literal:
    """An operand of the base trace; LeakedTracerError for what belongs inside of a transform."""
    if isinstance(x, Tracer):
        raise_leaked(x)
    return x if isinstance(x, Literal) else as_array(x)


def raise_leaked(x: Tracer) -> NoReturn:
    """A tracer met a trace outside of its own."""
    made = f", made at {x.source}" if x.source else ""
    raise LeakedTracerError(
        f"a traced value {x.aval.describe()} left {x._trace.name}{made}",
        why="it stands for a value inside of the transform and means nothing once that has returned",
        hint="return it from the function; do not store it in a global, an attribute or a list",
    )


_base: Trace = EvalTrace("", None)
_CURRENT: ContextVar[Trace | None] = ContextVar("fdl_trace", default=None)  # None: no transform is running


def install_base(trace: Trace) -> None:
    """Let `trace` answer outside of all transforms; called by the facade and by the package that records."""
    global _base
    _base = trace


def current_trace() -> Trace:
    """The trace of the innermost transform, or the base."""
    return _CURRENT.get() or _base


def recall(primitive: Primitive, operands: Sequence[Any]) -> Sequence[Any] | None:
    """What the current trace remembers of this operation, see `Trace.recall`."""
    return (_CURRENT.get() or _base).recall(primitive, operands)


def transforming() -> bool:
    """Whether a transform is running."""
    return _CURRENT.get() is not None


running_trace = _CURRENT.get  # of the transform that runs, None where none does: `transforming` for callers in C


def base_trace() -> Trace:
    """The outermost trace."""
    return _base


@block
def set_trace(trace: Trace) -> Iterator[None]:
    """Make `trace` current; undone however the block ends."""
    before = _CURRENT.get()
    try:
        _CURRENT.set(None if trace is _base else trace)
        yield
    finally:
        _CURRENT.set(before)


@block
def live_trace(trace: Trace) -> Iterator[None]:
    """Run a user's function under a new trace. Afterwards the trace is dead, and a tracer of it that is met again has
    leaked.
    """
    before = _CURRENT.get()
    finals: list[tuple[Cell, Any]] = []
    try:
        _CURRENT.set(trace)
        yield
        if trace.written or trace.refused is not None:
            finals = trace.finals()
    except Exception as error:
        notes = getattr(error, "__notes__", [])
        if trace.name and not any(trace.name in note for note in notes) and not trace.name.startswith("~"):
            error.add_note(f"while running {trace.describe()}")
        raise
    finally:
        trace.alive = False
        try:
            if trace.written:
                trace.restore()
        except BaseException:  # an interrupt, when it began or in its midst
            trace.restore()
            raise
        finally:
            _CURRENT.set(before)
    if finals:
        later = _POSTPONED.get()
        if later is not None and _CURRENT.get() is None:
            later += finals
        else:
            write(finals)


def write(values: Sequence[tuple[Cell, Any]]) -> None:
    """Set cells: all of them, though an interrupt comes in between."""

    def put() -> None:
        for cell, value in values:
            cell.set(value)

    whole(put)


_POSTPONED: ContextVar[list[tuple[Cell, Any]] | None] = ContextVar("fdl_postponed", default=None)


@block
def postponing() -> Iterator[list[tuple[Cell, Any]]]:
    """Collects what transforms would write outside of all of them, for `write`: a function that is to be run once more
    has to find what it found.
    """
    found: list[tuple[Cell, Any]] = []
    before = _POSTPONED.get()
    try:
        _POSTPONED.set(found)
        yield found
    finally:
        _POSTPONED.set(before)


def note_write(cell: Cell, birth: int = 0) -> None:
    """Say that a cell is about to be written, which was made under the trace of number `birth`; 0 for none."""
    trace = _CURRENT.get()
    if trace is not None and birth < trace.number and cell not in trace.written:
        trace.written[cell] = cell.content()


def written_since(cell: Cell, number: int) -> bool:
    """Whether a function under a trace after this number has written a cell."""
    trace = _CURRENT.get()
    while trace is not None and trace.number > number:
        if cell in trace.written:
            return True
        trace = trace.parent
    return False


def refuse_write(what: str, always: bool = False) -> None:
    """Raise StateError where a program is being recorded, which cannot do `what` each time it runs; or `always`, under
    any transform.
    """
    trace = _CURRENT.get()
    if trace is not None and (always or recording()):
        trace.refused = StateError(
            f"{what} under {trace.describe()}",
            why=(
                "a transform takes arrays and gives arrays back; what else changes would change while it looks "
                "at the function, not each time that its result is used"
            ),
            hint="do it outside of the transform, or pass what changes in and return it",
        )
        raise trace.refused


def serial() -> int:
    """A number between those of earlier and of later traces."""
    return next(_NUMBERS)


def recording() -> bool:
    """Whether what runs now becomes a program, under whatever other transforms."""
    trace = _CURRENT.get()
    while trace is not None:
        if trace.records:
            return True
        trace = trace.parent
    return False


def aval_of(x: Any) -> ShapedArray:
    """Type of an operand: array, tracer, literal, scalar or ndarray."""
    aval = getattr(x, "aval", None)
    return aval if isinstance(aval, ShapedArray) else as_array(x).aval


def _process(primitive: Primitive, operands: Sequence[Any], params: Mapping[str, Any]) -> Sequence[Any]:
    return (_CURRENT.get() or _base).process(primitive, operands, params)


on_bind(_process)
