"""What stands for the primitives whose params are programs: functions that are made of loops, branches and calls.

Their rules are held to laws through these, since a primitive of this kind has no samples of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fdl import lax
from fdl.ad_checkpoint import checkpoint
from fdl.core.array import Array
from fdl.custom_batching import custom_vmap
from fdl.custom_derivatives import linear_call
from fdl.ops import cos, exp, mul, sin
from fdl.ops.sample import f32, i32
from fdl.transforms import custom_jvp, custom_vjp, jit, vmap


def _scan(c: Any, xs: Any) -> Any:
    return lax.scan(lambda c, x: (sin(c) * x, c + x), c, xs)


def _scan_reverse(c: Any, xs: Any) -> Any:
    return lax.scan(lambda c, x: (c * x, c), c, xs, reverse=True)


def _cond(p: Any, x: Any) -> Any:
    return lax.cond(p > 0, sin, lambda x: x * x, x)


def _switch(i: Any, x: Any) -> Any:
    return lax.switch(i, [sin, exp, lambda x: x * 3], x)


def _fori(x: Any) -> Any:
    return lax.fori_loop(0, 3, lambda i, c: c * cos(c) + i, x)


def _while(x: Any) -> Any:
    return lax.while_loop(lambda c: c[0] < 3, lambda c: (c[0] + 1, c[1] * 2), (0, x))[1]


def _while_reverse(x: Any) -> Any:
    return lax.while_loop(lambda c: c[0] < 3, lambda c: (c[0] + 1, c[1] * cos(c[1])), (0, x), max_trips=5)[1]


def _call(x: Any) -> Any:
    return jit(lambda x: sin(x) * x)(x) + 1


@custom_jvp
def _own_jvp(x: Any) -> Any:
    return x * x


@_own_jvp.defjvp
def _own_jvp_rule(primals: Any, tangents: Any) -> Any:
    return primals[0] * primals[0], 2 * primals[0] * tangents[0]


@custom_vjp
def _own_vjp(x: Any, y: Any) -> Any:
    return x * y


_own_vjp.defvjp(lambda x, y: (x * y, (x, y)), lambda kept, ct: (mul(ct, kept[1]), mul(ct, kept[0])))


def _psum(x: Any) -> Any:
    return vmap(lambda x: x / lax.psum(x * x + 1, "lanes"), axis_name="lanes")(x)


def _gathered(x: Any) -> Any:
    return vmap(lambda x: lax.all_gather(x, "lanes") * x, axis_name="lanes")(x)


def _index(x: Any) -> Any:
    return vmap(lambda x: x * lax.axis_index("lanes"), axis_name="lanes")(x)


def _linear(x: Any) -> Any:
    return linear_call(lambda r, x: x * r, lambda r, ct: ct * r, 3.0, x)


def _checkpointed(x: Any) -> Any:
    return checkpoint(lambda x: sin(sin(x)))(x)


@custom_vmap
def _own_vmap(x: Any) -> Any:
    return sin(x) * 2


@_own_vmap.def_vmap
def _own_vmap_rule(axis_size: int, in_batched: Any, xs: Any) -> Any:
    return sin(xs) * 2, True


Given = tuple[tuple[Any, ...], ...]
_X = f32(2, 3)

# name of the primitive -> (function, samples)
CONTROL: dict[str, tuple[Callable[..., Array], Given]] = {
    "scan": (_scan, ((f32(3), f32(4, 3)), (f32(3), f32(0, 3)), (f32(), f32(5)))),
    "scan (reverse)": (_scan_reverse, ((f32(3), f32(4, 3)),)),
    "cond": (_cond, ((np.float32(1), _X), (np.float32(-1), _X))),
    "cond (switch)": (_switch, ((np.int32(0), _X), (np.int32(2), _X), (np.int32(7), _X))),
    "while (fori_loop)": (_fori, ((_X,), (f32(0),))),
    "while": (_while, ((i32(2, 3),), (i32(),))),
    "while (max_trips)": (_while_reverse, ((_X,), (f32(0),))),
    "call": (_call, ((_X,), (f32(),))),
    "checkpoint": (_checkpointed, ((_X,),)),
    "custom_jvp": (_own_jvp, ((_X,), (f32(),))),
    "custom_vjp": (_own_vjp, ((_X, f32(2, 3)),)),
    "custom_vmap": (_own_vmap, ((_X,), (f32(0),))),
    "linear_call": (_linear, ((_X,), (f32(0),))),
    "psum": (_psum, ((f32(3, 2),),)),
    "all_gather": (_gathered, ((f32(3, 2),),)),
    "axis_index": (_index, ((f32(3, 2),),)),
}
