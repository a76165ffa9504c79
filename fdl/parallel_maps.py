"""`jax.pmap` and `jax.shard_map`: programs written for several devices, on the one that there is."""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable, Sequence
from typing import Any

from fdl.core.errors import ChoiceError, ShapeError
from fdl.core.pytree import Tree, tree_flatten, tree_map
from fdl.placement import device_count
from fdl.sharding import get_mesh
from fdl.stages import jit
from fdl.transforms import vmap

__all__ = ["pmap", "shard_map"]


def pmap(
    fun: Callable[..., Any],
    axis_name: Hashable = None,
    *,
    in_axes: Any = 0,
    out_axes: Any = 0,
    static_broadcasted_argnums: int | Sequence[int] = (),
    devices: Any = None,
    backend: str | None = None,
    axis_size: int | None = None,
    donate_argnums: Any = (),
    global_arg_shapes: Any = None,
) -> Callable[..., Any]:
    """`fun` for each element of the mapped axis on a device of its own: of an axis of one element, as there is one
    device. ShapeError for a longer one, for which `vmap` is.

    >>> import fdl.numpy as jnp
    >>> pmap(lambda x: x * 2)(jnp.ones((1, 2))).tolist()
    [[2.0, 2.0]]
    """
    static = (
        (static_broadcasted_argnums,) if isinstance(static_broadcasted_argnums, int) else static_broadcasted_argnums
    )
    mapped = vmap(fun, in_axes=in_axes, out_axes=out_axes, axis_name=axis_name, axis_size=axis_size)
    compiled = mapped if static else jit(mapped)

    @functools.wraps(fun)
    def run(*args: Any, **kwargs: Any) -> Tree:
        axes = in_axes if isinstance(in_axes, (tuple, list)) else (in_axes,) * len(args)
        for number, (arg, axis) in enumerate(zip(args, axes, strict=False)):
            for leaf in tree_flatten(arg)[0] if isinstance(axis, int) and number not in static else ():
                if leaf.shape[axis] > device_count():
                    raise ShapeError(
                        f"pmap: an axis of {leaf.shape[axis]} elements, and {device_count()} device",
                        why="each element is for a device of its own",
                        hint="vmap(f), or an axis of 1",
                    )
        if not static:
            return compiled(*args, **kwargs)
        held = {k: args[k] for k in static}
        rest = [x for k, x in enumerate(args) if k not in held]
        left = tuple(a for k, a in enumerate(axes) if k not in held)

        def without(*given: Any, **named: Any) -> Tree:
            moving = iter(given)
            return fun(*(held[k] if k in held else next(moving) for k in range(len(args))), **named)

        return vmap(without, in_axes=left, out_axes=out_axes, axis_name=axis_name, axis_size=axis_size)(*rest, **kwargs)

    return run


def shard_map(
    f: Callable[..., Any] | None = None,
    *,
    mesh: Any = None,
    in_specs: Any = None,
    out_specs: Any = None,
    axis_names: Any = (),
    check_vma: bool = True,
) -> Callable[..., Any]:
    """`f` of the part of each argument that a device of the mesh has: of the whole, as there is one device. The axes of
    the mesh have their names inside, for collectives.

    >>> import fdl, fdl.numpy as jnp
    >>> mesh = fdl.make_mesh((1,), ("i",))
    >>> total = shard_map(lambda x: fdl.lax.psum(x.sum(), "i"), mesh=mesh, in_specs=fdl.P("i"), out_specs=fdl.P())
    >>> float(total(jnp.ones(3)))
    3.0
    """
    if f is None:
        given = {"mesh": mesh, "in_specs": in_specs, "out_specs": out_specs, "axis_names": axis_names}
        return functools.partial(shard_map, **given)
    whole = f
    names = tuple((get_mesh() if mesh is None else mesh).axis_names)
    if unknown := set(axis_names) - set(names):
        raise ChoiceError(f"shard_map: the mesh has no axis {sorted(map(str, unknown))[0]!r}", hint=f"one of {names}")

    @functools.wraps(whole)
    def run(*args: Any) -> Tree:
        inner: Callable[..., Any] = whole
        for name in names:
            inner = functools.partial(_in_axis, inner, name)
        return inner(*args)

    return run


def _in_axis(f: Callable[..., Any], name: Hashable, *args: Any) -> Tree:
    """`f` inside of a named axis of one element."""
    lanes = vmap(f, in_axes=None, axis_name=name, axis_size=1)(*args)
    return tree_map(lambda x: x[0], lanes)
