"""`jit`: a function recorded once a signature and run as one compiled program.

The call is fast where it can be: no transform is running and all arguments are arrays of a known signature, then generated code checks types and runs.
Anything else takes the general path: flatten, look the signature up, record on a miss, and bind a `call`, which other transforms see.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from fdl.backends.dispatch import executable
from fdl.backends.executable import Executable
from fdl.core.array import DONATED, Array
from fdl.core.config import config, log
from fdl.core.errors import StructureError
from fdl.core.graph import Graph
from fdl.core.pytree import TreeDef, tree_flatten, tree_paths
from fdl.core.trace import Tracer, aval_of, current_trace, transforming
from fdl.transforms.control.call import call
from fdl.transforms.stage import FlatFunction, argument_names, check_function, check_leaves, function_name, note_cell, noting_cells, parameters, stage


class _Entry(NamedTuple):
    """One signature: the graph, what it captured (arrays, and mutable cells that are read at each call), the structures of arguments and result, and donated inputs."""

    graph: Graph
    captured: list[Any]
    in_tree: TreeDef
    out_tree: TreeDef
    donated: tuple[int, ...]
    cells: bool

    def values(self) -> list[Any]:
        """The captured arrays of now."""
        if not self.cells:
            return self.captured
        for x in self.captured:
            if not isinstance(x, Array):
                note_cell(x)
        return [x if isinstance(x, Array) else x.array for x in self.captured]

    def fits(self) -> bool:
        """Whether all cells still hold the types that were recorded."""
        return not self.cells or all(aval_of(x) == aval for x, aval in zip(self.values(), self.graph.in_avals, strict=False))


class Jitted:
    """A function under `jit`."""

    def __init__(self, f: Callable[..., Any], static: Sequence[int], static_names: Sequence[str], donate: Sequence[int], device: str) -> None:
        functools.update_wrapper(self, f)
        self.f, self.static, self.static_names, self.donate = f, tuple(static), frozenset(static_names), tuple(donate)
        self.device = device
        self.name = function_name(f)
        self.parameters = dict(enumerate(parameters(f)))
        self.argument = argument_names(f, self.static)
        self.cache: dict[Any, _Entry] = {}
        self._fast: Callable[..., Any] | None = None

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else functools.partial(self, instance)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self._fast is not None and not kwargs and not transforming():
            out = self._fast(*args)
            if out is not NotImplemented:
                return out
        return self._general(args, kwargs)

    def _general(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        entry, leaves = self.lookup(args, kwargs)
        if transforming() or any(isinstance(x, Tracer) for x in leaves):
            return entry.out_tree.unflatten(call(entry.graph, [*entry.values(), *leaves], self.name, "jit"))
        shift = len(entry.captured)
        program = executable(entry.graph, self.name, self.device, tuple([i + shift for i in entry.donated]))
        outs = program([*entry.values(), *leaves])
        for i in entry.donated:
            leaves[i]._data = DONATED
        self._adopt(program, entry, kwargs)
        return entry.out_tree.unflatten(outs)

    def lookup(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[_Entry, list[Any]]:
        """The entry of this signature, recorded if need be, and the dynamic leaves."""
        fixed = tuple((i, args[i]) for i in self.static if i < len(args))
        fixed_names = tuple(sorted((k, v) for k, v in kwargs.items() if k in self.static_names))
        dynamic = tuple(x for i, x in enumerate(args) if i not in self.static)
        named = {k: v for k, v in kwargs.items() if k not in self.static_names}
        leaves, in_tree = tree_flatten((dynamic, named))
        leaves = check_leaves(leaves, (dynamic, named), f"jit({self.name})", self.argument)
        by_name = tuple(sorted([*((self.parameters.get(i, str(i)), v) for i, v in fixed), *fixed_names])) if fixed or fixed_names else ()
        key = in_tree, tuple([x.aval for x in leaves]), by_name, current_trace().axis_env()
        try:
            entry = self.cache.get(key)
        except TypeError as error:
            raise StructureError(
                f"jit({self.name}): a static argument is not hashable: {error}",
                why="static arguments are part of the key that finds the compiled program",
                hint="a tuple instead of a list, a frozen dataclass, or a dynamic argument",
            ) from None
        found = entry if entry is not None and entry.fits() else None
        if found is None and "compile" in config.log:
            log("compile", f"jit({self.name}) is traced: {_reason(list(self.cache), key, (dynamic, named), self.argument)}")
        return found or self._record(key, leaves, in_tree, dict(fixed), dict(fixed_names), len(args)), leaves

    def _record(self, key: Any, leaves: Sequence[Any], in_tree: TreeDef, fixed: dict[int, Any], fixed_names: dict[str, Any], count: int) -> _Entry:
        def with_static(*dynamic: Any, **named: Any) -> Any:
            given = iter(dynamic)
            return self.f(*[fixed[i] if i in fixed else next(given) for i in range(count)], **named, **fixed_names)

        flat = FlatFunction(with_static, in_tree, f"jit({self.name})")
        with noting_cells() as cells:
            graph, arrays = stage(flat, [aval_of(x) for x in leaves], f"jit({self.name})").lift()
        assert flat.out_tree is not None
        captured = [cells.get(id(x), x) for x in arrays]
        donated = self._donated_leaves(in_tree, [i for i in range(count) if i not in fixed])
        entry = _Entry(graph, captured, in_tree, flat.out_tree, donated, any(not isinstance(x, Array) for x in captured))
        if not any(isinstance(x, Tracer) for x in captured):  # what closed over a tracer holds for this call alone
            self.cache[key] = entry
        return entry

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
        plain = not kwargs and not self.static and not entry.cells
        self._fast = program.entry(entry.captured, entry.in_tree.children[0], entry.out_tree, entry.donated) if plain else None

    def lower(self, *args: Any, **kwargs: Any) -> Graph:
        """The graph that is compiled for these arguments."""
        return self.lookup(args, kwargs)[0].graph

    def clear_cache(self) -> None:
        """Forget all signatures."""
        self.cache.clear()
        self._fast = None


def jit(
    f: Callable[..., Any] | None = None,
    *,
    static_argnums: int | Iterable[int] = (),
    static_argnames: str | Iterable[str] = (),
    donate_argnums: int | Iterable[int] = (),
    device: str = "cpu",
) -> Any:
    """`f`, recorded once for each signature and run as one compiled program.

    The signature is the structure, shapes and dtypes of the arguments and the values of static ones, which are Python values while recording and must
    be hashable.  Memory of donated arguments may be reused; they are gone afterwards.  `device` is "cpu", or "cuda" for elementwise work, sums and
    products with CuPy and a GPU.  Inside other transforms, and with others inside, `jit` changes no result.

    >>> double = jit(lambda x: x * 2)
    >>> float(double(3.0))
    6.0
    """
    if f is None:
        return functools.partial(jit, static_argnums=static_argnums, static_argnames=static_argnames, donate_argnums=donate_argnums, device=device)
    check_function(f, "jit")
    names = [static_argnames] if isinstance(static_argnames, str) else list(static_argnames)
    numbers = [static_argnums] if isinstance(static_argnums, int) else list(static_argnums)
    donate = [donate_argnums] if isinstance(donate_argnums, int) else list(donate_argnums)
    known = parameters(f)
    numbers += [known.index(n) for n in names if n in known and known.index(n) not in numbers]
    names += [known[i] for i in numbers if i < len(known) and known[i] not in names]
    return Jitted(f, sorted(i % len(known) if known and i < 0 else i for i in numbers), names, donate, device)


def _reason(known: Sequence[Any], key: Any, arguments: Any, name: Callable[[str], str]) -> str:
    """What of a call differs from the signature that comes nearest."""
    if not known:
        return "first call"
    tree, avals, static, axes = key
    same = [k for k in known if k[0] == tree]
    if not same:
        return f"the arguments' structure was {known[-1][0]} and is {tree}"
    nearest = min(same, key=lambda k: sum(a != b for a, b in zip(k[1], avals, strict=True)) + (k[2] != static) + (k[3] != axes))
    names = [name(path) for path, _ in tree_paths(arguments)]
    changed = [f"{argument} was {a.describe()} and is {b.describe()}" for argument, a, b in zip(names, nearest[1], avals, strict=True) if a != b]
    changed += [f"static {dict(nearest[2])} and now {dict(static)}"] if nearest[2] != static else []
    return "; ".join(changed) or ("another axis context" if nearest[3] != axes else "a captured tensor has another type")
