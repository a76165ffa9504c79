"""Tensors and modules as trees, so that `fdl.grad`, `jit`, `vmap` and `tree.map` take them as arguments and give them
back.

A tensor is a node with one leaf, its array: a function that is given tensors under a transform gets tensors. A module's
leaves are its parameters, buffers and plain tensors, each once though it be shared; what is not trained is a constant
to `grad`. All else that it holds is its structure, so that what changes there (a mode, a rate of dropout) is another
structure. Flattening reads values; a module that is put together again is a module of its own, with the hooks and plain
attributes of the first.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple

from fdl.extend import Array, ConcreteArray, Leaf, NodeKind, register_family
from fdl.stateful.core.cells import note_birth
from fdl.stateful.core.guards import frozen
from fdl.stateful.core.tensor import Composite, Tensor, held_by, wrap
from fdl.stateful.nn.module import _MODULE, Module
from fdl.stateful.nn.parameter import Buffer, Parameter

_PLAIN_TENSOR = "tensor"


class _Slot(NamedTuple):
    """What stands under a name: a module or a tensor, by number; `holder` is what holds the tensor, if anything."""

    kind: str
    number: int
    holder: Composite | None = None

    def value(self, tensors: Sequence[Any]) -> Any:
        """The tensor, or what holds it."""
        found = tensors[self.number]
        return found if self.holder is None else self.holder.holding(found)


class _Skeleton:
    """A module without its values: equal to that of any module which computes the same from the same values."""

    __slots__ = ("_hash", "key", "modules", "shapes")

    def __init__(self, root: Module, tensors: list[Tensor]) -> None:
        """Collect the tensors, each once, and note where they stand."""
        numbers: dict[int, int] = {}
        modules = list(root.modules())
        places = {id(m): k for k, m in enumerate(modules)}
        self.modules: list[tuple[type[Module], dict[str, _Slot | None], dict[str, Any]]] = []
        for m in modules:
            slots: dict[str, _Slot | None] = {}
            plain = {
                name: _PLAIN_TENSOR
                for name, value in m.__dict__.items()
                if name not in m._registered and isinstance(value, Tensor)
            }
            for name, kind in {**m._registered, **plain}.items():
                value = m.__dict__[name]
                if value is None:
                    slots[name] = None
                elif isinstance(value, Module):
                    slots[name] = _Slot(kind, places[id(value)])
                else:
                    (t,) = held_by([value])
                    if id(t) not in numbers:
                        numbers[id(t)] = len(tensors)
                        tensors.append(t)
                    slots[name] = _Slot(kind, numbers[id(t)], value if isinstance(value, Composite) else None)
            self.modules.append(
                (type(m), slots, {name: value for name, value in m.__dict__.items() if name not in slots})
            )
        self.shapes = tuple((type(t), _is_trained(t)) for t in tensors)
        self.key = tuple(
            (cls, tuple(slots.items()), frozen({k: sorted(v) if isinstance(v, set) else v for k, v in own.items()}))
            for cls, slots, own in self.modules
        )
        self._hash = hash((self.key, self.shapes))

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, _Skeleton)
            and self._hash == other._hash
            and self.shapes == other.shapes
            and self.key == other.key
        )

    def __hash__(self) -> int:
        return self._hash

    def paths(self) -> list[str]:
        """The name of each tensor where it stands first."""
        found: dict[int, str] = {}
        stack = [(0, "")]
        while stack:
            number, prefix = stack.pop()
            slots = self.modules[number][1]
            for name, slot in slots.items():
                if slot is not None and slot.kind != _MODULE:
                    found.setdefault(slot.number, f"{prefix}.{name}")
            stack += [
                (slot.number, f"{prefix}.{name}")
                for name, slot in reversed(slots.items())
                if slot is not None and slot.kind == _MODULE
            ]
        return [found[k] for k in range(len(found))]

    def module(self, values: Sequence[Any]) -> Module:
        """A module with these values."""
        tensors = [_tensor(cls, value, grad) for (cls, grad), value in zip(self.shapes, values, strict=True)]
        modules: list[Module] = [object.__new__(cls) for cls, _, _ in self.modules]
        for m, (_, slots, own) in zip(modules, self.modules, strict=True):
            note_birth(m)
            m.__dict__.update({k: v.copy() if type(v) in (dict, list, set) else v for k, v in own.items()})
            for name, slot in slots.items():
                m.__dict__[name] = (
                    None if slot is None else modules[slot.number] if slot.kind == _MODULE else slot.value(tensors)
                )
        return modules[0]


def _tensor(cls: type[Tensor], value: Any, requires_grad: bool) -> Any:
    """A tensor of this class; what stands for a value, such as None, as it is."""
    if not isinstance(value, Array):
        return value
    found = wrap(value)
    if cls is not Tensor and issubclass(cls, (Parameter, Buffer)):
        found = cls(found, requires_grad=False) if issubclass(cls, Parameter) else cls(found)
    if requires_grad and isinstance(value, ConcreteArray):
        found._edge = Leaf(found)
    elif (
        requires_grad
    ):  # a tracer belongs to the transform, which differentiates: the tensor is trained again when it comes out
        found.__dict__["_trained"] = True
    return found


def _is_trained(t: Tensor) -> bool:
    return t.requires_grad or "_trained" in t.__dict__


def _flatten_module(module: Module) -> tuple[list[Any], Hashable]:
    tensors: list[Tensor] = []
    skeleton = _Skeleton(module, tensors)
    return [t._value() for t in tensors], skeleton


def _module_kind(cls: type) -> NodeKind:
    def fixed(skeleton: Any) -> list[bool]:
        return [not trained for _, trained in skeleton.shapes]

    def paths(module: Any, skeleton: Any) -> list[str]:
        return skeleton.paths()  # type: ignore[no-any-return]

    return NodeKind(_flatten_module, lambda skeleton, xs: skeleton.module(xs), paths, fixed)


def _tensor_kind(cls: type) -> NodeKind:
    trained = issubclass(cls, Parameter)
    return NodeKind(
        lambda t: ([t._value()], trained and _is_trained(t)),
        lambda grad, xs: _tensor(cls, xs[0], bool(grad)),
        lambda t, grad: [""],
    )


register_family(Module, _module_kind)
register_family(Tensor, _tensor_kind)
