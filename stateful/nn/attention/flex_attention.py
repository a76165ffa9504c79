"""`torch.nn.attention.flex_attention`: attention whose scores and masks are functions of where they stand.

Functions of places (`score_mod`, `mask_mod`) are mapped over batch, heads, queries and keys; scores are made whole, and
what of them is never used the compiler leaves out. `BlockMask` says which blocks of them are looked at, as in PyTorch.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any, NamedTuple

from fdl.stateful.core.errors import ArgumentError
from fdl.stateful.core.tensor import Tensor
from fdl.stateful.func import vmap
from fdl.stateful.functions.creation import arange, full, zeros
from fdl.stateful.functions.reductions import logsumexp
from fdl.stateful.functions.sorting import argsort
from fdl.stateful.nn.functional.activations import softmax
from fdl.stateful.nn.functional.padding import pad

__all__ = [
    "AuxOutput", "AuxRequest", "BlockMask", "and_masks", "create_block_mask", "create_mask", "flex_attention",
    "noop_mask", "or_masks",
]  # fmt: skip

_DEFAULT_SPARSE_BLOCK_SIZE = 128
Mask = Callable[[Any, Any, Any, Any], Any]


class AuxRequest(NamedTuple):
    """What `flex_attention` returns beside its result: the log-sum-exp of scores, their maximum."""

    lse: bool = False
    max_scores: bool = False


class AuxOutput(NamedTuple):
    """What was asked for by `AuxRequest`; None for what was not."""

    lse: Any = None
    max_scores: Any = None


def noop_mask(batch: Any, head: Any, token_q: Any, token_kv: Any) -> Any:
    """True: each query sees all keys."""
    return batch == batch if isinstance(batch, Tensor) else True


def and_masks(*mask_mods: Mask) -> Mask:
    """The mask of what all masks let through."""

    def combined(b: Any, h: Any, q: Any, k: Any) -> Any:
        found = b == b
        for mask in mask_mods:
            found = found & mask(b, h, q, k)
        return found

    return combined


def or_masks(*mask_mods: Mask) -> Mask:
    """The mask of what any mask lets through."""

    def combined(b: Any, h: Any, q: Any, k: Any) -> Any:
        found = b != b
        for mask in mask_mods:
            found = found | mask(b, h, q, k)
        return found

    return combined


def _over_places(f: Callable[..., Any], scores: bool) -> Callable[..., Any]:
    """A function of a batch's, a head's, a query's and a key's number (and the score before them) over all of these."""
    for axis in reversed(range(4)):
        f = vmap(f, (*((0,) if scores else ()), *(0 if i == axis else None for i in range(4))))
    return f


def create_mask(mod_fn: Mask, B: int | None, H: int | None, Q_LEN: int, KV_LEN: int, device: Any = None) -> Tensor:
    """bool[B, H, Q_LEN, KV_LEN] of a mask, 1 for what is None.

    >>> create_mask(lambda b, h, q, k: q >= k, None, None, 2, 3)
    tensor([[[[ True, False, False],
              [ True,  True, False]]]])
    """
    found: Tensor = _over_places(mod_fn, False)(*map(arange, (B or 1, H or 1, Q_LEN, KV_LEN)))
    return found.bool()  # type: ignore[no-any-return]


@dataclasses.dataclass(eq=False)
class BlockMask:
    """Which blocks of scores are looked at: some of a block's (`kv_indices`) or all (`full_kv_indices`).

    Of int32[B, H, rows, columns] of indices the first `kv_num_blocks[B, H, rows]` in a row count; elements of blocks
    that are not full are asked for by `mask_mod`.

    >>> mask = create_block_mask(lambda b, h, q, k: q >= k, None, None, 256, 256)
    >>> mask.kv_num_blocks.tolist(), mask.full_kv_num_blocks.tolist(), mask.sparsity()
    ([[[1, 1]]], [[[0, 1]]], 25.0)
    """

    kv_num_blocks: Tensor
    kv_indices: Tensor
    full_kv_num_blocks: Tensor | None
    full_kv_indices: Tensor | None
    BLOCK_SIZE: tuple[int, int]
    mask_mod: Mask
    seq_lengths: tuple[int, int]

    @classmethod
    def from_kv_blocks(
        cls,
        kv_num_blocks: Tensor,
        kv_indices: Tensor,
        full_kv_num_blocks: Tensor | None = None,
        full_kv_indices: Tensor | None = None,
        BLOCK_SIZE: int | tuple[int, int] = _DEFAULT_SPARSE_BLOCK_SIZE,
        mask_mod: Mask | None = None,
        seq_lengths: tuple[int, int] | None = None,
        compute_q_blocks: bool = True,
    ) -> BlockMask:
        """A mask of blocks that are known; all of each, where `mask_mod` is None."""
        if kv_indices.ndim < 2:
            raise ArgumentError("BlockMask must have at least 2 dimensions")
        if (full_kv_num_blocks is None) != (full_kv_indices is None):
            raise ArgumentError("full_kv_num_blocks and full_kv_indices must be both provided or omitted")
        size = (BLOCK_SIZE, BLOCK_SIZE) if isinstance(BLOCK_SIZE, int) else BLOCK_SIZE
        rows, columns = kv_indices.shape[-2:]
        lengths = seq_lengths or (rows * size[0], columns * size[1])
        return cls(kv_num_blocks, kv_indices, full_kv_num_blocks, full_kv_indices, size, mask_mod or noop_mask, lengths)

    @property
    def shape(self) -> tuple[int, ...]:
        """(B, H, Q_LEN, KV_LEN)."""
        return (*self.kv_indices.shape[:-2], *self.seq_lengths)

    def _blocks(self, count: Tensor | None, indices: Tensor | None) -> Tensor:
        """bool[B, H, rows, columns] of the blocks that are listed."""
        if count is None or indices is None:
            return zeros(*self.kv_indices.shape).bool()  # type: ignore[no-any-return]
        columns = indices.shape[-1]
        listed = arange(columns) < count[..., None]
        return zeros(*indices.shape).scatter_add(-1, indices.long(), listed.float()).bool()  # type: ignore[no-any-return]

    def to_dense(self) -> Tensor:
        """int32[B, H, rows, columns] of blocks: 1 where one is looked at."""
        partial = self._blocks(self.kv_num_blocks, self.kv_indices)
        return (partial | self._blocks(self.full_kv_num_blocks, self.full_kv_indices)).int()  # type: ignore[no-any-return]

    def sparsity(self) -> float:
        """How many of a hundred scores are in no block that is looked at."""
        dense = self.to_dense()
        return 100 * (1 - int(dense.sum()) * math.prod(self.BLOCK_SIZE) / math.prod(self.shape))

    def numel(self) -> int:
        """How many scores there are."""
        return math.prod(self.shape)

    def to(self, device: Any) -> BlockMask:
        """The mask itself, on the one device there is."""
        return self

    def __getitem__(self, index: Any) -> BlockMask:
        """The mask of some of the batch, heads and rows of blocks."""
        key = tuple(
            slice(i, i + 1) if isinstance(i, int) else i for i in (index if isinstance(index, tuple) else (index,))
        )
        parts = [
            None if t is None else t[key]
            for t in (self.kv_num_blocks, self.kv_indices, self.full_kv_num_blocks, self.full_kv_indices)
        ]
        count, indices = parts[0], parts[1]
        assert count is not None and indices is not None
        lengths = (indices.shape[-2] * self.BLOCK_SIZE[0], self.seq_lengths[1])
        return BlockMask(count, indices, parts[2], parts[3], self.BLOCK_SIZE, self.mask_mod, lengths)

    def _elements(self, blocks: Tensor) -> Tensor:
        """bool[B, H, Q_LEN, KV_LEN] of the elements of blocks."""
        q, kv = self.BLOCK_SIZE
        whole = blocks.repeat_interleave(q, -2).repeat_interleave(kv, -1)
        return whole[..., : self.seq_lengths[0], : self.seq_lengths[1]]  # type: ignore[no-any-return]

    def seen(self, batch: int, heads: int) -> Tensor:
        """bool[batch, heads, Q_LEN, KV_LEN]: which keys each query sees."""
        partial = self._elements(self._blocks(self.kv_num_blocks, self.kv_indices))
        full_ = self._elements(self._blocks(self.full_kv_num_blocks, self.full_kv_indices))
        return (partial & create_mask(self.mask_mod, batch, heads, *self.seq_lengths)) | full_  # type: ignore[no-any-return]


def create_block_mask(
    mask_mod: Mask,
    B: int | None,
    H: int | None,
    Q_LEN: int,
    KV_LEN: int,
    device: Any = None,
    BLOCK_SIZE: int | tuple[int, int] = _DEFAULT_SPARSE_BLOCK_SIZE,
    _compile: bool = False,
) -> BlockMask:
    """The blocks of a mask: those of which it lets some elements through, and those of which it lets all."""
    size = (BLOCK_SIZE, BLOCK_SIZE) if isinstance(BLOCK_SIZE, int) else BLOCK_SIZE
    mask = create_mask(mask_mod, B, H, Q_LEN, KV_LEN)
    rows, columns = (-(-n // s) for n, s in zip((Q_LEN, KV_LEN), size, strict=True))
    padded = pad(mask.int(), (0, columns * size[1] - KV_LEN, 0, rows * size[0] - Q_LEN))
    counts = padded.reshape(*mask.shape[:2], rows, size[0], columns, size[1]).sum((3, 5))
    whole = counts == math.prod(size)
    listed = [blocks for kind in ((counts > 0) & ~whole, whole) for blocks in _listed(kind)]
    return BlockMask(listed[0], listed[1], listed[2], listed[3], size, mask_mod, (Q_LEN, KV_LEN))


def _listed(blocks: Tensor) -> tuple[Tensor, Tensor]:
    """How many blocks of each row are chosen, and their numbers, chosen ones first."""
    return blocks.sum(-1).int(), argsort(blocks.int(), -1, descending=True, stable=True).int()


def flex_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    score_mod: Callable[..., Any] | None = None,
    block_mask: BlockMask | None = None,
    scale: float | None = None,
    enable_gqa: bool = False,
    return_lse: bool = False,
    kernel_options: Any = None,
    *,
    return_aux: AuxRequest | None = None,
) -> Any:
    """Attention over float[B, H, L, E] with `score_mod(score, b, h, q, k)` for each scaled score.

    A query that sees no key gives zeros. With `return_lse` also the log-sum-exp of its scores, float32[B, H, L].

    >>> import fdl.stateful as torch
    >>> x = torch.ones(1, 1, 2, 4)
    >>> flex_attention(x, x, x, lambda score, b, h, q, k: score - (q - k).abs()).shape
    torch.Size([1, 1, 2, 4])
    """
    if query.ndim != 4 or key.ndim != 4 or value.ndim != 4:
        raise NotImplementedError("NYI: query, key, and value must be 4D tensors")
    heads, shared = query.shape[1], key.shape[1]
    if heads != shared:
        if not enable_gqa:
            raise ArgumentError(
                f"Expect query and key/value to have the same number of heads but got Hq={heads} and Hkv={shared}. "
                "Try setting enable_gqa=True for GQA."
            )
        if heads % shared:
            raise ArgumentError(
                "Expect number of query heads to be a multiple of kv heads for GQA but got "
                f"Hq={heads} and Hkv={shared}."
            )
        key, value = (t.repeat_interleave(heads // shared, 1) for t in (key, value))
    batch, queries, keys = query.shape[0], query.shape[2], key.shape[2]
    scores = query @ key.transpose(-2, -1)
    scores = (scores if scores.dtype.itemsize == 8 else scores.float()) * (
        1 / math.sqrt(query.shape[-1]) if scale is None else scale
    )
    if score_mod is not None:
        scores = _over_places(score_mod, True)(scores, *map(arange, (batch, heads, queries, keys)))
    if block_mask is not None:
        if tuple(block_mask.shape[-2:]) != (queries, keys):
            raise ArgumentError(
                f"block_mask was created for block_mask.shape={tuple(block_mask.shape)} but got q_len={queries} and "
                f"kv_len={keys}.",
                hint="create_block_mask with the lengths of query and key",
            )
        scores = scores.where(
            block_mask.seen(batch, heads)[..., :queries, :keys], full((), -math.inf, dtype=scores.dtype)
        )
    peak = scores.detach().amax(-1, keepdim=True)
    weights = softmax(scores, -1).masked_fill(peak == -math.inf, 0.0)
    result = weights.to(query.dtype) @ value
    lse = logsumexp(scores, -1) if return_lse or (return_aux is not None and return_aux.lse) else None
    if return_aux is not None:
        return result, AuxOutput(lse, peak[..., 0] if return_aux.max_scores else None)
    return (result, lse) if return_lse else result
