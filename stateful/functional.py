"""`torch.functional`: functions that PyTorch writes in Python."""

from fdl.stateful.functions.creation import meshgrid
from fdl.stateful.functions.distances import cdist
from fdl.stateful.functions.indexing import split
from fdl.stateful.functions.products import chain_matmul, einsum, tensordot
from fdl.stateful.functions.rearranging import (
    atleast_1d,
    atleast_2d,
    atleast_3d,
    block_diag,
    broadcast_shapes,
    cartesian_prod,
)
from fdl.stateful.functions.reductions import norm
from fdl.stateful.functions.shapes import broadcast_tensors
from fdl.stateful.functions.sorting import unique, unique_consecutive
from fdl.stateful.linalg.older import lu
from fdl.stateful.signal import istft, stft

__all__ = [
    "atleast_1d", "atleast_2d", "atleast_3d", "block_diag", "broadcast_shapes", "broadcast_tensors", "cartesian_prod",
    "cdist", "chain_matmul", "einsum", "istft", "lu", "meshgrid", "norm", "split", "stft", "tensordot", "unique",
    "unique_consecutive",
]  # fmt: skip
