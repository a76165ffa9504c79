"""The part of the runtime library that knows tensors."""

from __future__ import annotations

from typing import Any

from fdl.backends.native import NATIVE, on_native
from fdl.backends.runtime import probe
from fdl.extend.storage import Storage
from fdl.transforms.tape import ORDER


def native_tensors(tensor: type, view: type, grad_mode: Any) -> None:
    """Let the runtime library, once it is loaded, apply functions to tensors of this type where the call is a hit:
    `NATIVE.apply`, see them through a further step: `NATIVE.see`, and fill many storages at once: `NATIVE.put`.

    A tensor has slots `_storage, _view, _edge, _result`: a `Storage`, None or a view, the `Node` of the tape or None,
    and the number of its result; a view has slots `base, steps, version, seen, array, node, index`: a tensor, the
    version of its storage and the edge that were seen, and the value and edge that followed.  `grad_mode.enabled` says
    whether operations of the thread are taped.
    """

    def adopt(module: Any) -> None:
        if module.tensors(*probe(tensor), *probe(Storage), *probe(view), grad_mode, ORDER):
            for name in ("apply", "see", "put"):
                NATIVE.adopt(NATIVE, name, getattr(module, name))

    on_native(adopt)
