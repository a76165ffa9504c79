"""Routines: what an operation asks of a target by name, one row or one matrix at a time.

A routine is a key, such as "cholesky". Here stands what it computes, for all targets. A target's table says which
function of its own does it and what memory that takes beside its operands (for C: `lowering/ir/routines.py`); where
it has none, the loops are built that the operation gives as the `decomposition` (`*_loops.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

Part = np.ndarray[Any, Any]


class Routine(NamedTuple):
    """What a routine computes and costs.

    `reference(*parts, *sizes)` gives the parts of the results, of any shape, from flat parts of the operands and the
    integers that the operation hands to the routine. `cost(*sizes)` is the scalar operations of a part, roughly.
    """

    reference: Callable[..., Sequence[Part]]
    cost: Callable[..., int]


ROUTINES: dict[str, Routine] = {}
