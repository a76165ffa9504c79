"""`check`: an effect that fails where elements of a mask hold. What depends on values (bounds, labels, domains) is
checked by it wherever the values are known.

A mask is true where something is wrong. Values may be shown in the message, from the first place that is wrong. The
base trace looks at masks that are known at once; others join the program, which looks at them before it writes in
place. Loops and branches hold no checks: they return masks (`transforms/control/checks.py`), which are checked outside.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from fdl.core import dtypes
from fdl.core.array import Array
from fdl.core.avals import ShapedArray
from fdl.core.errors import DtypeError, FdlError, ShapeError
from fdl.core.graph import ArrayLike
from fdl.core.primitive import Primitive
from fdl.core.source import Location
from fdl.core.trace import aval_of
from fdl.ops.axes import broadcast


class Failure(NamedTuple):
    """What a check raises: a class, and a message with a `{}` for each value that is shown; `plain` stands where values
    are not known.
    """

    error: type[Exception]
    message: str
    plain: str
    hint: str = ""

    def raised(self, values: Sequence[Any] = (), at: Location | None = None) -> Exception:
        """The exception, to be raised.

        >>> Failure(IndexError, "index {} is out of bounds", "an index is out of bounds").raised([7])
        IndexError('index 7 is out of bounds')
        """
        text = self.message.format(*values) if values or "{" not in self.message else self.plain
        return self.error(text, hint=self.hint, at=at) if issubclass(self.error, FdlError) else self.error(text)

    def of(
        self, mask: np.ndarray[Any, Any], shown: Sequence[np.ndarray[Any, Any]], at: Location | None = None
    ) -> Exception | None:
        """The exception for these values, None where no element of the mask holds."""
        if not mask.any():
            return None
        place = np.unravel_index(np.argmax(mask), mask.shape)
        return self.raised([np.broadcast_to(x, mask.shape)[place].item() for x in shown], at)


def check(mask: ArrayLike, failure: Failure, *shown: Any) -> None:
    """Raise `failure` where an element of the mask holds: at the line where it is known, else with the program.

    `shown` are arrays of the mask's shape whose elements stand in the message.

    >>> import fdl.numpy as jnp
    >>> failure = Failure(IndexError, "label {} is too large", "a label is too large")
    >>> check(jnp.array([False, True]), failure, jnp.array([3, 12]))
    Traceback (most recent call last):
    ...
    IndexError: label 12 is too large
    """
    check_p.bind(mask, *shown, failure=failure)


def _shape(mask: ShapedArray, *shown: ShapedArray, failure: Failure) -> list[ShapedArray]:
    if mask.dtype != dtypes.bool_:
        raise DtypeError(f"check: the mask is {mask.describe()}, not bool")
    if any(x.shape not in (mask.shape, ()) for x in shown):
        raise ShapeError(
            f"check: {', '.join(x.describe() for x in shown)} cannot be shown for a mask of shape {mask.shape}"
        )
    return []


def _impl(mask: Any, *shown: Any, failure: Failure) -> list[Any]:
    found = failure.of(np.asarray(mask), shown)
    if found is not None:
        raise found
    return []


def _jvp(primals: Any, tangents: Any, *, failure: Failure) -> tuple[Any, Any]:
    check_p.bind(*primals, failure=failure)
    return [], []


def _batch(axis: Any, args: Any, batched: Any, *, failure: Failure) -> tuple[Any, Any]:
    full = (axis.size, *aval_of(args[0]).shape[batched[0] :])

    def spread(x: Any, is_batched: bool) -> Array:
        rank = aval_of(x).ndim
        return (
            x if rank == len(full) else broadcast(x, full, (0,) if is_batched else range(1, rank + 1) if rank else ())
        )

    check_p.bind(*map(spread, args, batched), failure=failure)
    return [], []


check_p = (
    Primitive("check", multiple_results=True)
    .define(
        shape=_shape,
        impl=_impl,
        jvp=_jvp,
        batch=_batch,
        lower=lambda b, *xs, failure: [],  # programs for processors return masks instead
        effects=lambda failure: frozenset({"check"}),
        samples=[],
    )
    .register()
)
