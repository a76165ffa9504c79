"""`torch.storage`: the memory behind a tensor, as libraries ask for it to count bytes and to see what is shared."""

from __future__ import annotations

from typing import Any

from fdl.stateful.core.dtypes import CPU, device, dtype
from fdl.stateful.core.methods import method
from fdl.stateful.core.tensor import Tensor, wrap_storage

__all__ = ["TypedStorage", "UntypedStorage"]


class UntypedStorage:
    """The bytes of a tensor and of its views; two are equal where they are the same memory.

    >>> import fdl.stateful as torch
    >>> x = torch.ones(4)
    >>> x.untyped_storage().nbytes(), x[:2].untyped_storage() == x.untyped_storage()
    (16, True)
    """

    is_cuda = False

    def __init__(self, storage: Any) -> None:
        self._held = storage

    def _whole(self) -> Tensor:
        return wrap_storage(self._held)

    def nbytes(self) -> int:
        """Bytes."""
        return int(self._whole().nbytes)

    size = __len__ = nbytes

    def data_ptr(self) -> int:
        """A number that is the same for all that share the memory."""
        return id(self._held)

    _cdata = property(data_ptr)

    @property
    def device(self) -> device:
        """Where the bytes lie."""
        return CPU

    def tolist(self) -> list[int]:
        """The bytes."""
        return list(self._whole().detach().numpy().tobytes())

    def is_pinned(self, device: Any = None) -> bool:
        """No."""
        return False

    def cpu(self) -> UntypedStorage:
        """The storage itself."""
        return self

    def __eq__(self, other: object) -> bool:
        return isinstance(other, UntypedStorage) and self._held is other._held

    def __hash__(self) -> int:
        return id(self._held)


class TypedStorage(UntypedStorage):
    """The elements of a tensor and of its views, in the order of memory.

    >>> import fdl.stateful as torch
    >>> torch.tensor([[1.0, 2.0]]).storage().tolist()
    [1.0, 2.0]
    """

    @property
    def dtype(self) -> dtype:
        """Their type."""
        return self._whole().dtype

    def size(self) -> int:
        """How many."""
        return int(self._whole().numel())

    __len__ = size

    def element_size(self) -> int:
        """Bytes of one."""
        return self.dtype.itemsize

    def tolist(self) -> list[Any]:
        """The elements."""
        return self._whole().detach().reshape(-1).tolist()  # type: ignore[no-any-return]

    def __getitem__(self, place: Any) -> Any:
        found = self._whole().detach().reshape(-1)[place]
        return found.item() if found.ndim == 0 else found.tolist()

    def __setitem__(self, place: Any, value: Any) -> None:
        self._whole().detach().view(-1)[place] = value

    def untyped(self) -> UntypedStorage:
        """Their bytes."""
        return UntypedStorage(self._held)


@method("untyped_storage")
def _untyped(self: Tensor) -> UntypedStorage:
    return UntypedStorage(self._storage)


@method("storage")
def _typed(self: Tensor) -> TypedStorage:
    return TypedStorage(self._storage)


def _version(self: Tensor) -> int:
    """How often the memory was written."""
    return self._storage.version


Tensor._version = property(_version)  # type: ignore[attr-defined]
