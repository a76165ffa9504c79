"""`jit` with all of JAX's options, and its stages one by one: `jit(f).lower(*args)` records, `.compile()` makes the
program.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Generic, ParamSpec, TypedDict, TypeVar, Unpack, overload

from fdl.backends.dispatch import executable
from fdl.core.avals import ShapedArray
from fdl.core.errors import ChoiceError, StructureError
from fdl.core.graph import Graph
from fdl.core.pytree import Tree, TreeDef, tree_flatten
from fdl.core.trace import aval_of
from fdl.inspection import Explanation, explain
from fdl.numpy import zeros
from fdl.transforms import jit as jit_of_arguments
from fdl.transforms.api.jit import Jitted
from fdl.transforms.stage import check_leaves, parameters

P = ParamSpec("P")
R = TypeVar("R")


class Lowered(Generic[R]):
    """A function recorded for arguments of some types."""

    def __init__(self, function: Jit[Any, R], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        entry = function.lookup(args, kwargs)[0]
        self.function = function
        self.graph: Graph = entry.graph
        self.in_tree: TreeDef = entry.in_tree
        self.out_tree: TreeDef = entry.out_tree
        self._captured = len(entry.captured)
        self._shown: Callable[[], Explanation] = lambda: explain(function)(*args, **kwargs)

    @property
    def in_avals(self) -> list[ShapedArray]:
        """Types of the leaves of the arguments that are arrays."""
        return self.graph.in_avals[self._captured :]

    @property
    def out_info(self) -> Tree:
        """The types of the results, as the function returns them."""
        return self.out_tree.unflatten(self.graph.out_avals[: self.out_tree.num_leaves])

    def as_text(self) -> str:
        """The graph."""
        return str(self.graph)

    def cost_analysis(self) -> dict[str, float]:
        """Scalar operations and bytes that stages read and write, roughly: loops count one step."""
        shown = self._shown()
        return {"flops": float(shown.operations), "bytes accessed": float(shown.traffic_bytes)}

    def compile(self) -> Compiled[R]:
        """The program, made now."""
        executable(self.graph, self.function.name, self.function.device)
        return Compiled(self)


class Compiled(Generic[R]):
    """A program for arguments of the types that it was lowered for."""

    def __init__(self, lowered: Lowered[R]) -> None:
        self.lowered = lowered
        self.in_tree, self.out_tree = lowered.in_tree, lowered.out_tree
        self.in_avals, self.out_info = lowered.in_avals, lowered.out_info

    def __call__(self, *args: Any, **kwargs: Any) -> R:
        """The result; StructureError for arguments of other types. Static arguments are given as they were."""
        function = self.lowered.function
        moving = tuple(x for i, x in enumerate(args) if i not in function.static)
        named = {k: v for k, v in kwargs.items() if k not in function.static_names}
        leaves, tree = tree_flatten((moving, named))
        found = [aval_of(x) for x in check_leaves(leaves, (moving, named), function.name, function.argument)]
        fits = tree == self.in_tree and all(a.matches(b) for a, b in zip(found, self.in_avals, strict=True))
        if not fits:
            raise StructureError(
                f"{function.name} was compiled for {self.in_avals}, and is called with {found}",
                why="a compiled function takes arguments of the types that it was lowered for",
                hint=f"{function.name}(...) itself, which compiles for each signature",
            )
        result: R = function(*args, **kwargs)
        return result

    def as_text(self) -> str:
        """The generated C."""
        return self.lowered._shown().source

    def cost_analysis(self) -> dict[str, float]:
        """As `Lowered.cost_analysis`."""
        return self.lowered.cost_analysis()

    def memory_analysis(self) -> dict[str, int]:
        """Bytes of all temporaries, and what is there at once while the program runs."""
        shown = self.lowered._shown()
        return {"temporaries": shown.arena_bytes, "peak": shown.peak_bytes}


class Jit(Jitted[P, R]):
    """A function under `jit`."""

    def lower(self, *args: Any, **kwargs: Any) -> Lowered[R]:
        """The function recorded for these arguments, or types of arguments.

        >>> lowered = jit(lambda x: x * 2).lower(1.0)
        >>> float(lowered.compile()(3.0))
        6.0
        """
        return Lowered(self, *_with_zeros(args, kwargs))

    def eval_shape(self, *args: Any, **kwargs: Any) -> Tree:
        """Types of the results for these arguments, or types of arguments.

        >>> jit(lambda x: x * 2).eval_shape(1.0)
        float32*[]
        """
        return self.lower(*args, **kwargs).out_info


def _with_zeros(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Arguments with arrays in the place of types."""
    leaves, tree = tree_flatten((args, kwargs))
    filled: tuple[tuple[Any, ...], dict[str, Any]] = tree.unflatten(
        [zeros(x.shape, x.dtype) if isinstance(x, ShapedArray) else x for x in leaves]
    )
    return filled


class _Options(TypedDict, total=False):
    static_argnums: int | Iterable[int] | None
    static_argnames: str | Iterable[str] | None
    donate_argnums: int | Iterable[int] | None
    donate_argnames: str | Iterable[str] | None
    keep_unused: bool
    inline: bool
    device: str | None
    backend: str | None


@overload
def jit(fun: Callable[P, R], **options: Unpack[_Options]) -> Jit[P, R]: ...
@overload
def jit(**options: Unpack[_Options]) -> Callable[[Callable[P, R]], Jit[P, R]]: ...
def jit(fun: Callable[..., Any] | None = None, **options: Any) -> Callable[..., Any]:
    """`fun`, recorded once for each signature and run as one compiled program.

    - `static_argnums`, `static_argnames`: arguments that are Python values while recording, hashable, and part of the
      signature with shapes and dtypes of the others
    - `donate_argnums`, `donate_argnames`: arguments whose memory may be used again; they are gone afterwards
    - `device` or `backend`: "cpu", or "cuda" for elementwise work, sums and products with CuPy and a GPU
    - `inline`, `keep_unused`: accepted; programs are inlined as pays, and arguments that nobody reads cost nothing

    Mutable things that the function closes over are state of the program: tensors, buffers and generators are read at
    each call and written after it, and what the modes of modules change is another signature. A function that changes
    what no program can (gradients, an optimizer, attributes) runs as it is: its operations are compiled as those of any
    loop are. Inside other transforms, and with others inside, `jit` changes no result.

    >>> double = jit(lambda x: x * 2)
    >>> float(double(3.0))
    6.0
    """
    unknown = sorted(set(options) - _Options.__annotations__.keys())
    if unknown:
        raise ChoiceError(f"jit has no option {', '.join(unknown)}", hint=f"{', '.join(_Options.__annotations__)}")
    if fun is None:
        return lambda f: jit(f, **options)
    given = {name: value for name, value in options.items() if value is not None}
    donate = _listed(given.get("donate_argnums", ()))
    known = parameters(fun)
    for name in _listed(given.get("donate_argnames", ())):
        if name not in known:
            raise StructureError(f"jit: there is no argument {name!r} to donate", hint=f"{', '.join(known)}")
        donate.append(known.index(name))
    made = jit_of_arguments(
        fun,
        static_argnums=given.get("static_argnums", ()),
        static_argnames=given.get("static_argnames", ()),
        donate_argnums=donate,
        device=given.get("device") or given.get("backend") or "cpu",
    )
    return Jit(fun, made.static, sorted(made.static_names), made.donate, made.device)


def _listed(given: Any) -> list[Any]:
    return [given] if isinstance(given, (int, str)) else list(given)


__all__ = ["Compiled", "Jit", "Lowered", "jit"]
