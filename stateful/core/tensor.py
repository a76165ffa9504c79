"""The tensor: a mutable handle on immutable arrays.

Storage (a cell with an array) + view (steps from the base tensor's value to this one) + autograd record (edge to a tape
node). A tensor without steps is a base: it owns the record. A view owns none: its value and its edge are the base's
value and edge after its steps, refreshed when either has changed; writing to a view writes the base. `detach` and
`.data` are bases of their own on the same storage: they share values, not history. Operations are `Function`s, recorded
by `apply`; their public names stand in `functions/` and become methods there, by `_methods.method`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fdl import ops
from fdl.extend import (
    NATIVE,
    ConcreteArray,
    Deferred,
    FdlError,
    Function,
    Leaf,
    Node,
    ShapedArray,
    Storage,
    Tracer,
    custom_jvp,
    dtypes,
    from_numpy,
    native_tensors,
    note_cell,
    recorders,
    shaped,
    transforming,
)
from fdl.stateful.core.cells import changes, note_read, note_slots
from fdl.stateful.core.dtypes import CPU, META, device, dtype, of
from fdl.stateful.core.errors import ArgumentError, OperandError, TensorError, no_tensor, translated
from fdl.stateful.core.meta import is_meta, without_values
from fdl.stateful.core.places import fits, repeated
from fdl.stateful.core.results import Size
from fdl.stateful.core.tape import HookHandle, autocasting, grad_mode
from fdl.stateful.core.views import (
    Step,
    View,
    is_turned,
    lying,
    places_of,
    refuse_history,
    refuse_repeats,
    seen_in,
    steps_of,
    write_some,
    writing_steps,
)


class Composite:
    """What holds its values in a tensor, and says itself what a function of tensors and a view mean for it."""

    __slots__ = ()

    def _applied(self, function: Function, operands: Sequence[Any], static: tuple[Any, ...]) -> Any:
        raise NotImplementedError(self)

    def _seen(self, step: Step) -> Any:
        raise NotImplementedError(self)

    def held(self) -> Tensor:
        """The values."""
        raise NotImplementedError(self)

    def holding(self, values: Tensor) -> Any:
        """The same with other values."""
        raise NotImplementedError(self)


def held_by(tensors: Iterable[Any]) -> list[Any]:
    """Tensors, with the values of what is none in its place."""
    return [t.held() if isinstance(t, Composite) else t for t in tensors]


class Tensor:
    """PyTorch's tensor on fdl's arrays; made by `tensor`, `zeros` and their kin."""

    __slots__ = ("__dict__", "__weakref__", "_edge", "_result", "_storage", "_view")
    _storage: Storage
    _view: View | None
    _edge: Any  # tape node or leaf; of a base
    _result: int
    _retained: bool = False
    _origin: Any = None  # the tensor that a view made without grad mode is seen from
    _hidden: bool = False  # whether it stands between a storage and one view alone
    _turned: Any = None  # what a tensor was before it got another shape, for the views that were made of it then
    _grad: Any = None
    name: str | None = None
    __array_priority__ = 1000
    __hash__ = object.__hash__
    if TYPE_CHECKING:  # `functions/` attaches methods and operators by `method`, where a checker does not look
        grad: Any
        __add__: Any
        __radd__: Any
        __sub__: Any
        __rsub__: Any
        __mul__: Any
        __rmul__: Any
        __truediv__: Any
        __rtruediv__: Any
        __pow__: Any
        __rpow__: Any
        __mod__: Any
        __matmul__: Any
        __neg__: Any
        __and__: Any
        __or__: Any
        __invert__: Any
        __lt__: Any
        __le__: Any
        __gt__: Any
        __ge__: Any
        __getitem__: Any
        __setitem__: Any
        __iter__: Any

        def __getattr__(self, name: str) -> Any: ...

    def __init__(self, data: Any = (), *sizes: int) -> None:
        if type(self) is not Tensor and hasattr(self, "_storage"):
            return  # made by the `__new__` of a subclass
        self._view, self._edge, self._result = None, None, 0
        if isinstance(data, Tensor):
            self._storage = data._storage
        elif sizes or isinstance(data, (int, Size)):
            shape = (data, *sizes) if isinstance(data, int) else tuple(data)
            self._storage = Storage(ops.full(shape, 0.0, np.float32))
        else:
            self._storage = Storage(from_numpy(np.asarray(data, np.float32)))

    # Values

    def _value(self) -> Any:
        """The array of now."""
        return self._storage.array if self._view is None else self._refreshed().array

    def _now(self) -> tuple[Any, Any, int]:
        """Array, tape node and number of its result, as they are now."""
        if self._view is None:
            return self._storage.array, self._edge, self._result
        view = self._refreshed()
        return view.array, view.node, view.index

    def _lies_within(self, low: int, high: int) -> bool:
        """Whether all integers of this tensor, or of its base, are known already and from `low` to `high`."""
        array = self._value()
        if isinstance(array, Tracer) or isinstance(array._data, Deferred):
            array = self._storage.array
            if isinstance(array, Tracer) or isinstance(array._data, Deferred):
                return False
        aval = array.aval
        if NATIVE.within is not None and aval.dtype in dtypes.SIGNED and aval.size:
            answer = NATIVE.within(array._data, aval.dtype.itemsize, low, high)
            if answer is not None:
                return answer
        values = array._numpy()
        return bool(values.size and values.min() >= low and values.max() <= high)

    def _node(self) -> Any:
        """The tape node of now, None where no gradient is wanted."""
        return self._edge if self._view is None else self._refreshed().node

    def _refreshed(self) -> View:
        view, storage = self._view, self._storage
        assert view is not None
        if view.version == storage.version and view.seen is view.base._edge and storage.exported is None:
            return view
        value, node, index = self._root()._now()
        for step in view.steps:
            value, node, index = _taped_step(step.read, [value, *step.numbers], step.static, [(node, index)])
        view.keep(value, *((node, index) if self._edge is None else (self._edge, 0)))
        if transforming():  # the value belongs to the transform
            note_cell(storage)
            view.version = -1
        return view

    def _root(self) -> Tensor:
        """The base of a view, also where that has got another shape or other data since."""
        view = self._view
        assert view is not None
        base = view.base if view.base._turned is None else view.base._turned
        view.base = base = base if base._storage is self._storage else wrap_storage(self._storage)
        return base

    @property
    def _aval(self) -> ShapedArray:
        found: ShapedArray = self._value().aval
        return found

    @property
    def shape(self) -> Size:
        """Sizes of the dimensions."""
        return Size(self._value().aval.shape)

    @property
    def dtype(self) -> dtype:
        """Type of the elements."""
        return of(self._value().aval.dtype)

    @property
    def device(self) -> device:
        """Where the values lie."""
        return META if is_meta(self._storage.array) else CPU

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self._value().aval.shape)

    # Autograd

    @property
    def requires_grad(self) -> bool:
        """Whether gradients flow to or through this tensor."""
        return self._node() is not None

    @requires_grad.setter
    def requires_grad(self, wanted: bool) -> None:
        self.requires_grad_(wanted)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Ask for gradients, of a leaf; RuntimeError for integers, and for what was computed."""
        if not self.is_leaf:
            if not requires_grad:
                raise TensorError(
                    "you can only change requires_grad flags of leaf variables: use x.detach() where a computed "
                    "value is wanted without its history"
                )
            return self
        if requires_grad and not dtypes.is_inexact(self._aval.dtype):
            raise TensorError("only Tensors of floating point and complex dtype can require gradients")
        note_slots(self, "_storage", "_view", "_edge", "_result")
        if requires_grad != (self._edge is not None):
            self._lie(self)
            self._edge, self._result = (Leaf(self) if requires_grad else None), 0
        return self

    def _lie(self, source: Tensor) -> None:
        """Share the memory of another tensor, and not its history."""
        steps = steps_of(source)
        self._storage = source._storage
        self._view = None
        if steps:
            alias = wrap_storage(source._storage)
            alias._hidden, self._view = True, View(alias, steps)

    @property
    def is_leaf(self) -> bool:
        """Whether this was made by the user, or wants no gradient."""
        node = self._node()
        return node is None or type(node) is Leaf

    @property
    def grad_fn(self) -> Any:
        """The tape node that made this; None for a leaf."""
        node = self._node()
        return None if type(node) is Leaf else node

    def detach(self) -> Tensor:
        """The same values without history."""
        alias = wrap_storage(self._storage)
        alias._lie(self)
        return alias

    @property
    def data(self) -> Tensor:
        """The same values without history; assigning puts other values in place."""
        return self.detach()

    @data.setter
    def data(self, value: Tensor) -> None:
        changes.count += 1
        note_slots(self, "_storage", "_view")
        self._lie(value)

    def register_hook(self, hook: Callable[[Tensor], Any]) -> HookHandle:
        """Call `hook(gradient)` when the gradient of this tensor is known; what it returns, if
        anything, replaces it.
        """
        node = self._node()
        if node is None:
            raise TensorError("cannot register a hook on a tensor that doesn't require gradient")
        return HookHandle(node.hooks if type(node) is Leaf else node.hooks_of(self._index()), hook)

    def retain_grad(self) -> None:
        """Keep the gradient of a tensor that is no leaf in `.grad`."""
        if self.is_leaf or self._retained:
            return
        self._retained = True

        def keep(gradient: Tensor) -> None:
            self._grad = gradient.detach()

        self.register_hook(keep)

    @property
    def retains_grad(self) -> bool:
        """Whether `retain_grad` was called."""
        return self._retained

    def _index(self) -> int:
        return self._result if self._view is None else self._refreshed().index

    # Changes in place

    def _overwrite(self, value: Any, *, repeats: Any = False) -> Tensor:
        """Put `value`, a tensor of this shape or an array, in the place of this tensor's values; history follows in
        grad mode.

        Elements may share a place in memory where `repeats` is true, or a mask that says which of them are written.
        """
        if is_meta(self._storage.array):
            return self  # there is nothing to write to
        view = self._view
        base = self if view is None or self._edge is not None else self._root()
        array, node, index = value._now() if isinstance(value, Tensor) else (value, None, 0)
        if is_meta(array):
            array.refuse("an in-place operation")
        tracked = grad_mode.enabled
        if tracked and view is not None and (node is not None or base._edge is not None):
            refuse_history(view)
        if tracked and type(base._edge) is Leaf:
            what = (
                "a leaf Variable that requires grad" if view is None else "a view of a leaf Variable that requires grad"
            )
            raise TensorError(f"{what} is being used in an in-place operation.")
        if array.aval != self._aval:
            array, node, index = self._fitted(array, node, index)
        before = (self._storage.array, base._edge, base._result) if tracked else (self._storage.array, None, 0)
        if view is not None:
            if repeats is False:
                refuse_repeats(self)
            if isinstance(repeats, Tensor) and repeated(places_of(self)):
                whole, *edge = before
                array, node, index = _taped_step(
                    write_some, [whole, array, repeats._value()], lying(self), [tuple(edge), (node, index)]
                )
            else:
                array, node, index = _written(writing_steps(self), before, (array, node, index))
        if tracked:
            if node is None and base._edge is not None:  # what required grad goes on to, though all of it was replaced
                array, node, index = _taped_step(_replaced, [array, before[0]], (), [(None, 0), before[1:]])
            elif type(node) is Leaf:
                array, node, index = _taped_step(_fit, [array], (array.aval.shape, array.aval.dtype), [(node, index)])
            if node is not None or base._edge is not None:
                note_slots(base, "_edge", "_result")
            base._edge, base._result = node, index
        self._storage.set(array)
        return self

    def _fitted(self, array: Any, node: Any, index: int) -> tuple[Any, Any, int]:
        """A value for this tensor with its dtype and shape; RuntimeError where it does not fit."""
        own, got = self._aval, array.aval
        if not fits(got.shape, own.shape):
            raise TensorError(
                f"output with shape {list(own.shape)} doesn't match the broadcast shape {list(got.shape)}"
            )
        return _taped_step(_fit, [array], (own.shape, own.dtype), [(node, index)])

    # Looking at values

    def item(self) -> Any:
        """The one element as a Python number; RuntimeError for more."""
        array = self._value()
        if array.aval.size != 1:
            raise TensorError(f"a Tensor with {array.aval.size} elements cannot be converted to Scalar")
        return array.item()

    def tolist(self) -> Any:
        """Nested lists of Python numbers."""
        return self._value().tolist()

    def numpy(self, *, force: bool = False) -> np.ndarray[Any, Any]:
        """An ndarray that shares memory: writing to either changes both."""
        if self.requires_grad and not force:
            raise TensorError("Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.")
        if self._view is not None and is_turned(self):
            if force:
                return self.resolve_conj().resolve_neg().numpy(force=True)  # type: ignore[no-any-return]
            bit, resolve = ("conjugate", "resolve_conj") if self.dtype.is_complex else ("negative", "resolve_neg")
            raise TensorError(
                f"Can't call numpy() on Tensor that has {bit} bit set. Use tensor.{resolve}().numpy() instead.",
                hint=f"x.{resolve}().numpy(), or x.numpy(force=True)",
            )
        if is_meta(self._storage.array):
            raise OperandError("can't convert meta device type tensor to numpy. It has a shape and a dtype alone.")
        memory = self._storage.export()
        return memory if self._view is None else seen_in(memory, places_of(self), self._aval.dtype)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    def __dlpack__(self, **kwargs: Any) -> Any:
        return self.numpy().__dlpack__(**kwargs)

    def __dlpack_device__(self) -> tuple[int, int]:
        return (1, 0)

    def __bool__(self) -> bool:
        array = self._value()
        if array.aval.size != 1:
            raise TensorError(
                "Boolean value of Tensor with more than one value is ambiguous"
                if array.aval.size
                else "Boolean value of Tensor with no values is ambiguous"
            )
        return bool(array)

    def _number(self) -> Any:
        if self._value().aval.size != 1:
            raise ArgumentError("only one element tensors can be converted to Python scalars")
        return self.item()

    def _real(self, kind: str) -> Any:
        found = self._number()
        if isinstance(found, complex):
            if found.imag:
                raise TensorError(
                    f"value cannot be converted to type {kind} without overflow", hint="x.real or x.abs()"
                )
            return found.real
        return found

    def __int__(self) -> int:
        return int(self._real("int64_t"))

    def __float__(self) -> float:
        return float(self._real("double"))

    def __complex__(self) -> complex:
        return complex(self._number())

    def __index__(self) -> int:
        if dtypes.is_inexact(self._aval.dtype) or self._aval.size != 1:
            raise OperandError("only integer tensors of a single element can be converted to an index")
        return int(self.item())

    def __len__(self) -> int:
        if not self.shape:
            raise OperandError("len() of a 0-d tensor")
        return int(self.shape[0])

    def __format__(self, spec: str) -> str:
        if self.ndim or type(self) is not Tensor:
            return object.__format__(self, spec)
        array = self._value()
        known = not isinstance(array, Tracer) or array.concrete() is not None
        return format(array.item(), spec) if known or spec else str(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        if not self.is_leaf:
            raise TensorError(
                "Only Tensors created explicitly by the user (graph leaves) support the deepcopy protocol at the "
                "moment."
            )
        copied = self._shell()
        memo[id(self)] = copied
        copied.__dict__.update(copy.deepcopy({k: v for k, v in self.__dict__.items() if k not in _HISTORY}, memo))
        copied._storage = copy.deepcopy(self._storage, memo)  # once, whoever shares it
        copied._view = None if self._view is None else View(wrap_storage(copied._storage), steps_of(self))
        copied._edge = Leaf(copied) if self.requires_grad else None
        return copied

    def __copy__(self) -> Tensor:
        """A tensor of its own on the same memory."""
        copied = self._shell()
        copied.__dict__.update({k: v for k, v in self.__dict__.items() if k not in ("_grad", *_HISTORY)})
        copied._lie(self)
        copied._edge = Leaf(copied) if self.requires_grad else None
        return copied

    def _shell(self) -> Tensor:
        shell: Tensor = Tensor.__new__(type(self))
        shell._view, shell._edge, shell._result = None, None, 0
        return shell

    def __reduce__(self) -> Any:
        return _rebuilt, (np.array(self._value()._numpy()), self.requires_grad)


def _rebuilt(values: np.ndarray[Any, Any], requires_grad: bool) -> Tensor:
    return wrap(from_numpy(values)).requires_grad_(requires_grad)


def _cast_and_broadcast(x: Any, shape: tuple[int, ...], np_dtype: Any) -> Any:
    return ops.broadcast_to(ops.cast(x, np_dtype), shape)


_fit = Function(_cast_and_broadcast, "copy")
_kept = custom_jvp(lambda value, x: value)
_kept.defjvp(lambda primals, tangents: (primals[0], ops.add(tangents[0], ops.mul(tangents[1], 0))))
_replaced = Function(lambda value, x: _kept(value, x), "fill")


# Operations

_new = Tensor.__new__
_BARE = (bool, int, float, complex, np.generic, ConcreteArray, Tracer)  # operands besides tensors
_HISTORY = ("_origin", "_turned")


def wrap(array: Any, node: Any = None, index: int = 0) -> Tensor:
    """A tensor that holds an array."""
    t: Tensor = _new(Tensor)
    t._storage, t._view, t._edge, t._result = Storage(array), None, node, index
    return t


def owned(values: np.ndarray[Any, Any]) -> Tensor:
    """A tensor that takes an ndarray nobody else holds."""
    values.flags.writeable = False
    return wrap(ConcreteArray(shaped(values.shape, values.dtype), values))


def wrap_storage(storage: Storage) -> Tensor:
    """A base on a storage, without history."""
    t: Tensor = _new(Tensor)
    t._storage, t._view, t._edge, t._result = storage, None, None, 0
    return t


def apply(function: Function, operands: Sequence[Any], static: tuple[Any, ...] = ()) -> Any:
    """Record a call on tensors, arrays and numbers, taped where an operand requires grad: a tensor, or
    a tuple of them.
    """
    if NATIVE.apply is not None:
        done = NATIVE.apply(function, operands, static)
        if done is not None:
            return done
    return _apply(function, operands, static)


def _apply(function: Function, operands: Sequence[Any], static: tuple[Any, ...]) -> Any:
    """`apply` in full; the runtime library does the same where the call was recorded before and nothing is special."""
    if transforming():
        for x in operands:
            if isinstance(x, Tensor):
                note_read(x)
    if autocasting.now is not None:
        operands = autocasting.now.operands(function, operands, static)
    values, edges, varying, bit = [], [], 0, 1
    for x in operands:
        if isinstance(x, Tensor):
            value, node, index = x._now()
            values.append(value)
            if node is not None:
                varying |= bit
                edges.append((node, index))
        elif isinstance(x, Composite):
            return x._applied(function, operands, static)
        elif isinstance(x, _BARE):
            values.append(x)
        else:
            raise no_tensor(x, function.name, "other" if values else "input", len(values) + 1)
        bit <<= 1
    tracked = grad_mode.enabled
    try:
        if tracked:
            if recorders.recorder.wanted:
                recorders.recorder.flush()
        else:
            varying = 0
        outs, info = _record(function, values, static, varying)
    except FdlError as error:
        raise translated(error) from None
    if not varying:
        return wrap(outs[0]) if info.single else tuple(map(wrap, outs))
    node = Node(info, edges, values, outs)
    if info.single:
        return wrap(outs[0], node if info.varies[0] else None)
    return tuple([wrap(outs[i], node if varies else None, i) for i, varies in enumerate(info.varies)])


def _record(function: Function, values: Sequence[Any], static: tuple[Any, ...], varying: int) -> tuple[list[Any], Any]:
    """`function.record`, or what it gives on the meta device."""
    record = without_values if any(map(is_meta, values)) else Function.record
    return record(function, values, static, varying)


def _taped_step(
    function: Function, operands: Sequence[Any], static: tuple[Any, ...], edges: Sequence[tuple[Any, int]]
) -> tuple[Any, Any, int]:
    """A call on arrays with given edges, in any grad mode: (value, node, result). The first operands are those that
    edges are given for.
    """
    varying, bit = 0, 1
    for node, _ in edges:
        varying |= bit if node is not None else 0
        bit <<= 1
    try:
        outs, info = _record(function, operands, static, varying)
    except FdlError as error:
        raise translated(error) from None
    if not varying or not info.varies[0]:
        return outs[0], None, 0
    return outs[0], Node(info, [e for e in edges if e[0] is not None], operands, outs), 0


def _written(steps: Sequence[Step], whole: tuple[Any, Any, int], value: tuple[Any, Any, int]) -> tuple[Any, Any, int]:
    """(value, node, result) of a base into which a value is written through steps."""
    chain = [whole]
    for step in steps[:-1]:
        before, *edge = chain[-1]
        chain.append(_taped_step(step.read, [before, *step.numbers], step.static, [tuple(edge)]))
    for step, (before, *edge) in zip(reversed(steps), reversed(chain), strict=True):
        value = _taped_step(step.write, [before, value[0], *step.numbers], step.static, [tuple(edge), value[1:]])
    return value


def view_of(x: Tensor, step: Step) -> Tensor:
    """`x` seen through one more step."""
    if NATIVE.see is not None:
        done: Tensor | None = NATIVE.see(x, step)
        if done is not None:
            return done
    return _view_of(x, step)


def _view_of(x: Tensor, step: Step) -> Tensor:
    """`view_of` in full; the runtime library does the same where the step was recorded before and
    nothing is special.
    """
    if isinstance(x, Composite):
        return x._seen(step)  # type: ignore[no-any-return]
    value, node, index = x._now()
    start = seen_from(x)
    seen = _taped_step(step.read, [value, *step.numbers], step.static, [(None if start.untaped else node, index)])
    if transforming():
        note_read(x if x._view is None or x._edge is not None else x._root())
    return start.view(step, *seen)


class Start(NamedTuple):
    """From where views of a tensor are seen: a base and steps; without grad mode they are `untaped` where the tensor
    has a history.
    """

    base: Tensor
    steps: tuple[Step, ...]
    untaped: bool

    def view(self, step: Step, array: Any, node: Any = None, index: int = 0) -> Tensor:
        """The view after one more step, of which value and edge are known."""
        base = self.base
        found: Tensor = _new(Tensor)
        found._storage, found._edge, found._result = base._storage, None, 0
        found._view = view = View(base, (*self.steps, step))
        if self.untaped:  # as in PyTorch a leaf of its own, which cannot be changed in grad mode
            found._edge = node = Leaf(found)
            index = 0
        view.keep(array, node, index)
        return found


def seen_from(x: Tensor) -> Start:
    """Where views of `x` start."""
    base, steps = (x, ()) if x._view is None or x._edge is not None else (x._root(), x._view.steps)
    if grad_mode.enabled or x._node() is None:
        return Start(base, steps, False)
    alias = wrap_storage(base._storage)
    alias._origin = base
    return Start(alias, steps_of(x), True)


native_tensors(Tensor, View, grad_mode)
