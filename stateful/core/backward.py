"""Reverse mode on tensors: the two algebras of the tape's walk, `backward` and `grad`.

Cotangents are arrays, and nothing is taped; or, with `create_graph`, tensors, and the way back is taped itself.
"""

from __future__ import annotations

import operator
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fdl import ops
from fdl.extend import Function, Leaf, Node, current_recorder, dtypes, running_trace, walk, whole
from fdl.stateful.core.cells import note_assignment, note_gradient
from fdl.stateful.core.complexes import conjugate, shown
from fdl.stateful.core.dtypes import META
from fdl.stateful.core.errors import OperandError, TensorError
from fdl.stateful.core.meta import MetaArray
from fdl.stateful.core.methods import method
from fdl.stateful.core.tape import grad_mode
from fdl.stateful.core.tensor import Composite, Tensor, apply, held_by, wrap

_stacked = Function(lambda *gs: ops.concatenate([ops.expand_dims(g, (0,)) for g in gs], 0), "stack")
_sum_of_two = Function(lambda a, b: ops.add(a, b), "add")


def shown_tensor(cotangent: Tensor) -> Tensor:
    """`shown` of a tensor, taped."""
    return apply(conjugate, (cotangent,)) if dtypes.is_complex(cotangent._aval.dtype) else cotangent  # type: ignore[no-any-return]


def _replacing(hook: Any, before: Tensor, found: Any) -> Tensor:
    """What a hook returned; errors where that cannot take the place of a gradient."""
    if not isinstance(found, Tensor):
        raise OperandError(f"expected Variable, but hook returned '{type(found).__name__}'")
    name = getattr(hook, "__name__", type(hook).__name__)
    if found.dtype is not before.dtype:
        raise TensorError(
            f"hook '{name}' has changed the type of value (was {before.dtype} got {found.dtype})",
            hint="gradient.to(x.dtype)",
        )
    if found.shape != before.shape:
        raise TensorError(
            f"hook '{name}' has changed the size of value", why=f"it was {before.shape} and is {found.shape}"
        )
    return found


def _after_hooks(t: Tensor, hooks: Sequence[Callable[[Any], Any]]) -> Tensor:
    """A cotangent after hooks have seen it, and perhaps replaced it."""
    t = shown_tensor(t)
    for hook in hooks:
        replaced = hook(t)
        t = t if replaced is None else _replacing(hook, t, replaced)
    return shown_tensor(t)


def _owners(found: dict[Leaf, Any]) -> list[tuple[Any, Any]]:
    """The tensors of leaves, which are about to get gradients, and their cotangents."""
    owners = [(tensor, cotangent) for leaf, cotangent in found.items() if (tensor := leaf.tensor()) is not None]
    if running_trace() is not None:
        for tensor, _ in owners:
            note_gradient(tensor)
    return owners


def _put_gradients(changes: Sequence[tuple[Tensor, Any]]) -> None:
    """Tensors get these gradients, which are tensors; gradients that are there take the values of arrays."""
    for tensor, value in changes:
        if isinstance(value, Tensor):
            tensor._grad = value
        else:
            tensor._overwrite(value)


class _OfArrays:
    """Cotangents as arrays: nothing is taped."""

    plain = True

    def add(self, a: Any, b: Any) -> Any:
        return _sum_of_two.record((a, b))[0][0]

    def pull(self, node: Any, cotangents: list[Any]) -> list[Any]:
        found: list[Any] = node.pull(cotangents)
        return found

    def hooked(self, cotangent: Any, hooks: Sequence[Callable[[Any], Any]]) -> Any:
        return _after_hooks(wrap(cotangent), hooks)._value()

    def gather(self, found: dict[Leaf, Any]) -> None:
        changes: dict[int, tuple[Any, Any]] = {}  # by identity of the gradient that is there; tensors and what they get
        for tensor, cotangent in _owners(found):
            own, cotangent = tensor._grad, shown(cotangent)
            if own is None:
                changes[id(tensor)] = tensor, wrap(cotangent)
                continue
            if id(own) in changes:  # somebody let two leaves share one
                cotangent = self.add(changes[id(own)][1], cotangent)
                changes[id(own)] = own, cotangent
            else:
                changes[id(own)] = own, self.add(own._value(), cotangent)
        whole(_put_gradients, list(changes.values()))


class _Watch(threading.local):
    """Whether gradients are looked at for NaN."""

    anomalies = False


watch = _Watch()


def _has_nan(values: np.ndarray[Any, Any]) -> bool:
    return bool((values != values).any())


class _Watched(_OfArrays):
    """Cotangents as arrays, each of which is looked at; node by node."""

    plain = False

    def pull(self, node: Any, cotangents: list[Any]) -> list[Any]:
        found = super().pull(node, cotangents)
        for i, ct in enumerate(found):
            if ct is not None and _has_nan(ct._numpy()):
                raise TensorError(f"Function '{node.name()}' returned nan values in its {i}th output.")
        return found


class _OfTensors:
    """Cotangents as tensors: the way back is taped, for second derivatives."""

    plain = False

    def add(self, a: Any, b: Any) -> Any:
        return apply(_sum_of_two, (a, b))

    def pull(self, node: Any, cotangents: list[Any]) -> list[Any]:
        if not isinstance(node, Node):
            found: list[Any] = node.pull_tensors(cotangents)
            return found
        if node.operands is None:
            return node.pull(cotangents)  # raises
        taped = node.taped
        given, present = taped.given(cotangents)
        if not present:
            return [None] * len(taped.differentiated)
        function, nonzero = taped.differentiable_pull(given)
        edges = dict(zip(taped.differentiated, node.edges, strict=True))
        operands = [wrap(x, *edges[i]) if i in edges else x for i, x in enumerate(node.operands)]
        outs = iter(apply(function, [*operands, *present]))
        return [next(outs) if nz else None for nz in nonzero]

    def hooked(self, cotangent: Any, hooks: Sequence[Callable[[Any], Any]]) -> Any:
        return _after_hooks(cotangent, hooks)

    def gather(self, found: dict[Leaf, Any]) -> None:
        gradients = [(t, shown_tensor(ct)) for t, ct in _owners(found)]
        whole(_put_gradients, [(t, g if t.grad is None else self.add(t.grad, g)) for t, g in gradients])


def _algebra(create_graph: bool) -> Any:
    return _OfTensors() if create_graph else _Watched() if watch.anomalies else _OfArrays()


def _listed(x: Any) -> list[Any]:
    return [x] if isinstance(x, (Tensor, Composite)) else list(x)


def _roots(
    tensors: Sequence[Tensor], gradients: Sequence[Any] | None, create_graph: bool
) -> list[tuple[Any, int, Any]]:
    roots = []
    for i, t in enumerate(tensors):
        node = t._node()
        if node is None:
            raise TensorError(f"element {i} of tensors does not require grad and does not have a grad_fn")
        given = gradients[i] if gradients is not None else None
        aval = t._aval
        if given is None:
            if aval.size != 1:
                raise TensorError("grad can be implicitly created only for scalar outputs")
            if dtypes.is_complex(aval.dtype):
                raise TensorError(
                    f"grad can be implicitly created only for real scalar outputs but got {t.dtype}",
                    hint="a gradient, or a real number such as out.abs()",
                )
            given = wrap(MetaArray(aval) if t.device == META else _ones.record((), (aval.shape, aval.dtype))[0][0])
        elif given.shape != t.shape:
            raise TensorError(
                f"Mismatch in shape: grad_output[{i}] has a shape of {given.shape} and output[{i}] has a shape "
                f"of {t.shape}."
            )
        elif given.dtype.is_complex != t.dtype.is_complex:
            raise TensorError(
                "For complex Tensors, both output and grad_output are required to have the same dtype. Mismatch in "
                f"dtype: grad_output[{i}] has a dtype of {given.dtype} and output[{i}] has a dtype of {t.dtype}."
            )
        roots.append((node, t._index(), shown_tensor(given) if create_graph else shown(given._value())))
    return roots


_ones = Function(lambda shape, np_dtype: ops.full(shape, 1, np_dtype), "ones")


def backward(
    tensors: Sequence[Any],
    gradients: Sequence[Any] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Any = None,
) -> None:
    """Add gradients of the sum of `tensors`, weighted by `gradients`, to `.grad` of leaves, or of `inputs` alone."""
    retain = create_graph if retain_graph is None else retain_graph
    roots = _roots(held_by(tensors), None if gradients is None else held_by(gradients), create_graph)
    algebra = _algebra(create_graph)
    if running_trace() is None:
        current_recorder().look_at_checks()
    saved, grad_mode.enabled = grad_mode.enabled, create_graph
    try:
        if inputs is None:
            walk(roots, algebra, not retain)
            return
        targets = held_by(_listed(inputs))
        wanted: dict[tuple[Any, int], Any] = {(t._node(), t._index()): None for t in targets}
        walk(roots, algebra, not retain, wanted)
        algebra.gather({Leaf(t): ct for t in targets if (ct := wanted[t._node(), t._index()]) is not None})
    finally:
        grad_mode.enabled = saved


def grad(
    outputs: Any,
    inputs: Any,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> tuple[Any, ...]:
    """Gradients of the sum of `outputs` with respect to `inputs`, as a tuple; `.grad` stays as it is.

    `is_grads_batched` takes one gradient of the outputs after another, along the first dimension of `grad_outputs`.
    RuntimeError where an input was not used, unless `allow_unused`.
    """
    if is_grads_batched:
        rows = list(zip(*[list(g) for g in _listed(grad_outputs)], strict=True))
        found = [
            grad(
                outputs,
                inputs,
                row,
                k < len(rows) - 1 or retain_graph,
                create_graph,
                True,
                allow_unused,
                False,
                materialize_grads,
            )
            for k, row in enumerate(rows)
        ]
        return tuple([None if column[0] is None else apply(_stacked, column) for column in zip(*found, strict=True)])
    sources, given = held_by(_listed(outputs)), _listed(inputs)
    gradients, targets = None if grad_outputs is None else held_by(_listed(grad_outputs)), held_by(given)
    retain = create_graph if retain_graph is None else retain_graph
    for t in targets:
        if t._node() is None:
            raise TensorError("One of the differentiated Tensors does not require grad")
    wanted: dict[tuple[Any, int], Any] = {(t._node(), t._index()): None for t in targets}
    if running_trace() is None:
        current_recorder().look_at_checks()
    saved, grad_mode.enabled = grad_mode.enabled, create_graph
    try:
        walk(_roots(sources, gradients, create_graph), _algebra(create_graph), not retain, wanted)
    finally:
        grad_mode.enabled = saved
    results: list[Any] = []
    for t, whole_of in zip(targets, given, strict=True):
        ct = wanted[t._node(), t._index()]
        if ct is None and not (allow_unused or materialize_grads):
            raise TensorError(
                "One of the differentiated Tensors appears to not have been used in the graph. "
                "Set allow_unused=True if this is the desired behavior."
            )
        if ct is None and materialize_grads:
            ct = ops.zeros_like(t._aval)
        gradient = None if ct is None else shown_tensor(ct) if isinstance(ct, Tensor) else wrap(shown(ct))
        if gradient is not None and isinstance(whole_of, Composite):
            gradient = whole_of.holding(gradient)
        results.append(gradient)
    return tuple(results)


@method("backward")
def _backward(
    self: Tensor,
    gradient: Tensor | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Any = None,
) -> None:
    """Add the gradient of this tensor to `.grad` of the leaves that it came from.

    `gradient` is needed unless there is one element.  RuntimeError where nothing requires grad, or residuals are gone.
    """
    backward([self], None if gradient is None else [gradient], retain_graph, create_graph, inputs)


# The attribute


def _assign_gradient(self: Tensor, value: Any) -> None:
    """`x.grad = value`: None, or a tensor of the same shape and dtype."""
    if value is not None:
        if not isinstance(value, Tensor):
            raise OperandError(
                f"assigned grad expected to be a Tensor or None but got grad of type {type(value).__name__}"
            )
        if value is self:
            raise TensorError("can't assign Variable as its own grad")
        if tuple(value.shape) != tuple(self.shape):
            raise TensorError(
                (
                    f"attempting to assign a gradient of size '{list(value.shape)}' to a tensor of size "
                    f"'{list(self.shape)}'"
                ),
                why="the gradient and the tensor must be of the same size",
            )
        if value.dtype is not self.dtype:
            raise TensorError(
                f"attempting to assign a gradient of {value.dtype} to a tensor of {self.dtype}",
                why="the gradient must have the tensor's dtype",
                hint="grad.to(x.dtype)",
            )
    note_assignment(self)
    self._grad = value


def _drop_gradient(self: Tensor) -> None:
    _assign_gradient(self, None)


Tensor.grad = property(
    operator.attrgetter("_grad"),
    _assign_gradient,
    _drop_gradient,
    "The gradient that `backward` has added up; None before.",
)


@method("register_post_accumulate_grad_hook")
def register_post_accumulate_grad_hook(self: Tensor, hook: Any) -> Any:
    """Call `hook(tensor)` after its gradient was accumulated: at the gradient's arrival, with the sum in place."""

    if self.requires_grad and not self.is_leaf:
        raise TensorError("post accumulate grad hooks cannot be registered on non-leaf tensors")

    def run(gradient: Tensor) -> Tensor:
        before = self.grad
        self.grad = gradient if before is None else before + gradient
        if hook(self) is not None:
            raise TensorError("Tensor post accumulate grad hooks should return None.")
        kept, self.grad = self.grad, before
        return gradient if kept is not None else gradient * 0

    return self.register_hook(run)
