"""Derivatives as users call them: `jvp`, `linearize`, `vjp`, `grad` and the Jacobians, for functions of trees."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import numpy as np

from fdl.core.array import Array, ConcreteArray, as_array
from fdl.core.avals import ShapedArray
from fdl.core.dtypes import is_complex
from fdl.core.errors import DtypeError, NonScalarError, ShapeError, StructureError
from fdl.core.graph import Graph, bind_graph
from fdl.core.pytree import TreeDef, tree_flatten, tree_leaves, tree_map, tree_paths
from fdl.core.tangents import Linear, Zero, has_tangent
from fdl.core.trace import aval_of, current_trace, transforming
from fdl.ops.axes import convert, instantiate, match, zeros_like
from fdl.ops.elementwise import add, equal
from fdl.ops.shape import iota, reshape, slice_in_dim
from fdl.transforms.jvp import jvp_flat
from fdl.transforms.linearize import backward_pass, linearize_flat, varying_mask
from fdl.transforms.stage import (
    FlatFunction,
    argument_names,
    check_function,
    check_leaves,
    flatten_positional,
    function_name,
    kind_of,
    stage,
)
from fdl.transforms.tape import tape_flat
from fdl.transforms.vmap import vmap

float0 = np.dtype([("float0", np.void, 0)])


def zero_tangent(x: Any) -> np.ndarray[Any, Any]:
    """The tangent of an integer or a bool at the API: an array of `float0`, which holds nothing."""
    return np.zeros(aval_of(x).shape, float0)


def _tangent_leaves(
    primals: Sequence[Any], tangents: Any, tree: TreeDef, what: str, kind: str = "tangent"
) -> list[Any]:
    """Tangents, or cotangents, that fit their primals; StructureError, ShapeError or DtypeError name the one that does
    not.
    """
    try:
        given = tree.flatten_up_to(tangents)
    except StructureError as error:
        raise StructureError(
            f"{what}: the {kind}s do not have the structure of the values: {str(error.args[0]).splitlines()[0]}",
            why=f"each value has one {kind}",
            hint=f"{kind}s shaped like {tree}",
        ) from None
    out: list[Any] = []
    for i, (p, t) in enumerate(zip(primals, given, strict=True)):
        aval = aval_of(p)
        if not has_tangent(aval):
            if getattr(t, "dtype", None) != float0 and not (isinstance(t, (int, float)) and t == 0):
                found = kind_of(t) if not hasattr(t, "dtype") else f"{t.dtype.name}{list(t.shape)}".replace(" ", "")
                raise DtypeError(
                    f"{what}: value {i} is {aval.describe()}, its {kind} {found}",
                    why=f"{aval.dtype.name} does not vary, so its {kind} is of dtype float0",
                    hint=f"np.zeros({aval.shape}, fdl.float0), or the value as a float",
                )
            out.append(Zero(aval))
            continue
        (t,) = check_leaves([t], t, what, lambda path, i=i: f"the {kind} of value {i}")  # type: ignore[misc]
        if aval_of(t).shape != aval.shape:
            raise ShapeError(
                f"{what}: value {i} has shape {aval.shape}, its {kind} {aval_of(t).shape}",
                why=f"each element has one {kind}",
                hint=f"jnp.ones({aval.shape})",
            )
        lost = is_complex(aval_of(t).dtype) and not is_complex(aval.dtype)
        if aval_of(t).dtype != aval.dtype and (lost or not aval_of(t).weak_type):
            raise DtypeError(
                f"{what}: value {i} has dtype {aval.dtype.name}, its {kind} {aval_of(t).dtype.name}",
                why=f"a {kind} has the dtype of its value",
                hint=f"t.astype({aval.dtype.name!r})",
            )
        out.append(match(t, aval))
    return out


def jvp(
    fun: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any], has_aux: bool = False
) -> tuple[Any, ...]:
    """(f(*primals), its derivative in the direction of `tangents`): forward mode.

    >>> import fdl.numpy as jnp
    >>> value, slope = jvp(lambda x: x * x, (3.0,), (1.0,))
    >>> float(value), float(slope)
    (9.0, 6.0)
    """
    check_function(fun, "jvp")
    if not isinstance(primals, (tuple, list)) or not isinstance(tangents, (tuple, list)):
        raise StructureError(
            "jvp: primals and tangents must be tuples or lists",
            why="there is one for each argument",
            hint="jvp(f, (x,), (t,))",
        )
    leaves, in_tree = tree_flatten((tuple(primals), {}))
    leaves = check_leaves(leaves, (tuple(primals), {}), "jvp", argument_names(fun))
    flat = FlatFunction(fun, in_tree, "jvp", has_aux)
    outs, out_tangents = jvp_flat(
        flat, leaves, _tangent_leaves(leaves, (tuple(tangents), {}), in_tree, "jvp"), f"jvp({function_name(fun)})"
    )
    wrapped = [_outer_tangent(t) for t in out_tangents]
    if has_aux:
        values, aux = flat.with_aux(outs)
        return flat.unflatten(values), flat.unflatten(wrapped[: len(values)]), aux
    return flat.unflatten(outs), flat.unflatten(wrapped)


def _outer_tangent(t: Any) -> Any:
    """A tangent as the user sees it: no symbolic zeros."""
    return (instantiate(t) if has_tangent(t.aval) else np.zeros(t.aval.shape, float0)) if type(t) is Zero else t


class _Differentiated:
    """A function run at a point, with what its derivative there needs; a subclass says how: `run(name)` gives the
    results.
    """

    def __init__(
        self,
        f: Callable[..., Any],
        leaves: Sequence[Any],
        in_tree: TreeDef,
        what: str,
        has_aux: bool,
        constants: Sequence[bool] | None = None,
    ) -> None:
        self.leaves = list(leaves)
        self.flat = FlatFunction(f, in_tree, what, has_aux)
        self.varying = varying_mask([x.aval for x in leaves])
        if constants is not None:
            self.varying = [v and not c for v, c in zip(self.varying, constants, strict=True)]
        outs, self.aux = self.run(f"{what}({function_name(f)})"), None
        if has_aux:  # results that belong to the value come first
            outs, self.aux = self.flat.with_aux(outs)
        self.outs: list[Any] = [x if isinstance(x, Array) else as_array(x) for x in outs]
        assert self.flat.out_tree is not None
        self.out_tree: TreeDef = self.flat.out_tree

    def run(self, name: str) -> list[Any]:
        raise NotImplementedError(self)

    def pull(self, cotangents: Sequence[Any]) -> list[Any]:
        """Cotangents of the inputs for cotangents of the results; None for inputs that do not vary."""
        raise NotImplementedError(self)

    def result(self) -> Any:
        return self.out_tree.unflatten(self.outs)


class _Linearization(_Differentiated):
    """As a linear graph."""

    def run(self, name: str) -> list[Any]:
        outs, self.graph, nonzero_out = linearize_flat(self.flat, self.leaves, self.varying, name)
        self.nonzero_out = list(nonzero_out)
        return outs

    def _of_value(self) -> tuple[Graph, list[bool]]:
        """The part of the linear graph that leads to the value, and which of its results vary."""
        nonzero, graph = self.nonzero_out[: len(self.outs)], self.graph
        return Graph(graph.inputs, graph.equations, graph.outputs[: sum(nonzero)], graph.constants), nonzero

    def push(self, tangents: Sequence[Any]) -> list[Any]:
        """Tangents of the results for tangents of the inputs."""
        graph, nonzero = self._of_value()
        outs = iter(bind_graph(graph, [instantiate(t) for t, v in zip(tangents, self.varying, strict=True) if v]))
        return [next(outs) if nz else Zero(aval_of(o)) for o, nz in zip(self.outs, nonzero, strict=True)]

    def pull(self, cotangents: Sequence[Any]) -> list[Any]:
        graph, nonzero = self._of_value()
        operands = [Linear(aval_of(x)) for x, v in zip(self.leaves, self.varying, strict=True) if v]
        cts = iter(backward_pass(graph, operands, [ct for ct, nz in zip(cotangents, nonzero, strict=True) if nz]))
        return [
            match(instantiate(next(cts)), aval_of(x)) if v else None
            for x, v in zip(self.leaves, self.varying, strict=True)
        ]


class _Recording(_Differentiated):
    """As a tape, where no transform runs."""

    def run(self, name: str) -> list[Any]:
        outs, self.backwards = tape_flat(self.flat, self.leaves, self.varying, name)
        return outs

    def pull(self, cotangents: Sequence[Any]) -> list[Any]:
        return self.backwards(cotangents)


def _reverse(
    f: Callable[..., Any],
    leaves: Sequence[Any],
    in_tree: TreeDef,
    what: str,
    has_aux: bool,
    constants: Sequence[bool] | None = None,
) -> _Differentiated:
    """The function made ready for `pull`."""
    return (_Linearization if transforming() else _Recording)(f, leaves, in_tree, what, has_aux, constants)


def linearize(fun: Callable[..., Any], *primals: Any, has_aux: bool = False) -> tuple[Any, ...]:
    """(f(*primals), the linear function from tangents to tangents there): forward mode, with the primal work done once.

    >>> value, push = linearize(lambda x: x**3, 2.0)
    >>> float(push(1.0)), float(push(10.0))
    (12.0, 120.0)
    """
    check_function(fun, "linearize")
    leaves, in_tree = tree_flatten((primals, {}))
    lin = _Linearization(
        fun, check_leaves(leaves, (primals, {}), "linearize", argument_names(fun)), in_tree, "linearize", has_aux
    )

    def push(*tangents: Any) -> Any:
        given = _tangent_leaves(lin.leaves, (tangents, {}), in_tree, "linearize")
        return lin.out_tree.unflatten([_outer_tangent(t) for t in lin.push(given)])

    return (lin.result(), push, lin.aux) if has_aux else (lin.result(), push)


def vjp(fun: Callable[..., Any], *primals: Any, has_aux: bool = False) -> tuple[Any, ...]:
    """(f(*primals), the function from cotangents of the result to a tuple of cotangents of the primals): reverse mode.

    >>> import fdl.numpy as jnp
    >>> value, pull = vjp(lambda a, b: a @ b, jnp.ones((2, 3)), jnp.ones((3, 4)))
    >>> [ct.shape for ct in pull(value)]
    [(2, 3), (3, 4)]
    """
    check_function(fun, "vjp")
    leaves, in_tree = tree_flatten((primals, {}))
    lin = _reverse(fun, check_leaves(leaves, (primals, {}), "vjp", argument_names(fun)), in_tree, "vjp", has_aux)

    def pull(cotangent: Any) -> tuple[Any, ...]:
        cts = _tangent_leaves(lin.outs, cotangent, lin.out_tree, "vjp", "cotangent")
        return lin.flat.positional(
            [zero_tangent(x) if ct is None else ct for x, ct in zip(lin.leaves, lin.pull(cts), strict=True)]
        )

    return (lin.result(), pull, lin.aux) if has_aux else (lin.result(), pull)


def linear_transpose(fun: Callable[..., Any], *primals: Any) -> Callable[[Any], tuple[Any, ...]]:
    """The transpose of a linear function; of `primals` only types matter.

    >>> import fdl.numpy as jnp
    >>> (ct,) = linear_transpose(lambda x: 3 * x, 0.0)(2.0)
    >>> float(ct)
    6.0
    """
    leaves, in_tree = tree_flatten((primals, {}))
    avals = [x if isinstance(x, ShapedArray) else aval_of(x) for x in leaves]
    flat = FlatFunction(fun, in_tree, "linear_transpose")
    graph = stage(flat, avals, f"linear_transpose({function_name(fun)})")

    def transposed(cotangent: Any) -> tuple[Any, ...]:
        assert flat.out_tree is not None
        cts = check_leaves(flat.out_tree.flatten_up_to(cotangent), cotangent, "linear_transpose")
        if any(is_complex(aval_of(ct).dtype) and not is_complex(a.dtype) for ct, a in zip(cts, graph.out_avals)):
            raise DtypeError("linear_transpose: a value is real, its cotangent complex", hint="the real part, ct.real")
        results = backward_pass(
            graph, [Linear(a) for a in avals], [match(ct, a) for ct, a in zip(cts, graph.out_avals, strict=True)]
        )
        args: tuple[Any, ...] = in_tree.unflatten([instantiate(ct) for ct in results])[0]
        return args

    return transposed


# grad


def _of_parts(
    f: Callable[..., Any], argnums: int | Sequence[int], args: Any, kwargs: Any, what: str
) -> tuple[Callable[..., Any], tuple[Any, ...], tuple[int, ...]]:
    """`f` as a function of the chosen arguments alone, those arguments, and their numbers."""
    count = len(args)
    chosen = (argnums,) if isinstance(argnums, int) else tuple(argnums)
    if any(not isinstance(i, int) for i in chosen):
        raise StructureError(
            f"{what}: argnums={argnums!r}",
            why="it numbers positional arguments",
            hint=f"{what}(f, argnums=0), or a tuple of ints",
        )
    if chosen and not -count <= min(chosen) <= max(chosen) < count:
        named = f" and {', '.join(map(str, kwargs))} by keyword" if kwargs else ""
        raise StructureError(
            f"{what}: argnums={argnums}, but the call has {count} positional arguments{named}",
            why="derivatives are with respect to positional arguments",
            hint=f"argnums below {count}, or the argument by position",
        )
    chosen = tuple([i % count for i in chosen])
    if not kwargs and chosen == tuple(range(count)):
        return f, tuple(args), chosen

    def of_parts(*inner: Any) -> Any:
        full_args = list(args)
        for i, value in zip(chosen, inner, strict=True):
            full_args[i] = value
        return f(*full_args, **kwargs)

    of_parts.__name__ = function_name(f)
    return of_parts, tuple([args[i] for i in chosen]), chosen


def _check_constants(
    leaves: Sequence[Any], parts: Any, constants: Sequence[bool], what: str, name: Callable[[str], str]
) -> None:
    """Only constants, such as buffers of modules, may have no derivative."""
    for x, allowed, (path, _) in zip(leaves, constants, tree_paths((parts, {})), strict=True):
        if not (allowed or has_tangent(aval_of(x))):
            raise DtypeError(
                f"{what}: {name(path)} has dtype {aval_of(x).dtype.name}, which has no derivative",
                why="integers and booleans do not vary",
                hint="a float argument, x.astype(jnp.float32), or other argnums",
            )


def _check_numbers(what: str, kind: str, xs: Sequence[Any], holomorphic: bool, either: bool = False) -> None:
    """DtypeError unless arguments or results, as `kind` says, are complex with `holomorphic`, and real without, or
    `either`.
    """
    for aval in map(aval_of, xs):
        if is_complex(aval.dtype) != holomorphic and has_tangent(aval) and (holomorphic or not either):
            raise DtypeError(
                f"{what}: {kind} {aval.describe()}, with holomorphic={holomorphic}",
                why="a holomorphic function takes complex numbers to complex ones, and has one derivative; any other "
                "one varies with real and with imaginary parts in ways of their own",
                hint=f"{what}(f)" if holomorphic else f"{what}(f, holomorphic=True), or .real, .imag or abs of it",
            )


def _names_of(f: Callable[..., Any], chosen: Sequence[int], count: int) -> Callable[[str], str]:
    """How errors name the chosen arguments among `count`."""
    return argument_names(f, [i for i in range(count) if i not in chosen])


def _differentiated(
    f: Callable[..., Any], argnums: int | Sequence[int], has_aux: bool, holomorphic: bool, args: Any, kwargs: Any
) -> _Differentiated:
    of_parts, parts, chosen = _of_parts(f, argnums, args, kwargs, "grad")
    leaves, in_tree = flatten_positional(parts)
    leaves = check_leaves(leaves, (parts, {}), "grad", lambda path: _names_of(f, chosen, len(args))(path))
    if not all(varying_mask([x.aval for x in leaves])):
        _check_constants(
            leaves, parts, in_tree.constants or (False,) * len(leaves), "grad", _names_of(f, chosen, len(args))
        )
    _check_numbers("grad", "an argument is", leaves, holomorphic, either=True)
    lin = _reverse(of_parts, leaves, in_tree, "grad", has_aux, in_tree.constants)
    if len(lin.outs) != 1 or _is_container(lin.out_tree) or lin.outs[0].aval.shape or not has_tangent(lin.outs[0].aval):
        _refuse_result(lin)
    _check_numbers("grad", "the function returned", lin.outs, holomorphic)
    return lin


def _is_container(tree: TreeDef) -> bool:
    """Whether it is a tuple, a list or a dict; a tensor is one value."""
    return tree.cls is not None and issubclass(tree.cls, (tuple, list, dict))


def _refuse_result(lin: _Differentiated) -> NoReturn:
    found = ", ".join(o.aval.describe() for o in lin.outs) or "None"
    if len(lin.outs) != 1 or _is_container(lin.out_tree):
        hint = (
            "return value, aux with has_aux=True for more results"
            if lin.outs
            else "return the value; a function without `return` gives None"
        )
        found = f"{lin.out_tree.cls.__name__} of {found}" if lin.outs and lin.out_tree.cls else found
    elif lin.outs[0].aval.shape:
        hint = ".sum() or .mean(), jacrev for arrays"
    else:
        hint = "a mean instead of a count, or .astype(jnp.float32) where it varies smoothly"
    raise NonScalarError(
        f"grad: the function returned {found}, not a scalar float",
        why="a gradient is the derivative of one real number",
        hint=hint,
    )


@functools.cache
def _one(aval: ShapedArray) -> ConcreteArray:
    """The cotangent of a value itself."""
    return ConcreteArray(aval, np.ones((), aval.dtype))


def _gradient(lin: _Differentiated, argnums: int | Sequence[int]) -> Any:
    cotangents = lin.pull([_one(lin.outs[0].aval)])
    if not all(lin.varying):  # constants
        cotangents = [
            zeros_like(aval_of(x)) if ct is None else ct for x, ct in zip(lin.leaves, cotangents, strict=True)
        ]
    grads = lin.flat.positional(cotangents)
    return grads[0] if isinstance(argnums, int) else grads


def value_and_grad(
    fun: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False, holomorphic: bool = False
) -> Callable[..., Any]:
    """A function that returns `(fun(...), gradient)`, or `((value, aux), gradient)` with `has_aux`.

    The gradient has the structure of the argument that `argnums` names, or is a tuple where that names several.
    Of a real function of z = x + iy it is df/dx - i df/dy; with `holomorphic`, of a complex function, the derivative.
    Raises NonScalarError unless the value is a scalar float, or complex with `holomorphic`; DtypeError for an argument
    that is neither float nor complex, or not complex with `holomorphic`.

    >>> value, gradient = value_and_grad(lambda p: p["a"] * p["b"])({"a": 2.0, "b": 5.0})
    >>> float(value), float(gradient["a"]), float(gradient["b"])
    (10.0, 5.0, 2.0)
    """

    check_function(fun, "value_and_grad")

    @functools.wraps(fun)
    def with_grad(*args: Any, **kwargs: Any) -> Any:
        lin = _differentiated(fun, argnums, has_aux, holomorphic, args, kwargs)
        grads, value = _gradient(lin, argnums), lin.result()
        return ((value, lin.aux) if has_aux else value), grads

    return with_grad


def grad(
    fun: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False, holomorphic: bool = False
) -> Callable[..., Any]:
    """The gradient function of a scalar function; with `has_aux` it returns `(gradient, aux)`.  See `value_and_grad`.

    >>> float(grad(lambda x: x**2 + 2 * x + 1)(3.0))
    8.0
    >>> complex(grad(abs)(3 + 4j)), complex(grad(lambda z: z * z, holomorphic=True)(3 + 4j))
    ((0.6000000238418579-0.800000011920929j), (6+8j))
    """

    check_function(fun, "grad")

    @functools.wraps(fun)
    def gradient(*args: Any, **kwargs: Any) -> Any:
        lin = _differentiated(fun, argnums, has_aux, holomorphic, args, kwargs)
        grads = _gradient(lin, argnums)
        return (grads, lin.aux) if has_aux else grads

    return gradient


# Jacobians


def _basis(leaves: Sequence[Any]) -> list[Any]:
    """For each leaf the unit vectors of all leaves along a leading axis."""
    sizes = [aval_of(x).size for x in leaves]
    total, start, out = sum(sizes), 0, []
    for x, n in zip(leaves, sizes, strict=True):
        aval = aval_of(x)
        columns = convert(equal(iota((total, n), 0), add(iota((total, n), 1), start)), aval.dtype)
        out.append(reshape(columns, (total, *aval.shape)))
        start += n
    return out


def _split_rows(stacked: Any, leaves: Sequence[Any]) -> list[Any]:
    """A leading axis over all elements of all leaves, cut and shaped by leaf."""
    out, start = [], 0
    for x in leaves:
        aval = aval_of(x)
        part = slice_in_dim(stacked, start, start + aval.size)
        out.append(reshape(part, (*aval.shape, *aval_of(stacked).shape[1:])))
        start += aval.size
    return out


def jacfwd(
    fun: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False, holomorphic: bool = False
) -> Callable[..., Any]:
    """The Jacobian by forward mode, one pass an input element: best for few inputs.

    The result has the structure of f's result; in the place of each leaf stands the structure of the argument, with
    shape `out.shape + in.shape`. With `has_aux`, f returns (value, aux), and the result is (Jacobian of the value,
    aux). Arguments are real, or with `holomorphic` complex, as results then are.

    >>> import fdl.numpy as jnp
    >>> jacfwd(lambda x: x * x)(jnp.array([1.0, 2.0])).tolist()
    [[2.0, 0.0], [0.0, 4.0]]
    """
    check_function(fun, "jacfwd")

    @functools.wraps(fun)
    def jacobian(*args: Any, **kwargs: Any) -> Any:
        of_parts, parts, chosen = _of_parts(fun, argnums, args, kwargs, "jacfwd")
        leaves, in_tree = tree_flatten(parts)
        name = _names_of(fun, chosen, len(args))
        leaves = check_leaves(leaves, (parts, {}), "jacfwd", name)
        _check_constants(leaves, parts, in_tree.constants or (False,) * len(leaves), "jacfwd", name)
        _check_numbers("jacfwd", "an argument is", leaves, holomorphic)
        aside: list[Any] = []

        def push(*unit: Any) -> Any:
            current_trace().randomness = "same"  # one function, in several directions
            value, tangents, *aside[:] = jvp(of_parts, in_tree.unflatten(leaves), in_tree.unflatten(unit), has_aux)
            _check_numbers("jacfwd", "the function returned", tree_leaves(value), holomorphic, either=True)
            return tree_map(lambda v, t: t if has_tangent(aval_of(v)) else zeros_like(aval_of(v)), value, tangents)

        columns = vmap(push, out_axes=-1)(*_basis(leaves))

        def leaf(stacked: Any) -> Any:
            shape, start, per_leaf = aval_of(stacked).shape[:-1], 0, []
            for x in leaves:
                aval = aval_of(x)
                per_leaf.append(
                    reshape(slice_in_dim(stacked, start, start + aval.size, len(shape)), (*shape, *aval.shape))
                )
                start += aval.size
            tree = in_tree.unflatten(per_leaf)
            return tree[0] if isinstance(argnums, int) else tree

        result = tree_map(leaf, columns)
        return (result, *aside) if has_aux else result

    return jacobian


def jacrev(
    fun: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False, holomorphic: bool = False
) -> Callable[..., Any]:
    """The Jacobian by reverse mode, one pass an output element: best for few outputs.  The result is as `jacfwd`'s.

    >>> import fdl.numpy as jnp
    >>> jacrev(lambda x: x * x)(jnp.array([1.0, 2.0])).tolist()
    [[2.0, 0.0], [0.0, 4.0]]
    """
    check_function(fun, "jacrev")

    @functools.wraps(fun)
    def jacobian(*args: Any, **kwargs: Any) -> Any:
        of_parts, parts, chosen = _of_parts(fun, argnums, args, kwargs, "jacrev")
        inputs, in_tree = tree_flatten(parts)
        name = _names_of(fun, chosen, len(args))
        _check_constants(
            check_leaves(inputs, (parts, {}), "jacrev", name),
            parts,
            in_tree.constants or (False,) * len(inputs),
            "jacrev",
            name,
        )
        _check_numbers("jacrev", "an argument is", inputs, holomorphic, either=True)
        value, pull, *aside = vjp(of_parts, *parts, has_aux=has_aux)
        leaves, out_tree = tree_flatten(value)
        _check_numbers("jacrev", "the function returned", leaves, holomorphic)
        for x in leaves:
            if not has_tangent(aval_of(x)):
                raise DtypeError(
                    f"jacrev: the function returned {aval_of(x).describe()}, which has no derivative",
                    why="integers and booleans do not vary",
                    hint="x.astype(jnp.float32)",
                )
        rows = vmap(lambda *unit: pull(out_tree.unflatten(unit)))(*_basis(leaves))
        per_part = [tree_map(lambda stacked: _split_rows(stacked, leaves), row) for row in rows]
        results = []
        for i in range(len(leaves)):
            tree = tuple(tree_map(lambda split, i=i: split[i], part, is_leaf=_is_split) for part in per_part)
            results.append(tree[0] if isinstance(argnums, int) else tree)
        result = out_tree.unflatten(results)
        return (result, *aside) if has_aux else result

    return jacobian


def _is_split(x: Any) -> bool:
    return isinstance(x, list) and all(hasattr(v, "aval") for v in x)


def hessian(
    fun: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False, holomorphic: bool = False
) -> Callable[..., Any]:
    """Second derivatives, forward over reverse; with `has_aux`, (second derivatives, aux).

    >>> import fdl.numpy as jnp
    >>> hessian(lambda x: x[0] ** 2 * x[1])(jnp.array([1.0, 2.0])).tolist()
    [[4.0, 2.0], [2.0, 0.0]]
    """
    return jacfwd(jacrev(fun, argnums, has_aux, holomorphic), argnums, has_aux, holomorphic)
