"""What is cut off is not computed: the crop of a convolution is the convolution of a cropped image.

The gradient of a padded image is cut back to the image; without this pass its edges would be computed first, more than half of the work for small images.
"""

from __future__ import annotations

from collections import Counter

from fdl.core.graph import Atom, Equation, Graph, Var
from fdl.core.primitive import REGISTRY


def crop(graph: Graph) -> Graph:
    """`pad(conv(x, w))` with negative edges, where nothing else reads the convolution, is `conv(pad(x), w)`; two paddings of x become one."""
    uses = Counter(a for e in graph.equations for a in e.inputs if isinstance(a, Var))
    uses.update(a for a in graph.outputs if isinstance(a, Var))
    made = {v: e for e in graph.equations for v in e.outputs}
    replaced: dict[int, list[Equation]] = {}
    for e in graph.equations:
        image = e.inputs[0] if e.primitive.name == "pad" else None
        conv = made.get(image) if isinstance(image, Var) and uses[image] == 1 else None
        if conv is None or conv.primitive.name != "conv" or not _cuts(e):
            continue
        x = conv.inputs[0]
        before = made.get(x) if isinstance(x, Var) and uses[x] == 1 else None
        padded = before is not None and before.primitive.name == "pad" and before.inputs[1].aval.matches(e.inputs[1].aval)
        moved = _moved(e, conv, before if padded else None)
        replaced |= {id(e): moved, id(conv): []}
    equations = [q for e in graph.equations for q in replaced.get(id(e), [e])]
    return Graph(graph.inputs, tuple(equations), graph.outputs, graph.constants)


def _cuts(e: Equation) -> bool:
    config = e.params["config"]
    return all(c == (0, 0, 0) for c in (*config[:2], config[-1])) and all(a <= 0 and b <= 0 and between == 0 for a, b, between in config) and 0 not in e.outputs[0].aval.shape


def _moved(e: Equation, conv: Equation, before: Equation | None) -> list[Equation]:
    """The convolution of what is left of its image; the edges that `before` gave it are taken back as far as they go."""
    image, value = (conv.inputs[0], e.inputs[1]) if before is None else before.inputs
    shape, kernel, result = image.aval.shape, conv.inputs[1].aval.shape, e.outputs[0].aval.shape
    old = [(0, 0, 0)] * len(shape) if before is None else before.params["config"]
    config = [*old]
    for axis, (stride, apart) in enumerate(zip(conv.params["strides"], conv.params["dilation"], strict=True), 2):
        first, _, between = old[axis]
        first += e.params["config"][axis][0] * stride
        length = (result[axis] - 1) * stride + (kernel[axis - 1] - 1) * apart + 1
        spread = shape[axis] + between * max(shape[axis] - 1, 0)
        config[axis] = (first, length - spread - first, between)
    inputs: tuple[Atom, ...] = (image, value)
    pad = Equation(REGISTRY["pad"], inputs, {"config": tuple(config)}, (Var(image.aval.update(shape=_padded(shape, config))),), source=e.source)
    return [pad, conv.replace(inputs=(pad.outputs[0], conv.inputs[1]), outputs=e.outputs)]


def _padded(shape: tuple[int, ...], config: list[tuple[int, int, int]]) -> tuple[int, ...]:
    return tuple(a + d + b + between * max(d - 1, 0) for d, (a, b, between) in zip(shape, config, strict=True))
