"""CUDA and Metal: kernels for elementwise work, folds and matrix products, rendered from the same loop IR.

One thread computes one element of the result (of a fold, its whole sum, in the order of the C kernel's tail); a product
has one 16x16 tile a group.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

from fdl.core import dtypes
from fdl.core.errors import CompileError
from fdl.lowering.emit.expressions import Expressions, environment
from fdl.lowering.ir import spellings
from fdl.lowering.ir.access import loops_of
from fdl.lowering.ir.expr import Buffer
from fdl.lowering.ir.index import Axis, trips
from fdl.lowering.ir.nodes import Dot, Map, Node, Operand, Reduce
from fdl.lowering.ir.program import Program
from fdl.lowering.target import Target
from fdl.ops.reduction import lowest

TEMPLATES = {"cuda": "cuda/kernel.cu.j2", "metal": "metal/kernel.metal.j2"}


@dataclasses.dataclass(frozen=True, slots=True, eq=False, repr=False)
class DeviceLoop:
    """An inner loop."""

    name: str
    stop: int


@dataclasses.dataclass(frozen=True, slots=True, eq=False, repr=False)
class DeviceKernel:
    """What a device template gets."""

    kind: str
    name: str
    params: tuple[tuple[str, str, bool], ...]  # (type, name, written)
    count: int
    dims: tuple[tuple[str, int], ...]
    over: tuple[DeviceLoop, ...] = ()
    lines: tuple[str, ...] = ()
    stores: tuple[str, ...] = ()
    type: str = ""
    value: str = ""
    neutral: str = ""
    combine: str = ""
    m: int = 0
    n: int = 0
    k: int = 0
    lhs: str = ""
    rhs: str = ""
    out: str = ""
    tile: int = 0


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
        kernel, buffers = _kernel(n, target)
        template = environment().get_template(TEMPLATES[target.language])
        text = template.render(k=dataclasses.replace(kernel, name="KERNEL_NAME"))
        name = texts.setdefault(text, f"k{len(texts)}")
        launches.append(_launch(name, kernel, buffers, target))
    header = environment().get_template(f"{target.language}/prelude.{target.language}.j2").render()
    return DeviceProgram(
        "\n\n".join([header, *(text.replace("KERNEL_NAME", name) for text, name in texts.items())]) + "\n",
        tuple(launches),
    )


def _launch(name: str, k: DeviceKernel, buffers: tuple[Buffer, ...], target: Target) -> DeviceLaunch:
    if k.kind == "dot":
        side = target.block_side
        return DeviceLaunch(name, buffers, (-(-k.n // side), -(-k.m // side), k.count), (side, side, 1))
    return DeviceLaunch(name, buffers, (-(-k.count // target.block), 1, 1), (target.block, 1, 1))


def _kernel(n: Node, target: Target) -> tuple[DeviceKernel, tuple[Buffer, ...]]:
    text = Expressions(target)
    text.enter(loops_of(n))
    if isinstance(n, Map):
        stores = [(s, text.emit(s.value)) for s in n.stores]
        lines = [*text.lines[0]]
        text.lines = [[]]
        stored = [text.store(s.buffer, s.offset, value) for s, value in stores]
        kernel = DeviceKernel(
            "map",
            "",
            _params(text, n),
            trips(n.space),
            _dims(n.space, text),
            lines=tuple(lines),
            stores=(*text.lines[0], *stored),
        )
    elif isinstance(n, Reduce):
        kernel = _reduce(n, text)
    elif isinstance(n, Dot):
        kernel = _dot(n, text)
    else:
        raise CompileError(
            f"{target.language}: {type(n).__name__.lower()} has no kernel there yet", hint='device="cpu"'
        )
    return kernel, tuple(text.buffers)


def _reduce(n: Reduce, text: Expressions) -> DeviceKernel:
    dtype = n.value.dtype
    value = text.emit(n.value)
    lines, text.lines = tuple(text.lines[0]), [[]]
    stores = (*text.lines[0], text.store(n.store, n.offset, "total"))
    over = tuple(DeviceLoop(text.axis(a), a.size) for a in n.over)
    combine = "FDL_PLUS" if n.kind == "add" else f"fdl_max_{spellings.SUFFIX[dtype]}"
    neutral = "0" if n.kind == "add" else spellings.literal(lowest(dtype), dtype)
    common: dict[str, Any] = {
        "type": spellings.register_type(dtype),
        "value": value,
        "neutral": neutral,
        "combine": combine,
    }
    return DeviceKernel(
        "reduce", "", _params(text, n), trips(n.space), _dims(n.space, text), over, lines, stores, **common
    )


def _dot(n: Dot, text: Expressions) -> DeviceKernel:
    def element(x: Operand, row: str, col: str) -> str:
        place = f"{text.buffer(x.buffer)}[{text.index(x.offset)} + {_place(row, x.rows)} + {_place(col, x.cols)}]"
        return (
            f"fdl_load_{spellings.SUFFIX[x.buffer.dtype]}({place})" if x.buffer.dtype in dtypes.NARROW_FLOATS else place
        )

    lhs, rhs, out = element(n.lhs, "row", "step"), element(n.rhs, "step", "col"), element(n.out, "row", "col")
    return DeviceKernel(
        "dot",
        "",
        _params(text, n),
        trips(n.space),
        _dims(n.space, text),
        type=spellings.register_type(n.dtype),
        m=n.m,
        n=n.n,
        k=n.k,
        lhs=lhs,
        rhs=rhs,
        out=out,
        tile=text.target.block_side,
    )


def _place(number: str, digits: Sequence[tuple[int, int]]) -> str:
    """Where a row or a column lies, as text."""
    if len(digits) == 1:
        return f"({number}) * {digits[0][1]}"
    below = math.prod(d for d, _ in digits)
    terms = []
    for size, step in digits:
        below //= size
        terms.append(f"({number}) / {below} % {size} * {step}")
    return " + ".join(terms)


def _params(text: Expressions, n: Node) -> tuple[tuple[str, str, bool], ...]:
    written = n.writes()
    return tuple((spellings.storage_type(b.dtype), name, b in written) for b, name in text.buffers.items())


def _dims(space: Sequence[Axis], text: Expressions) -> tuple[tuple[str, int], ...]:
    """Loop variables with their sizes, innermost first: how a thread's number comes apart."""
    return tuple((text.axis(a), a.size) for a in reversed(space))
