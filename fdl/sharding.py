"""`jax.sharding`: where the parts of arrays lie. One processor holds all of them, so that each way to say it means the
same, and programs that name meshes and axes run.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from fdl.core.array import METHODS, Array
from fdl.core.blocks import Block
from fdl.core.errors import ChoiceError, ShapeError
from fdl.core.pytree import Tree, tree_flatten
from fdl.placement import Device, devices

__all__ = [
    "AbstractMesh", "AxisType", "Mesh", "NamedSharding", "P", "PartitionSpec", "Sharding", "SingleDeviceSharding",
    "get_abstract_mesh", "get_mesh", "make_mesh", "set_mesh", "with_sharding_constraint",
]  # fmt: skip

Shape = tuple[int, ...]


class AxisType(enum.Enum):
    """Who decides along an axis of a mesh where parts of arrays lie; with one device nobody has to."""

    Auto, Explicit, Manual = range(3)


class PartitionSpec(tuple[Any, ...]):
    """For each axis of an array, the axis of a mesh along which it is parted, several of them, or None.

    >>> PartitionSpec("x", None)
    PartitionSpec('x', None)
    """

    def __new__(cls, *partitions: Any) -> PartitionSpec:
        return super().__new__(cls, partitions)

    def __repr__(self) -> str:
        return f"PartitionSpec{tuple(self) if len(self) != 1 else f'({self[0]!r},)'}"

    def __reduce__(self) -> tuple[Any, ...]:
        return PartitionSpec, tuple(self)


P = PartitionSpec


class AbstractMesh:
    """Names and sizes of the axes of a mesh, whatever its devices are."""

    def __init__(self, axis_sizes: Sequence[int], axis_names: Sequence[Any], axis_types: Any = None) -> None:
        self.axis_sizes, self.axis_names = tuple(axis_sizes), tuple(axis_names)
        self.axis_types = tuple(axis_types) if axis_types else (AxisType.Auto,) * len(self.axis_names)

    @property
    def shape(self) -> dict[Any, int]:
        """The size of each axis, by its name."""
        return dict(zip(self.axis_names, self.axis_sizes, strict=True))

    @property
    def size(self) -> int:
        """The number of devices."""
        return math.prod(self.axis_sizes)

    @property
    def empty(self) -> bool:
        """Whether there are no axes."""
        return not self.axis_names

    def _key(self) -> tuple[Any, ...]:
        return type(self), self.axis_sizes, self.axis_names, self.axis_types

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AbstractMesh) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name!r}: {size}' for name, size in self.shape.items())})"


class Mesh(AbstractMesh, Block["Mesh"]):
    """Devices in an array whose axes have names; as a block, the mesh of `get_mesh`.

    ChoiceError for other devices than the one there is, ShapeError where names and axes differ in number.

    >>> Mesh(devices(), ("batch",)).shape
    {'batch': 1}
    """

    def __init__(self, devices: Any, axis_names: Any, axis_types: Any = None) -> None:
        names = (axis_names,) if isinstance(axis_names, str) else tuple(axis_names)
        self.devices = np.array(devices, dtype=object)
        if self.devices.ndim != len(names):
            raise ShapeError(
                f"Mesh: {len(names)} names for devices in {self.devices.ndim} axes",
                hint="a name for each axis of the array of devices",
            )
        _check_devices(self.devices.ravel().tolist())
        super().__init__(self.devices.shape, names, axis_types)

    @property
    def abstract_mesh(self) -> AbstractMesh:
        """Its axes alone."""
        return AbstractMesh(self.axis_sizes, self.axis_names, self.axis_types)

    def _steps(self) -> Iterator[Mesh]:
        _MESHES.append(self)
        try:
            yield self
        finally:
            _MESHES.remove(self)


_MESHES: list[Mesh] = []  # of the blocks that run, the innermost last


def _check_devices(given: Sequence[Any]) -> None:
    known = devices()
    if any(d not in known for d in given) or len(given) != len(set(map(id, given))):
        raise ChoiceError(f"there is no mesh of {len(given)} devices", why="arrays lie on one", hint="fdl.devices()")


def make_mesh(axis_shapes: Sequence[int], axis_names: Sequence[Any], axis_types: Any = None, **more: Any) -> Mesh:
    """A mesh of this shape of the devices there are; ChoiceError where it asks for more than the one.

    >>> make_mesh((1, 1), ("x", "y"))
    Mesh('x': 1, 'y': 1)
    """
    given = list(more.get("devices") or devices())
    if math.prod(axis_shapes) != len(given):
        raise ChoiceError(
            f"make_mesh: a mesh of {math.prod(axis_shapes)} devices", why=f"there is {len(given)}", hint="sizes of 1"
        )
    return Mesh(np.array(given, dtype=object).reshape(tuple(axis_shapes)), tuple(axis_names), axis_types)


class set_mesh(Block["Mesh"]):
    """A block whose mesh is that of `get_mesh`.

    >>> with set_mesh(make_mesh((1,), ("x",))):
    ...     get_mesh().axis_names
    ('x',)
    """

    def __init__(self, mesh: Mesh) -> None:
        self.mesh = mesh

    def _steps(self) -> Iterator[Mesh]:
        return self.mesh._steps()


def get_mesh() -> Mesh:
    """The mesh of the block that runs; one without axes where none does."""
    return _MESHES[-1] if _MESHES else Mesh(np.array(devices()[0], dtype=object), ())


def get_abstract_mesh() -> AbstractMesh:
    """The axes of `get_mesh`."""
    return get_mesh().abstract_mesh


class Sharding:
    """How an array is parted among devices, of which there is one: each has it whole."""

    memory_kind = "device"

    @property
    def device_set(self) -> set[Device]:
        """The devices that hold parts."""
        return set(devices())

    addressable_devices = device_set
    num_devices = 1
    is_fully_replicated = is_fully_addressable = True

    def shard_shape(self, global_shape: Shape) -> Shape:
        """The shape of a part: the whole.

        >>> SingleDeviceSharding(devices()[0]).shard_shape((2, 3))
        (2, 3)
        """
        return tuple(global_shape)

    def is_equivalent_to(self, other: Sharding, ndim: int) -> bool:
        """Whether parts lie where another says: with one device, always."""
        return isinstance(other, Sharding)


class SingleDeviceSharding(Sharding):
    """An array on one device."""

    def __init__(self, device: Device, *, memory_kind: str | None = None) -> None:
        _check_devices([device])
        self._device = device

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SingleDeviceSharding)

    def __hash__(self) -> int:
        return hash(type(self))

    def __repr__(self) -> str:
        return f"SingleDeviceSharding(device={self._device!r}, memory_kind={self.memory_kind})"


class NamedSharding(Sharding):
    """An array parted along the axes of a mesh, by their names; ChoiceError for a name that the mesh has not."""

    def __init__(self, mesh: Any, spec: PartitionSpec, *, memory_kind: str | None = None) -> None:
        names = [n for part in spec for n in (part if isinstance(part, tuple) else (part,)) if n is not None]
        if unknown := [n for n in names if n not in mesh.axis_names]:
            raise ChoiceError(f"NamedSharding: {mesh} has no axis {unknown[0]!r}", hint=f"one of {mesh.axis_names}")
        self.mesh, self.spec = mesh, spec

    def __eq__(self, other: object) -> bool:
        return isinstance(other, NamedSharding) and (self.mesh, self.spec) == (other.mesh, other.spec)

    def __hash__(self) -> int:
        return hash((self.mesh, self.spec))

    def __repr__(self) -> str:
        return f"NamedSharding(mesh={self.mesh!r}, spec={self.spec!r}, memory_kind={self.memory_kind})"


def with_sharding_constraint(x: Tree, shardings: Any) -> Tree:
    """The tree itself, whose arrays lie where `shardings` say: on the one device. ChoiceError for an axis that no mesh
    has.

    >>> import fdl.numpy as jnp
    >>> mesh = make_mesh((1,), ("x",))
    >>> with_sharding_constraint(jnp.ones(2), NamedSharding(mesh, P("x")))
    Array([1., 1.], dtype=float32)
    """
    for given in tree_flatten(shardings, is_leaf=lambda s: s is None or isinstance(s, PartitionSpec))[0]:
        if isinstance(given, PartitionSpec):
            NamedSharding(get_mesh(), given)
    return x


def _of_array(x: Array) -> Sharding:
    """How an array is parted.

    >>> import fdl.numpy as jnp
    >>> jnp.ones(2).sharding.device_set == set(devices())
    True
    """
    return SingleDeviceSharding(devices()[0])


METHODS.update({"sharding": property(_of_array)})  # type: ignore[dict-item]
