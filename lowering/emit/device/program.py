"""A program of a device: a module of kernels, and a launch for each node that is one.

Loops and branches are no kernels: whoever runs the program walks through them, with its nodes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

from fdl.core import dtypes
from fdl.core.errors import CompileError
from fdl.lowering.emit.device.kernels import Kernel, kernel_of
from fdl.lowering.emit.expressions import environment
from fdl.lowering.ir.expr import Buffer
from fdl.lowering.ir.index import Axis
from fdl.lowering.ir.nodes import Loop, Node
from fdl.lowering.ir.program import Program
from fdl.lowering.target import Target


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Launch:
    """A kernel's name; its buffers, which it gets first, and the loops around it, of which it gets the steps behind
    them; the number of blocks, and of threads in each.

    `buffers` of a branch's kernel hold None in the place of the int32 that it writes.
    """

    name: str
    buffers: tuple[Buffer | None, ...]
    steps: tuple[Axis, ...]
    blocks: int
    threads: int


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class DeviceProgram:
    """A loop program with the text of its kernels, and the launch of each node that is a kernel; that of a branch
    writes which body runs.
    """

    program: Program
    source: str
    launches: dict[Node, Launch]


def render_device(program: Program, target: Target) -> DeviceProgram:
    """All kernels of a program. Nodes whose kernels have one text share it."""
    names: dict[str, str] = {}
    launches: dict[Node, Launch] = {}
    template = environment().get_template("device/kernel.j2")
    for n in _kernels(program.nodes):
        for b in [*n.reads(), *n.writes()]:
            if target.language == "metal" and b.dtype == dtypes.float64:
                raise CompileError("metal: float64 does not exist on this device", hint="x.astype(jnp.float32)")
        kernel = kernel_of(n, target)
        text = template.render(k=kernel, dialect=f"{target.language}/dialect.j2").strip("\n")
        launches[n] = _launch(names.setdefault(text, f"k{len(names)}"), kernel)
    header = environment().get_template(f"{target.language}/prelude.{target.language}.j2").render()
    source = "\n\n".join([header, *(text.replace("KERNEL_NAME", name) for text, name in names.items())])
    return DeviceProgram(program, source + "\n", launches)


def _kernels(nodes: Sequence[Node]) -> Iterator[Node]:
    """The nodes that become kernels, those inside of loops and branches too."""
    for n in nodes:
        if not isinstance(n, Loop):
            yield n
        for nested in n.nested():
            yield from _kernels(nested)


def _launch(name: str, k: Kernel) -> Launch:
    return Launch(name, k.buffers, k.steps, k.count if k.by_block else -(-k.count // k.threads), k.threads)
