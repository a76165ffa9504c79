"""CUDA and Metal: kernels for elementwise work, folds and matrix products, rendered from the same loop IR.

One thread computes one element of the result (of a fold, its whole sum, in the order of the C kernel's tail); a product
has one 16x16 tile a group.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

from fdl.core import dtypes
from fdl.core.errors import CompileError
from fdl.lowering.emit.expressions import Expressions, Folding, environment
from fdl.lowering.ir import spellings
from fdl.lowering.ir.access import loops_of
from fdl.lowering.ir.expr import Buffer
from fdl.lowering.ir.index import Axis, Digits, trips
from fdl.lowering.ir.nodes import Dot, Map, Node, Operand, Reduce
from fdl.lowering.ir.program import Program
from fdl.lowering.ir.size import ceil_div
from fdl.lowering.target import Target

TEMPLATES = {"cuda": "cuda/kernel.cu.j2", "metal": "metal/kernel.metal.j2"}


@dataclasses.dataclass(frozen=True, slots=True, eq=False, repr=False)
class DeviceLaunch:
    """One launch: kernel name, its buffers, and the shape of the grid in groups and of a group in threads."""

    name: str
    buffers: tuple[Buffer, ...]
    grid: tuple[int, int, int]
    block: tuple[int, int, int]


@dataclasses.dataclass(frozen=True, slots=True, eq=False, repr=False)
class DeviceProgram:
    """A module's source and its launches in order."""

    source: str
    launches: tuple[DeviceLaunch, ...]


def render_device(program: Program, target: Target) -> DeviceProgram:
    """All kernels of a program; CompileError for a node or dtype that devices do not have yet."""
    texts: dict[str, str] = {}
    launches = []
    for n in program.nodes:
        for b in [*n.reads(), *n.writes()]:
            if target.language == "metal" and b.dtype == dtypes.float64:
                raise CompileError("metal: float64 does not exist on this device", hint="x.astype(jnp.float32)")
        source, buffers = _kernel(n, target)
        name = texts.setdefault(source, f"k{len(texts)}")
        launches.append(DeviceLaunch(name, buffers, *_shape(n, target)))
    header = environment().get_template(f"{target.language}/prelude.{target.language}.j2").render()
    kernels = [text.replace("KERNEL_NAME", name) for text, name in texts.items()]
    return DeviceProgram("\n\n".join([header, *kernels]) + "\n", tuple(launches))


def _shape(n: Node, target: Target) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """Groups of the grid, and threads of a group: a tile of a product, or elements of a result."""
    space: tuple[Axis, ...] = n.space  # type: ignore[attr-defined]
    if isinstance(n, Dot):
        side = target.block_side
        return (ceil_div(n.n, side), ceil_div(n.m, side), trips(space)), (side, side, 1)
    return (ceil_div(trips(space), target.block), 1, 1), (target.block, 1, 1)


def _kernel(n: Node, target: Target) -> tuple[str, tuple[Buffer, ...]]:
    """The text of a node's kernel, and the buffers that it is handed."""
    spelled = SPELLED.get(type(n))
    if spelled is None:
        raise CompileError(
            f"{target.language}: {type(n).__name__.lower()} has no kernel there yet", hint='device="cpu"'
        )
    text, space, written = Expressions(target), n.space, n.writes()  # type: ignore[attr-defined]
    text.enter(loops_of(n))
    parts = spelled(n, text)
    source = (
        environment()
        .get_template(TEMPLATES[target.language])
        .render(
            kind=type(n).__name__.lower(),
            params=[(spellings.storage_type(b.dtype), name, b in written) for b, name in text.buffers.items()],
            count=trips(space),
            dims=[(text.axis(a), a.size) for a in reversed(space)],  # how a thread's number comes apart
            **parts,
        )
    )
    return source, tuple(text.buffers)


def _map(n: Map, text: Expressions) -> dict[str, Any]:
    values = [text.emit(s.value) for s in n.stores]
    lines = text.taken()
    stores = [text.store(s.buffer, s.offset, value) for s, value in zip(n.stores, values, strict=True)]
    return {"lines": lines, "stores": [*text.taken(), *stores]}


def _reduce(n: Reduce, text: Expressions) -> dict[str, Any]:
    value = text.emit(n.value)
    lines = text.taken()
    store = text.store(n.store, n.offset, "total")
    over = [(text.axis(a), a.size) for a in n.over]
    return {"fold": Folding.of(n), "over": over, "lines": lines, "value": value, "stores": [*text.taken(), store]}


def _dot(n: Dot, text: Expressions) -> dict[str, Any]:
    def element(x: Operand, row: str, col: str) -> str:
        down, across = n.digits(x)
        place = f"{text.buffer(x.buffer)}[{text.index(n.outside(x))} + {_place(row, down)} + {_place(col, across)}]"
        return text.loaded(x.buffer, place)

    lhs, rhs, out = element(n.lhs, "row", "step"), element(n.rhs, "step", "col"), element(n.out, "row", "col")
    sizes = {"m": n.m, "n": n.n, "k": n.k, "tile": text.target.block_side}
    return {"type": spellings.register_type(n.dtype), "lhs": lhs, "rhs": rhs, "out": out, **sizes}


SPELLED: dict[type[Node], Callable[[Any, Expressions], dict[str, Any]]] = {Map: _map, Reduce: _reduce, Dot: _dot}


def _place(number: str, digits: Digits) -> str:
    """Where a row or a column lies, as text."""
    if len(digits) == 1:
        return f"({number}) * {digits[0][1]}"
    below = math.prod(d for d, _ in digits)
    terms = []
    for size, step in digits:
        below //= size
        terms.append(f"({number}) / {below} % {size} * {step}")
    return " + ".join(terms)
