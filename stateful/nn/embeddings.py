"""Tables of rows that are looked up by integers."""

from __future__ import annotations

from typing import Any

from fdl.stateful.core.errors import ExpectationError
from fdl.stateful.core.tensor import Tensor
from fdl.stateful.functions.creation import empty
from fdl.stateful.nn import functional as F
from fdl.stateful.nn import init
from fdl.stateful.nn.module import Module
from fdl.stateful.nn.parameter import Parameter

__all__ = ["Embedding", "EmbeddingBag"]


class _Table(Module):
    """Rows of weights."""

    def _build(
        self,
        rows: int,
        width: int,
        padding_idx: int | None,
        max_norm: float | None,
        norm_type: float,
        scale: bool,
        sparse: bool,
        weight: Any,
        dtype: Any,
    ) -> None:
        self.num_embeddings, self.embedding_dim = rows, width
        if padding_idx is not None and not -rows <= padding_idx < rows:
            raise ExpectationError("Padding_idx must be within num_embeddings")
        self.padding_idx = None if padding_idx is None else padding_idx % rows
        self.max_norm, self.norm_type, self.scale_grad_by_freq, self.sparse = max_norm, norm_type, scale, sparse
        self.weight = Parameter(empty(rows, width, dtype=dtype) if weight is None else weight)
        if weight is None:
            self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new weights."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            init.zeros_(self.weight.detach()[self.padding_idx])

    @classmethod
    def from_pretrained(cls, embeddings: Tensor, freeze: bool = True, *args: Any, **kwargs: Any) -> Any:
        """From a matrix of rows, not trained unless `freeze` is false."""
        rows, width = embeddings.shape
        found = cls(rows, width, *args, _weight=embeddings, **kwargs)  # type: ignore[call-arg]
        found.weight.requires_grad = not freeze
        return found

    def extra_repr(self) -> str:
        """Sizes, and what is not the default."""
        parts = [f"{self.num_embeddings}, {self.embedding_dim}"]
        parts += [] if self.padding_idx is None else [f"padding_idx={self.padding_idx}"]
        parts += [] if self.max_norm is None else [f"max_norm={self.max_norm}"]
        parts += [] if self.norm_type == 2 else [f"norm_type={self.norm_type}"]
        return ", ".join([*parts, *([f"mode={self.mode!r}"] if hasattr(self, "mode") else [])])


class Embedding(_Table):
    """A row of weights for each integer; normal at first, zero at `padding_idx`."""

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
        _weight: Tensor | None = None,
        _freeze: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self._build(
            num_embeddings, embedding_dim, padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse, _weight, dtype
        )

    def forward(self, input: Tensor) -> Any:
        """(...) integers to (..., embedding_dim)."""
        return F.embedding(
            input, self.weight, self.padding_idx, self.max_norm, self.norm_type, self.scale_grad_by_freq, self.sparse
        )


class EmbeddingBag(_Table):
    """Sums, means or maxima of rows, by bags."""

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        _weight: Tensor | None = None,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.mode, self.include_last_offset = mode, include_last_offset
        self._build(
            num_embeddings, embedding_dim, padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse, _weight, dtype
        )

    def forward(self, input: Tensor, offsets: Tensor | None = None, per_sample_weights: Tensor | None = None) -> Any:
        """(bags, embedding_dim)."""
        return F.embedding_bag(
            input,
            self.weight,
            offsets,
            self.max_norm,
            self.norm_type,
            self.scale_grad_by_freq,
            self.mode,
            self.sparse,
            per_sample_weights,
            self.include_last_offset,
            self.padding_idx,
        )
