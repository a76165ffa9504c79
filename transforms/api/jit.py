"""`jit`: a function recorded once a signature and run as one compiled program.

The call is fast where it can be: no transform is running and all arguments are arrays of a known signature, then
generated code checks types and runs. Anything else takes the general path: flatten, look the signature up, record on a
miss, and bind a `call`, which other transforms see.
"""

from __future__ import annotations

import functools
import inspect
import threading
import weakref
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, NamedTuple, ParamSpec, TypedDict, TypeVar, Unpack, overload

from fdl.backends.dispatch import executable
from fdl.backends.executable import Executable
from fdl.core import changes
from fdl.core.array import DONATED, Array
from fdl.core.changes import Derived, on_change
from fdl.core.config import LOCAL, config, log, setting
from fdl.core.errors import StateError, StructureError
from fdl.core.graph import Graph
from fdl.core.pytree import TreeDef, tree_flatten, tree_paths
from fdl.core.trace import Cell, Trace, Tracer, aval_of, current_trace, transforming, write
from fdl.transforms.control.call import call
from fdl.transforms.stage import (
    FlatFunction,
    argument_names,
    check_function,
    check_leaves,
    function_name,
    note_cell,
    note_guard,
    noting,
    parameters,
    stage,
)  # fmt: skip

_VARIANTS = 8  # recordings of one signature, for modes of modules and the like


class _Entry(NamedTuple):
    """One signature: the graph, what it captured (arrays, and mutable cells that are read at each call), the cells that
    it writes, the structures of arguments and result, donated inputs, and what else it was recorded for.
    """

    graph: Graph
    captured: list[Any]
    written: list[Cell]
    in_tree: TreeDef
    out_tree: TreeDef
    donated: tuple[int, ...]
    cells: bool
    guards: list[tuple[Any, Any]]

    def values(self) -> list[Any]:
        """The captured arrays of now."""
        if not self.cells:
            return self.captured
        for x in self.captured:
            if not isinstance(x, Array):
                note_cell(x)
        for guard, _ in self.guards:
            note_guard(guard)
        return [x if isinstance(x, Array) else x.array for x in self.captured]

    def fits(self) -> bool:
        """Whether all cells still hold the types that were recorded, and all else is as it was."""
        if not self.cells:
            return True
        return all(guard.holds(seen) for guard, seen in self.guards) and all(
            aval_of(x) == aval for x, aval in zip(self.values(), self.graph.in_avals, strict=False)
        )

    def draws_anew(self) -> bool:
        """Whether it draws random numbers, which under the transforms that run now are not the same for all elements of
        a mapped axis.
        """
        modes = []
        trace: Trace | None = current_trace()
        while trace is not None:
            modes.append(trace.randomness)
            trace = trace.parent
        return any(mode not in (None, "same") for mode in modes) and any(
            getattr(cell, "drawn", False) for cell in self.written
        )

    def finish(self, outs: Sequence[Any]) -> Any:
        """The result, after the cells that the function writes have been set."""
        count = len(outs) - len(self.written)
        if self.written:
            write(list(zip(self.written, outs[count:], strict=True)))
        return self.out_tree.unflatten(outs[:count])


P = ParamSpec("P")
R = TypeVar("R")
_FAST: weakref.WeakSet[Jitted[Any, Any]] = (
    weakref.WeakSet()
)  # functions that may have an entry which answers calls by itself
_LISTING = threading.RLock()  # a signal handler may call one while its own thread holds it


@on_change
def _forget_entries() -> None:
    """Rules are about to change. Entries are told: to ask at each call would cost a part of what it takes."""
    with _LISTING:
        for f in list(_FAST):
            f._fast = None
        _FAST.clear()


class Jitted(Generic[P, R]):
    """A function under `jit`."""

    def __init__(
        self, f: Callable[P, R], static: Sequence[int], static_names: Sequence[str], donate: Sequence[int], device: str
    ) -> None:
        functools.update_wrapper(self, f)
        self.f, self.static, self.static_names, self.donate = f, tuple(static), frozenset(static_names), tuple(donate)
        self.device = device
        self.name = function_name(f)
        self.parameters = dict(enumerate(parameters(f)))
        self.argument = argument_names(f, self.static)
        self.cache: Derived[Any, Any] = Derived()  # entries by signature, last one first; or why there can be none
        self.refused: set[Any] = set()
        self._fast: Callable[..., Any] | None = None

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else functools.partial(self, instance)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        if self._fast is not None and not kwargs and not transforming():
            out: R = self._fast(*args)
            if out is not NotImplemented:
                return out
        result: R = self._general(args, kwargs)
        return result

    def _general(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if not setting("jit"):
            return self.f(*args, **kwargs)
        try:
            entry, leaves = self.lookup(args, kwargs)
        except StateError as error:
            if transforming():
                raise
            return self._as_it_is(args, kwargs, error)
        if transforming() or any(isinstance(x, Tracer) for x in leaves):
            return entry.finish(call(entry.graph, [*entry.values(), *leaves], self.name, "jit"))
        shift = len(entry.captured)
        program = executable(entry.graph, self.name, self.device, tuple([i + shift for i in entry.donated]))
        outs = program([*entry.values(), *leaves])
        for i in entry.donated:
            leaves[i]._data = DONATED
        self._adopt(program, entry, kwargs)
        return entry.finish(outs)

    def _as_it_is(self, args: tuple[Any, ...], kwargs: dict[str, Any], reason: StateError) -> Any:
        """The function itself, which changes what a program cannot: its operations are recorded as those of any plain
        code, and compiled where they come again.
        """
        if "compile" in config.log:
            log("compile", f"jit({self.name}) is no program by itself: {reason.args[0].splitlines()[0]}")
        leaves, tree = tree_flatten(self.f(*args, **kwargs))
        return tree.unflatten(leaves)  # tensors without history, as of any program

    def lookup(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[_Entry, list[Any]]:
        """The entry of this signature, recorded if need be, and the dynamic leaves."""
        fixed = tuple((i, args[i]) for i in self.static if i < len(args))
        fixed_names = tuple(sorted((k, v) for k, v in kwargs.items() if k in self.static_names))
        dynamic = tuple(x for i, x in enumerate(args) if i not in self.static)
        named = {k: v for k, v in kwargs.items() if k not in self.static_names}
        leaves, in_tree = tree_flatten((dynamic, named))
        leaves = check_leaves(leaves, (dynamic, named), f"jit({self.name})", self.argument)
        by_name = (
            tuple(sorted([*((self.parameters.get(i, str(i)), v) for i, v in fixed), *fixed_names]))
            if fixed or fixed_names
            else ()
        )
        key = in_tree, tuple([x.aval for x in leaves]), by_name, current_trace().surroundings()
        try:
            entry = self.cache.current().get(key)
        except TypeError as error:
            guilty = ", ".join(str(n) for n, v in by_name if not _hashable(v))
            raise StructureError(
                f"jit({self.name}): a static argument is not hashable: {guilty}: {error}",
                why="static arguments are part of the key that finds the compiled program",
                hint="a tuple instead of a list, a frozen dataclass, or a dynamic argument",
            ) from None
        if isinstance(entry, StateError):
            raise entry
        found = next((e for e in entry or () if e.fits()), None)
        if found is not None and transforming() and found.draws_anew():
            found = None
        if found is None and "compile" in config.log:
            log(
                "compile",
                f"jit({self.name}) is traced: {_reason(list(self.cache), key, (dynamic, named), self.argument)}",
            )
        return found or self._record(key, leaves, in_tree, dict(fixed), dict(fixed_names), len(args)), leaves

    def _record(
        self,
        key: Any,
        leaves: Sequence[Any],
        in_tree: TreeDef,
        fixed: dict[int, Any],
        fixed_names: dict[str, Any],
        count: int,
    ) -> _Entry:
        def with_static(*dynamic: Any, **named: Any) -> Any:
            given = iter(dynamic)
            return self.f(*[fixed[i] if i in fixed else next(given) for i in range(count)], **named, **fixed_names)

        flat = FlatFunction(with_static, in_tree, f"jit({self.name})")
        written: list[Cell] = []
        try:
            with noting() as notes:
                graph, arrays = stage(flat, [aval_of(x) for x in leaves], f"jit({self.name})", written).lift()
        except StateError as error:
            if not transforming():
                self._refused(key, error)
            raise
        assert flat.out_tree is not None
        captured = [notes.cells.get(id(x), x) for x in arrays]
        donated = self._donated_leaves(in_tree, [i for i in range(count) if i not in fixed])
        guards = [(guard, guard.seen()) for guard in notes.guards]
        cells = bool(guards or written) or any(not isinstance(x, Array) for x in captured)
        entry = _Entry(graph, captured, written, in_tree, flat.out_tree, donated, cells, guards)
        if not any(isinstance(x, Tracer) for x in captured):  # what closed over a tracer holds for this call alone
            self.cache[key] = [entry, *self.cache.get(key, [])[: _VARIANTS - 1]]
        return entry

    def _refused(self, key: Any, error: StateError) -> None:
        """Remember at the second time that this signature is no program: the first one may have set up what later ones
        find.
        """
        again = key in self.refused
        self.refused.add(key)
        if again:
            self.cache[key] = error.with_traceback(None)

    def _donated_leaves(self, in_tree: TreeDef, positions: Sequence[int]) -> tuple[int, ...]:
        """Numbers of the leaves that belong to donated arguments."""
        numbers: list[int] = []
        start = 0
        for position, sub in zip(positions, in_tree.children[0].children, strict=True):
            if position in self.donate:
                numbers.extend(range(start, start + sub.num_leaves))
            start += sub.num_leaves
        return tuple(numbers)

    def _adopt(self, program: Executable, entry: _Entry, kwargs: dict[str, Any]) -> None:
        """Let the compiled entry answer calls of this signature from now on."""
        of_now = self.cache.age == changes.count  # unless rules changed while it was recorded
        self._fast = None
        if of_now and not (kwargs or self.static or entry.cells):
            fast = program.entry(entry.captured, entry.in_tree.children[0], entry.out_tree, entry.donated)
            self._fast = functools.partial(_as_then, LOCAL.get(), fast) if fast and config.varies else fast
        with _LISTING:
            _FAST.add(self)

    def clear_cache(self) -> None:
        """Forget all signatures."""
        self.cache.clear()
        self.refused.clear()
        self._fast = None


def _as_then(settings: Any, entry: Callable[..., Any], *args: Any) -> Any:
    """An entry's answer where settings are those that it was recorded with."""
    return entry(*args) if LOCAL.get() == settings else NotImplemented


class _Options(TypedDict, total=False):
    static_argnums: int | Iterable[int]
    static_argnames: str | Iterable[str]
    donate_argnums: int | Iterable[int]
    device: str


@overload
def jit(f: Callable[P, R], **options: Unpack[_Options]) -> Jitted[P, R]: ...
@overload
def jit(**options: Unpack[_Options]) -> Callable[[Callable[P, R]], Jitted[P, R]]: ...
def jit(
    f: Callable[..., Any] | None = None,
    *,
    static_argnums: int | Iterable[int] = (),
    static_argnames: str | Iterable[str] = (),
    donate_argnums: int | Iterable[int] = (),
    device: str = "cpu",
) -> Any:
    """`f`, recorded once for each signature and run as one compiled program.

    The signature is the structure, shapes and dtypes of the arguments and the values of static ones, which are Python
    values while recording and must be hashable. Mutable things that the function closes over are state of the program:
    tensors, buffers and generators are read at each call and written after it, and what the modes of modules change is
    another signature. A function that changes what no program can (gradients, an optimizer, attributes) runs as it is:
    its operations are compiled as those of any loop are. Memory of donated arguments may be reused; they are gone
    afterwards. `device` is "cpu", "cuda" with CuPy and a GPU, or "cuda-sim", which runs CUDA's text on the CPU. Inside
    other transforms, and with others inside, `jit` changes no result.

    >>> double = jit(lambda x: x * 2)
    >>> float(double(3.0))
    6.0
    """
    if f is None:
        return functools.partial(
            jit,
            static_argnums=static_argnums,
            static_argnames=static_argnames,
            donate_argnums=donate_argnums,
            device=device,
        )
    check_function(f, "jit")
    names = [static_argnames] if isinstance(static_argnames, str) else list(static_argnames)
    numbers = [static_argnums] if isinstance(static_argnums, int) else list(static_argnums)
    donate = [donate_argnums] if isinstance(donate_argnums, int) else list(donate_argnums)
    known = parameters(f)
    _check_choices(f, known, names, [*numbers, *donate])
    numbers += [known.index(n) for n in names if n in known and known.index(n) not in numbers]
    names += [known[i] for i in numbers if i < len(known) and known[i] not in names]
    return Jitted(f, sorted(i % len(known) if known and i < 0 else i for i in numbers), names, donate, device)


def _hashable(x: Any) -> bool:
    try:
        hash(x)
    except TypeError:
        return False
    return True


def _check_choices(f: Callable[..., Any], known: Sequence[str], names: Sequence[Any], numbers: Sequence[Any]) -> None:
    """StructureError for static or donated arguments that the function does not have."""
    if not known:
        return
    found = inspect.signature(f).parameters.values()
    kinds = {p.kind for p in found}
    wrong = [n for n in names if n not in {p.name for p in found} and inspect.Parameter.VAR_KEYWORD not in kinds]
    wrong += [
        i
        for i in numbers
        if not isinstance(i, int)
        or (not -len(known) <= i < len(known) and inspect.Parameter.VAR_POSITIONAL not in kinds)
    ]
    if wrong:
        raise StructureError(
            f"jit({function_name(f)}): there is no argument {', '.join(map(repr, wrong))}",
            why=f"its positional arguments are {', '.join(known)}",
            hint="static_argnames for names, static_argnums and donate_argnums for numbers",
        )


def _reason(known: Sequence[Any], key: Any, arguments: Any, name: Callable[[str], str]) -> str:
    """What of a call differs from the signature that comes nearest."""
    if not known:
        return "first call"
    tree, avals, static, axes = key
    same = [k for k in known if k[0] == tree]
    if not same:
        return f"the arguments' structure was {known[-1][0]} and is {tree}"
    nearest = min(
        same, key=lambda k: sum(a != b for a, b in zip(k[1], avals, strict=True)) + (k[2] != static) + (k[3] != axes)
    )
    names = [name(path) for path, _ in tree_paths(arguments)]
    changed = [
        f"{argument} was {a.describe()} and is {b.describe()}"
        for argument, a, b in zip(names, nearest[1], avals, strict=True)
        if a != b
    ]
    changed += [f"static {dict(nearest[2])} and now {dict(static)}"] if nearest[2] != static else []
    return "; ".join(changed) or (
        "other axis names, or another width of default dtypes,"
        if nearest[3] != axes
        else "a captured tensor has another type"
    )
