"""PyTorch's functions on tensors, one file a family.  Importing this package makes methods of them."""

from fdl.stateful.functions import (
    creation,
    elementwise,
    gathering,
    indexing,
    memory,
    products,
    rearranging,
    reductions,
    shapes,
    sorting,
    special,
    statistics,
)

__all__ = [
    "creation",
    "elementwise",
    "gathering",
    "indexing",
    "memory",
    "products",
    "rearranging",
    "reductions",
    "shapes",
    "sorting",
    "special",
    "statistics",
]
