"""Sequences of different lengths in one tensor, packed or padded; public as `nn.utils.rnn`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from fdl.stateful.core.errors import ArgumentError, TensorError
from fdl.stateful.core.tensor import Tensor
from fdl.stateful.functions.creation import from_numpy, full
from fdl.stateful.functions.shapes import cat, stack


class PackedSequence(NamedTuple):
    """Steps of sequences, longest first: at each step those that have not ended.  `batch_sizes` says how many."""

    data: Any
    batch_sizes: Any
    sorted_indices: Any = None
    unsorted_indices: Any = None

    def to(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """With the data converted."""
        return self._replace(data=self.data.to(*args, **kwargs))


def _lengths(sizes: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Length of each sequence, longest first, from the number of sequences at each step."""
    lengths: np.ndarray[Any, Any] = (sizes[None, :] > np.arange(int(sizes[0]))[:, None]).sum(1)
    return lengths


def _places(lengths: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Rows of (T * N) that hold steps, in the order of packing."""
    steps, batch = int(lengths.max()), len(lengths)
    alive = np.arange(steps)[:, None] < lengths[None, :]
    return np.flatnonzero(alive).astype(np.int64) if batch else np.zeros(0, np.int64)


def padded(sequence: PackedSequence) -> tuple[Tensor, Tensor]:
    """(T, N, ...) with zeros after the end, longest first, and the lengths."""
    sizes = np.asarray(sequence.batch_sizes.detach().numpy())
    lengths = _lengths(sizes)
    steps, batch = len(sizes), int(sizes[0])
    data = sequence.data
    flat = data.new_zeros(steps * batch, *data.shape[1:]).index_add(0, from_numpy(_places(lengths)), data)
    return flat.reshape(steps, batch, *data.shape[1:]), from_numpy(lengths.astype(np.int64))


def packed(out: Tensor, like: PackedSequence) -> PackedSequence:
    """(T, N, ...) packed as another sequence is."""
    lengths = _lengths(np.asarray(like.batch_sizes.detach().numpy()))
    flat = out.reshape(-1, *out.shape[2:])
    return PackedSequence(
        flat.index_select(0, from_numpy(_places(lengths))), like.batch_sizes, like.sorted_indices, like.unsorted_indices
    )


def pack_padded_sequence(
    input: Tensor, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """Pack (T, N, ...), or (N, T, ...), whose sequences have these lengths."""
    sizes = np.asarray(lengths.detach().numpy() if isinstance(lengths, Tensor) else lengths).astype(np.int64)
    x = input.transpose(0, 1) if batch_first else input
    order: Any = None
    if enforce_sorted:
        if (np.diff(sizes) > 0).any():
            raise TensorError(
                "`lengths` array must be sorted in decreasing order when `enforce_sorted` is True. You can pass "
                "`enforce_sorted=False` to pack_padded_sequence to sidestep this requirement"
            )
    else:
        places = np.argsort(-sizes, kind="stable").astype(np.int64)
        sizes, order = sizes[places], from_numpy(places)
        x = x.index_select(1, order)
    if not sizes.size or sizes.min() <= 0:
        raise TensorError(
            "Length of all samples has to be greater than 0, but found an element in 'lengths' that is <= 0"
        )
    steps = int(sizes[0])
    counts = (np.arange(steps)[:, None] < sizes[None, :]).sum(1).astype(np.int64)
    flat = x[:steps].reshape(-1, *x.shape[2:])
    back = None if order is None else invert_permutation(order)
    return PackedSequence(flat.index_select(0, from_numpy(_places(sizes))), from_numpy(counts), order, back)


def pad_packed_sequence(
    sequence: PackedSequence, batch_first: bool = False, padding_value: float = 0.0, total_length: int | None = None
) -> tuple[Any, Any]:
    """(padded tensor, lengths) of what was packed, in its first order."""
    x, lengths = padded(sequence)
    steps, batch = x.shape[:2]
    if padding_value:
        alive = from_numpy(np.arange(steps)[:, None] < np.asarray(lengths.numpy())[None, :])
        x = x.masked_fill(~alive.reshape(steps, batch, *[1] * (x.ndim - 2)), padding_value)
    if total_length is not None:
        if total_length < steps:
            raise ArgumentError(
                "Expected total_length to be at least the length of the longest sequence in input, "
                f"but got total_length={total_length} and max sequence length being {steps}"
            )
        if total_length > steps:
            x = cat([x, full((total_length - steps, *x.shape[1:]), padding_value, dtype=x.dtype)])
    if sequence.unsorted_indices is not None:
        x, lengths = x.index_select(1, sequence.unsorted_indices), lengths[sequence.unsorted_indices]
    return (x.transpose(0, 1) if batch_first else x), lengths


def pad_sequence(
    sequences: Sequence[Tensor], batch_first: bool = False, padding_value: float = 0.0, padding_side: str = "right"
) -> Tensor:
    """Sequences (L, ...) stacked, the shorter ones continued with one value."""
    longest = max(s.shape[0] for s in sequences)
    rows = []
    for s in sequences:
        missing = longest - s.shape[0]
        if missing:
            fill = full((missing, *s.shape[1:]), padding_value, dtype=s.dtype)
            s = cat([s, fill] if padding_side == "right" else [fill, s])
        rows.append(s)
    return stack(rows, 0 if batch_first else 1)


def pack_sequence(sequences: Sequence[Tensor], enforce_sorted: bool = True) -> PackedSequence:
    """Pack sequences (L, ...)."""
    return pack_padded_sequence(pad_sequence(sequences), [s.shape[0] for s in sequences], enforce_sorted=enforce_sorted)


def unpad_sequence(padded_sequences: Tensor, lengths: Tensor, batch_first: bool = False) -> list[Tensor]:
    """The sequences without what follows their end."""
    rows = padded_sequences if batch_first else padded_sequences.transpose(0, 1)
    return [row[:n] for row, n in zip(rows, lengths.tolist(), strict=True)]


def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """The sequences that were packed."""
    return unpad_sequence(*pad_packed_sequence(packed_sequences, batch_first=True), batch_first=True)


def invert_permutation(permutation: Any) -> Any:
    """Where each number stands in a permutation."""
    if permutation is None:
        return None
    places = np.asarray(permutation.detach().numpy())
    out = np.empty_like(places)
    out[places] = np.arange(len(places))
    return from_numpy(out)
