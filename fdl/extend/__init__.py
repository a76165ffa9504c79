"""What a library on top of fdl stands on, besides the functional face (`fdl`, `fdl.ops`, `fdl.numpy` and their kin).
`fdl.stateful` takes nothing else.

- *Functions and the tape.* A `Function` is recorded as one node; a `Node` of the tape keeps what it was called with,
  and binds its memoised transpose, one node again. `custom_jvp` gives a function a derivative of its own. `walk` goes
  from results back to the `Leaf` of each input. `ORDER` counts nodes and leaves, so that the order of numbers is a
  topological one. There is no second reverse mode: this is the one of `jax.vjp`, asked for by hand.
- *Programs.* What is recorded runs when a value is looked at (`flush`), or where a step was marked as complete (`want`,
  then `cut`). `current_recorder` gives this thread's recorder, as `recorders` does by an attribute; `interpret` runs a
  graph on ndarrays.
- *The runtime library.* `NATIVE` holds its entries, None until it is loaded; `on_native` calls a function when it is;
  `native_tensors` tells it how tensors look.
- *Cells.* A `Storage` holds an array; `put` fills many. What functions read (`note_cell`), write (`note_write`,
  `refuse_write`, `write`, `postponing`) or only look at (`note_guard`) though it lives outside, a transform is told.
- *Traces.* A `Tracer` stands for a value under a transform, a `BatchTracer` for one lane of those that `vmap` maps,
  a `Valueless` one for none,
  `aval_of` tells the type of any operand. `transforming`,
  `recording`, `running_trace` and `current_trace` say what runs.
- *Arrays.* An `Array` is a tracer or a `ConcreteArray`, which has values, or a `Deferred` in their place; `from_numpy`
  makes one. `shaped` makes its type, a `ShapedArray`, and `part_aval` that of
  a part at numbers. `dtypes` are NumPy's and the narrow floats, with their promotion.
  `machine_memory` says what fits. `NodeKind` and `register_family` make classes containers of arrays.
- *Blocks.* State that is set for a `with` statement (`block`, `Block`), and changes that an interrupt cannot halve:
  `whole`, `in_one_call` (exhausts an iterator, such as a `map` of `setattr`) and `aside`.
- *Errors.* Classes whose messages say why and what to write instead, and the user's line that they name (`Location`,
  `is_own`).

>>> from fdl import ops
>>> square_sum = Function(lambda x: ops.reduce_sum(ops.mul(x, x), (0,)))
>>> x, one = ops.full((3,), 2.0, "float32"), ops.full((), 1.0, "float32")
>>> outs, taped = square_sum.record([x], varying=1)
>>> node = Node(taped, [(Leaf(), 0)], [x], outs)
>>> outs[0].tolist(), [g.tolist() for g in node.pull([one])]
(12.0, [[4.0, 4.0, 4.0]])
"""

from fdl.backends.native import NATIVE, on_native
from fdl.core import dtypes
from fdl.core.array import Array, ConcreteArray, Deferred, from_numpy
from fdl.core.avals import ShapedArray, shaped
from fdl.core.blocks import Block, aside, block, in_one_call, whole
from fdl.core.errors import DtypeError, FdlError, IndexBoundsError, ShapeError, TracedMaskError
from fdl.core.graph import interpret
from fdl.core.limits import machine_memory
from fdl.core.pytree import NodeKind, register_family
from fdl.core.source import Location, is_own
from fdl.core.trace import (
    Tracer,
    Valueless,
    aval_of,
    current_trace,
    note_write,
    postponing,
    recording,
    refuse_write,
    running_trace,
    transforming,
    write,
)
from fdl.extend.native import native_tensors
from fdl.extend.storage import Storage, put
from fdl.ops.axes import part_aval
from fdl.transforms.custom import custom_jvp
from fdl.transforms.lazy import current_recorder, cut, flush, recorders, want
from fdl.transforms.stage import note_cell, note_guard
from fdl.transforms.tape import ORDER, Function, Leaf, Node, walk
from fdl.transforms.vmap import BatchTracer

__all__ = [
    "NATIVE", "ORDER", "Array", "BatchTracer", "Block", "ConcreteArray", "Deferred", "DtypeError", "FdlError",
    "Function", "IndexBoundsError", "Leaf", "Location", "Node", "NodeKind", "ShapeError", "ShapedArray", "Storage",
    "TracedMaskError", "Tracer", "Valueless", "aside", "aval_of", "block", "current_recorder", "current_trace",
    "custom_jvp", "cut",
    "dtypes", "flush", "from_numpy", "in_one_call", "interpret", "is_own", "machine_memory", "native_tensors",
    "note_cell", "note_guard", "note_write", "on_native", "part_aval", "postponing", "put", "recorders", "recording",
    "refuse_write", "register_family", "running_trace", "shaped", "transforming", "walk", "want", "whole", "write",
]  # fmt: skip
