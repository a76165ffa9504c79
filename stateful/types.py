"""`torch.types`: names of types for annotations."""

from __future__ import annotations

import os
from typing import IO, Any

from fdl.stateful.core.dtypes import device as _device
from fdl.stateful.core.dtypes import dtype as _dtype
from fdl.stateful.core.layouts import layout as _layout
from fdl.stateful.core.results import Size as _Size
from fdl.stateful.storage import TypedStorage as Storage

__all__ = ["Device", "FileLike", "Number", "Storage"]

Number = int | float | bool
Device = _device | str | int | None
FileLike = str | os.PathLike[str] | IO[bytes]
_int, _float, _bool, _complex, _size = int, float, bool, complex, _Size | list[int] | tuple[int, ...]
_Number = (int, float, bool)
_TensorOrTensors = Any
_qscheme = Any
_aliases = (_device, _dtype, _layout)
