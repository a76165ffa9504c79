"""The runner of a device's programs: it walks through loops and branches, and launches the kernels that it meets.

What it needs of a device is a `Driver`: memory, copies, and launches in order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from fdl.backends.executable import Executable, refuse
from fdl.core import dtypes
from fdl.core.array import ConcreteArray
from fdl.core.graph import Graph
from fdl.lowering.build.control import build
from fdl.lowering.emit.device.program import DeviceProgram, Launch, render_device
from fdl.lowering.ir.expr import Buffer
from fdl.lowering.ir.index import Axis
from fdl.lowering.ir.nodes import Branch, Loop, Node
from fdl.lowering.pipeline import schedule
from fdl.lowering.target import Target
from fdl.passes import run_passes
from fdl.passes.checks import lift_checks

Bytes = np.ndarray[Any, Any]
M = TypeVar("M")


class Driver(Protocol[M]):
    """A device that holds pieces of memory and runs the kernels of one module, one after another."""

    def empty(self, nbytes: int) -> M:
        """Memory of so many bytes, at least one."""

    def upload(self, data: Bytes) -> M:
        """Memory with these bytes."""

    def download(self, memory: M, nbytes: int) -> Bytes:
        """The first bytes of memory, when all that was launched before has run."""

    def copy(self, source: M, target: M, nbytes: int) -> None:
        """Copy bytes from one piece of memory to another."""

    def launch(self, launch: Launch, memory: Sequence[M], steps: Sequence[int]) -> None:
        """Run a kernel."""


def lower_device(graph: Graph, target: Target) -> DeviceProgram:
    """The module of a graph for a device. The flags of its checks follow the results."""
    lifted = lift_checks(graph)
    program = build(run_passes(lifted.graph), len(lifted.checks), target.routines)
    return render_device(schedule(program, target), target)


class DeviceExecutable(Executable, Generic[M]):
    """A graph on a device: arguments are copied there and results back, so that arrays stay on the CPU until devices
    are a part of arrays. `load` brings a program's module to the device.
    """

    def __init__(self, graph: Graph, target: Target, load: Callable[[DeviceProgram], Driver[M]]) -> None:
        self.graph = graph
        self.rendered = lower_device(graph, target)
        self.driver = load(self.rendered)

    def __call__(self, arrays: Sequence[ConcreteArray]) -> list[ConcreteArray]:
        program, driver = self.rendered.program, self.driver
        values = [a._numpy() for a in arrays]
        flat = (np.ascontiguousarray(x).reshape(-1).view(np.uint8) for x in values)
        memory = {b: driver.upload(data) for b, data in zip(program.inputs, flat, strict=True)}
        memory |= {b: driver.empty(max(b.nbytes, 1)) for b in program.buffers if b not in memory}
        _Run(self.rendered, driver, memory).nodes(program.nodes, {})
        results = [driver.download(memory[b], b.nbytes) for b in program.outputs]
        count = len(self.graph.out_avals)
        if any(flag.any() for flag in results[count:]):
            refuse(self.graph, values)
        return [
            ConcreteArray(aval, flat.view(aval.dtype).reshape(aval.shape))
            for aval, flat in zip(self.graph.out_avals, results, strict=False)
        ]


class _Run(Generic[M]):
    """One run of a program over some memory."""

    def __init__(self, rendered: DeviceProgram, driver: Driver[M], memory: dict[Buffer, M]) -> None:
        self.launches, self.driver, self.memory = rendered.launches, driver, memory

    def nodes(self, nodes: Sequence[Node], steps: dict[Axis, int]) -> None:
        """Nodes one after another, inside of loops at these steps."""
        for n in nodes:
            if isinstance(n, Loop):
                self._loop(n, steps)
            elif isinstance(n, Branch):
                chosen = self.driver.empty(4)
                self._launch(n, steps, chosen)
                index = int(self.driver.download(chosen, 4).view(dtypes.int32)[0])
                self.nodes(n.bodies[min(max(index, 0), len(n.bodies) - 1)], steps)
            else:
                self._launch(n, steps)

    def _launch(self, n: Node, steps: dict[Axis, int], chosen: M | None = None) -> None:
        launch = self.launches[n]
        if launch.blocks:
            memory: list[Any] = [chosen if b is None else self.memory[b] for b in launch.buffers]
            self.driver.launch(launch, memory, [steps[a] for a in launch.steps])

    def _loop(self, n: Loop, steps: dict[Axis, int]) -> None:
        if n.axis is not None:
            for t in reversed(range(n.axis.size)) if n.reverse else range(n.axis.size):
                self.nodes(n.body, {**steps, n.axis: t})
                self._carry(n)
            return
        assert n.test is not None and n.test_result is not None, "a loop has an axis or a test"
        while True:
            self.nodes(n.test, steps)
            if not self.driver.download(self.memory[n.test_result], 1)[0]:
                return
            self.nodes(n.body, steps)
            self._carry(n)

    def _carry(self, n: Loop) -> None:
        """Copy what the next step begins with; what is both read and written, by way of other memory."""
        targets = {b for _, b in n.carry}
        sources: list[M] = []
        for source, _ in n.carry:
            place = self.memory[source]
            if source in targets:
                kept = self.driver.empty(max(source.nbytes, 1))
                self.driver.copy(place, kept, source.nbytes)
                place = kept
            sources.append(place)
        for place, (_, target) in zip(sources, n.carry, strict=True):
            self.driver.copy(place, self.memory[target], target.nbytes)
