"""`torch.storage`: the memory behind a tensor, as libraries ask for it to count bytes and to see what is shared."""

from __future__ import annotations

from typing import Any

import numpy as np

from fdl.extend import Storage
from fdl.stateful.core.addresses import address_of
from fdl.stateful.core.dtypes import device, dtype, of
from fdl.stateful.core.errors import ArgumentError, TensorError
from fdl.stateful.core.methods import method
from fdl.stateful.core.tensor import Tensor, owned, wrap_storage

__all__ = ["TypedStorage", "UntypedStorage"]


class UntypedStorage:
    """The bytes of a tensor and of its views; two are equal where they are the same memory. Of a number: so many zeros.

    >>> import fdl.stateful as torch
    >>> x = torch.ones(4)
    >>> x.untyped_storage().nbytes(), x[:2].untyped_storage() == x.untyped_storage()
    (16, True)
    """

    is_cuda = False

    def __init__(self, storage: Any = 0) -> None:
        if isinstance(storage, int):
            storage = owned(np.zeros(storage, np.uint8))._storage
        self._held: Storage = storage

    @staticmethod
    def from_file(filename: str, shared: bool = False, nbytes: int = 0) -> UntypedStorage:
        """The first bytes of a file, which stay there until they are read. NotImplementedError for memory that is
        shared with the file: values are never written back.
        """
        if shared:
            raise NotImplementedError(f"UntypedStorage.from_file({filename!r}, shared=True): files are only read")
        mapped = np.memmap(filename, np.uint8, "r", shape=nbytes) if nbytes else np.zeros(0, np.uint8)
        return UntypedStorage(owned(np.asarray(mapped))._storage)

    @staticmethod
    def from_buffer(buffer: Any, *args: Any, **kwargs: Any) -> UntypedStorage:
        """A copy of the bytes of a buffer."""
        return UntypedStorage(owned(np.frombuffer(buffer, np.uint8).copy())._storage)

    def _whole(self) -> Tensor:
        return wrap_storage(self._held)

    def bytes(self) -> Tensor:
        """uint8[nbytes] that shares the memory."""
        whole = self._whole()
        return whole if whole.dtype == of("uint8") else whole.reshape(-1).view(of("uint8"))  # type: ignore[no-any-return]

    def untyped(self) -> UntypedStorage:
        """Their bytes."""
        return UntypedStorage(self._held)

    def nbytes(self) -> int:
        """Bytes."""
        return int(self._whole().nbytes)

    size = __len__ = nbytes

    def data_ptr(self) -> int:
        """The address of the first byte, until the memory is written to."""
        return address_of(self._held)

    _cdata = property(lambda self: id(self._held))

    @property
    def device(self) -> device:
        """Where the bytes lie."""
        return self._whole().device

    def tolist(self) -> list[int]:
        """The bytes."""
        return list(self._whole().detach().numpy().tobytes())

    def __getitem__(self, place: Any) -> Any:
        """A byte, or a storage of some bytes in a row, which are the memory of their own from then on."""
        if not isinstance(place, slice):
            return self.bytes()[place].item()
        if place.step not in (None, 1):
            raise TensorError("Trying to slice with a step of other than 1")
        array = self.bytes()._value()._numpy()[place]
        return UntypedStorage(owned(array.view())._storage)

    def __setitem__(self, place: Any, value: Any) -> None:
        self.bytes()[place] = value

    def __iter__(self) -> Any:
        return iter(self.tolist())

    def fill_(self, value: int) -> UntypedStorage:
        """All bytes this number."""
        self.bytes().fill_(value)
        return self

    def copy_(self, source: UntypedStorage, non_blocking: bool | None = None) -> UntypedStorage:
        """The bytes of another storage of this size."""
        if source.nbytes() != self.nbytes():
            raise ArgumentError(f"copy_: {source.nbytes()} bytes do not fill {self.nbytes()}")
        self.bytes().copy_(source.bytes())
        return self

    def clone(self) -> UntypedStorage:
        """Another storage with these bytes."""
        return UntypedStorage(self.bytes().clone()._storage)

    def is_pinned(self, device: Any = None) -> bool:
        """No."""
        return False

    def is_shared(self) -> bool:
        """Yes: with all threads."""
        return True

    def share_memory_(self) -> UntypedStorage:
        """The storage itself: threads share its memory."""
        return self

    pin_memory = cpu = share_memory_

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
