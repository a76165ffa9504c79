"""`torch._tensor_str`: the parts of a printed tensor, of which classes of tensors make texts of their own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from fdl.stateful.core import format as _format
from fdl.stateful.core.format import text_of, with_notes
from fdl.stateful.core.tensor import Tensor

__all__ = ["PRINT_OPTS"]


class _Options:
    """How tensors are printed, as attributes: what `set_printoptions` sets."""

    def __getattr__(self, name: str) -> object:
        if name not in _format.OPTIONS:
            raise AttributeError(name)
        return _format.OPTIONS[name]

    def __dir__(self) -> Iterator[str]:
        return iter(_format.OPTIONS)


PRINT_OPTS = _Options()


def _tensor_str(self: Tensor, indent: int) -> str:
    """The numbers of a tensor in brackets, as it prints them.

    >>> import fdl.stateful as torch
    >>> torch._tensor_str._tensor_str(torch.tensor([1.0, 2.5]), 0)
    '[1.0000, 2.5000]'
    """
    return _format.body_of(np.asarray(self.detach()._value()._numpy()), indent)


def _add_suffixes(tensor_str: str, suffixes: Sequence[str], indent: int, force_newline: bool) -> str:
    """A text and what is said after it, lines broken where they are full, or before the first suffix.

    >>> import fdl.stateful as torch
    >>> torch._tensor_str._add_suffixes("Index([1, 2]", ["dim_size=3"], 6, force_newline=False)
    'Index([1, 2], dim_size=3)'
    """
    return with_notes(tensor_str, list(suffixes), indent, force_newline)


def _str_intern(self: Tensor, *, tensor_contents: str | None = None) -> str:
    """A tensor as it prints, under the name of its class, with other contents where they are given."""
    name = "tensor" if type(self) is Tensor else type(self).__name__
    return text_of(self, f"{name}(", tensor_contents)
