"""What is cut off is not computed: the crop of a convolution is the convolution of a cropped image.

The gradient of a padded image is cut back to the image; without this pass its edges would be computed first, more than
half of the work for small images.
"""

from __future__ import annotations

from collections.abc import Mapping

from fdl.core.graph import Atom, Equation, Graph, Literal, Var
from fdl.ops.convolution import conv_p
from fdl.ops.shape import pad_p, slice_p
from fdl.passes.match import Changes, rewritten


def crop(graph: Graph) -> Graph:
    """A slice of `conv(x, w)`, where nothing else reads the convolution, is `conv(pad(x), w)`, negative edges cutting;
    two paddings of x become one.

    >>> import fdl.numpy as jnp
    >>> from fdl import ops
    >>> from fdl.transforms import make_graph
    >>> def middle(image, kernel):  # (groups, images, places, channels) with (groups, window, in, out)
    ...     return ops.slice(ops.conv(image, kernel, (1,), (1,)), (0, 0, 1, 0), (1, 1, 5, 1), (1, 1, 1, 1))
    >>> graph = make_graph(middle)(jnp.ones((1, 1, 8, 1)), jnp.ones((1, 3, 1, 1)))
    >>> print(graph)
    graph (a:float32[1,1,8,1] b:float32[1,3,1,1]) {
      c:float32[1,1,6,1] = conv[dilation=(1) strides=(1)] a b
      d:float32[1,1,4,1] = slice[limit=(1,1,5,1) start=(0,0,1,0) strides=(1,1,1,1)] c
      return d
    }
    >>> print(crop(graph))
    graph (a:float32[1,1,8,1] b:float32[1,3,1,1]) {
      c:float32[1,1,6,1] = pad[config=((0,0,0),(0,0,0),(-1,-1,0),(0,0,0))] a 0.0:float32
      d:float32[1,1,4,1] = conv[dilation=(1) strides=(1)] c b
      return d
    }
    """
    return rewritten(graph, _cropped)


def _cropped(e: Equation, makers: Mapping[Atom, Equation]) -> Changes:
    conv = makers.get(e.inputs[0]) if e.primitive is slice_p else None
    if conv is None or conv.primitive is not conv_p or not _cuts_space(e):
        return {}
    before = makers.get(conv.inputs[0])
    return {e: _moved(e, conv, before if before is not None and before.primitive is pad_p else None)}


def _cuts_space(e: Equation) -> bool:
    """Whether a slice takes neighbours, all groups, images and channels, and is not empty."""
    old, new = e.inputs[0].aval.shape, e.outputs[0].aval.shape
    return all(s == 1 for s in e.params["strides"]) and (*old[:2], old[-1]) == (*new[:2], new[-1]) and 0 not in new


def _moved(e: Equation, conv: Equation, before: Equation | None) -> list[Equation]:
    """The convolution of what is left of its image; the edges that `before` gave it are taken back as
    far as they go.
    """
    image, value = (conv.inputs[0], Literal(0, conv.outputs[0].aval.dtype)) if before is None else before.inputs
    shape, kernel, result = image.aval.shape, conv.inputs[1].aval.shape, e.outputs[0].aval.shape
    config = [(0, 0, 0)] * len(shape) if before is None else list(before.params["config"])
    for axis, (stride, apart) in enumerate(zip(conv.params["strides"], conv.params["dilation"], strict=True), 2):
        first, _, between = config[axis]
        first += -e.params["start"][axis] * stride
        length = (result[axis] - 1) * stride + (kernel[axis - 1] - 1) * apart + 1
        config[axis] = (first, length - first - shape[axis] - between * max(shape[axis] - 1, 0), between)
    primitive, params = pad_p, {"config": tuple(config)}
    pad = Equation(
        primitive,
        (image, value),
        params,
        tuple(map(Var, primitive.infer([image.aval, value.aval], params))),
        source=e.source,
    )
    return [pad, conv.replace(inputs=(pad.outputs[0], conv.inputs[1]), outputs=e.outputs)]
