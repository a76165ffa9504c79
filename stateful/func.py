"""`torch.func`: transforms of functions of tensors, and modules as functions of their parameters."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import setitem
from typing import Any

import fdl
from fdl.extend import Array, block, current_trace, dtypes, in_one_call, postponing, transforming, write
from fdl.stateful.autograd import Function, no_grad
from fdl.stateful.core.backward import shown_tensor
from fdl.stateful.core.cells import captures
from fdl.stateful.core.complexes import shown
from fdl.stateful.core.errors import MissingError, TensorError
from fdl.stateful.core.spelling import placed
from fdl.stateful.core.tape import grad_mode
from fdl.stateful.core.tensor import Tensor, wrap
from fdl.stateful.functions.shapes import stack
from fdl.stateful.nn.module import Module

__all__ = [
    "functional_call",
    "functionalize",
    "grad",
    "grad_and_value",
    "hessian",
    "jacfwd",
    "jacrev",
    "jvp",
    "linearize",
    "stack_module_state",
    "vjp",
    "vmap",
]


def _is_tensor(x: Any) -> bool:
    return isinstance(x, Tensor)


def _arrays(tree: Any) -> Any:
    return fdl.tree.map(lambda x: x._value() if isinstance(x, Tensor) else x, tree, is_leaf=_is_tensor)


def _tensors(tree: Any) -> Any:
    return fdl.tree.map(lambda x: wrap(x) if isinstance(x, Array) else x, tree)


def _of_arrays(f: Callable[..., Any]) -> Callable[..., Any]:
    """A function of tensors as one of arrays."""

    @functools.wraps(f)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        return _arrays(f(*_tensors(args), **_tensors(kwargs)))

    return wrapped


class _Attached(Function):
    """A function of arrays as a node of the tape, differentiated by `fdl.vjp`; its derivative is such a
    function again.
    """

    @staticmethod
    def forward(ctx: Any, h: Callable[..., Any], *inputs: Tensor) -> Any:
        ctx.h, ctx.inputs = h, inputs
        outs, ctx.pull = fdl.vjp(h, *[t._value() for t in inputs])
        return tuple(map(wrap, outs))

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        if not grad_mode.enabled:
            found = map(wrap, ctx.pull(tuple([shown(g._value()) for g in gradients])))
        else:
            n, given = len(ctx.inputs), map(shown_tensor, gradients)
            found = _Attached.apply(lambda *xs: fdl.vjp(ctx.h, *xs[:n])[1](tuple(xs[n:])), *ctx.inputs, *given)
        return (None, *map(shown_tensor, found))


def _called(made: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A function of arrays called with tensors.

    Gradients flow to those that want one, be they given or read from outside: for them the call is done once more, by
    its derivative.
    """
    if transforming() or not grad_mode.enabled:
        return _tensors(made(*_arrays(args), **_arrays(kwargs)))
    leaves, tree = fdl.tree.flatten((args, kwargs), is_leaf=_is_tensor)
    given = [k for k, x in enumerate(leaves) if isinstance(x, Tensor) and x.requires_grad]
    saved, captures.found = captures.found, {}
    try:
        with postponing() as writes:
            result = made(*_arrays(args), **_arrays(kwargs))
        read = list(captures.found.values())
    finally:
        captures.found = saved
    outs, out_tree = fdl.tree.flatten(result)
    varying = [k for k, x in enumerate(outs) if isinstance(x, Array) and dtypes.is_inexact(x.aval.dtype)]
    if not (given or read) or not varying:
        write(writes)
        return _tensors(result)

    def of_inputs(*values: Any) -> tuple[Any, ...]:
        for k, value in zip(given, values, strict=False):
            leaves[k] = wrap(value)
        undo = map(setattr, [t._storage for t in read], itertools.repeat("array"), [t._storage.array for t in read])
        try:
            for t, value in zip(read, values[len(given) :], strict=True):
                if t._view is None:
                    t._storage.array = value
                else:
                    with no_grad():
                        t._overwrite(value)
            new_args, new_kwargs = tree.unflatten(leaves)
            found = fdl.tree.leaves(made(*_arrays(new_args), **_arrays(new_kwargs)))
        finally:
            in_one_call(undo)
        return tuple([found[k] for k in varying])

    inputs = [leaves[k] for k in given] + read
    attached = _Attached.apply(of_inputs, *inputs)
    results = [wrap(x) if isinstance(x, Array) else x for x in outs]
    for k, t in zip(varying, attached, strict=True):
        results[k] = t
    return out_tree.unflatten(results)


def _lifted(transform: Callable[..., Any]) -> Callable[..., Any]:
    """A transform of functions of arrays as one of functions of tensors."""

    def public(func: Callable[..., Any], argnums: Any = 0, has_aux: bool = False, **kwargs: Any) -> Callable[..., Any]:
        settings = {"has_aux": True} if has_aux else {}
        made = transform(_of_arrays(func), argnums, **settings)

        @functools.wraps(func)
        def wrapped(*args: Any, **given: Any) -> Any:
            return _called(made, args, given)

        return wrapped

    return public


def _shown(tree: Any) -> Any:
    """Cotangents, a tree of arrays, as users see them."""
    return fdl.tree.map(lambda x: shown(x) if isinstance(x, Array) else x, tree)


def _showing(transform: Callable[..., Any], place: int) -> Callable[..., Any]:
    """A transform of functions of arrays whose gradients are as users see them; with more results, the number `place`
    is the gradient.
    """

    def public(f: Callable[..., Any], argnums: Any, **settings: Any) -> Callable[..., Any]:
        made = transform(f, argnums, **settings)

        @functools.wraps(f)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            out = made(*args, **kwargs)
            if not place and not settings:
                return _shown(out)
            return tuple([_shown(x) if k == place else x for k, x in enumerate(out)])

        return wrapped

    return public


grad = _lifted(_showing(fdl.grad, 0))
grad.__doc__ = "The gradient function of a scalar function of tensors."
jacrev, jacfwd, hessian = _lifted(_showing(fdl.jacrev, 0)), _lifted(fdl.jacfwd), _lifted(fdl.hessian)
_with_value = _lifted(_showing(fdl.value_and_grad, 1))
placed({"grad": grad, "jacrev": jacrev, "jacfwd": jacfwd, "hessian": hessian}, __name__)


def grad_and_value(func: Callable[..., Any], argnums: Any = 0, has_aux: bool = False) -> Callable[..., Any]:
    """A function that returns (gradient, value)."""
    made = _with_value(func, argnums, has_aux)

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        value, gradient = made(*args, **kwargs)
        return gradient, value

    return wrapped


def vmap(
    func: Callable[..., Any],
    in_dims: Any = 0,
    out_dims: Any = 0,
    randomness: str = "error",
    *,
    chunk_size: int | None = None,
) -> Callable[..., Any]:
    """The function over a dimension of its arguments.

    `randomness` says what a random number in it is: an "error", "different" for each element, or the "same" for all.
    """
    if randomness not in ("error", "different", "same"):
        raise TensorError(f"Only allowed values for randomness are 'error', 'different', or 'same'. Got {randomness}")
    axes = tuple(in_dims) if isinstance(in_dims, list) else in_dims
    inner = _of_arrays(func)

    def drawing(*args: Any, **kwargs: Any) -> Any:
        trace: Any = current_trace()
        trace.randomness = (trace.lanes(), trace.axis.size) if randomness == "different" else randomness
        return inner(*args, **kwargs)

    made = fdl.vmap(functools.wraps(func)(drawing), axes, out_dims)

    @functools.wraps(func)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        return _called(made, args, kwargs)

    return wrapped


def vjp(func: Callable[..., Any], *primals: Any, has_aux: bool = False) -> Any:
    """(value, function from cotangents to cotangents of the primals)."""
    found = fdl.vjp(_of_arrays(func), *_arrays(primals), has_aux=has_aux)
    pull = found[1]

    def pulled(*cotangents: Any) -> Any:
        return _tensors(_shown(pull(_shown(_arrays(cotangents[0] if len(cotangents) == 1 else cotangents)))))

    return (_tensors(found[0]), pulled, *map(_tensors, found[2:]))


def jvp(
    func: Callable[..., Any],
    primals: Sequence[Any],
    tangents: Sequence[Any],
    *,
    strict: bool = False,
    has_aux: bool = False,
) -> Any:
    """(value, its derivative in a direction)."""
    made = _of_arrays(func)
    return _called(lambda x, t: fdl.jvp(made, x, t, has_aux=has_aux), (tuple(primals), tuple(tangents)), {})  # type: ignore[no-any-return]


def linearize(func: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[..., Any]]:
    """(value, the linear function of tangents there).

    >>> import fdl.stateful as torch
    >>> value, push = torch.func.linearize(torch.square, torch.tensor(3.0))
    >>> float(push(torch.tensor(1.0)))
    6.0
    """
    value, push = fdl.linearize(_of_arrays(func), *_arrays(primals))
    return _tensors(value), lambda *tangents: _tensors(push(*_arrays(tangents)))


def functionalize(func: Callable[..., Any], *, remove: str = "mutations") -> Callable[..., Any]:
    """The function itself: changes in place are values here already."""
    return func


# Modules as functions


@block
def _swapped(module: Module, values: Mapping[str, Any]) -> Iterator[None]:
    """Parameters and buffers by name, for the time of a block."""
    places: list[tuple[dict[str, Any], str]] = []
    for name in values:
        path, _, own = name.rpartition(".")
        owner = module.get_submodule(path)
        if own not in owner._registered:
            raise MissingError(f"functional_call: {type(module).__name__} has no parameter or buffer {name!r}")
        places.append((owner.__dict__, own))
    tables, names = [table for table, _ in places], [own for _, own in places]
    undo = map(setitem, tables, names, [table[own] for table, own in places])
    try:
        in_one_call(map(setitem, tables, names, values.values()))
        yield
    finally:
        in_one_call(undo)


def functional_call(
    module: Module,
    parameter_and_buffer_dicts: Any,
    args: Any = None,
    kwargs: Any = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """The module called with these parameters and buffers in the place of its own.

    >>> import fdl.stateful as torch
    >>> layer = torch.nn.Linear(2, 1, bias=False)
    >>> torch.func.functional_call(layer, {"weight": torch.ones(1, 2)}, (torch.ones(2),)).tolist()
    [2.0]
    """
    given = (
        [parameter_and_buffer_dicts]
        if isinstance(parameter_and_buffer_dicts, Mapping)
        else list(parameter_and_buffer_dicts)
    )
    values = {name: value for part in given for name, value in part.items()}
    if strict:
        missing = [n for n, _ in [*module.named_parameters(), *module.named_buffers()] if n not in values]
        if missing:
            raise TensorError(f"functional_call: missing key(s): {', '.join(missing)}")
    positional = () if args is None else args if isinstance(args, tuple) else (args,)
    with _swapped(module, values):
        return module(*positional, **(kwargs or {}))


def stack_module_state(models: Sequence[Module]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Parameters and buffers of several modules of one kind, stacked by name."""
    if not models:
        raise TensorError("stack_module_state: Expected at least one model, got 0.")
    params = {
        name: stack([dict(m.named_parameters())[name].detach() for m in models]).requires_grad_(p.requires_grad)
        for name, p in models[0].named_parameters()
    }
    buffers = {name: stack([dict(m.named_buffers())[name] for m in models]) for name, _ in models[0].named_buffers()}
    return params, buffers
