"""What a program for all sizes is called with, apart from the program: what it is told at which sizes, and how much
memory it takes. The disk cache keeps it as JSON, so that another process calls the program without lowering anything.

A recipe is looked for by what the graph is but for its sizes. What it assumes of sizes it is asked at each call, so
that one which was made for other sizes serves wherever it may, see `family.py`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from fdl.backends import cache
from fdl.backends.toolchain import Compiler
from fdl.core.avals import Shape, ShapedArray, shaped
from fdl.core.graph import Graph
from fdl.lowering.ir.rewrite import all_nodes
from fdl.lowering.ir.spellings import changed_rows
from fdl.lowering.pipeline import Lowered
from fdl.lowering.plan.memory import fitted, lines, told_places
from fdl.lowering.target import Target
from fdl.passes.generalize import General
from fdl.passes.size import Assumption, Extent, Size, Sizes, Symbol, at_values, value_of

_MOST = 16  # recipes of one graph


@dataclasses.dataclass(frozen=True, slots=True)
class Recipe:
    """A general graph with all that its program assumes; the symbols that the program is told, in order; which of them
    are offsets, with the first and the last step at which something lies there, and its bytes; the work of its stages;
    the types of its results; and the element types of its products.
    """

    general: General
    told: tuple[Symbol, ...]
    temps: tuple[tuple[Symbol, int, int, Extent], ...]
    work: tuple[Extent, ...]
    results: tuple[ShapedArray, ...]
    products: tuple[str, ...]

    @classmethod
    def of(cls, general: General, lowered: Lowered, products: Sequence[str]) -> Recipe:
        """What calling a program takes that has just been lowered."""
        work = tuple(n.work() for n in all_nodes(lowered.program.nodes) if not n.nested())
        temps, results = told_places(lowered.planned), tuple(general.graph.out_avals)
        return cls(general, tuple(general.sizes.symbols), tuple(temps), work, results, tuple(products))

    def values(self, shapes: Sequence[Shape], steps: Any, graph: Graph | None) -> dict[Symbol, int] | None:
        """What symbols are at these sizes, see `General.values`."""
        return self.general.values(shapes, steps, graph)

    def called(
        self, values: Mapping[Symbol, int], target: Target
    ) -> tuple[tuple[int, ...], int, bool, tuple[ShapedArray, ...]]:
        """For these values: what the program is told, bytes of its arena, whether it is worth all threads, and the
        types of its results.
        """
        offsets, arena = arena_at(self.temps, target, values)
        known = {**values, **offsets}
        told = tuple(value_of(s, known) for s in self.told)
        results = tuple(a.update(shape=tuple(at_values(d, values) for d in a.shape)) for a in self.results)
        return told, arena, any(at_values(work, values) >= target.parallel_work for work in self.work), results

    # As JSON

    def written(self) -> dict[str, Any]:
        """As JSON can hold it."""
        general = self.general
        return {
            "symbols": [[s.example, s.signed, _plain(s.parts), _plain(s.dense)] for s in general.sizes.symbols],
            "assumptions": [[_plain(a.size), a.exact] for a in general.sizes.assumptions],
            "shapes": _plain(general.shapes),
            "params": _plain(general.params),
            "steps": _plain(general.steps),
            "united": [[s.number, _plain(size)] for s, size in general.united.items()],
            "told": [s.number for s in self.told],
            "temps": [[s.number, first, last, _plain(nbytes)] for s, first, last, nbytes in self.temps],
            "work": _plain(self.work),
            "results": [[a.dtype.name, _plain(a.shape), a.weak_type] for a in self.results],
            "products": list(self.products),
        }

    @classmethod
    def read(cls, found: dict[str, Any], general: Graph) -> Recipe:
        """From what was written; KeyError, TypeError, ValueError or IndexError where it is none. `general` is the graph
        that it was looked for by.
        """
        sizes = Sizes()
        for example, signed, parts, dense in found["symbols"]:
            sizes.symbol(int(example), bool(signed), _read(parts, sizes), _read(dense, sizes))
        for size, exact in found["assumptions"]:
            sizes.assume(Assumption(_read(size, sizes), exact))
        shapes, params, steps, work = (_read(found[name], sizes) for name in ("shapes", "params", "steps", "work"))
        united = {sizes.symbols[n]: _read(size, sizes) for n, size in found["united"]}
        temps = [(sizes.symbols[n], first, last, _read(b, sizes)) for n, first, last, b in found["temps"]]
        results = [shaped(_read(shape, sizes), dtype, weak) for dtype, shape, weak in found["results"]]
        told = [sizes.symbols[n] for n in found["told"]]
        whole = General(general, sizes, steps, shapes, params, united)
        return cls(whole, tuple(told), tuple(temps), work, tuple(results), tuple(found["products"]))


def arena_at(
    temps: Sequence[tuple[Symbol, int, int, Extent]], target: Target, values: Mapping[Symbol, int]
) -> tuple[dict[Symbol, int], int]:
    """The offsets that a program for arrays of any size is told where its symbols have these values, and the size of
    the arena: lifetimes are those of the plan, places follow from the sizes.
    """
    return fitted({s: (first, last, lines(at_values(n, values), target)) for s, first, last, n in temps})


def _plain(x: Any) -> Any:
    """Sizes, and tuples of them, as lists, numbers and names."""
    if isinstance(x, Size):
        return {"terms": [[[s.number for s in monomial], c] for monomial, c in x.terms]}
    return [_plain(y) for y in x] if isinstance(x, tuple) else x


def _read(x: Any, sizes: Sizes) -> Any:
    if isinstance(x, dict):
        return Size(tuple((tuple(sizes.symbols[n] for n in monomial), c) for monomial, c in x["terms"]))
    return tuple(_read(y, sizes) for y in x) if isinstance(x, list) else x


# In the disk cache


def key_of(general: General, compiler: Compiler) -> str:
    """What the recipes of a graph are found by, whatever the sizes that it was recorded with."""
    steps = repr([len(own) for own in general.steps])
    parts = (cache.own_digest(), changed_rows(), compiler.identity(), repr(compiler.target))
    return cache.key_of("recipes", str(general.graph), repr((general.shapes, general.params)), steps, *parts)


def kept(key: str) -> list[dict[str, Any]]:
    """What the cache holds: recipes as they were written, each with the `library` and `function` of its program."""
    found = (cache.read_plan(key) or {}).get("recipes", [])
    return found if isinstance(found, list) else []


def keep(key: str, recipe: Recipe, library: str, function: str) -> None:
    """Let the cache hold a recipe more."""
    new = {**recipe.written(), "library": library, "function": function}
    cache.write_plan(key, {"recipes": [*kept(key), new][-_MOST:]})
